//! The desk through the library: customers as sessions of users, agents as links of the desk.

use crate::desk::{bind, customer, settings, start};
use tidings_server::Server;
use tidings_server::core::desk::{EpisodeId, Refusal};
use tidings_server::core::ids::Name;
use tidings_server::core::wire::code;
use tidings_server::desk::notice::{ClosedBy, CustomerEvent, Notice};
use tidings_server::desk::{Act, AgentEvent, Chat, CustomerAct, DeskError, TransferTo};

fn say(customer: &str, id: &str, text: &str) -> Act {
    Act::Say {
        chat: Chat::Customer(customer.into()),
        id: id.to_owned(),
        typeu: -1,
        text: text.to_owned(),
        internal: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_typed_before_an_agent_came_arrives_first() {
    let running = start(None).await;
    let mut alice = customer(&running, "alice").await;
    for (id, text) in [("m1", "one"), ("m2", "two"), ("m3", "three")] {
        alice.says(id, text).await;
    }
    let mut agent = bind(&running, "agent1").await;
    assert_eq!(agent.given().await.0, "alice");
    alice.says("m4", "four").await;
    for text in ["one", "two", "three", "four"] {
        assert_eq!(agent.text().await, text);
    }
    let desks = running.desks();
    desks
        .act(&agent.agent, say("alice", "r1", "hello"))
        .await
        .unwrap();
    assert!(matches!(
        alice.next().await,
        CustomerEvent::Notice(Notice::Finding { episode: 1 })
    ));
    assert_eq!(alice.connected().await, "agent1");
    assert_eq!(
        alice.next().await,
        CustomerEvent::TeamGreeting("welcome".to_owned())
    );
    assert_eq!(
        alice.next().await,
        CustomerEvent::AgentGreeting("agent1 here".to_owned())
    );
    let CustomerEvent::Text { id, text, .. } = alice.next().await else {
        panic!("not a text");
    };
    assert_eq!((&*id, &*text), ("r1", "hello"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_declared_nothing_sees_greetings_and_texts_alone() {
    let running = start(None).await;
    let mut plain = running.handle().connect("bob").await.unwrap();
    plain.send("@support", "hello").await.unwrap();
    let agent = bind(&running, "agent1").await;
    running
        .desks()
        .act(&agent.agent, say("bob", "r1", "yes?"))
        .await
        .unwrap();
    let mut kinds = Vec::new();
    for _ in 0..3 {
        let message = plain.message().await.unwrap();
        assert_eq!(&*message.from, "@support");
        plain.acknowledge(&message);
        kinds.push(message.typeu);
    }
    assert_eq!(
        kinds,
        [code::DESK_TEAM_GREETING, code::DESK_AGENT_GREETING, -1]
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_the_episode_is_refused() {
    let running = start(None).await;
    let alice = customer(&running, "alice").await;
    alice.says("m1", "hello").await;
    let mut one = bind(&running, "agent1").await;
    one.given().await;
    let two = bind(&running, "agent2").await;
    let refused = running
        .desks()
        .act(&two.agent, say("alice", "r1", "mine?"))
        .await;
    assert_eq!(refused, Err(DeskError::Refused(Refusal::NotYours)));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_moves_the_customer_with_what_was_written() {
    let running = start(None).await;
    let desks = running.desks();
    let mut alice = customer(&running, "alice").await;
    alice.says("m1", "one").await;
    let mut one = bind(&running, "agent1").await;
    let mut two = bind(&running, "agent2").await;
    let (_, episode) = one.given().await;
    desks
        .act(&one.agent, say("alice", "r1", "a moment"))
        .await
        .unwrap();
    let transfer = Act::Transfer {
        chat: Chat::Episode(EpisodeId(episode)),
        to: TransferTo::Agent("agent2".to_owned()),
        note: "she is in a hurry".to_owned(),
    };
    desks.act(&one.agent, transfer).await.unwrap();
    one.until(|e| matches!(e, AgentEvent::TransferDone(_)).then_some(()))
        .await;
    let note = two
        .until(|event| match event {
            AgentEvent::Given { transfer, .. } => transfer.clone(),
            _ => None,
        })
        .await;
    assert_eq!(note, (Name::from("agent1"), "she is in a hurry".to_owned()));
    assert_eq!(two.text().await, "one");
    assert_eq!(two.text().await, "a moment");
    assert_eq!(alice.connected().await, "agent1");
    assert_eq!(alice.connected().await, "agent2");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recalled_text_is_gone_from_history_and_both_sides_know() {
    let running = start(None).await;
    let desks = running.desks();
    let mut alice = customer(&running, "alice").await;
    alice.says("m1", "one").await;
    let mut agent = bind(&running, "agent1").await;
    let chat = Chat::Episode(EpisodeId(agent.given().await.1));
    desks
        .act(&agent.agent, say("alice", "r1", "secret"))
        .await
        .unwrap();
    assert_eq!(alice.text().await, "secret");
    let recall = |id: &str| Act::Recall {
        chat: chat.clone(),
        id: id.to_owned(),
    };
    let other = bind(&running, "agent2").await;
    let refused = desks.act(&other.agent, recall("r1")).await;
    assert_eq!(refused, Err(DeskError::Refused(Refusal::NotYourMessage)));
    let refused = desks.act(&agent.agent, recall("r9")).await;
    assert_eq!(refused, Err(DeskError::Refused(Refusal::NotYourMessage)));
    desks.act(&agent.agent, recall("r1")).await.unwrap();
    let again = desks.act(&agent.agent, recall("r1")).await;
    assert_eq!(again, Err(DeskError::Refused(Refusal::Already)));
    let gone = alice
        .until(|event| match event {
            CustomerEvent::Notice(Notice::Recalled { id, .. }) => Some(id.clone()),
            _ => None,
        })
        .await;
    assert_eq!(gone, "r1");
    let page = tidings_server::store::Page::Before(u64::MAX, 100);
    let history = running
        .handle()
        .history("alice", "@support", page)
        .await
        .unwrap();
    assert!(
        history
            .iter()
            .all(|message| !message.body.contains("secret"))
    );
    assert!(
        history
            .iter()
            .any(|message| message.typeu == code::DESK_RECALLED)
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_wait_in_order_and_a_slot_serves_the_first() {
    let running = start(None).await;
    let desks = running.desks();
    let mut agent = bind(&running, "agent1").await;
    let mut customers = Vec::new();
    for name in ["c1", "c2", "c3", "c4"] {
        let one = customer(&running, name).await;
        one.says("m", "hello").await;
        customers.push(one);
    }
    let first = agent.given().await;
    let second = agent.given().await;
    assert_eq!((&*first.0, &*second.0), ("c1", "c2"));
    let close = Act::Close(Chat::Episode(EpisodeId(second.1)));
    desks.act(&agent.agent, close).await.unwrap();
    assert_eq!(agent.given().await.0, "c3");
    let by = customers[1]
        .until(|event| match event {
            CustomerEvent::Notice(Notice::Closed { by, .. }) => Some(*by),
            _ => None,
        })
        .await;
    assert_eq!(by, ClosedBy::Agent);
    // The fourth gives up; nobody is given to anybody, and he is told.
    let c4: Name = "c4".into();
    desks
        .customer(&c4, &"@support".into(), CustomerAct::Leave)
        .await
        .unwrap();
    let by = customers[3]
        .until(|event| match event {
            CustomerEvent::Notice(Notice::Closed { by, .. }) => Some(*by),
            _ => None,
        })
        .await;
    assert_eq!(by, ClosedBy::Customer);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_queue_assignments_and_what_was_read() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(Some(dir.path())).await;
    let mut agent = bind(&running, "agent1").await;
    let mut customers = Vec::new();
    for name in ["c1", "c2", "c3", "c4"] {
        let one = customer(&running, name).await;
        one.says("m1", &format!("{name} one")).await;
        customers.push(one);
    }
    let (_, first) = agent.given().await;
    assert_eq!(agent.text().await, "c1 one");
    assert_eq!(agent.given().await.0, "c2");
    assert_eq!(agent.text().await, "c2 one");
    agent.link.delivered(EpisodeId(first), 1);
    running
        .desks()
        .act(&agent.agent, say("c2", "r1", "answer"))
        .await
        .unwrap();
    drop(customers);
    drop(agent);
    running.stop().await;

    let running = Server::start(settings(Some(dir.path()))).await.unwrap();
    let mut c2 = customer(&running, "c2").await;
    assert_eq!(c2.text().await, "answer");
    let mut agent = bind(&running, "agent1").await;
    let (one, two) = (agent.given().await.0, agent.given().await.0);
    assert_eq!((&*one, &*two), ("c1", "c2"));
    c2.says("m2", "c2 two").await;
    // The first message of c1 was read before; that of c2 comes again.
    assert_eq!(agent.text().await, "c2 one");
    assert_eq!(agent.text().await, "c2 two");
    let close = Act::Close(Chat::Customer("c2".into()));
    running.desks().act(&agent.agent, close).await.unwrap();
    assert_eq!(agent.given().await.0, "c3");
    running.stop().await;
}

/// Everything that an ordinary session of an agent is told: from where, and what.
async fn told(link: &mut tidings_server::LocalLink) -> (String, String) {
    let message = tokio::time::timeout(crate::desk::PATIENCE, link.message())
        .await
        .expect("nothing was told")
        .expect("the session ended");
    link.acknowledge(&message);
    (message.from.to_string(), message.body.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_works_from_any_client() {
    let running = start(None).await;
    let mut agent = running.handle().connect("agent1").await.unwrap();
    let mut alice = customer(&running, "alice").await;
    alice.says("m1", "hello").await;
    agent.send("@support", "/online").await.unwrap();
    let (from, text) = told(&mut agent).await;
    assert_eq!(from, "@support");
    assert!(text.starts_with("You are online."), "{text}");
    let expected = |text: &str| ("@support/alice".to_owned(), text.to_owned());
    assert_eq!(told(&mut agent).await, expected("You serve alice now."));
    assert_eq!(told(&mut agent).await, expected("hello"));
    agent
        .send("@support/alice", "at your service")
        .await
        .unwrap();
    assert_eq!(alice.connected().await, "agent1");
    assert_eq!(alice.text().await, "at your service");
    // Away from his client for a moment: nothing is lost, and he is back without a word.
    drop(agent);
    alice.says("m2", "still there?").await;
    let mut agent = running.handle().connect("agent1").await.unwrap();
    agent.send("@support/alice", "/close").await.unwrap();
    // Whether the desk noticed that he was gone, and introduces itself again, is a matter of luck.
    let mut texts = Vec::new();
    while texts.last() != Some(&expected("The conversation is closed.")) {
        texts.push(told(&mut agent).await);
    }
    let again = texts
        .iter()
        .filter(|text| **text == expected("still there?"));
    assert_eq!(again.count(), 1, "{texts:?}");
    // Nobody else writes to customers' addresses.
    let refused = alice.0.send("@support/alice", "me?").await;
    assert!(refused.is_err());
    running.stop().await;
}
