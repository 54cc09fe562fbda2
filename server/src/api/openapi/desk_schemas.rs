//! What goes in and comes out at the desk.

use serde_json::{Map, Value, json};
use tidings_core::limits;

use super::reference;
use super::schemas::time;

pub(super) fn all() -> Value {
    let mut all = Map::new();
    for part in [set_up(), now(), conversations(), acts(), rest()] {
        if let Value::Object(part) = part {
            all.extend(part);
        }
    }
    Value::Object(all)
}

fn short() -> Value {
    json!({ "type": "string", "maxLength": limits::DESK_TITLE_BYTES_MAX, "default": "" })
}

fn long(what: &str) -> Value {
    let max = limits::DESK_TEXT_BYTES_MAX;
    json!({ "type": "string", "maxLength": max, "default": "", "description": what })
}

fn ms(default: u64, what: &str) -> Value {
    let max = limits::DESK_TIME_MS_MAX;
    json!({ "type": "integer", "minimum": 0, "maximum": max, "default": default, "description": format!("{what}, milliseconds.") })
}

fn ms_or_never(default: u64, what: &str) -> Value {
    let mut schema = ms(default, what);
    schema["type"] = json!(["integer", "null"]);
    schema["description"] = json!(format!("{what}, milliseconds; null: never."));
    schema
}

fn ms_or_any(default: u64, what: &str) -> Value {
    let mut schema = ms(default, what);
    schema["type"] = json!(["integer", "null"]);
    schema["description"] = json!(format!("{what}, milliseconds; null: any age."));
    schema
}

fn flag(default: bool, what: &str) -> Value {
    json!({ "type": "boolean", "default": default, "description": what })
}

fn mode() -> Value {
    json!({ "type": "string", "enum": ["automatic", "ring", "pull"], "default": "automatic", "description": "Customers are assigned, offered, or taken by agents themselves; the stricter of team's and agent's." })
}

fn team_name(what: &str) -> Value {
    json!({ "type": ["string", "null"], "description": what })
}

fn tenant() -> Value {
    json!({
        "anonymous": flag(false, "Whether a customer may come without a token."),
        "default_team": team_name("The team of a customer who names none."),
        "timeout_tip": long("What a customer is told before his idle conversation is closed."),
        "timeout_close": long("What he is told when it is."),
        "hold_weight_permille": { "type": "integer", "minimum": 0, "maximum": 1000, "default": 250, "description": "What a conversation on hold counts, in thousandths of a slot." },
        "reserved_slots": { "type": "integer", "minimum": 0, "maximum": limits::DESK_CAPACITY_MAX, "default": 1, "description": "Last free slots of an agent with three skills or more that only the rarest of them may use." },
        "grace_ms": ms(60_000, "How long an agent without a session keeps his customers"),
        "misses_max": { "type": "integer", "minimum": 0, "maximum": limits::DESK_CAPACITY_MAX, "default": 2, "description": "Offers missed in a row until an agent counts as not responding; 0: never." },
        "priority_boost_ms": ms(60_000, "By how much a level of priority makes a customer look longer waiting"),
    })
}

