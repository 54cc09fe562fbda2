//! What an operator sets up over HTTP: names instead of numbers, defaults, refusals, limits.

#![allow(clippy::too_many_lines)] // a story in one go

use crate::api::{Answer, Client, settings, start};
use serde_json::{Value, json};
use tidings_server::Server;
use tidings_server::core::limits;
use tidings_server::core::secret::Secret;
use tidings_server::store::Durability;

const DEMO: &str = "/api/v1/desk/tenants/demo";

async fn put(client: &Client, path: &str, body: Value) -> Answer {
    client
        .call("PUT", &format!("{DEMO}{path}"), Some(body))
        .await
}

async fn get(client: &Client, path: &str) -> Value {
    client.get(&format!("{DEMO}{path}")).await.ok(200)
}

async fn delete(client: &Client, path: &str) -> Answer {
    client.call("DELETE", &format!("{DEMO}{path}"), None).await
}

/// Tenant `demo` with teams `support` and `spare`, skill `french`.
async fn furnish(client: &Client) {
    put(client, "", json!({})).await.ok(201);
    put(client, "/skills/french", json!({"title": "Français"}))
        .await
        .ok(201);
    put(client, "/teams/spare", json!({})).await.ok(201);
    put(client, "/teams/support", json!({"title": "Support"}))
        .await
        .ok(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_body_gets_defaults_and_an_unknown_member_is_named() {
    let (running, client) = start(settings()).await;
    let made = put(&client, "", json!({"anonymous": true})).await.ok(201);
    assert_eq!(
        (&made["name"], &made["anonymous"]),
        (&json!("demo"), &json!(true))
    );
    assert_eq!(
        (&made["grace_ms"], &made["default_team"]),
        (&json!(60_000), &Value::Null)
    );
    assert_eq!(get(&client, "").await, made);
    let team = put(&client, "/teams/support", json!({"title": "Support"}))
        .await
        .ok(201);
    assert_eq!(
        (&team["mode"], &team["order"]),
        (&json!("automatic"), &json!("least_flexible"))
    );
    assert_eq!(team["offer_ms"], 25_000);
    // What is shown can be put again as it is.
    assert_eq!(
        put(&client, "/teams/support", team.clone()).await.ok(200),
        team
    );
    for (path, body, field) in [
        ("", json!({"grace": 1}), "grace"),
        ("/teams/support", json!({"tittle": "x"}), "tittle"),
        ("/teams/support", json!({"offer_ms": "soon"}), "offer_ms"),
        ("/teams/support", json!({"name": "other"}), "name"),
        ("/teams/support", json!({"mode": "loud"}), "mode"),
        (
            "/teams/support",
            json!({"rings": [{"after_ms": 1, "skip": 1}]}),
            "rings[0].skip",
        ),
        ("/skills/x", json!({"text": ""}), "text"),
        ("/replies/x", json!({"title": ""}), "title"),
        ("/agents/x", json!({"shift": 1}), "shift"),
        (
            "/agents/x",
            json!({"teams": [{"team": "none"}]}),
            "teams[0].team",
        ),
        ("/agents/x", json!({"skills": ["none"]}), "skills"),
        ("/replies/x", json!({"text": "", "team": "none"}), "team"),
        ("", json!({"default_team": "none"}), "default_team"),
    ] {
        let problem = put(&client, path, body).await.problem(422);
        assert_eq!(problem["field"], field, "{problem}");
    }
    put(&client, "", json!({"default_team": "support"}))
        .await
        .ok(200);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_speak_in_names_and_hours_of_days() {
    let (running, client) = start(settings()).await;
    furnish(&client).await;
    let team = json!({
        "title": "Support",
        "greeting": "Welcome",
        "offline_message": "Closed",
        "rule": "2",
        "affinity": true,
        "rings": [
            {"after_ms": 60_000, "waive": ["french"]},
            {"after_ms": 90_000, "join": "spare"},
        ],
        "hours": [
            {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "18:00"},
            {"days": ["sat"], "from": "22:00", "to": "02:00"},
        ],
        "utc_offset_min": 480,
        "answer_ms": 30_000,
    });
    let shown = put(&client, "/teams/support", team.clone()).await.ok(200);
    assert_eq!(shown["hours"], team["hours"]);
    assert_eq!(
        shown["rings"][0],
        json!({"after_ms": 60_000, "waive": ["french"], "join": null})
    );
    assert_eq!(
        shown["rings"][1],
        json!({"after_ms": 90_000, "waive": [], "join": "spare"})
    );
    // OCIM's rule, and what was said besides.
    assert_eq!(
        (&shown["order"], &shown["affinity"]),
        (&json!("most_idle"), &json!(true))
    );
    assert_eq!(
        (&shown["transfer_asks"], &shown["answer_ms"]),
        (&json!(false), &json!(30_000))
    );
    assert_eq!(
        (&shown["recall_ms_max"], &shown["idle_close_ms"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(get(&client, "/teams/support").await, shown);
    for (body, field) in [
        (json!({"rule": "3"}), "rule"),
        (json!({"rule": 1}), "rule"),
        (
            json!({"rings": [{"after_ms": 2}, {"after_ms": 1}]}),
            "rings",
        ),
        (
            json!({"rings": [{"after_ms": 2, "waive": ["german"]}]}),
            "rings[0].waive",
        ),
        (
            json!({"rings": [{"after_ms": 2, "join": "none"}]}),
            "rings[0].join",
        ),
        (
            json!({"rings": [{"after_ms": 2, "join": "support"}]}),
            "rings[0].join",
        ),
        (
            json!({"hours": [{"days": ["mon"], "from": "9", "to": "18:00"}]}),
            "hours[0].from",
        ),
        (
            json!({"hours": [{"days": ["may"], "from": "09:00", "to": "18:00"}]}),
            "hours[0].days",
        ),
        (
            json!({"hours": [{"days": [], "from": "09:00", "to": "18:00"}]}),
            "hours[0].days",
        ),
        (json!({"zone": "Europe/Atlantis"}), "zone"),
        (
            json!({"zone": "Europe/Berlin", "utc_offset_min": 60}),
            "zone",
        ),
        (
            json!({"holidays": [{"date": "2026-02-30"}]}),
            "holidays[0].date",
        ),
        (
            json!({"holidays": [{"date": "2026-12-25"}, {"date": "2026-12-25"}]}),
            "holidays[1].date",
        ),
        (
            json!({"holidays": [{"date": "2026-12-24", "hours": [{"from": "9", "to": "12:00"}]}]}),
            "holidays[0].hours[0].from",
        ),
    ] {
        let problem = put(&client, "/teams/support", body).await.problem(422);
        assert_eq!(problem["field"], field, "{problem}");
    }
    assert_eq!(get(&client, "/teams/support").await, shown);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b16_a_team_has_a_time_zone_and_holidays() {
    let (running, client) = start(settings()).await;
    furnish(&client).await;
    let team = json!({
        "zone": "Europe/Berlin",
        "hours": [{"days": ["mon", "sun"], "from": "22:00", "to": "06:00"}],
        "holidays": [
            {"date": "2026-12-24", "hours": [{"from": "09:00", "to": "24:00"}]},
            {"date": "2026-12-25", "hours": []},
            {"date": "2026-12-31", "hours": [{"from": "20:00", "to": "02:00"}]},
        ],
    });
    let shown = put(&client, "/teams/support", team.clone()).await.ok(200);
    for field in ["zone", "hours", "holidays"] {
        assert_eq!(shown[field], team[field], "{shown}");
    }
    // As it is shown it is set.
    assert_eq!(
        put(&client, "/teams/support", shown.clone()).await.ok(200),
        shown
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_limit_holds_at_it_and_one_past_it() {
    let (running, client) = start(settings()).await;
    furnish(&client).await;
    let long = |bytes: usize| "x".repeat(bytes);
    let rings = |count: usize| vec![json!({"after_ms": 1}); count];
    let hours =
        |count: usize| vec![json!({"days": ["mon"], "from": "09:00", "to": "10:00"}); count];
    let holidays = |count: usize| -> Vec<Value> {
        let day = |n: usize| json!({"date": format!("{:04}-01-01", 2000 + n)});
        (0..count).map(day).collect()
    };
    let (title, text) = (limits::DESK_TITLE_BYTES_MAX, limits::DESK_TEXT_BYTES_MAX);
    let (time, slots) = (limits::DESK_TIME_MS_MAX, limits::DESK_CAPACITY_MAX);
    let offset = limits::DESK_UTC_OFFSET_MIN_MAX;
    for (path, at, past, field) in [
        (
            "/teams/t",
            json!({"title": long(title)}),
            json!({"title": long(title + 1)}),
            "title",
        ),
        (
            "/teams/t",
            json!({"greeting": long(text)}),
            json!({"greeting": long(text + 1)}),
            "greeting",
        ),
        (
            "/teams/t",
            json!({"answer_ms": time}),
            json!({"answer_ms": time + 1}),
            "answer_ms",
        ),
        (
            "/teams/t",
            json!({"utc_offset_min": offset}),
            json!({"utc_offset_min": offset + 1}),
            "utc_offset_min",
        ),
        (
            "/teams/t",
            json!({"rings": rings(limits::RINGS_MAX)}),
            json!({"rings": rings(limits::RINGS_MAX + 1)}),
            "rings",
        ),
        (
            "/teams/t",
            json!({"hours": hours(limits::DESK_HOURS_MAX)}),
            json!({"hours": hours(limits::DESK_HOURS_MAX + 1)}),
            "hours",
        ),
        (
            "/teams/t",
            json!({"holidays": holidays(limits::DESK_HOLIDAYS_MAX)}),
            json!({"holidays": holidays(limits::DESK_HOLIDAYS_MAX + 1)}),
            "holidays",
        ),
        (
            "/replies/r",
            json!({"text": long(text)}),
            json!({"text": long(text + 1)}),
            "text",
        ),
        (
            "/skills/s",
            json!({"title": long(title)}),
            json!({"title": long(title + 1)}),
            "title",
        ),
        (
            "/agents/a",
            json!({"capacity": slots, "password": "correct horse"}),
            json!({"capacity": slots + 1}),
            "capacity",
        ),
        (
            "/agents/a",
            json!({"capacity": 1}),
            json!({"capacity": 0}),
            "capacity",
        ),
        (
            "",
            json!({"grace_ms": time}),
            json!({"grace_ms": time + 1}),
            "grace_ms",
        ),
        (
            "",
            json!({"hold_weight_permille": 1000}),
            json!({"hold_weight_permille": 1001}),
            "hold_weight_permille",
        ),
    ] {
        let taken = put(&client, path, at).await;
        assert!(matches!(taken.status, 200 | 201), "{taken:?}");
        let problem = put(&client, path, past).await.problem(422);
        assert_eq!(problem["field"], field, "{problem}");
        assert!(
            problem["limit"].is_number() && problem["value"].is_number(),
            "{problem}"
        );
    }
    let name = long(limits::DESK_NAME_BYTES_MAX);
    put(&client, &format!("/teams/{name}"), json!({}))
        .await
        .ok(201);
    let problem = put(&client, &format!("/teams/{name}x"), json!({}))
        .await
        .problem(422);
    assert_eq!(problem["limit"], limits::DESK_NAME_BYTES_MAX);
    put(&client, "/teams/a%2Fb", json!({})).await.problem(422);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_have_pages_and_things_go_once_nobody_needs_them() {
    let (running, client) = start(settings()).await;
    furnish(&client).await;
    let page = get(&client, "/teams?limit=1").await;
    assert_eq!(
        (&page["teams"][0]["name"], &page["next"]),
        (&json!("spare"), &json!("spare"))
    );
    let page = get(&client, "/teams?limit=1&after=spare").await;
    assert_eq!(
        (&page["teams"][0]["name"], &page["next"]),
        (&json!("support"), &Value::Null)
    );
    client
        .get(&format!("{DEMO}/teams?limit=201"))
        .await
        .problem(422);
    let agent = json!({
        "teams": [{"team": "support", "capacity": 2}],
        "skills": ["french"],
        "password": "correct horse",
    });
    put(&client, "/agents/ann", agent).await.ok(201);
    put(
        &client,
        "/replies/hi",
        json!({"text": "Hello", "team": "support"}),
    )
    .await
    .ok(201);
    put(
        &client,
        "/teams/spare",
        json!({"rings": [{"after_ms": 1, "join": "support"}]}),
    )
    .await
    .ok(200);
    for path in ["/teams/support", "/skills/french", ""] {
        let problem = delete(&client, path).await.problem(409);
        assert_eq!(problem["code"], "needed", "{path}: {problem}");
    }
    for path in [
        "/agents/ann",
        "/replies/hi",
        "/skills/french",
        "/teams/spare",
        "/teams/support",
    ] {
        assert_eq!(delete(&client, path).await.status, 204, "{path}");
        delete(&client, path).await.problem(404);
    }
    let gone = json!({"to": "@support", "text": "x", "from": "bob"});
    assert!(client.post("/api/v1/messages", gone).await.status >= 400);
    assert_eq!(delete(&client, "").await.status, 204);
    delete(&client, "").await.problem(404);
    client.get(&format!("{DEMO}/queue")).await.problem(404);
    // The same names again, as if for the first time.
    furnish(&client).await;
    assert_eq!(get(&client, "/queue").await["total"], 0);
    // A team's name is an address: no other tenant can have it.
    client
        .call("PUT", "/api/v1/desk/tenants/other", Some(json!({})))
        .await
        .ok(201);
    let taken = client.call(
        "PUT",
        "/api/v1/desk/tenants/other/teams/support",
        Some(json!({})),
    );
    taken.await.problem(409);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_made_at_the_same_time_start_once_each() {
    let (running, client) = start(settings()).await;
    let mut puts = Vec::new();
    for _ in 0..8 {
        let client = client.clone();
        puts.push(tokio::spawn(async move {
            put(&client, "", json!({})).await.status
        }));
    }
    for put in puts {
        assert!(matches!(put.await.unwrap(), 200 | 201));
    }
    furnish_again(&client).await;
    running.stop().await;
}

async fn furnish_again(client: &Client) {
    put(client, "/teams/support", json!({})).await.ok(201);
    assert_eq!(get(client, "/figures").await["teams"][0]["team"], "support");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_makes_an_account_and_everything_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let on_disk = || {
        let mut settings = settings();
        settings.data = dir.path().to_owned();
        settings.delivery.durability = Durability::Os;
        settings
    };
    let (running, client) = start(on_disk()).await;
    furnish(&client).await;
    let agent = |password: &str| json!({"title": "Ann", "supervisor": true, "password": password});
    let made = put(&client, "/agents/ann", agent("first password"))
        .await
        .ok(201);
    assert!(made.get("password").is_none(), "{made}");
    let sign_in = async |running: &tidings_server::Running, password: &str| {
        let password = Secret::from(password.to_owned());
        running.desks().sign_in("ann", password, None).await.is_ok()
    };
    assert!(sign_in(&running, "first password").await);
    put(&client, "/agents/ann", agent("second password"))
        .await
        .ok(200);
    assert!(!sign_in(&running, "first password").await);
    // Without a password of his own nobody is an agent.
    let problem = put(&client, "/agents/new", json!({})).await.problem(422);
    assert_eq!(problem["field"], "password");
    assert!(get(&client, "/agents").await["agents"][1].is_null());
    let problem = put(&client, "/agents/ann", agent("short"))
        .await
        .problem(422);
    assert_eq!(problem["field"], "password");
    let add = tidings_server::auth::Command::AccountAdd {
        user: "root".to_owned(),
        role: tidings_server::auth::Role::Admin,
        password: "the root's own".to_owned(),
    };
    let access = running.access();
    tokio::task::spawn_blocking(move || access.execute(add).unwrap())
        .await
        .unwrap();
    put(&client, "/agents/root", agent("not the root's own"))
        .await
        .problem(409);
    client
        .call("PUT", "/api/v1/desk/tenants/other", Some(json!({})))
        .await
        .ok(201);
    let elsewhere = client.call(
        "PUT",
        "/api/v1/desk/tenants/other/agents/ann",
        Some(json!({})),
    );
    elsewhere.await.problem(409);
    let agents = get(&client, "/agents").await;
    running.stop().await;

    let running = Server::start(on_disk()).await.unwrap();
    let client = Client {
        address: running.addresses().http.unwrap(),
        ..client
    };
    assert_eq!(get(&client, "/agents").await, agents);
    assert!(sign_in(&running, "second password").await);
    let trail = get(&client, "/audit").await;
    let entries = trail["entries"].as_array().unwrap();
    let whats: Vec<&str> = entries
        .iter()
        .map(|e| e["what"].as_str().unwrap())
        .collect();
    assert_eq!(whats[..2], ["put agent", "put password"]);
    assert_eq!(whats.last(), Some(&"put tenant"));
    assert!(entries.iter().all(|e| e["who"] == "key 1"));
    assert!(!trail.to_string().contains("password\":"), "{trail}");
    let page = get(&client, "/audit?limit=2").await;
    assert_eq!(page["before"], entries[1]["id"]);
    running.stop().await;
}
