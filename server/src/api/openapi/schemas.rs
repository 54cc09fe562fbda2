//! What goes in and comes out.

use serde_json::{Map, Value, json};
use tidings_core::limits;

use super::reference;

/// No control characters; not `#`, `@` or `~` first.
const USER: &str = "^[^#@~\\u0000-\\u001f\\u007f-\\u009f][^\\u0000-\\u001f\\u007f-\\u009f]*$";
/// A visitor that the server named has a `~` first.
const PERSON: &str = "^~?[^#@~\\u0000-\\u001f\\u007f-\\u009f][^\\u0000-\\u001f\\u007f-\\u009f]*$";
const ANY: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$";

pub(super) fn all() -> Value {
    let mut all = Map::new();
    for part in [
        names(),
        messages(),
        lists(),
        people(),
        numbers(),
        super::desk_schemas::all(),
    ] {
        if let Value::Object(part) = part {
            all.extend(part);
        }
    }
    Value::Object(all)
}

pub(super) fn time(what: &str) -> Value {
    json!({ "type": "integer", "format": "int64", "description": format!("{what}, milliseconds since 1970 UTC.") })
}

fn names() -> Value {
    let max = limits::NAME_BYTES_MAX;
    json!({
        "User": {
            "type": "string", "minLength": 1, "maxLength": max + 1, "pattern": PERSON,
            "not": { "enum": ["0", "-1", "~0", "~-1"] },
            "description": "A user's id, or `~` and the id of a visitor.",
            "examples": ["bob"],
        },
        "UserOrServer": {
            "type": "string", "minLength": 1, "maxLength": max + 1, "pattern": PERSON,
            "not": { "enum": ["-1", "~0", "~-1"] },
            "description": "A user's id, `~` and the id of a visitor, or `0`.",
            "examples": ["bob"],
        },
        "Group": {
            "type": "string", "minLength": 1, "maxLength": max, "pattern": USER,
            "description": "A group's name without its `#`.",
            "examples": ["friends"],
        },
        "Peer": {
            "type": "string", "minLength": 1, "maxLength": max + 1, "pattern": ANY,
            "description": "A user, a `#group` or `0`.",
            "examples": ["alice"],
        },
        "MessageId": {
            "type": "string", "minLength": 1, "maxLength": limits::MESSAGE_ID_BYTES_MAX,
            "pattern": ANY,
        },
        "Seq": {
            "type": "integer", "format": "int64", "minimum": 0,
            "description": "The message's number in its conversation; 0 if it was not stored.",
        },
        "Problem": {
            "type": "object",
            "description": "A refusal, RFC 9457.",
            "required": ["type", "title", "status", "detail"],
            "properties": {
                "type": { "type": "string", "description": "`about:blank`, or `urn:tidings:desk:` and the code." },
                "title": { "type": "string" },
                "status": { "type": "integer" },
                "detail": { "type": "string", "description": "What is wrong, for people." },
                "field": { "type": "string", "description": "Which part of the request." },
                "limit": { "type": "integer", "description": "What is allowed at most." },
                "value": { "description": "What came." },
                "code": { "type": "string", "description": "Of a desk's refusal; it stays the same.", "enum": super::desk::CODES },
            },
        },
    })
}

fn messages() -> Value {
    json!({
        "NewMessage": {
            "type": "object",
            "required": ["to", "text"],
            "additionalProperties": false,
            "properties": {
                "to": { "oneOf": [
                    { "type": "string", "minLength": 1, "maxLength": limits::ADDRESS_BYTES_MAX, "pattern": ANY },
                    {
                        "type": "array", "minItems": 1, "maxItems": limits::API_RECIPIENTS_MAX,
                        "uniqueItems": true,
                        "items": { "type": "string", "minLength": 1, "maxLength": limits::ADDRESS_BYTES_MAX, "pattern": ANY },
                    },
                ], "description": "A user, a `#group`, `*` (everybody who has ever logged in), or a list of users and groups." },
                "text": { "type": "string", "description": "What is said. The whole frame has at most `delivery.frame_bytes_max` bytes." },
                "from": { "type": ["string", "null"], "description": "In whose name; `0`, the server, otherwise. To a group he must be a member.", "default": "0" },
                "type": { "type": ["integer", "null"], "format": "int32", "minimum": i32::MIN, "maximum": i32::MAX, "default": -1, "description": "The application's own type of message." },
                "qos": { "type": ["boolean", "null"], "default": true, "description": "`false`: not stored, not acknowledged, only to who is online now." },
                "after": { "type": ["string", "null"], "description": "With `*`: those above this name, the `next` of the answer before." },
            },
        },
        "NewMessages": {
            "type": "object",
            "required": ["messages"],
            "additionalProperties": false,
            "properties": { "messages": {
                "type": "array", "minItems": 1, "maxItems": limits::API_BATCH_MESSAGES_MAX,
                "items": {
                    "type": "object",
                    "required": ["to", "text"],
                    "additionalProperties": false,
                    "properties": {
                        "to": { "type": "string", "minLength": 1, "description": "A user, a `#group` or a `@team`." },
                        "text": { "type": "string", "description": "What is said. The whole frame has at most `delivery.frame_bytes_max` bytes." },
                        "from": { "type": ["string", "null"], "description": "In whose name; `0`, the server, otherwise. To a group he must be a member.", "default": "0" },
                        "type": { "type": ["integer", "null"], "format": "int32", "minimum": i32::MIN, "maximum": i32::MAX, "default": -1, "description": "The application's own type of message." },
                        "qos": { "type": ["boolean", "null"], "default": true, "description": "`false`: not stored, not acknowledged, only to who is online now." },
                    },
                },
            } },
        },
        "Sent": {
            "type": "object",
            "required": ["id", "seq"],
            "additionalProperties": false,
            "properties": { "id": reference("MessageId"), "seq": reference("Seq") },
        },
        "SentToMany": {
            "type": "object",
            "required": ["messages"],
            "additionalProperties": false,
            "properties": {
                "messages": { "type": "array", "items": {
                    "type": "object",
                    "required": ["to"],
                    "additionalProperties": false,
                    "properties": {
                        "to": { "type": "string" },
                        "id": reference("MessageId"),
                        "seq": reference("Seq"),
                        "problem": reference("Problem"),
                    },
                } },
                "next": { "type": ["string", "null"], "description": "With `*`: `after` of the next page; null after the last." },
            },
        },
        "Message": message(),
        "Whereabouts": whereabouts(),
    })
}