fn team() -> Value {
    json!({
        "title": short(),
        "greeting": long("Of everybody who gets an agent; none if empty."),
        "offline_message": long("What is told outside business hours."),
        "mode": mode(),
        "order": { "type": "string", "enum": ["least_flexible", "most_idle", "round_robin"], "default": "least_flexible" },
        "affinity": flag(true, "Whether a returning customer gets his former agent, if that one is free now."),
        "rings": { "type": "array", "maxItems": limits::RINGS_MAX, "description": "From some age on a customer is served by more agents; ascending by `after_ms`.", "items": {
            "type": "object",
            "required": ["after_ms"],
            "additionalProperties": false,
            "properties": {
                "after_ms": ms(0, "Since when, from his arrival"),
                "waive": { "type": "array", "items": { "type": "string" }, "description": "Skills that he does not need any more." },
                "join": team_name("A further team whose agents may serve him."),
            },
        } },
        "hours": { "type": "array", "maxItems": limits::DESK_HOURS_MAX, "description": "Business hours; empty: always.", "items": {
            "type": "object",
            "required": ["days", "from", "to"],
            "additionalProperties": false,
            "properties": {
                "days": { "type": "array", "minItems": 1, "items": { "type": "string", "enum": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] } },
                "from": { "type": "string", "pattern": "^\\d\\d:\\d\\d$", "examples": ["09:00"] },
                "to": { "type": "string", "pattern": "^\\d\\d:\\d\\d$", "examples": ["18:00"], "description": "24:00 is the end of the day; before `from`: on the next day." },
            },
        } },
        "zone": { "type": ["string", "null"], "maxLength": limits::DESK_NAME_BYTES_MAX, "default": null, "examples": ["Europe/Berlin", "Asia/Shanghai"], "description": "Time zone of the hours and holidays, by its IANA name. The zones come with the server." },
        "utc_offset_min": { "type": "integer", "minimum": -limits::DESK_UTC_OFFSET_MIN_MAX, "maximum": limits::DESK_UTC_OFFSET_MIN_MAX, "default": 0, "description": "Local time minus UTC, in minutes, for teams without a `zone`. Does not follow changes of clocks: kept for those who set it before there were zones." },
        "holidays": { "type": "array", "maxItems": limits::DESK_HOLIDAYS_MAX, "description": "Days with other hours than their weekday has. What began the day before goes on.", "items": {
            "type": "object",
            "required": ["date"],
            "additionalProperties": false,
            "properties": {
                "date": { "type": "string", "format": "date", "examples": ["2026-12-25"] },
                "hours": { "type": "array", "maxItems": limits::DESK_HOURS_MAX, "description": "Empty: closed.", "items": {
                    "type": "object",
                    "required": ["from", "to"],
                    "additionalProperties": false,
                    "properties": {
                        "from": { "type": "string", "pattern": "^\\d\\d:\\d\\d$", "examples": ["09:00"] },
                        "to": { "type": "string", "pattern": "^\\d\\d:\\d\\d$", "examples": ["12:00"], "description": "24:00 is the end of the day; before `from`: on the next day." },
                    },
                } },
            },
        } },
        "offer_ms": ms(25_000, "How long an offer rings"),
        "answer_warn_ms": ms_or_never(60_000, "When an agent who owes a first answer is warned"),
        "answer_ms": ms_or_never(90_000, "When he loses the customer"),
        "customer_grace_ms": ms_or_never(120_000, "When a customer without a session has left"),
        "idle_hold_ms": ms_or_never(600_000, "When a silent conversation is put on hold"),
        "idle_warn_ms": ms_or_never(1_500_000, "When its customer is warned"),
        "idle_close_ms": ms_or_never(1_800_000, "When it is closed"),
        "wrap_up_ms": ms(0, "How long a slot stays taken after the close"),
        "transfer_asks": flag(true, "Whether the receiver of a transfer is asked."),
        "transfer_ms": ms(30_000, "How long he may think about it"),
        "transfer_keeps_age": flag(true, "Whether a customer transferred to this team keeps his age."),
        "transfer_to_absent": flag(false, "Whether customers may be transferred to this team while nobody of it is there."),
        "rating_ms": ms(86_400_000, "How long a customer may rate"),
        "recall_ms_max": ms_or_any(120_000, "How old a message may be when it is recalled"),
    })
}

fn agent() -> Value {
    let slots = || json!({ "type": "integer", "minimum": 1, "maximum": limits::DESK_CAPACITY_MAX, "default": 3 });
    json!({
        "title": short(),
        "teams": { "type": "array", "maxItems": limits::TEAMS_PER_AGENT_MAX, "items": {
            "type": "object",
            "required": ["team"],
            "additionalProperties": false,
            "properties": {
                "team": { "type": "string" },
                "capacity": { "type": ["integer", "null"], "minimum": 1, "maximum": limits::DESK_CAPACITY_MAX, "description": "Customers of it at once; as many as of all if missing." },
            },
        } },
        "skills": { "type": "array", "items": { "type": "string" } },
        "capacity": slots(),
        "mode": mode(),
        "supervisor": flag(false, "Whether he may watch, whisper, join, take over, and close or transfer for others."),
        "greeting": long("His own; none if empty."),
    })
}

