//! What agents are told and may do: on ordinary sessions by texts, and after their account is gone.

use serde_json::json;
use tidings_server::core::limits;
use tidings_server::core::shard::CloseReason;
use tidings_server::core::wire::code;
use tidings_server::desk::directory::{Agent, Member};
use tidings_server::desk::{Act, AgentEvent, Author, Chat, DeskError};
use tidings_server::{LocalLink, Running};

use crate::desk::{PATIENCE, bind, by_test, customer, start};
use crate::ocim::{self, served};

/// The next text from an address.
async fn told(link: &mut LocalLink, from: &str) -> String {
    loop {
        let message = tokio::time::timeout(PATIENCE, link.message())
            .await
            .expect("nothing was told")
            .expect("the session ended");
        link.acknowledge(&message);
        if *message.from == *from {
            return message.body.to_string();
        }
    }
}

async fn until(link: &mut LocalLink, from: &str, text: &str) {
    while told(link, from).await != text {}
}

/// One more agent of the team, with an account whose name has a space.
async fn ann_lee(running: &Running) {
    let access = running.access();
    let add = tidings_server::auth::Command::AccountAdd {
        user: "Ann Lee".to_owned(),
        role: tidings_server::auth::Role::Agent,
        password: crate::desk::PASSWORD.to_owned(),
    };
    let added = tokio::task::spawn_blocking(move || access.execute(add).unwrap());
    added.await.unwrap();
    let desks = running.desks();
    let make = |directory: &tidings_server::desk::directory::Directory| {
        let teams = vec![Member {
            team: "support".to_owned(),
            capacity: None,
        }];
        let agent = Agent {
            teams,
            ..Agent::default()
        };
        directory.put_agent("demo", "Ann Lee", &agent, &by_test())
    };
    desks.change(make).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn b20b_a_customer_is_transferred_to_an_agent_whose_name_has_a_space() {
    for command in ["/transfer Ann Lee a VIP", "/transfer \"Ann Lee\" a VIP"] {
        let running = start(None).await;
        ann_lee(&running).await;
        let mut one = running.handle().connect("agent1").await.unwrap();
        let alice = customer(&running, "alice").await;
        alice.says("m1", "hello").await;
        one.send("@support", "/online").await.unwrap();
        until(&mut one, "@support/alice", "hello").await;
        let mut ann = bind(&running, "Ann Lee").await;
        one.send("@support/alice", command).await.unwrap();
        let note = ann
            .until(|event| match event {
                AgentEvent::Given { transfer, .. } => transfer.clone(),
                _ => None,
            })
            .await;
        assert_eq!(note, ("agent1".into(), "a VIP".to_owned()));
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b20b_two_slashes_send_a_text_that_begins_with_one() {
    let running = start(None).await;
    let mut agent = running.handle().connect("agent1").await.unwrap();
    let mut alice = customer(&running, "alice").await;
    alice.says("m1", "where is it?").await;
    agent.send("@support", "/online").await.unwrap();
    until(&mut agent, "@support/alice", "where is it?").await;
    agent.send("@support/alice", "//etc/hosts").await.unwrap();
    assert_eq!(alice.text().await, "/etc/hosts");
    // One slash is a command, and what is none is said to him alone.
    agent.send("@support/alice", "/etc/hosts").await.unwrap();
    assert!(told(&mut agent, "@support/alice").await.contains("/close"));
    agent.send("@support/alice", "/close").await.unwrap();
    let next = alice.next().await;
    let closed = tidings_server::desk::notice::ClosedBy::Agent;
    assert!(
        matches!(
            next,
            tidings_server::desk::notice::CustomerEvent::Notice(
                tidings_server::desk::notice::Notice::Closed { by, .. }
            ) if by == closed
        ),
        "{next:?}"
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_begins_to_work_by_texts_hears_how_many_wait() {
    let running = start(None).await;
    let (mut one, mut two) = (
        running.handle().connect("agent1").await.unwrap(),
        running.handle().connect("agent2").await.unwrap(),
    );
    one.send("@support", "/online").await.unwrap();
    let text = told(&mut one, "@support").await;
    assert!(text.starts_with("You are online. Nobody waits."), "{text}");
    for name in ["c1", "c2", "c3", "c4"] {
        let customer = customer(&running, name).await;
        customer.says("m", "hello").await;
    }
    // Two are served by agent1.
    until(&mut one, "@support/c2", "hello").await;
    two.send("@support", "/busy").await.unwrap();
    let text = told(&mut two, "@support").await;
    let expected = "You are busy. 2 customers wait for @support.";
    assert!(text.starts_with(expected), "{text}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h3_a_removed_agent_has_no_customers_and_no_way_to_them() {
    let running = start(None).await;
    let mut one = running.handle().connect("agent1").await.unwrap();
    let alice = customer(&running, "alice").await;
    alice.says("m1", "hello").await;
    one.send("@support", "/online").await.unwrap();
    until(&mut one, "@support/alice", "hello").await;
    let mut two = bind(&running, "agent2").await;
    let desks = running.desks();
    let remove = |directory: &tidings_server::desk::directory::Directory| {
        directory.remove("agent", "demo", "agent1", &by_test())
    };
    desks.change(remove).await.unwrap();
    // His session ends with his role; by a new one he is a user as any other.
    while one.recv().await.is_some() {}
    assert_eq!(one.close_reason(), Some(CloseReason::Kicked));
    let again = running.handle().connect("agent1").await.unwrap();
    let refused = again.send("@support/alice", "still here").await;
    let refused = refused.unwrap_err();
    let expected = code::REFUSED_ADDRESS.to_string();
    assert!(refused.to_string().contains(&expected), "{refused}");
    assert_eq!(two.given().await.0, "alice");
    assert_eq!(two.text().await, "hello");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h3_the_session_of_a_removed_agent_ends() {
    let running = start(None).await;
    let mut one = bind(&running, "agent1").await;
    let desks = running.desks();
    let remove = |directory: &tidings_server::desk::directory::Directory| {
        directory.remove("agent", "demo", "agent1", &by_test())
    };
    desks.change(remove).await.unwrap();
    let ended = async { while one.link.recv().await.is_some() {} };
    let ended = tokio::time::timeout(PATIENCE, ended).await;
    ended.expect("his session goes on");
    let refused = desks.act(&one.agent, Act::Pull(None)).await;
    assert_eq!(refused, Err(DeskError::SignedOut));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p12_greetings_reach_the_agent_when_they_are_written() {
    let running = start(None).await;
    let mut agent = bind(&running, "agent1").await;
    let mut alice = customer(&running, "alice").await;
    alice.says("m1", "hello").await;
    agent.given().await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let said = |event: &AgentEvent| match event {
            AgentEvent::Message {
                author, message, ..
            } => Some((author.clone(), message.body.to_string())),
            _ => None,
        };
        seen.push(agent.until(said).await);
    }
    let expected = [
        (Author::Customer, "hello"),
        (Author::Desk, "welcome"),
        (Author::Desk, "agent1 here"),
    ];
    for (author, text) in expected {
        let is_it = |(by, said): &&(Author, String)| {
            said == text && (*by == Author::Desk) == (author == Author::Desk)
        };
        assert_eq!(seen.iter().filter(is_it).count(), 1, "{text} in {seen:?}");
    }
    let close = Act::Close(Chat::Customer("alice".into()));
    running.desks().act(&agent.agent, close).await.unwrap();
    alice.connected().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p11_an_agent_who_closes_is_not_told_that_the_customer_did() {
    let running = ocim::start(|_| {}).await;
    let (mut agent, mut alice, cid) = served(&running, "agent1", "alice").await;
    let close = json!({"type": "CLOSE_CHAT", "cid": cid});
    agent.send(&close).await;
    alice.until("CLOSE_CHAT/WAITER_CLOSE").await;
    let told = agent.until("CLOSE_CHAT/WAITER_CLOSE").await;
    assert_ne!(told["from"]["uid"], "alice");
    assert_ne!(told["body"]["content"], "客户结束会话");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b20_a_customer_with_the_longest_name_of_a_team_with_the_longest_name_is_served() {
    let running = start(None).await;
    let desks = running.desks();
    let team = "t".repeat(limits::DESK_NAME_BYTES_MAX);
    let address = format!("@{team}");
    let make = move |directory: &tidings_server::desk::directory::Directory| {
        directory.put_team("demo", &team, &crate::desk::ocim_team(), &by_test())?;
        let member = |team: &str| Member {
            team: team.to_owned(),
            capacity: None,
        };
        let agent = Agent {
            teams: vec![member("support"), member(&team)],
            ..Agent::default()
        };
        directory.put_agent("demo", "agent1", &agent, &by_test())
    };
    desks.change(make).await.unwrap();
    let mut agent = running.handle().connect("agent1").await.unwrap();
    agent.send("@support", "/online").await.unwrap();
    let name = "c".repeat(limits::NAME_BYTES_MAX);
    let mut link = running.handle().connect(&*name).await.unwrap();
    link.send(&address, "hello").await.unwrap();
    let chat = format!("{address}/{name}");
    until(&mut agent, &chat, "hello").await;
    // With the longest id, which becomes a longer one in the log.
    let id = "i".repeat(limits::MESSAGE_ID_BYTES_MAX);
    agent.send(&chat, "at your service").id(&*id).await.unwrap();
    until(&mut link, &address, "at your service").await;
    drop(link);
    agent.send(&chat, "anything else?").await.unwrap();
    // What he has acknowledged does not come again.
    let mut link = running.handle().connect(&*name).await.unwrap();
    assert_eq!(told(&mut link, &address).await, "anything else?");
    agent.send(&chat, "/close").await.unwrap();
    until(&mut agent, &chat, "The conversation is closed.").await;
    running.stop().await;
}
