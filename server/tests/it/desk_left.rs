//! What a customer wrote is somebody's work: outside business hours, with nobody there, around closes,
//! and when an agent vanishes.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use tidings_server::core::desk::{Opening, TeamSettings};
use tidings_server::core::wire::code;
use tidings_server::desk::directory::Team;
use tidings_server::desk::notice::{CustomerEvent, Notice};
use tidings_server::desk::{Act, Chat};
use tidings_server::{LocalLink, Running, Server};

use crate::desk::{PATIENCE, bind, by_test, customer, ocim_team, settings, start};
use crate::desk_http::{get, post, start as start_http};
use crate::ocim::{Ws, http};

/// One minute, three days from now.
fn not_now() -> Vec<Opening> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    // 1970-01-01 was a Thursday.
    let weekday = (now.as_secs() / 86_400 + 3) % 7;
    let from_min = u32::try_from((weekday + 3) % 7).unwrap() * 1440;
    let to_min = from_min + 1;
    vec![Opening { from_min, to_min }]
}

/// The team has these hours from now on.
async fn hours(running: &Running, hours: Vec<Opening>, offline_message: &str) {
    let team = ocim_team();
    let team = Team {
        offline_message: offline_message.to_owned(),
        settings: TeamSettings {
            hours,
            ..team.settings
        },
        ..team
    };
    let desks = running.desks();
    desks
        .change(move |directory| directory.put_team("demo", "support", &team, &by_test()))
        .await
        .unwrap();
}

async fn told(link: &mut LocalLink) -> (String, i32, String) {
    let message = tokio::time::timeout(PATIENCE, link.message())
        .await
        .expect("nothing was told")
        .expect("the session ended");
    link.acknowledge(&message);
    let (from, text) = (message.from.to_string(), message.body.to_string());
    (from, message.typeu, text)
}

#[tokio::test(flavor = "multi_thread")]
async fn b15_a_text_outside_business_hours_is_told_kept_and_assigned_when_the_team_opens() {
    let running = start(None).await;
    hours(&running, not_now(), "Back on Monday").await;
    let mut alice = customer(&running, "alice").await;
    alice.says("m1", "is anybody there?").await;
    let form = Notice::OfflineForm {
        text: "Back on Monday".to_owned(),
    };
    assert_eq!(alice.next().await, CustomerEvent::Notice(form));
    // A client that knows nothing of desks is told by a text.
    let mut bob = running.handle().connect("bob").await.unwrap();
    bob.send("@support", "and here?").await.unwrap();
    let (from, typeu, text) = told(&mut bob).await;
    assert_eq!((&*from, &*text), ("@support", "Back on Monday"));
    assert_eq!(typeu, code::DESK_LEFT);
    drop((alice, bob));
    let mut agent = bind(&running, "agent1").await;
    hours(&running, Vec::new(), "").await;
    assert_eq!(agent.given().await.0, "alice");
    assert_eq!(agent.text().await, "is anybody there?");
    assert_eq!(agent.given().await.0, "bob");
    assert_eq!(agent.text().await, "and here?");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b15_left_messages_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(Some(dir.path())).await;
    hours(&running, not_now(), "").await;
    let mut alice = customer(&running, "alice").await;
    alice.says("m1", "is anybody there?").await;
    alice.next().await;
    running.stop().await;
    let running = Server::start(settings(Some(dir.path()))).await.unwrap();
    let mut agent = bind(&running, "agent1").await;
    hours(&running, Vec::new(), "").await;
    assert_eq!(agent.given().await.0, "alice");
    assert_eq!(agent.text().await, "is anybody there?");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b15_left_messages_are_listed_counted_found_and_taken() {
    let (running, client) = start_http().await;
    hours(&running, not_now(), "").await;
    let mut alice = customer(&running, "alice").await;
    alice.says("m1", "my parcel is lost").await;
    alice.next().await;
    let queue = get(&client, "/queue").await;
    let left = &queue["waiting"][0];
    assert_eq!(
        (&left["customer"], &left["state"], &left["left"]),
        (&json!("alice"), &json!("left"), &json!(true))
    );
    let figures = get(&client, "/figures").await;
    assert_eq!(
        (&figures["left"], &figures["waiting"]),
        (&json!(1), &json!(0))
    );
    let found = crate::desk_http::eventually(&client, "/conversations?text=parcel", |found| {
        found["conversations"][0]["customer"] == "alice"
    });
    let episode = found.await["conversations"][0]["episode"].clone();
    let mut agent = bind(&running, "agent1").await;
    let desks = running.desks();
    desks.act(&agent.agent, Act::Pull(None)).await.unwrap();
    assert_eq!(json!(agent.given().await.1), episode);
    let figures = get(&client, "/figures").await;
    assert_eq!(figures["left"], 0);
    let close = format!("/conversations/{episode}/close");
    post(&client, &close, json!({"as": "agent1"})).await.ok(200);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_a_page_is_told_something_outside_business_hours() {
    let running = crate::ocim::start(|_| {}).await;
    hours(&running, not_now(), "").await;
    let mut alice = Ws::customer(http(&running), "alice").await;
    alice.say("p1", "hello").await;
    let told = alice.until("NON_WORKING_TIME/TEXT").await;
    let text = told["body"]["content"].as_str().unwrap();
    assert!(text.contains("Your message is kept"), "{text}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b14_who_writes_after_a_close_is_told_at_once() {
    let running = start(None).await;
    let mut alice = customer(&running, "alice").await;
    alice.says("m1", "hello").await;
    let mut agent = bind(&running, "agent1").await;
    agent.given().await;
    let close = Act::Close(Chat::Customer("alice".into()));
    let desks = running.desks();
    desks.act(&agent.agent, close).await.unwrap();
    drop(agent);
    let closed = |event: &CustomerEvent| match event {
        CustomerEvent::Notice(Notice::Closed { .. }) => Some(()),
        _ => None,
    };
    alice.until(closed).await;
    alice.says("m2", "one more thing").await;
    let finding = |event: &CustomerEvent| match event {
        CustomerEvent::Notice(Notice::Finding { episode }) => Some(*episode),
        _ => None,
    };
    assert_eq!(alice.until(finding).await, 2);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_a_customer_is_told_that_his_agent_vanished_and_is_back() {
    let running = start(None).await;
    let mut alice = customer(&running, "alice").await;
    alice.says("m1", "hello").await;
    let mut agent = bind(&running, "agent1").await;
    agent.given().await;
    drop(agent);
    let away = |event: &CustomerEvent| match event {
        CustomerEvent::Notice(Notice::AgentAway { agent, .. }) => Some(agent.clone()),
        _ => None,
    };
    assert_eq!(alice.until(away).await, "agent1");
    let _agent = bind(&running, "agent1").await;
    let back = |event: &CustomerEvent| match event {
        CustomerEvent::Notice(Notice::AgentBack { agent, .. }) => Some(agent.clone()),
        _ => None,
    };
    assert_eq!(alice.until(back).await, "agent1");
    running.stop().await;
}
