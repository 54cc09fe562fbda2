//! Every operation of the description is called on a fresh server, and what it answers is held against
//! what is described: not the description against itself.

#![allow(clippy::too_many_lines)] // a story in one go

use serde_json::{Value, json};
use tidings_server::core::desk::EpisodeId;
use tidings_server::desk::CustomerAct;

use crate::desk::bind;
use crate::desk_http::{eventually, start, two_wait};
use crate::schema::Described;

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_as_it_is_described() {
    let (running, client) = start().await;
    let mut described = Described::by(&client).await;
    for operation in described.operations() {
        let path = operation.any_path();
        let refused = client.raw(&operation.method, &path, vec![], "").await;
        assert_eq!(refused.status, 401, "{} {path}", operation.method);
        described.answer(&operation, &refused);
        let reader = vec![client.bearer(&client.read)];
        let answer = client.raw(&operation.method, &path, reader, "").await;
        if operation.method != "GET" {
            assert_eq!(answer.status, 403, "{} {path}", operation.method);
        }
        described.answer(&operation, &answer);
        let admin = vec![client.bearer(&client.admin)];
        let unknown = format!("{path}?nonsense=1");
        let answer = client.raw(&operation.method, &unknown, admin, "").await;
        described.answer(&operation, &answer);
    }
    described.only_refusals();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_as_it_is_described() {
    let (running, client) = start().await;
    let mut described = Described::by(&client).await;
    let d = &mut described;
    let bob = running
        .handle()
        .connect("bob")
        .device("phone")
        .await
        .unwrap();

    // Messages, users, groups.
    let mut id = String::new();
    for example in d.operation("sendMessage").examples() {
        let sent = d.call(&client, "sendMessage", &[], "", Some(example)).await;
        if let Some(one) = sent["id"].as_str().filter(|_| sent["seq"] != 0) {
            id = one.to_owned();
        }
    }
    let two = d.operation("sendMessages").example();
    d.call(&client, "sendMessages", &[], "", Some(two)).await;
    let refused = json!({ "messages": [{ "to": "#none", "text": "x" }] });
    d.call(&client, "sendMessages", &[], "", Some(refused))
        .await;
    d.call(&client, "findMessage", &[&id], "?limit=5", None)
        .await;
    d.call(&client, "listUsers", &[], "?online=true&limit=1", None)
        .await;
    d.call(&client, "showUser", &["bob"], "", None).await;
    d.call(&client, "listConversations", &["bob"], "?limit=1", None)
        .await;
    let page = d
        .call(&client, "listMessages", &["bob", "0"], "?limit=1", None)
        .await;
    assert_eq!(page["messages"].as_array().unwrap().len(), 1);
    d.call(&client, "endSessions", &["bob"], "?reason=rest", None)
        .await;
    drop(bob);
    d.call(&client, "blockUser", &["carl"], "?reason=spam", None)
        .await;
    d.call(&client, "unblockUser", &["carl"], "", None).await;
    let three = d.operation("putGroup").example();
    d.call(&client, "putGroup", &["friends"], "", Some(three))
        .await;
    d.call(&client, "addMember", &["friends", "dora"], "", None)
        .await;
    let group = d.call(&client, "showGroup", &["friends"], "", None).await;
    assert_eq!(group["count"], 4);
    d.call(&client, "removeMember", &["friends", "dora"], "", None)
        .await;
    d.call(&client, "removeGroup", &["friends"], "", None).await;
    d.call(&client, "showStats", &[], "", None).await;

    // A desk is set up by the examples, shown, and taken down.
    d.call(&client, "putDeskTenant", &["fresh"], "", Some(json!({})))
        .await;
    for (kind, names) in [
        ("Skill", &["french"][..]),
        ("Team", &["aid", "overflow"]),
        ("Agent", &["ann"]),
        ("Reply", &["hello"]),
    ] {
        for name in names.iter().rev() {
            let put = format!("putDesk{kind}");
            let mut example = d.operation(&put).example();
            let text = example.to_string().replace("\"support\"", "\"aid\"");
            example = serde_json::from_str(&text).unwrap();
            if *name == "overflow" {
                example = json!({ "title": "Overflow" });
            }
            d.call(&client, &put, &["fresh", name], "", Some(example.clone()))
                .await;
            // Again: it is there now.
            d.call(&client, &put, &["fresh", name], "", Some(example))
                .await;
            d.call(
                &client,
                &format!("showDesk{kind}"),
                &["fresh", name],
                "",
                None,
            )
            .await;
        }
        let many = match kind {
            "Reply" => "listDeskReplies".to_owned(),
            kind => format!("listDesk{kind}s"),
        };
        let query = if kind == "Agent" {
            "?live=true&limit=1"
        } else {
            "?limit=1"
        };
        d.call(&client, &many, &["fresh"], query, None).await;
    }
    d.call(&client, "showDeskTenant", &["fresh"], "", None)
        .await;
    d.call(&client, "listDeskTenants", &[], "?limit=1", None)
        .await;
    for (operation, name) in [
        ("removeDeskReply", "hello"),
        ("removeDeskAgent", "ann"),
        ("removeDeskTeam", "aid"),
        ("removeDeskTeam", "overflow"),
        ("removeDeskSkill", "french"),
    ] {
        d.call(&client, operation, &["fresh", name], "", None).await;
    }
    d.call(&client, "removeDeskTenant", &["fresh"], "", None)
        .await;

    // A day at the desk.
    let (_alice, _bob) = two_wait(&running).await;
    d.call(
        &client,
        "showDeskQueue",
        &["demo"],
        "?team=support&limit=1",
        None,
    )
    .await;
    d.call(
        &client,
        "showDeskFigures",
        &["demo"],
        "?period_ms=60000",
        None,
    )
    .await;
    let mut one = bind(&running, "agent1").await;
    let episode = one.given().await.1.to_string();
    let chat = ["demo", episode.as_str()];
    d.call(&client, "listDeskAgents", &["demo"], "?live=true", None)
        .await;
    let said = json!({ "as": "agent1", "text": "One moment, please.", "id": "m7" });
    d.call(&client, "writeToCustomer", &chat, "", Some(said))
        .await;
    let note = d.operation("writeNote").example();
    d.call(&client, "writeNote", &chat, "", Some(note)).await;
    let recall = d.operation("recallMessage").example();
    d.call(&client, "recallMessage", &chat, "", Some(recall))
        .await;
    let path = format!("/conversations/{episode}");
    let noted = |c: &Value| c["messages"].to_string().contains("\"note\":true");
    eventually(&client, &path, noted).await;
    d.call(&client, "showDeskConversation", &chat, "?limit=2", None)
        .await;
    let _boss = bind(&running, "boss").await;
    let take = d.operation("takeOverConversation").example();
    d.call(&client, "takeOverConversation", &chat, "", Some(take))
        .await;
    let over = json!({ "as": "boss", "to_team": "support", "note": "back to you" });
    d.call(&client, "transferConversation", &chat, "", Some(over))
        .await;
    eventually(&client, &path, |c| c["live"]["agent"].is_string()).await;
    let shown = d
        .call(&client, "showDeskConversation", &chat, "", None)
        .await;
    let close = json!({ "as": shown["live"]["agent"] });
    d.call(&client, "closeConversation", &chat, "", Some(close))
        .await;
    let rate = CustomerAct::Rate {
        episode: EpisodeId(episode.parse().unwrap()),
        stars: 5,
        text: "well".to_owned(),
    };
    let (alice, team) = ("alice".into(), "@support".into());
    let rated = running.desks().customer(&alice, &team, rate).await;
    rated.unwrap();
    eventually(&client, &path, |c| c["stars"] == 5).await;
    d.call(&client, "showDeskConversation", &chat, "", None)
        .await;
    d.call(
        &client,
        "searchDeskConversations",
        &["demo"],
        "?text=parcel",
        None,
    )
    .await;
    for report in ["agents", "teams", "conversations", "ratings"] {
        for query in ["?format=json", "?format=csv&bom=true"] {
            d.call(&client, "showDeskReport", &["demo", report], query, None)
                .await;
        }
    }
    d.call(&client, "listDeskAudit", &["demo"], "?limit=5", None)
        .await;
    d.call(&client, "exportCustomer", &["alice"], "", None)
        .await;
    d.call(&client, "eraseCustomer", &["alice"], "?force=true", None)
        .await;
    described.finish();
    running.stop().await;
}
