//! The calls of the desk.

use serde_json::{Value, json};
use tidings_core::limits;

use super::paths::{done, in_path, in_query, limit, ok};
use super::{Call, reference, schemas};

/// Codes of what the desk refuses.
pub(super) const CODES: [&str; 18] = [
    "no_agent",
    "no_team",
    "not_open",
    "no_session",
    "not_yours",
    "not_supervisor",
    "queue_empty",
    "offer_over",
    "target_busy",
    "target_absent",
    "transfer_pending",
    "bad_settings",
    "bad_rating",
    "too_late",
    "not_your_message",
    "already",
    "needed",
    "open",
];

/// Who may, in the same words everywhere.
const TENANT: &str = "Keys of scope read, administrators, and every agent of the tenant.";
const SUPERVISOR: &str = "Keys of scope read, administrators, and supervisors of the tenant.";
const ADMIN: &str = "Keys of scope admin, and administrators.";
const ACT: &str =
    "An agent or supervisor as himself; keys of scope send and administrators `as` one.";

pub(super) fn all() -> Value {
    json!({
        "/desk/tenants": { "get": list("Tenant", "tenants") },
        "/desk/tenants/{tenant}": {
            "get": show("Tenant", "tenant"), "put": put("Tenant", "tenant"),
            "delete": remove("Tenant", "tenant"),
        },
        "/desk/tenants/{tenant}/teams": { "get": list("Team", "teams") },
        "/desk/tenants/{tenant}/teams/{name}": {
            "get": show("Team", "team"), "put": put("Team", "team"),
            "delete": remove("Team", "team"),
        },
        "/desk/tenants/{tenant}/skills": { "get": list("Skill", "skills") },
        "/desk/tenants/{tenant}/skills/{name}": {
            "get": show("Skill", "skill"), "put": put("Skill", "skill"),
            "delete": remove("Skill", "skill"),
        },
        "/desk/tenants/{tenant}/agents": { "get": list("Agent", "agents") },
        "/desk/tenants/{tenant}/agents/{name}": {
            "get": show("Agent", "agent"), "put": put("Agent", "agent"),
            "delete": remove("Agent", "agent"),
        },
        "/desk/tenants/{tenant}/replies": { "get": list("Reply", "replies") },
        "/desk/tenants/{tenant}/replies/{name}": {
            "get": show("Reply", "reply"), "put": put("Reply", "reply"),
            "delete": remove("Reply", "reply"),
        },
        "/desk/tenants/{tenant}/queue": { "get": queue() },
        "/desk/tenants/{tenant}/figures": { "get": figures() },
        "/desk/tenants/{tenant}/conversations": { "get": search() },
        "/desk/tenants/{tenant}/conversations/{episode}": { "get": conversation() },
        "/desk/tenants/{tenant}/conversations/{episode}/take-over": { "post": take_over() },
        "/desk/tenants/{tenant}/conversations/{episode}/transfer": { "post": transfer() },
        "/desk/tenants/{tenant}/conversations/{episode}/close": { "post": close() },
        "/desk/tenants/{tenant}/conversations/{episode}/messages": { "post": write(false) },
        "/desk/tenants/{tenant}/conversations/{episode}/notes": { "post": write(true) },
        "/desk/tenants/{tenant}/conversations/{episode}/recall": { "post": recall() },
        "/desk/tenants/{tenant}/reports/{report}": { "get": report() },
        "/desk/tenants/{tenant}/audit": { "get": audit() },
        "/desk/customers/{user}": { "delete": erase() },
        "/desk/customers/{user}/export": { "get": export() },
    })
}

/// A call that accounts may make, too.
fn with_accounts(call: Call<'_>, who: &str) -> Value {
    let description = match call.description.is_empty() {
        true => format!("Who may: {who}"),
        false => format!("{}\n\nWho may: {who}", call.description),
    };
    let mut call = Call {
        description,
        ..call
    }
    .json();
    call["security"] = json!([{ "key": [] }, { "account": [] }]);
    call
}