/// An item as it comes out and as it goes in, with what only comes out and what only goes in.
fn item(named: &str, properties: &Value, only_out: Value, only_in: Value) -> Value {
    let with = |more: Value| {
        let mut all = properties.clone();
        all["name"] = json!({ "type": "string" });
        if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
            all.extend(more);
        }
        all
    };
    json!({
        format!("Desk{named}"): { "type": "object", "required": ["name"], "properties": with(only_out) },
        format!("New{named}"): { "type": "object", "additionalProperties": false, "properties": with(only_in) },
    })
}

fn set_up() -> Value {
    let rule = json!({ "type": ["string", "null"], "enum": ["0", "1", "2", null], "description": "As OCIM runs a team: memory, round robin, most idle. What else is given goes before it." });
    let password = json!({ "type": ["string", "null"], "maxLength": limits::PASSWORD_BYTES_MAX, "writeOnly": true, "description": "Makes his account, or changes its password. Must be given if there is no account of this name." });
    let live = json!({
        "type": "object",
        "required": ["status", "online", "serving", "slots", "slots_taken_permille"],
        "description": "With `live=true`.",
        "properties": {
            "status": { "type": "string", "enum": crate::desk::show::STATUSES },
            "online": { "type": "boolean", "description": "Whether he has a session." },
            "serving": { "type": "integer" },
            "slots": { "type": "integer" },
            "slots_taken_permille": { "type": "integer" },
            "episodes": { "type": "array", "items": { "type": "integer" }, "description": "Whom he serves; not for other agents." },
        },
    });
    let reply = json!({
        "text": long("What is written."),
        "team": team_name("Only for agents of this team."),
    });
    let mut all = json!({
        "DeskName": {
            "type": "string", "minLength": 1, "maxLength": limits::DESK_NAME_BYTES_MAX,
            "pattern": "^[A-Za-z0-9._-]+$",
        },
    });
    let nothing = || json!({});
    for part in [
        item("Tenant", &tenant(), nothing(), nothing()),
        item("Team", &team(), nothing(), json!({ "rule": rule })),
        item("Skill", &json!({ "title": short() }), nothing(), nothing()),
        item("Reply", &reply, nothing(), nothing()),
        item(
            "Agent",
            &agent(),
            json!({ "live": live }),
            json!({ "password": password }),
        ),
    ] {
        if let (Value::Object(all), Value::Object(part)) = (&mut all, part) {
            all.extend(part);
        }
    }
    all
}

fn or_null(kind: &str, what: &str) -> Value {
    json!({ "type": [kind, "null"], "description": what })
}

fn integers(names: &[&str]) -> Map<String, Value> {
    let integer = |name: &&str| ((*name).to_owned(), json!({ "type": "integer" }));
    names.iter().map(integer).collect()
}

fn now() -> Value {
    let mut team = integers(&["waiting", "longest_wait_ms", "serving", "agents_online"]);
    team.insert("team".into(), json!({ "type": "string" }));
    let left = json!({ "type": "integer", "description": "Left messages that nobody has taken yet, those among the waiting included." });
    team.insert("left".into(), left.clone());
    let period = json!({ "type": "object", "description": "As in the report of teams, of the time before.", "additionalProperties": { "type": ["number", "null"] } });
    team.insert("period".into(), period);
    let mut figures = integers(&[
        "waiting",
        "longest_wait_ms",
        "serving",
        "slots",
        "slots_taken_permille",
        "from_ms",
        "to_ms",
        "answer_within_ms",
    ]);
    figures.insert("left".into(), left);
    figures.insert("agents".into(), json!({ "type": "object", "description": "By status; without a session they are offline.", "additionalProperties": { "type": "integer" } }));
    figures.insert(
        "teams".into(),
        json!({ "type": "array", "items": { "type": "object", "properties": team } }),
    );
    json!({
        "DeskOpen": {
            "type": "object",
            "description": "An open conversation.",
            "required": ["episode", "customer", "team", "state"],
            "properties": {
                "episode": { "type": "integer" },
                "customer": { "type": "string" },
                "customer_online": { "type": "boolean" },
                "left": { "type": "boolean", "description": "A left message: the customer is not expected to be there." },
                "team": { "type": "string" },
                "skills": { "type": "array", "items": { "type": "string" } },
                "priority": { "type": "integer" },
                "state": { "type": "string", "enum": ["left", "waiting", "ringing", "active", "held"], "description": "`left`: a message to a team that is closed or that nobody serves; it waits when the team opens." },
                "since_ms": time("Since when it is so"),
                "queued_ms": time("From when its age counts"),
                "age_ms": { "type": "integer" },
                "agent": or_null("string", "Who serves it, or is asked."),
                "position": or_null("integer", "From 1, among those who need the same."),
                "wait_ms": or_null("integer", "How long he is expected to wait."),
                "transfer_to": or_null("string", "Who is asked to take it over."),
                "supervisors": { "type": "array", "items": { "type": "object", "properties": {
                    "agent": { "type": "string" },
                    "level": { "type": "string", "enum": ["watch", "whisper", "join"] },
                } } },
            },
        },
        "DeskQueue": {
            "type": "object",
            "required": ["waiting", "total", "next"],
            "properties": {
                "waiting": { "type": "array", "items": reference("DeskOpen") },
                "total": { "type": "integer" },
                "next": or_null("integer", "`after` of the next page; null after the last."),
            },
        },
        "DeskFigures": { "type": "object", "properties": figures },
    })
}

