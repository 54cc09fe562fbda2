//! The description of the API, OpenAPI 3.1. `docs/openapi.json` is this, by a test.
//!
//! Written by hand beside the handlers: the limits come from the table of limits, so that they
//! cannot differ; that the rest is right is tested over HTTP.

mod desk;
mod desk_schemas;
mod paths;
mod schemas;

use serde_json::{Map, Value, json};
use tidings_core::limits;

/// The whole document, as it is served and committed.
#[must_use]
pub fn document() -> String {
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tidings",
            "version": "1",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": about(),
        },
        "servers": [{ "url": "/api/v1" }],
        "security": [{ "key": [] }],
        "paths": all_paths(),
        "components": {
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key of scope read (GET), send (also POST) or admin (everything).",
                },
                "account": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "Account and password of an agent, a supervisor or an administrator: for `/desk` alone.",
                },
            },
            "schemas": schemas::all(),
            "headers": schemas::headers(),
            "responses": responses(),
        },
    });
    document["tags"] = json!([
        { "name": "messages" },
        { "name": "users" },
        { "name": "conversations" },
        { "name": "groups" },
        { "name": "server" },
        { "name": "desk: set up", "description": "Tenants, teams, skills, agents, canned replies, audit trail." },
        { "name": "desk: now", "description": "Who waits, who is there, figures." },
        { "name": "desk: conversations" },
        { "name": "desk: reports" },
        { "name": "desk: customers", "description": "A customer's data: export and erasure." },
    ]);
    let mut text = format!("{document:#}");
    text.push('\n');
    text
}

fn all_paths() -> Value {
    let mut all = paths::all();
    if let (Value::Object(all), Value::Object(desk)) = (&mut all, desk::all()) {
        all.extend(desk);
    }
    all
}

fn about() -> String {
    format!(
        "Messages, users, conversations, groups and support desks of a Tidings server. Times are milliseconds \
         since 1970 UTC. Ids have 1 to {name} bytes of UTF-8 and no control or invisible characters; `#`, `@` \
         and `~` before an id mean a group, a team and a visitor. Refusals are \
         `application/problem+json` and name the `field`, the `limit` and the `value`. A key may \
         make {rate} calls a second, or what `tidings admin key create --rate` gave it, and twice as \
         many in a row.",
        name = limits::NAME_BYTES_MAX,
        rate = limits::API_CALLS_PER_S,
    )
}

/// What any call may be answered; the name of each is its status.
const PROBLEMS: [(&str, &str); 11] = [
    ("400", "The request cannot be read."),
    ("401", "There is no such key or account."),
    (
        "403",
        "The key does not permit this, or the sender is no member of the group.",
    ),
    ("404", "There is no such thing."),
    (
        "409",
        "The key or id was used for something else, or the desk refuses: see `code`.",
    ),
    ("413", "Too long."),
    ("415", "The body is not declared as JSON."),
    ("422", "A field breaks a rule."),
    ("429", "Too many calls with this key."),
    ("503", "The server stops, or its store does not answer."),
    (
        "507",
        "There is no room: the disk, or a limit of the store, is full.",
    ),
];

fn responses() -> Value {
    let mut all = Map::new();
    for (status, what) in PROBLEMS {
        let mut headers = schemas::rate_headers();
        if status == "401" {
            headers = json!({ "WWW-Authenticate": { "schema": { "type": "string" } } });
        }
        if status == "429" {
            headers["Retry-After"] = json!({ "schema": { "type": "integer", "minimum": 1 } });
        }
        let response = json!({
            "description": what,
            "headers": headers,
            "content": { "application/problem+json": { "schema": reference("Problem") } },
        });
        all.insert(format!("Problem{status}"), response);
    }
    Value::Object(all)
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// One call: what it answers when all is well, and how it may be refused beside what any call is.
struct Call<'a> {
    id: &'a str,
    tag: &'static str,
    summary: &'a str,
    description: String,
    parameters: Vec<Value>,
    body: Option<Value>,
    answer: (&'static str, Value),
    problems: &'static [&'static str],
}

impl Call<'_> {
    fn json(self) -> Value {
        let mut responses = Map::new();
        responses.insert(self.answer.0.to_owned(), self.answer.1);
        for status in ["400", "401", "403", "422", "429", "503"]
            .iter()
            .chain(self.problems)
        {
            let reference = format!("#/components/responses/Problem{status}");
            responses.insert((*status).to_owned(), json!({ "$ref": reference }));
        }
        let mut call = json!({
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.summary,
            "description": self.description,
            "responses": responses,
        });
        if !self.parameters.is_empty() {
            call["parameters"] = Value::Array(self.parameters);
        }
        if let Some(body) = self.body {
            call["requestBody"] = body;
        }
        call
    }
}
