//! What agents write to customers' addresses.

use super::rig::{Out, Rig};
use crate::ids::LinkId;
use crate::shard::Input;
use crate::wire::code;

fn serve(rig: &mut Rig, serves: bool) {
    rig.feed(Input::Serve {
        address: "@support/alice",
        agent: "anna",
        number: 7,
        serves,
    });
}

fn desk() -> (Rig, LinkId, LinkId) {
    let mut rig = Rig::new();
    let (team, user, known) = ("@support", "anna", true);
    rig.feed(Input::Team { team, known });
    rig.feed(Input::Agent { user, known });
    let (anna, alice) = (rig.tcp("anna"), rig.tcp("alice"));
    rig.take(anna);
    rig.take(alice);
    (rig, anna, alice)
}

#[test]
fn d1_an_answer_is_one_record_of_the_customers_conversation() {
    let (mut rig, anna, alice) = desk();
    serve(&mut rig, true);
    rig.hold_commits = true;
    rig.say_body(anna, "@support/alice", "m1", "hello");
    assert!(rig.take(anna).is_empty() && rig.messages(alice).is_empty());
    rig.commit();
    // Acknowledged in the name that the agent wrote to, and with his own id.
    let ack = Out::Ack {
        id: "m1".into(),
        from: "@support/alice".into(),
        to: "anna".into(),
        seq: 1,
    };
    assert_eq!(rig.take(anna), [ack]);
    assert_eq!(rig.messages(alice), ["a7/m1"]);
    let stored = &rig.store.log[0];
    assert_eq!((&*stored.from, &*stored.to), ("@support", "alice"));
    assert_eq!(&*stored.body, "hello");
    // Sent again, it is the same.
    rig.say_body(anna, "@support/alice", "m1", "hello");
    rig.commit();
    assert!(matches!(&rig.take(anna)[..], [Out::Ack { seq: 1, .. }]));
    assert!(rig.messages(alice).is_empty());
}

#[test]
fn a_command_is_a_message_to_the_desk() {
    let (mut rig, anna, alice) = desk();
    serve(&mut rig, true);
    rig.say_body(anna, "@support/alice", "m1", "/close");
    rig.say_body(anna, "@support/alice", "m2", "//etc");
    let kept: Vec<_> = rig.store.log.iter().map(|m| (&*m.to, &*m.body)).collect();
    assert_eq!(kept, [("@support/alice", "/close"), ("alice", "/etc")]);
    assert_eq!(rig.messages(alice), ["a7/m2"]);
}

#[test]
fn who_does_not_serve_a_customer_is_refused_and_stays() {
    let (mut rig, anna, alice) = desk();
    rig.say(anna, "@support/alice", "m1");
    assert_eq!(rig.refusals(anna), [code::REFUSED_ADDRESS]);
    serve(&mut rig, true);
    rig.say(anna, "@support/alice", "m2");
    assert_eq!(rig.messages(alice), ["a7/m2"]);
    serve(&mut rig, false);
    rig.say(anna, "@support/alice", "m3");
    assert_eq!(rig.refusals(anna), [code::REFUSED_ADDRESS]);
    assert!(rig.messages(alice).is_empty());
}
