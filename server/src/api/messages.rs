//! `POST /messages`, `POST /messages/batch` and `GET /messages/{id}`.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tidings_core::ids::{Address, DeviceId, EVERYBODY, Name, SERVER};
use tidings_core::limits;
use tidings_core::message::{Message, MessageRef};

use super::Api;
use super::access::Caller;
use super::extract::{Asked, Input, Named, page};
use super::idempotency::{Begun, Key};
use super::problem::Problem;
use crate::handle::{Send, Sent};
use crate::router::Deliveries;

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "to: expected a receiver or a list of receivers")]
enum To {
    One(String),
    Many(Vec<String>),
}

/// The body of `POST /messages`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewMessage {
    to: To,
    text: String,
    #[serde(default)]
    from: Option<String>,
    #[serde(default, rename = "type")]
    typeu: Option<i32>,
    #[serde(default)]
    qos: Option<bool>,
    /// Of `*`: those whose names are above this one.
    #[serde(default)]
    after: Option<String>,
}

pub(super) async fn send(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    input: Input<NewMessage>,
) -> Result<Response, Problem> {
    let once = match api.answers.begin(&headers, caller, &input.bytes).await? {
        Begun::Replayed(answer) => return Ok(answer),
        Begun::New(once) => once,
    };
    let done = carry_out(&api, input.value, once.key()).await;
    let done = done.map(|answer| (StatusCode::CREATED, answer));
    api.answers.finish(once, done)
}

/// The body of `POST /messages/batch`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewMessages {
    messages: Vec<OneMessage>,
}

/// One of several messages.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OneMessage {
    to: String,
    text: String,
    #[serde(default)]
    from: Option<String>,
    #[serde(default, rename = "type")]
    typeu: Option<i32>,
    #[serde(default)]
    qos: Option<bool>,
}

pub(super) async fn send_batch(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    input: Input<NewMessages>,
) -> Result<Response, Problem> {
    let once = match api.answers.begin(&headers, caller, &input.bytes).await? {
        Begun::Replayed(answer) => return Ok(answer),
        Begun::New(once) => once,
    };
    let done = carry_out_all(&api, input.value.messages, once.key()).await;
    let done = done.map(|answer| (StatusCode::OK, answer));
    api.answers.finish(once, done)
}

/// Sends messages in their order; each has an answer of its own, in the same order.
async fn carry_out_all(
    api: &Api,
    new: Vec<OneMessage>,
    key: Option<&Key>,
) -> Result<Value, Problem> {
    let max = limits::API_BATCH_MESSAGES_MAX;
    if new.is_empty() || new.len() > max {
        let detail = format!("a call has 1 to {max} messages");
        let problem = Problem::unprocessable(detail).field("messages");
        return Err(problem.limit(max, new.len()));
    }
    let to: Vec<Name> = new.iter().map(|one| one.to.as_str().into()).collect();
    let sends = new.into_iter().enumerate().map(|(at, one)| {
        let mut send = api.handle.send(one.to.as_str(), one.text);
        if let Some(from) = one.from {
            send = send.from(from);
        }
        if let Some(typeu) = one.typeu {
            send = send.typeu(typeu);
        }
        if let Some(key) = key {
            // Two of them may be for the same receiver.
            send = send.id(key.message_id(&format!("{at}\n{}", one.to)));
        }
        match one.qos {
            Some(false) => send.without_qos(),
            _ => send,
        }
    });
    let outcomes = api.handle.send_all(sends).await;
    let answers = to.iter().zip(outcomes).map(|(to, outcome)| match outcome {
        Ok(Sent { id, seq, .. }) => json!({ "to": &**to, "id": &*id, "seq": seq }),
        Err(error) => json!({ "to": &**to, "problem": Problem::from(error).json() }),
    });
    let answers: Vec<Value> = answers.collect();
    Ok(json!({ "messages": answers }))
}

