//! Who may call what at the desk, and reports from known rows.

#![allow(clippy::too_many_lines)] // a story in one go

use crate::api::{Client, settings, start};
use crate::desk::{PASSWORD, furnish};
use base64::Engine as _;
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use tidings_server::Running;
use tidings_server::auth::{Command, Role};
use tidings_server::core::limits;
use tidings_server::store::Durability;

const DEMO: &str = "/api/v1/desk/tenants/demo";

fn basic(account: &str, password: &str) -> (&'static str, String) {
    let told = format!("{account}:{password}");
    let told = base64::engine::general_purpose::STANDARD.encode(told);
    ("Authorization", format!("Basic {told}"))
}

async fn account(running: &Running, user: &str, role: Role) {
    let add = Command::AccountAdd {
        user: user.to_owned(),
        role,
        password: PASSWORD.to_owned(),
    };
    let access = running.access();
    tokio::task::spawn_blocking(move || access.execute(add).unwrap())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_may_what_is_his() {
    let (running, client) = start(settings()).await;
    furnish(&running).await;
    account(&running, "root", Role::Admin).await;
    account(&running, "alice", Role::User).await;
    let put = |path: &str, body: Value| {
        let (client, path) = (client.clone(), format!("/api/v1/desk/tenants/{path}"));
        async move { client.call("PUT", &path, Some(body)).await.ok(201) }
    };
    put(
        "demo/agents/boss",
        json!({"supervisor": true, "password": PASSWORD}),
    )
    .await;
    put("other", json!({})).await;
    put(
        "other/agents/stranger",
        json!({"supervisor": true, "password": PASSWORD}),
    )
    .await;
    // In this order: read, send, admin key; agent, supervisor, another tenant's, administrator.
    let callers = [
        client.bearer(&client.read),
        client.bearer(&client.send),
        client.bearer(&client.admin),
        basic("agent1", PASSWORD),
        basic("boss", PASSWORD),
        basic("stranger", PASSWORD),
        basic("root", PASSWORD),
    ];
    let reply = json!({"text": "Hello"});
    let close = json!({"as": "boss"});
    for (method, path, body, statuses) in [
        ("GET", "", None, [200, 200, 200, 200, 200, 403, 200]),
        (
            "GET",
            "/teams/support",
            None,
            [200, 200, 200, 200, 200, 403, 200],
        ),
        (
            "GET",
            "/agents?live=true",
            None,
            [200, 200, 200, 200, 200, 403, 200],
        ),
        ("GET", "/queue", None, [200, 200, 200, 200, 200, 403, 200]),
        ("GET", "/figures", None, [200, 200, 200, 403, 200, 403, 200]),
        (
            "GET",
            "/reports/teams",
            None,
            [200, 200, 200, 403, 200, 403, 200],
        ),
        ("GET", "/audit", None, [200, 200, 200, 403, 200, 403, 200]),
        (
            "PUT",
            "/skills/x",
            Some(json!({})),
            [403, 403, 201, 403, 403, 403, 200],
        ),
        (
            "PUT",
            "/agents/new",
            Some(json!({"password": "correct horse"})),
            [403, 403, 201, 403, 403, 403, 200],
        ),
        (
            "PUT",
            "/replies/hi",
            Some(reply),
            [403, 403, 201, 403, 200, 403, 200],
        ),
        (
            "PUT",
            "",
            Some(json!({})),
            [403, 403, 200, 403, 403, 403, 200],
        ),
        (
            "DELETE",
            "/skills/none",
            None,
            [403, 403, 404, 403, 403, 403, 404],
        ),
        (
            "POST",
            "/conversations/9/close",
            Some(close),
            [403, 404, 404, 403, 404, 403, 404],
        ),
    ] {
        for (who, status) in callers.iter().zip(statuses) {
            let mut headers = vec![who.clone()];
            let text = body.as_ref().map_or(String::new(), Value::to_string);
            if body.is_some() {
                headers.push(("Content-Type", "application/json".to_owned()));
            }
            let answer = client
                .raw(method, &format!("{DEMO}{path}"), headers, text)
                .await;
            assert_eq!(answer.status, status, "{method} {path} {who:?}: {answer:?}");
        }
    }
    let export = "/api/v1/desk/customers/alice/export";
    let erase = "/api/v1/desk/customers/alice";
    for (who, statuses) in callers.iter().zip([
        [200, 403],
        [200, 403],
        [200, 200],
        [403, 403],
        [200, 403],
        [200, 403],
        [200, 200],
    ]) {
        let exported = client
            .raw("GET", export, vec![who.clone()], "")
            .await
            .status;
        let erased = client
            .raw("DELETE", erase, vec![who.clone()], "")
            .await
            .status;
        assert_eq!([exported, erased], statuses, "{who:?}");
    }
    for (headers, status) in [
        (vec![], 401),
        (vec![client.bearer("tidings_wrong")], 401),
        (vec![basic("agent1", "wrong password")], 401),
        (vec![basic("nobody", PASSWORD)], 401),
        (vec![("Authorization", "Basic !".to_owned())], 401),
        (vec![basic("alice", PASSWORD)], 403),
    ] {
        client
            .raw("GET", &format!("{DEMO}/queue"), headers, "")
            .await
            .problem(status);
    }
    // An account opens nothing but the desk.
    let elsewhere = client
        .raw("GET", "/api/v1/users", vec![basic("root", PASSWORD)], "")
        .await;
    elsewhere.problem(401);
    let tenants = client.raw(
        "GET",
        "/api/v1/desk/tenants",
        vec![basic("boss", PASSWORD)],
        "",
    );
    let tenants = tenants.await.ok(200);
    assert_eq!(tenants["tenants"].as_array().unwrap().len(), 1);
    client
        .get("/api/v1/desk/tenants/none/queue")
        .await
        .problem(404);
    running.stop().await;
}

/// Episode, part, agent, opened, began, ended, waited, how, close, answers, first answer, stars.
type Row = (
    i64,
    i64,
    Option<&'static str>,
    i64,
    i64,
    Option<i64>,
    i64,
    &'static str,
    i64,
    i64,
    Option<i64>,
    Option<i64>,
);

const ROWS: [Row; 6] = [
    (
        1,
        0,
        Some("agent1"),
        1000,
        11_000,
        Some(71_000),
        10_000,
        "automatic",
        2,
        3,
        Some(2_000),
        Some(5),
    ),
    (
        2,
        0,
        Some("agent1"),
        2000,
        32_000,
        Some(92_000),
        30_000,
        "former",
        4,
        1,
        Some(4_000),
        None,
    ),
    (
        2,
        1,
        Some("agent2"),
        2000,
        92_000,
        Some(122_000),
        0,
        "transferred",
        1,
        0,
        None,
        Some(2),
    ),
    (3, 0, None, 3000, 3000, Some(5000), 0, "", 1, 0, None, None),
    (
        4,
        0,
        None,
        4000,
        4000,
        Some(64_000),
        0,
        "",
        1,
        0,
        None,
        None,
    ),
    (5, 0, None, 5000, 5000, None, 0, "", 0, 0, None, None),
];

fn fill(db: &Connection) {
    for row in ROWS {
        let (episode, part, agent, opened, began, ended, waited, how, close, answers, first, stars) =
            row;
        let sql = "INSERT INTO chat (tenant, episode, part, customer, team, agent, opened_ms, \
            began_ms, ended_ms, waited_ms, how, close_type, customer_messages, agent_messages, \
            first_answer_ms, stars, suggest) VALUES ('demo', ?1, ?2, '+alice', 'support', ?3, ?4, \
            ?5, ?6, ?7, ?8, ?9, 2, ?10, ?11, ?12, ?13)";
        let suggest = stars.map(|_| "well, \"fine\"");
        db.execute(
            sql,
            params![
                episode, part, agent, opened, began, ended, waited, how, close, answers, first,
                stars, suggest
            ],
        )
        .unwrap();
    }
    // Here from 10 s on, busy from 40 s to 50 s, gone at 100 s.
    for (kind, status, time_ms) in [
        (2, "1", 9_000),
        (1, "1", 10_000),
        (2, "2", 40_000),
        (2, "1", 50_000),
        (3, "4", 100_000),
    ] {
        let sql = "INSERT INTO agent_log (tenant, agent, type, status, time_ms) \
            VALUES ('demo', 'agent1', ?1, ?2, ?3)";
        db.execute(sql, params![kind, status, time_ms]).unwrap();
    }
}

async fn report(client: &Client, query: &str) -> Value {
    client.get(&format!("{DEMO}/reports/{query}")).await.ok(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_add_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings();
    settings.data = dir.path().to_owned();
    settings.delivery.durability = Durability::Os;
    let (running, client) = start(settings).await;
    client.call("PUT", DEMO, Some(json!({}))).await.ok(201);
    fill(&Connection::open(dir.path().join("desk.db")).unwrap());
    let teams = report(&client, "teams?from=0&to=200000").await;
    let team = &teams["rows"][0];
    for (name, value) in [
        ("team", json!("support")),
        ("offered", json!(5)),
        ("answered", json!(2)),
        ("abandoned", json!(2)),
        ("short_abandoned", json!(1)),
        ("abandonment", json!(0.4)),
        ("answered_within", json!(1)),
        ("service_level", json!(0.25)),
        ("wait_ms_mean", json!(20_000)),
        ("wait_ms_p50", json!(10_000)),
        ("wait_ms_p95", json!(30_000)),
        ("first_answer_ms_mean", json!(3_000)),
        ("handle_ms_mean", json!(50_000)),
        ("transferred_in", json!(1)),
        ("rated", json!(2)),
        ("stars_mean", json!(3.5)),
        ("satisfied", json!(0.5)),
        ("response_rate", json!(1.0)),
    ] {
        assert_eq!(team[name], value, "{name}: {team}");
    }
    let in_time = report(&client, "teams?from=0&to=200000&answer_within_ms=30000").await;
    assert_eq!(in_time["rows"][0]["answered_within"], 2);
    let agents = report(&client, "agents?from=0&to=200000").await;
    let one = &agents["rows"][0];
    for (name, value) in [
        ("agent", json!("agent1")),
        ("conversations", json!(2)),
        ("answered", json!(2)),
        ("agent_messages", json!(4)),
        ("closed", json!(1)),
        ("transferred_away", json!(1)),
        ("stars_mean", json!(5.0)),
        ("response_rate", json!(0.5)),
        ("online_ms", json!(80_000)),
        ("not_taking_ms", json!(10_000)),
    ] {
        assert_eq!(one[name], value, "{name}: {one}");
    }
    // Only what lies in the time counts; whoever was there before is there.
    let later = report(&client, "agents?from=45000&to=60000").await;
    assert_eq!(
        (
            &later["rows"][0]["online_ms"],
            &later["rows"][0]["conversations"]
        ),
        (&json!(10_000), &json!(0))
    );
    let page = report(&client, "conversations?from=0&to=200000&limit=4").await;
    let next = page["next"].as_str().unwrap().to_owned();
    let rest = report(
        &client,
        &format!("conversations?from=0&to=200000&after={next}"),
    )
    .await;
    let numbers = |page: &Value| -> Vec<(u64, u64)> {
        let rows = page["rows"].as_array().unwrap().iter();
        rows.map(|row| {
            (
                row["episode"].as_u64().unwrap(),
                row["part"].as_u64().unwrap(),
            )
        })
        .collect()
    };
    assert_eq!(numbers(&page), [(3, 0), (4, 0), (5, 0), (1, 0)]);
    assert_eq!(
        (numbers(&rest), &rest["next"]),
        (vec![(2, 0), (2, 1)], &Value::Null)
    );
    let csv = client
        .get(&format!(
            "{DEMO}/reports/ratings?from=0&to=200000&format=csv&limit=1"
        ))
        .await;
    let lines: Vec<&str> = csv.text.split("\r\n").collect();
    assert_eq!(
        lines[0],
        "episode,customer,team,agent,began_ms,ended_ms,stars,text"
    );
    assert_eq!(
        lines[1],
        "1,\"'+alice\",\"support\",\"agent1\",11000,71000,5,\"well, \"\"fine\"\"\""
    );
    let marked = client
        .get(&format!(
            "{DEMO}/reports/ratings?from=0&to=200000&format=csv&limit=1&bom=true"
        ))
        .await;
    assert_eq!(marked.text, format!("\u{feff}{}", csv.text));
    assert_eq!(csv.header("next-after"), Some("11000.1.0"));
    assert!(
        csv.header("content-disposition")
            .unwrap()
            .contains("demo-ratings.csv")
    );
    let year = limits::DESK_REPORT_MS_MAX;
    report(&client, &format!("teams?from=0&to={year}")).await;
    for (query, field) in [
        (format!("teams?from=0&to={}", year + 1), "from"),
        ("teams?from=2&to=1".to_owned(), "from"),
        ("teams?format=xml".to_owned(), "format"),
        ("teams?limit=1".to_owned(), "after"),
        ("ratings?after=x".to_owned(), "after"),
        (
            format!("ratings?limit={}", limits::DESK_REPORT_ROWS_MAX + 1),
            "limit",
        ),
    ] {
        let problem = client
            .get(&format!("{DEMO}/reports/{query}"))
            .await
            .problem(422);
        assert_eq!(problem["field"], field, "{problem}");
    }
    client
        .get(&format!("{DEMO}/reports/weather"))
        .await
        .problem(404);
    running.stop().await;
}