fn call<'a>(
    id: &'a str,
    tag: &'static str,
    summary: &'a str,
    answer: (&'static str, Value),
) -> Call<'a> {
    Call {
        id,
        tag,
        summary,
        description: String::new(),
        parameters: vec![tenant()],
        body: None,
        answer,
        problems: &["404"],
    }
}

fn tenant() -> Value {
    in_path("tenant", "DeskName", "demo")
}

fn episode() -> Value {
    json!({
        "name": "episode", "in": "path", "required": true,
        "schema": { "type": "integer", "minimum": 1 }, "example": 17,
        "description": "The conversation's number: OCIM's cid.",
    })
}

fn number() -> Value {
    json!({ "type": "integer", "format": "int64" })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn article(word: &str) -> String {
    let vowel = word.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {word}", if vowel { "an" } else { "a" })
}

fn list(schema: &str, many: &'static str) -> Value {
    let listed = json!({
        "type": "object",
        "required": [many, "next"],
        "properties": {
            many: { "type": "array", "items": reference(&format!("Desk{schema}")) },
            "next": { "type": ["string", "null"], "description": "`after` of the next page; null after the last." },
        },
    });
    let answer = json!({
        "description": "A page of them.", "headers": schemas::rate_headers(),
        "content": { "application/json": { "schema": listed } },
    });
    let id = format!("listDesk{schema}s").replace("Replys", "Replies");
    let summary = format!("The {many}, by name");
    let mut call = call(&id, "desk: set up", &summary, ("200", answer));
    let mut parameters = vec![
        in_query("after", text(), "Those whose names are above this one."),
        limit(limits::API_PAGE_MAX),
    ];
    if many == "agents" {
        let live = json!({ "type": "boolean", "default": false });
        let what = "`true`: with `live`, what each does now.";
        parameters.push(in_query("live", live, what));
    }
    match many {
        "tenants" => call.parameters = parameters,
        _ => call.parameters.extend(parameters),
    }
    with_accounts(call, TENANT)
}

fn name_of(kind: &str) -> Option<Value> {
    match kind {
        "tenant" => None,
        "agent" => Some(in_path("name", "User", "agent1")),
        _ => Some(in_path("name", "DeskName", kind)),
    }
}

fn show(schema: &str, kind: &str) -> Value {
    let answer = ok(&format!("Desk{schema}"), "It.");
    let id = format!("showDesk{schema}");
    let summary = capital(&article(kind));
    let mut call = call(&id, "desk: set up", &summary, answer);
    call.parameters.extend(name_of(kind));
    with_accounts(call, TENANT)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

fn example(kind: &str) -> Value {
    match kind {
        "tenant" => json!({ "anonymous": true, "default_team": "support" }),
        "team" => json!({
            "title": "Support", "greeting": "How can we help?", "rule": "0",
            "rings": [{ "after_ms": 60_000, "waive": ["french"], "join": "overflow" }],
            "hours": [{ "days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "18:00" }],
            "zone": "Asia/Shanghai",
            "holidays": [{ "date": "2027-01-01" }],
        }),
        "skill" => json!({ "title": "Français" }),
        "agent" => json!({
            "title": "Ann", "teams": [{ "team": "support", "capacity": 3 }], "skills": ["french"],
            "capacity": 5, "password": "at least eight bytes",
        }),
        _ => json!({ "text": "Your parcel is on its way.", "team": "support" }),
    }
}

fn put(schema: &str, kind: &str) -> Value {
    let answer = ok(
        &format!("Desk{schema}"),
        "What it has become; it was there.",
    );
    let id = format!("putDesk{schema}");
    let summary = format!("Make or change {}", article(kind));
    let mut call = call(&id, "desk: set up", &summary, answer);
    call.parameters.extend(name_of(kind));
    call.description = "What is not given is as usual, not as it was. At once, also for those who \
        are online."
        .into();
    if kind == "agent" {
        call.description += " `password` makes his account, or changes its password, and must be given if there is none; an account \
            that is a user's or an administrator's is left alone (409).";
    }
    call.body = Some(json!({
        "required": true,
        "content": { "application/json": {
            "schema": reference(&format!("New{schema}")),
            "examples": { kind: { "value": example(kind) } },
        } },
    }));
    call.problems = &["404", "409", "413", "415"];
    let may = match kind {
        "reply" => "As all settings, and supervisors of the tenant.",
        _ => ADMIN,
    };
    let mut described = with_accounts(call, may);
    let mut made = described["responses"]["200"].clone();
    made["description"] = json!("What it has become; it is new.");
    described["responses"]["201"] = made;
    described
}

fn remove(schema: &str, kind: &str) -> Value {
    let id = format!("removeDesk{schema}");
    let summary = format!("Remove {}", article(kind));
    let mut call = call(&id, "desk: set up", &summary, done("It is gone."));
    call.parameters.extend(name_of(kind));
    call.description = match kind {
        "tenant" => "Once it has no teams and agents. Its conversations stay.".into(),
        "team" => "Once no agent serves it, no setting names it and none of its conversations is \
            open. What was written stays."
            .into(),
        "agent" => "His customers are queued again, at the head. His account stays: see `tidings \
            admin account`."
            .into(),
        _ => String::new(),
    };
    call.problems = &["404", "409"];
    with_accounts(
        call,
        if kind == "reply" {
            "As all settings, and supervisors of the tenant."
        } else {
            ADMIN
        },
    )
}

fn queue() -> Value {
    let mut call = call(
        "showDeskQueue",
        "desk: now",
        "Who waits, in order of arrival",
        ok("DeskQueue", "A page of them."),
    );
    call.description = "Also those at whom an offer rings. `position` counts those who need the \
        same; `wait_ms` is null while too little is known. An agent sees his teams'."
        .into();
    call.parameters.extend([
        in_query("team", text(), "Of this team only."),
        in_query("after", number(), "Those above this number."),
        limit(limits::API_PAGE_MAX),
    ]);
    with_accounts(call, TENANT)
}

fn figures() -> Value {
    let mut call = call(
        "showDeskFigures",
        "desk: now",
        "How it is now, and was in a time before",
        ok("DeskFigures", "The figures."),
    );
    call.description = "What is now is also at `/metrics`, as `tidings_desk_…`.".into();
    let time = |default: u64| json!({ "type": "integer", "minimum": 0, "maximum": limits::DESK_TIME_MS_MAX, "default": default });
    call.parameters.extend([
        in_query(
            "period_ms",
            time(86_400_000),
            "How long the time before is.",
        ),
        in_query(
            "answer_within_ms",
            time(20_000),
            "What counts for the service level.",
        ),
    ]);
    with_accounts(call, SUPERVISOR)
}

fn search() -> Value {
    let mut call = call(
        "searchDeskConversations",
        "desk: conversations",
        "Conversations, the newest first",
        ok("DeskConversations", "A page of them."),
    );
    call.description = format!(
        "From the tables of the storage listener, which follow by a moment. A call looks through \
         {} conversations at most: a page may be short, even empty, and have a `before` all the \
         same. An agent finds those that he had a part in.",
        limits::DESK_SEARCH_EPISODES_MAX
    );
    let state = json!({ "type": "string", "enum": ["waiting", "active", "closed"] });
    let said = json!({ "type": "string", "maxLength": limits::DESK_SEARCH_BYTES_MAX });
    call.parameters.extend([
        in_query("customer", text(), "His."),
        in_query("agent", text(), "In which he had a part."),
        in_query("team", text(), "Of this team, at some time."),
        in_query("state", state, "Where it stands."),
        in_query(
            "from",
            number(),
            "Begun since, milliseconds since 1970 UTC.",
        ),
        in_query("to", number(), "Begun before."),
        in_query(
            "text",
            said,
            "Somebody wrote this; letters of ASCII in either case.",
        ),
        in_query(
            "before",
            number(),
            "Those below this number: the `before` of the page before.",
        ),
        limit(limits::API_PAGE_MAX),
    ]);
    with_accounts(call, TENANT)
}

fn conversation() -> Value {
    let mut call = call(
        "showDeskConversation",
        "desk: conversations",
        "A conversation: what happened, and what was written",
        ok("DeskConversation", "It."),
    );
    call.description =
        "Recalled texts are not in it. An agent sees his own, and those of customers \
        whom he serves now."
            .into();
    call.parameters.extend([
        episode(),
        in_query("before", number(), "The last messages below this number."),
        limit(limits::DESK_RECORD_MESSAGES_MAX),
    ]);
    with_accounts(call, TENANT)
}

/// A call that does something in the name of an agent.
fn act<'a>(id: &'a str, summary: &'a str, schema: &str, example: &Value, what: &str) -> Call<'a> {
    let answer = ok("DeskActed", "It is done, and on disk.");
    let mut call = call(id, "desk: conversations", summary, answer);
    call.description = what.to_owned();
    call.parameters.push(episode());
    call.body = Some(json!({
        "content": { "application/json": {
            "schema": reference(schema), "examples": { "by a key": { "value": example } },
        } },
    }));
    call.problems = &["404", "409", "413", "415"];
    call
}

fn take_over() -> Value {
    let call = act(
        "takeOverConversation",
        "Take a conversation from its agent, or from the queue",
        "DeskAs",
        &json!({ "as": "boss" }),
        "A supervisor with a session at the desk: the customer is his then.",
    );
    with_accounts(call, ACT)
}

fn close() -> Value {
    let call = act(
        "closeConversation",
        "End a conversation",
        "DeskAs",
        &json!({ "as": "agent1" }),
        "Its agent in his session, or a supervisor, who needs none.",
    );
    with_accounts(call, ACT)
}

fn transfer() -> Value {
    let call = act(
        "transferConversation",
        "Hand a conversation to another agent or team",
        "DeskTransfer",
        &json!({ "as": "agent1", "to_team": "sales", "skills": ["french"], "note": "wants a quote" }),
        "Its agent in his session, or a supervisor, who needs none. Where the team asks receivers, \
         `transfer_to` says who is asked, and the giver serves on until he accepts.",
    );
    with_accounts(call, ACT)
}

fn write(note: bool) -> Value {
    let (id, summary, what) = match note {
        false => (
            "writeToCustomer",
            "Write to the customer",
            "Its agent in his session, or a supervisor who has joined. Answered once it is on disk. \
             The same `id` and text again is the same message; without `id` it is made from the \
             Idempotency-Key.",
        ),
        true => (
            "writeNote",
            "Write a note that only agents see",
            "Its agent in his session, or a supervisor who whispers or has joined.",
        ),
    };
    let body = json!({ "as": "agent1", "text": "One moment, please." });
    let mut call = act(
        id,
        summary,
        if note { "DeskNote" } else { "DeskText" },
        &body,
        what,
    );
    call.answer = ("201", ok("DeskWritten", "In custody.").1);
    let max = limits::IDEMPOTENCY_KEY_BYTES_MAX;
    call.parameters.push(json!({
        "name": "Idempotency-Key", "in": "header",
        "schema": { "type": "string", "minLength": 1, "maxLength": max, "pattern": "^[!-~]+$" },
    }));
    with_accounts(call, ACT)
}

fn recall() -> Value {
    let mut call = act(
        "recallMessage",
        "Recall a message that the agent wrote",
        "DeskRecall",
        &json!({ "as": "agent1", "id": "m7" }),
        "Its text is gone from history for both sides, and clients are told. Within the team's \
         `recall_ms_max`; the conversation may have ended.",
    );
    call.answer = done("It is recalled.");
    with_accounts(call, ACT)
}

fn report() -> Value {
    let mut call = call(
        "showDeskReport",
        "desk: reports",
        "A report, as JSON or CSV",
        ok("DeskReport", "The report."),
    );
    call.description = format!(
        "What began in the time: when an agent got it, or when the customer began to wait. \
         `service_level` is those answered in time, of all offered but those who gave up within 5 s; \
         `abandonment` is of all offered; `satisfied` those with 4 or 5 stars, of all rated; \
         `response_rate` the rated, of all answered. Lists have at most {} rows: go on with `after` \
         from `next` (CSV: the header `Next-After`). In CSV every text is quoted, and one that a \
         spreadsheet would take for a formula begins with an apostrophe.",
        limits::DESK_REPORT_ROWS_MAX
    );
    let report =
        json!({ "type": "string", "enum": ["agents", "teams", "conversations", "ratings"] });
    let format = json!({ "type": "string", "enum": ["json", "csv"], "default": "json" });
    let within = json!({ "type": "integer", "minimum": 0, "maximum": limits::DESK_TIME_MS_MAX, "default": 20_000 });
    call.parameters.extend([
        json!({ "name": "report", "in": "path", "required": true, "schema": report, "example": "agents" }),
        in_query("from", number(), "Since; 30 days before `to` otherwise."),
        in_query("to", number(), "Up to, without it; now otherwise."),
        in_query("format", format, "As what."),
        in_query(
            "bom",
            json!({ "type": "boolean", "default": false }),
            "CSV: behind a byte-order mark, without which some spreadsheets do not read UTF-8.",
        ),
        in_query("answer_within_ms", within, "Of teams: what counts for the service level."),
        in_query("after", text(), "Of lists: the `next` of the page before."),
        limit(limits::DESK_REPORT_ROWS_MAX),
    ]);
    call.answer.1["content"]["text/csv"] = json!({ "schema": { "type": "string" } });
    with_accounts(call, SUPERVISOR)
}

fn audit() -> Value {
    let mut call = call(
        "listDeskAudit",
        "desk: set up",
        "Who changed what, the newest first",
        ok("DeskAudit", "A page of the trail."),
    );
    call.description = "Settings and passwords, and what was done through this API: take over, \
        transfer, close, recall, export, erasure. `who` is an account, or `key` and its number."
        .into();
    call.parameters.extend([
        in_query("before", number(), "Those below this number."),
        limit(limits::API_PAGE_MAX),
    ]);
    with_accounts(call, SUPERVISOR)
}

fn export() -> Value {
    let mut call = call(
        "exportCustomer",
        "desk: customers",
        "Everything of a customer",
        ok("DeskExport", "A page of it."),
    );
    call.description =
        "His conversations with all teams, with ratings, on the first page; his and \
        the agents' messages, notes too, page by page. A supervisor gets what is his tenant's."
            .into();
    call.parameters = vec![
        in_path("user", "User", "bob"),
        in_query("after", text(), "The `next` of the page before."),
        limit(limits::DESK_EXPORT_MESSAGES_MAX),
    ];
    call.problems = &[];
    with_accounts(call, SUPERVISOR)
}

fn erase() -> Value {
    let mut call = call(
        "eraseCustomer",
        "desk: customers",
        "Take away what a customer and agents wrote to each other",
        ok("DeskErased", "What was taken. Once more: nothing."),
    );
    call.description = "Texts are gone from history and from the chat record, also those of \
        ratings; times, names and stars stay for the figures. Refused while a conversation of his \
        is open, unless `force`. The desk's own log keeps remarks with transfers and texts of \
        ratings, which nobody is shown any more."
        .into();
    let force = json!({ "type": "boolean", "default": false });
    call.parameters = vec![
        in_path("user", "User", "bob"),
        in_query(
            "force",
            force,
            "`true`: what is open is closed first, as if he had left.",
        ),
    ];
    call.problems = &["409"];
    with_accounts(call, ADMIN)
}