fn summary() -> Value {
    json!({
        "episode": { "type": "integer" },
        "customer": { "type": "string" },
        "team": { "type": "string", "description": "The last one." },
        "agent": or_null("string", "The last one; null while he waits."),
        "agents": { "type": "array", "items": { "type": "string" }, "description": "All, in order." },
        "state": { "type": "string", "enum": ["waiting", "active", "closed"] },
        "opened_ms": time("Its beginning"),
        "ended_ms": or_null("integer", "Its end."),
        "closed_by": { "type": ["string", "null"], "enum": ["customer", "agent", "system", "transfer", null] },
        "waited_ms": { "type": "integer", "description": "In all." },
        "customer_messages": { "type": "integer" },
        "agent_messages": { "type": "integer" },
        "stars": or_null("integer", "1 to 5."),
        "rating_text": or_null("string", "What he wrote about it."),
    })
}

fn conversations() -> Value {
    let message = json!({
        "type": "object",
        "required": ["seq", "id", "by", "author", "note", "recalled", "time_ms", "text"],
        "properties": {
            "seq": reference("Seq"),
            "id": { "type": "string", "description": "Its author's own: OCIM's pid." },
            "by": { "type": "string", "enum": ["customer", "agent", "desk"] },
            "author": { "type": "string" },
            "note": { "type": "boolean", "description": "Only agents see it." },
            "kind": { "type": "integer", "description": "OCIM's messageType; 20 for notes." },
            "offline": { "type": "boolean", "description": "Its receiver was away." },
            "recalled": { "type": "boolean" },
            "time_ms": time("When it was taken into custody"),
            "text": or_null("string", "Null if it is recalled or erased."),
        },
    });
    let event = json!({
        "type": "object",
        "required": ["event", "time_ms"],
        "properties": {
            "event": { "type": "string", "enum": ["waits", "assigned", "ended"] },
            "time_ms": time("When"),
            "team": { "type": "string" },
            "agent": { "type": "string" },
            "how": { "type": "string", "description": "automatic, former, accepted, pulled, transferred or taken_over." },
            "waited_ms": { "type": "integer" },
            "first_answer_ms": or_null("integer", "After he got it."),
            "by": { "type": "string", "enum": ["customer", "agent", "system", "transfer"] },
        },
    });
    let mut one = summary();
    one["before"] = or_null("integer", "`before` of the messages before these.");
    one["events"] = json!({ "type": "array", "items": event });
    one["messages"] =
        json!({ "type": "array", "maxItems": limits::DESK_RECORD_MESSAGES_MAX, "items": message });
    one["live"] = json!({ "oneOf": [reference("DeskOpen"), { "type": "null" }] });
    json!({
        "DeskConversations": {
            "type": "object",
            "required": ["conversations", "before"],
            "properties": {
                "conversations": { "type": "array", "items": { "type": "object", "properties": summary() } },
                "before": or_null("integer", "`before` of the next page; null after the last."),
            },
        },
        "DeskConversation": { "type": "object", "required": ["episode", "events", "messages", "live"], "properties": one },
    })
}