async fn carry_out(api: &Api, new: NewMessage, key: Option<&Key>) -> Result<Value, Problem> {
    let from: Name = new.from.as_deref().unwrap_or(SERVER).into();
    let message = |to: &str| -> Send {
        let mut send = api.handle.send(to, new.text.as_str()).from(from.clone());
        if let Some(typeu) = new.typeu {
            send = send.typeu(typeu);
        }
        if let Some(key) = key {
            send = send.id(key.message_id(to));
        }
        if new.qos == Some(false) {
            send = send.without_qos();
        }
        send
    };
    let is_everybody = matches!(&new.to, To::One(to) if to == EVERYBODY);
    if !is_everybody && new.after.is_some() {
        let detail = "`after` goes with `\"to\": \"*\"` only";
        return Err(Problem::unprocessable(detail).field("after"));
    }
    let (to, next) = match new.to {
        To::One(_) if is_everybody => {
            let after = new.after.as_deref().unwrap_or_default();
            let max = limits::API_EVERYBODY_PAGE_MAX;
            let users = api.handle.users(after, max).await;
            let users = users.map_err(|error| Problem::of("after", error))?;
            let next = (users.len() == max)
                .then(|| users.last().cloned())
                .flatten();
            (users, next)
        }
        To::One(to) => {
            check(&to)?;
            let sent = message(&to).await?;
            return Ok(json!({ "id": &*sent.id, "seq": sent.seq }));
        }
        To::Many(ref to) => (receivers(to)?, None),
    };
    let sends: Vec<Send> = to.iter().map(|to| message(to)).collect();
    let outcomes = api.handle.send_all(sends).await;
    let mut taken = 0;
    let mut problem = None;
    let mut messages = Vec::with_capacity(outcomes.len());
    for (to, outcome) in to.iter().zip(outcomes) {
        messages.push(match outcome {
            Ok(Sent { id, seq, .. }) => {
                taken += 1;
                json!({ "to": &**to, "id": &*id, "seq": seq })
            }
            Err(error) => {
                let refused = Problem::from(error);
                let entry = json!({ "to": &**to, "problem": refused.json() });
                problem.get_or_insert(refused);
                entry
            }
        });
    }
    match problem {
        // Nothing was taken: that is a refusal, not an outcome.
        Some(problem) if taken == 0 => Err(problem),
        _ if is_everybody => Ok(json!({ "messages": messages, "next": next.as_deref() })),
        _ => Ok(json!({ "messages": messages })),
    }
}

/// One receiver that can be one.
fn check(to: &str) -> Result<(), Problem> {
    match Address::parse(to) {
        Ok(_) => Ok(()),
        Err(problem) => Err(Problem::name("to", to, problem)),
    }
}

fn receivers(to: &[String]) -> Result<Vec<Name>, Problem> {
    let max = limits::API_RECIPIENTS_MAX;
    if to.is_empty() || to.len() > max {
        let detail = format!("a call names 1 to {max} receivers");
        return Err(Problem::unprocessable(detail)
            .field("to")
            .limit(max, to.len()));
    }
    let mut seen = HashSet::new();
    for name in to {
        check(name)?;
        if !seen.insert(name) {
            let detail = "a receiver is named twice";
            return Err(Problem::unprocessable(detail)
                .field("to")
                .with("value", &**name));
        }
    }
    Ok(to.iter().map(|to| to.as_str().into()).collect())
}

/// A message as the API shows it.
pub(super) fn show(message: &Message) -> Value {
    json!({
        "id": &*message.id,
        "from": &*message.from,
        "to": &*message.to,
        "seq": message.seq,
        "time_ms": message.time_ms,
        "type": message.typeu,
        "text": &*message.body,
    })
}