fn message() -> Value {
    json!({
        "type": "object",
        "required": ["id", "from", "to", "seq", "time_ms", "type", "text"],
        "properties": {
            "id": reference("MessageId"),
            "from": { "type": "string" },
            "to": { "type": "string" },
            "seq": reference("Seq"),
            "time_ms": time("When it was taken into custody"),
            "type": { "type": "integer", "format": "int32" },
            "text": { "type": "string" },
        },
    })
}

fn whereabouts() -> Value {
    json!({
        "description": "A message and how far it is.",
        "allOf": [reference("Message"), {
            "type": "object",
            "required": ["stored", "receivers", "receivers_total", "next", "others"],
            "properties": {
                "stored": { "type": "boolean", "const": true },
                "receivers": { "type": "array", "maxItems": limits::API_PAGE_MAX, "items": {
                    "type": "object",
                    "required": ["user", "online", "acknowledged", "devices"],
                    "properties": {
                        "user": { "type": "string" },
                        "online": { "type": "boolean" },
                        "acknowledged": { "type": "boolean", "description": "By one device at least." },
                        "devices": { "type": "array", "items": {
                            "type": "object",
                            "required": ["device", "online_since_ms", "acknowledged", "deliveries"],
                            "properties": {
                                "device": { "type": "string" },
                                "online_since_ms": { "type": ["integer", "null"], "description": "When its live session began; null if it has none." },
                                "acknowledged": { "type": "boolean" },
                                "deliveries": deliveries(),
                            },
                        } },
                    },
                } },
                "receivers_total": { "type": "integer", "description": "Of a group: all its members but the sender." },
                "next": { "type": ["string", "null"], "description": "`after` of the page with the next receivers, by name; null after the last." },
                "others": { "type": "integer", "description": "Further messages with the same id, between others." },
            },
        }],
    })
}

/// The sessions of a device that got a message, as far as that is remembered.
fn deliveries() -> Value {
    json!({
        "type": ["array", "null"],
        "maxItems": limits::TRAIL_SESSIONS_MAX,
        "description": format!(
            "To which sessions of the device it was sent, and when, in milliseconds since 1970 UTC; \
             empty if to none. Remembered in memory, since the server started, for the newest {} \
             messages and the first {} sessions of each; null if it is not.",
            limits::TRAIL_MESSAGES_MAX, limits::TRAIL_SESSIONS_MAX,
        ),
        "items": {
            "type": "object",
            "required": ["session_since_ms", "sent_ms", "sends", "acknowledged_ms"],
            "properties": {
                "session_since_ms": { "type": "integer", "description": "When the session began." },
                "sent_ms": { "type": "integer", "description": "For the first time." },
                "sends": { "type": "integer", "description": "How often.", "minimum": 1 },
                "acknowledged_ms": { "type": ["integer", "null"], "description": "By this session; null if not yet." },
            },
        },
    })
}