fn acts() -> Value {
    let who = || json!({ "type": ["string", "null"], "description": "As which agent; an agent's account is its own." });
    let text = |more: Value| {
        let mut text = json!({
            "type": "object",
            "required": ["text"],
            "additionalProperties": false,
            "properties": {
                "as": who(),
                "text": { "type": "string" },
                "id": { "type": ["string", "null"], "description": "The author's own for it." },
            },
        });
        if !more.is_null() {
            text["properties"]["type"] = more;
        }
        text
    };
    let kind = json!({ "type": ["integer", "null"], "format": "int32", "default": -1, "description": "410 image, 411 order, 412 goods, 413 logistics, 414 robot, or the application's own outside 400 to 499." });
    json!({
        "DeskAs": { "type": "object", "additionalProperties": false, "properties": { "as": who() } },
        "DeskText": text(kind),
        "DeskNote": text(Value::Null),
        "DeskTransfer": {
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "as": who(),
                "to_agent": or_null("string", "His account; or"),
                "to_team": or_null("string", "a team, without its `@`."),
                "skills": { "type": "array", "items": { "type": "string" }, "description": "With `to_team`: what the customer needs there." },
                "note": { "type": "string", "maxLength": limits::DESK_NOTE_BYTES_MAX, "description": "What the receiver should know." },
            },
        },
        "DeskRecall": {
            "type": "object", "required": ["id"], "additionalProperties": false,
            "properties": { "as": who(), "id": { "type": "string" } },
        },
        "DeskWritten": {
            "type": "object", "required": ["id"],
            "properties": { "id": { "type": "string" } },
        },
        "DeskActed": {
            "type": "object",
            "required": ["episode", "live"],
            "properties": {
                "episode": { "type": "integer" },
                "live": { "oneOf": [reference("DeskOpen"), { "type": "null", "description": "It has ended." }] },
            },
        },
    })
}

fn rest() -> Value {
    let next = or_null("string", "`after` of the next page; null after the last.");
    let cell = json!({ "type": ["string", "number", "null"] });
    json!({
        "DeskReport": {
            "type": "object",
            "required": ["from_ms", "to_ms", "rows", "next"],
            "properties": {
                "from_ms": time("Since when"),
                "to_ms": time("Up to when"),
                "rows": { "type": "array", "maxItems": limits::DESK_REPORT_ROWS_MAX, "items": { "type": "object", "additionalProperties": cell } },
                "next": next.clone(),
            },
        },
        "DeskAudit": {
            "type": "object",
            "required": ["entries", "before"],
            "properties": {
                "entries": { "type": "array", "items": {
                    "type": "object",
                    "required": ["id", "time_ms", "who", "what", "name", "became"],
                    "properties": {
                        "id": { "type": "integer" },
                        "time_ms": time("When"),
                        "who": { "type": "string" },
                        "what": { "type": "string", "examples": ["put agent"] },
                        "name": { "type": "string", "description": "What or whom it was done to." },
                        "became": { "description": "What it became, as it is kept; null otherwise." },
                    },
                } },
                "before": or_null("integer", "`before` of the next page; null after the last."),
            },
        },
        "DeskExport": {
            "type": "object",
            "required": ["customer", "messages", "next"],
            "properties": {
                "customer": { "type": "string" },
                "conversations": { "type": "array", "description": "On the first page.", "items": { "type": "object" } },
                "messages": { "type": "array", "items": {
                    "type": "object",
                    "required": ["team", "seq", "time_ms", "kind", "author", "text"],
                    "properties": {
                        "team": { "type": "string" },
                        "seq": reference("Seq"),
                        "id": { "type": "string" },
                        "time_ms": time("When it was taken into custody"),
                        "kind": { "type": "string", "enum": ["message", "note", "notice", "greeting", "recalled"] },
                        "author": or_null("string", "Null: the desk."),
                        "type": { "type": "integer" },
                        "text": { "type": "string" },
                    },
                } },
                "next": next,
            },
        },
        "DeskErased": { "type": "object", "properties": integers(&["messages", "records", "ratings"]) },
    })
}