/// The query of `GET /messages/{id}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Between {
    from: Option<String>,
    to: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn find(
    State(api): State<Arc<Api>>,
    Named(id): Named<String>,
    Asked(asked): Asked<Between>,
) -> Result<Response, Problem> {
    let limit = page(asked.limit, limits::API_PAGE_MAX)?;
    let between = match (&asked.from, &asked.to) {
        (Some(from), Some(to)) => Some((from.as_str(), to.as_str())),
        (None, None) => None,
        (Some(_), None) => {
            return Err(Problem::unprocessable("`from` needs `to` beside it").field("to"));
        }
        (None, Some(_)) => {
            return Err(Problem::unprocessable("`to` needs `from` beside it").field("from"));
        }
    };
    let found = api.handle.find(&id, between).await;
    let found = found.map_err(|error| Problem::of("id", error))?;
    let Some(message) = found.first() else {
        let detail = format!(
            "no such message is kept; an older one than the newest {} is found if `from` and `to` \
             are said",
            limits::SEARCH_MESSAGES_MAX
        );
        return Err(Problem::not_found(detail).field("id").with("value", id));
    };
    let mut shown = show(message);
    shown["stored"] = json!(true);
    let to = receivers_of(&api, message).await?;
    shown["receivers_total"] = json!(to.len());
    let after = asked.after.as_deref().unwrap_or_default();
    let mut to: Vec<Name> = to.into_iter().filter(|user| **user > *after).collect();
    let more = to.len() > limit;
    to.truncate(limit);
    shown["next"] = json!(to.last().filter(|_| more).map(|user| &**user));
    shown["receivers"] = Value::Array(whereabouts(&api, message, to).await?);
    // The same id may be in use between others.
    shown["others"] = json!(found.len() - 1);
    let kind = [(header::CACHE_CONTROL, "no-store")];
    Ok((kind, Json(shown)).into_response())
}

/// Who gets a message, by name.
async fn receivers_of(api: &Api, message: &MessageRef) -> Result<Vec<Name>, Problem> {
    let Ok(Address::Group(group)) = Address::parse(&message.to) else {
        return Ok(vec![message.to.clone()]);
    };
    let members = api.handle.group(group).await;
    let members = members.map_err(|error| Problem::of("id", error))?;
    let mut members = members.unwrap_or_default();
    members.retain(|member| *member != message.from);
    members.sort();
    Ok(members)
}

/// How far a message is with each of these.
async fn whereabouts(
    api: &Api,
    message: &MessageRef,
    users: Vec<Name>,
) -> Result<Vec<Value>, Problem> {
    let of = |error| Problem::of("id", error);
    let seen = api.handle.deliveries(message);
    let mut shown = Vec::new();
    for user in users {
        let sessions = api.handle.sessions(&user);
        let receipts = api.handle.receipts(&user, message).await.map_err(of)?;
        let devices: Vec<Value> = receipts
            .iter()
            .map(|receipt| {
                let session = sessions.iter().find(|s| s.device == receipt.device);
                json!({
                    "device": &*receipt.device,
                    "online_since_ms": session.map(|session| session.since_ms),
                    "acknowledged": receipt.acknowledged,
                    "deliveries": deliveries(seen.as_ref(), receipt.id),
                })
            })
            .collect();
        shown.push(json!({
            "user": &*user,
            "online": !sessions.is_empty(),
            "acknowledged": receipts.iter().any(|receipt| receipt.acknowledged),
            "devices": devices,
        }));
    }
    Ok(shown)
}

/// What is remembered of the sessions of a device; `null` is nothing, and `[]` that there was none.
fn deliveries(seen: Option<&Deliveries>, device: DeviceId) -> Value {
    let Some(seen) = seen else {
        return Value::Null;
    };
    let of_device = seen.sessions.iter().filter(|d| d.device == device);
    let shown: Vec<Value> = of_device
        .map(|delivery| {
            json!({
                "session_since_ms": delivery.session_since_ms,
                "sent_ms": delivery.sent_ms,
                "sends": delivery.sends,
                "acknowledged_ms": delivery.acknowledged_ms,
            })
        })
        .collect();
    match shown.is_empty() && seen.more {
        true => Value::Null,
        false => Value::Array(shown),
    }
}
