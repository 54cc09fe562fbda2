//! The calls.

use serde_json::{Value, json};
use tidings_core::limits;

use super::{Call, reference, schemas};

pub(super) fn all() -> Value {
    json!({
        "/messages": { "post": send() },
        "/messages/batch": { "post": send_batch() },
        "/messages/{id}": { "get": find() },
        "/users": { "get": users() },
        "/users/{id}": { "get": user() },
        "/users/{id}/sessions": { "delete": kick() },
        "/users/{id}/block": { "put": block(true), "delete": block(false) },
        "/stats": { "get": stats() },
        "/users/{id}/conversations": { "get": conversations() },
        "/users/{id}/conversations/{peer}/messages": { "get": history() },
        "/groups/{id}": { "put": put_group(), "get": group(), "delete": remove_group() },
        "/groups/{id}/members/{user}": { "put": member(true), "delete": member(false) },
    })
}

pub(super) fn in_path(name: &str, schema: &str, example: &str) -> Value {
    json!({
        "name": name, "in": "path", "required": true, "schema": reference(schema),
        "example": example,
    })
}

pub(super) fn in_query(name: &str, schema: Value, what: &str) -> Value {
    json!({ "name": name, "in": "query", "schema": schema, "description": what })
}

pub(super) fn limit(max: usize) -> Value {
    let schema = json!({ "type": "integer", "minimum": 1, "maximum": max, "default": 50 });
    in_query("limit", schema, "How many.")
}

pub(super) fn ok(schema: &str, what: &str) -> (&'static str, Value) {
    let content = json!({ "application/json": { "schema": reference(schema) } });
    let headers = schemas::rate_headers();
    (
        "200",
        json!({ "description": what, "headers": headers, "content": content }),
    )
}

pub(super) fn done(what: &str) -> (&'static str, Value) {
    let headers = schemas::rate_headers();
    ("204", json!({ "description": what, "headers": headers }))
}

fn sent_headers() -> Value {
    let mut headers = schemas::rate_headers();
    headers["Idempotency-Replayed"] = json!({
        "description": "`true` if this is the answer to the same call before.",
        "schema": { "type": "string" },
    });
    headers
}

fn idempotency_key() -> Value {
    let max = limits::IDEMPOTENCY_KEY_BYTES_MAX;
    json!({
        "name": "Idempotency-Key", "in": "header",
        "schema": { "type": "string", "minLength": 1, "maxLength": max, "pattern": "^[!-~]+$" },
        "description": "The same call with the same key is carried out once and gets the same \
            answer; with another body it is refused. Answers are remembered for a while; beyond \
            that, and across restarts, the messages' ids, made from key and receiver, keep them \
            from being stored twice.",
    })
}

fn send() -> Value {
    let headers = sent_headers();
    Call {
        id: "sendMessage",
        tag: "messages",
        summary: "Send a message to one, several or all",
        description: format!(
            "Answered once it is in custody: on disk, in order, and delivered from then on \
             whatever dies. With several receivers each has a message of its own; those that were \
             refused carry a `problem`, and if all were, so is the call. `*` goes to at most \
             {page} users a call: go on with `after` from `next`, with a new Idempotency-Key. A \
             body has at most {body} bytes.",
            page = limits::API_EVERYBODY_PAGE_MAX,
            body = limits::API_BODY_BYTES_MAX,
        ),
        parameters: vec![idempotency_key()],
        body: Some(json!({
            "required": true,
            "content": { "application/json": {
                "schema": reference("NewMessage"),
                "examples": {
                    "one": { "value": { "to": "bob", "text": "Your parcel is on its way." } },
                    "several": { "value": { "to": ["bob", "carl"], "text": "We meet at noon.", "from": "alice" } },
                    "everybody": { "value": { "to": "*", "text": "We are back.", "type": 7 } },
                    "now or never": { "value": { "to": "bob", "text": "typing", "from": "alice", "qos": false } },
                },
            } },
        })),
        answer: ("201", json!({
            "description": "In custody: `id` and `seq` if `to` is one receiver, `messages` if it is a list or `*`.",
            "headers": headers,
            "content": { "application/json": { "schema": {
                "oneOf": [reference("Sent"), reference("SentToMany")],
            } } },
        })),
        problems: &["404", "409", "413", "415", "507"],
    }
    .json()
}