fn lists() -> Value {
    json!({
        "Messages": {
            "type": "object",
            "required": ["messages", "before", "after"],
            "properties": {
                "messages": { "type": "array", "maxItems": limits::HISTORY_PAGE_MAX, "items": reference("Message"), "description": "Ascending by number." },
                "before": { "type": ["integer", "null"], "description": "`before` of the page with what is older; null if there is none." },
                "after": { "type": ["integer", "null"], "description": "`after` of the page with what is newer; null if this one is empty." },
            },
        },
        "Conversations": {
            "type": "object",
            "required": ["conversations", "next"],
            "properties": { "next": { "type": ["integer", "null"], "description": "`after` of the next page; null after the last." }, "conversations": {
                "type": "array", "maxItems": limits::API_PAGE_MAX, "items": {
                    "type": "object",
                    "required": ["peer", "head", "acknowledged", "unread", "last"],
                    "properties": {
                        "peer": { "type": "string" },
                        "head": { "type": "integer", "description": "The last number." },
                        "acknowledged": { "type": "integer", "description": "The furthest cursor of his devices." },
                        "unread": { "type": "integer", "description": "Numbers above that cursor." },
                        "last": reference("Message"),
                    },
                },
            } },
        },
        "Members": {
            "type": "object",
            "required": ["members"],
            "additionalProperties": false,
            "properties": { "members": {
                "type": "array", "minItems": 1, "maxItems": limits::GROUP_MEMBERS_MAX,
                "items": reference("User"),
            } },
        },
        "GroupCount": group(false),
        "GroupWithMembers": group(true),
    })
}

fn group(members: bool) -> Value {
    let mut group = json!({
        "type": "object",
        "required": ["id", "count"],
        "properties": {
            "id": { "type": "string" },
            "count": { "type": "integer", "description": "How many members." },
        },
    });
    if members {
        group["properties"]["members"] = json!({ "type": "array", "items": { "type": "string" } });
        group["required"] = json!(["id", "count", "members"]);
    }
    group
}

fn people() -> Value {
    json!({
        "Users": {
            "type": "object",
            "required": ["users", "next"],
            "properties": {
                "users": { "type": "array", "maxItems": limits::API_PAGE_MAX, "items": {
                    "type": "object",
                    "required": ["id", "online", "sessions"],
                    "properties": {
                        "id": { "type": "string" },
                        "online": { "type": "boolean" },
                        "sessions": { "type": "integer" },
                    },
                } },
                "next": { "type": ["string", "null"], "description": "`after` of the next page; null after the last." },
            },
        },
        "UserDetails": {
            "type": "object",
            "required": ["id", "online", "sessions", "devices", "cursors"],
            "properties": {
                "id": { "type": "string" },
                "online": { "type": "boolean" },
                "sessions": { "type": "array", "items": {
                    "type": "object",
                    "required": ["device", "class", "transport", "address", "since_ms"],
                    "properties": {
                        "device": { "type": "string" },
                        "class": { "type": "string" },
                        "transport": { "type": "string", "enum": ["tcp", "udp", "ws", "local"] },
                        "address": { "type": ["string", "null"] },
                        "since_ms": time("Its login"),
                    },
                } },
                "devices": { "type": "array", "items": {
                    "type": "object",
                    "required": ["device", "class", "created_ms", "seen_ms"],
                    "properties": {
                        "device": { "type": "string" },
                        "class": { "type": "string" },
                        "created_ms": time("Its first login"),
                        "seen_ms": time("Its last login, to the day"),
                    },
                } },
                "cursors": { "type": "array", "description": "Of the newest conversations.", "items": {
                    "type": "object",
                    "required": ["device", "peer", "acknowledged", "head"],
                    "properties": {
                        "device": { "type": "string" },
                        "peer": { "type": "string" },
                        "acknowledged": { "type": "integer" },
                        "head": { "type": "integer" },
                    },
                } },
            },
        },
        "Ended": {
            "type": "object",
            "required": ["sessions"],
            "properties": { "sessions": { "type": "integer", "description": "How many were ended." } },
        },
    })
}

fn numbers() -> Value {
    json!({
        "Stats": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["unit", "help"],
                "properties": {
                    "unit": { "type": "string" },
                    "help": { "type": "string" },
                    "values": { "type": "array", "items": {
                        "type": "object",
                        "required": ["labels", "value"],
                        "properties": {
                            "labels": { "type": "object", "additionalProperties": { "type": "string" } },
                            "value": { "type": "integer" },
                        },
                    } },
                    "buckets": { "type": "array", "items": {
                        "type": "object",
                        "required": ["up_to", "count"],
                        "properties": { "up_to": { "type": "number" }, "count": { "type": "integer" } },
                    } },
                    "sum": { "type": "number" },
                    "count": { "type": "integer" },
                },
            },
        },
    })
}

/// The headers of every answer to a key.
pub(super) fn rate_headers() -> Value {
    let reference = |name: &str| json!({ "$ref": format!("#/components/headers/{name}") });
    json!({
        "RateLimit-Limit": reference("Limit"),
        "RateLimit-Remaining": reference("Remaining"),
        "RateLimit-Reset": reference("Reset"),
    })
}

pub(super) fn headers() -> Value {
    let number =
        |what: &str| json!({ "description": what, "schema": { "type": "integer", "minimum": 0 } });
    json!({
        "Limit": number("Calls in a row that a key may make."),
        "Remaining": number("How many are left."),
        "Reset": number("Seconds until all are there again."),
    })
}