fn send_batch() -> Value {
    Call {
        id: "sendMessages",
        tag: "messages",
        summary: "Send several messages",
        description: format!(
            "Up to {max} messages, each with a receiver, text and sender of its own, taken in their \
             order. Answered once all are decided, with an answer for each in the same order: `id` \
             and `seq` of what is in custody, a `problem` for what was refused. Repeated with the \
             same Idempotency-Key, what was taken is not taken twice.",
            max = limits::API_BATCH_MESSAGES_MAX,
        ),
        parameters: vec![idempotency_key()],
        body: Some(json!({
            "required": true,
            "content": { "application/json": {
                "schema": reference("NewMessages"),
                "examples": { "two": { "value": { "messages": [
                    { "to": "bob", "text": "Your parcel is on its way." },
                    { "to": "carl", "text": "Your parcel is here.", "from": "shop" },
                ] } } },
            } },
        })),
        answer: ("200", json!({
            "description": "An answer for each message.",
            "headers": sent_headers(),
            "content": { "application/json": { "schema": reference("SentToMany") } },
        })),
        problems: &["409", "413", "415"],
    }
    .json()
}

fn find() -> Value {
    let name = || json!({ "type": "string", "minLength": 1 });
    Call {
        id: "findMessage",
        tag: "messages",
        summary: "Where a message is",
        description: format!(
            "Stored, and acknowledged by which devices. An id is its sender's: say `from` and `to` \
             to mean one message exactly, however old; otherwise the newest {} messages are looked \
             through, and those around the time that an id of this server's making names.",
            limits::SEARCH_MESSAGES_MAX
        ),
        parameters: vec![
            in_path("id", "MessageId", "0199a7f0-5f3e-7a31-8f5e-5b7d3c1a9e10"),
            in_query("from", name(), "Its sender; `0` for the server."),
            in_query(
                "to",
                name(),
                "Its receiver, as it was sent: a user, `#group` or `0`.",
            ),
            in_query(
                "after",
                name(),
                "Of a group: the receivers whose names are above this one, the `next` of the page before.",
            ),
            limit(limits::API_PAGE_MAX),
        ],
        body: None,
        answer: ok(
            "Whereabouts",
            "The message, and how far it is with each receiver.",
        ),
        problems: &["404"],
    }
    .json()
}

fn users() -> Value {
    let online = json!({ "type": "boolean" });
    let after = json!({ "type": "string" });
    Call {
        id: "listUsers",
        tag: "users",
        summary: "Who is known, or online",
        description: format!(
            "By name, those who have ever logged in. A page is full unless it is the last, or {} \
             users had to be looked at for it: then `next` says where to go on.",
            limits::API_USERS_LOOKED_AT_MAX
        ),
        parameters: vec![
            in_query(
                "online",
                online,
                "`true`: only those who are online; `false`: only those who are not.",
            ),
            in_query("after", after, "Those whose names are above this one."),
            limit(limits::API_PAGE_MAX),
        ],
        body: None,
        answer: ok("Users", "A page of users."),
        problems: &[],
    }
    .json()
}

fn user() -> Value {
    Call {
        id: "showUser",
        tag: "users",
        summary: "A user's sessions, devices and cursors",
        description: String::new(),
        parameters: vec![in_path("id", "User", "bob")],
        body: None,
        answer: ok("UserDetails", "What is known of him."),
        problems: &["404"],
    }
    .json()
}

fn kick() -> Value {
    let code = json!({ "type": "integer", "format": "int32", "default": 2, "oneOf": [
        { "const": 2 }, { "minimum": 101, "maximum": i32::MAX },
    ] });
    let reason = json!({ "type": "string", "maxLength": limits::REASON_BYTES_MAX });
    Call {
        id: "endSessions",
        tag: "users",
        summary: "End all sessions of a user",
        description: "His clients are told code and reason and do not come back by themselves."
            .into(),
        parameters: vec![
            in_path("id", "User", "bob"),
            in_query(
                "code",
                code,
                "2 (by an administrator), or the application's own above 100.",
            ),
            in_query("reason", reason, "Told to his clients."),
        ],
        body: None,
        answer: ok("Ended", "How many there were."),
        problems: &[],
    }
    .json()
}

fn conversations() -> Value {
    Call {
        id: "listConversations",
        tag: "conversations",
        summary: "A user's conversations, the newest first",
        description: "A conversation that is written in meanwhile moves to the front.".into(),
        parameters: vec![
            in_path("id", "UserOrServer", "bob"),
            in_query(
                "after",
                json!({ "type": "integer", "format": "int64", "minimum": 0 }),
                "The `next` of the page before.",
            ),
            limit(limits::API_PAGE_MAX),
        ],
        body: None,
        answer: ok("Conversations", "A page of them."),
        problems: &[],
    }
    .json()
}

fn history() -> Value {
    let number =
        || json!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": i64::MAX });
    Call {
        id: "listMessages",
        tag: "conversations",
        summary: "The messages between a user and another, a group, or the server",
        description: "Ascending by number. Without `before` and `after`: the newest.".into(),
        parameters: vec![
            in_path("id", "UserOrServer", "bob"),
            in_path("peer", "Peer", "alice"),
            in_query("before", number(), "The last ones below this number."),
            in_query("after", number(), "The first ones above this number."),
            limit(limits::HISTORY_PAGE_MAX),
        ],
        body: None,
        answer: ok("Messages", "A page of messages."),
        problems: &[],
    }
    .json()
}

fn put_group() -> Value {
    Call {
        id: "putGroup",
        tag: "groups",
        summary: "Make a group have exactly these members",
        description: "At once, also for those who are online. New members see what is sent from \
            now on."
            .into(),
        parameters: vec![in_path("id", "Group", "friends")],
        body: Some(json!({
            "required": true,
            "content": { "application/json": {
                "schema": reference("Members"),
                "examples": { "three": { "value": { "members": ["alice", "bob", "carl"] } } },
            } },
        })),
        answer: ok("GroupCount", "The group."),
        problems: &["413", "415"],
    }
    .json()
}

fn group() -> Value {
    Call {
        id: "showGroup",
        tag: "groups",
        summary: "The members of a group",
        description: String::new(),
        parameters: vec![in_path("id", "Group", "friends")],
        body: None,
        answer: ok("GroupWithMembers", "The group."),
        problems: &["404"],
    }
    .json()
}

fn remove_group() -> Value {
    Call {
        id: "removeGroup",
        tag: "groups",
        summary: "Remove a group",
        description: "Nobody can send to it any more; its messages stay.".into(),
        parameters: vec![in_path("id", "Group", "friends")],
        body: None,
        answer: done("It is gone."),
        problems: &["404"],
    }
    .json()
}

fn member(add: bool) -> Value {
    let (id, summary, description) = if add {
        ("addMember", "Add a member", "Nothing happens if he is one.")
    } else {
        (
            "removeMember",
            "Remove a member",
            "With its last member the group is removed.",
        )
    };
    Call {
        id,
        tag: "groups",
        summary,
        description: description.into(),
        parameters: vec![
            in_path("id", "Group", "friends"),
            in_path("user", "User", "bob"),
        ],
        body: None,
        answer: done("It is so."),
        problems: &["404"],
    }
    .json()
}

fn block(block: bool) -> Value {
    let reason = json!({ "type": "string", "maxLength": limits::REASON_BYTES_MAX });
    let mut parameters = vec![in_path("id", "User", "bob")];
    if block {
        parameters.push(in_query("reason", reason, "For whoever looks at the list."));
    }
    let (id, summary, description) = if block {
        (
            "blockUser",
            "Shut a user out",
            "His sessions end, and he cannot log in any more.",
        )
    } else {
        ("unblockUser", "Let a user in again", "")
    };
    Call {
        id,
        tag: "users",
        summary,
        description: description.into(),
        parameters,
        body: None,
        answer: done("It is so."),
        problems: if block { &["409"] } else { &["404"] },
    }
    .json()
}

fn stats() -> Value {
    Call {
        id: "showStats",
        tag: "server",
        summary: "What the server counts",
        description: "The same as `/metrics` says to Prometheus, which needs no key from the \
            server's own machine."
            .into(),
        parameters: Vec::new(),
        body: None,
        answer: ok("Stats", "Each name with its unit and what it is now."),
        problems: &[],
    }
    .json()
}
