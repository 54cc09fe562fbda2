//! `Idempotency-Key`: the same call again gets the same answer, another call with the key is
//! refused.
//!
//! What is remembered here is bounded and lost at a restart. Beneath it the ids of the messages are
//! made from the key, so that the store recognises them in either case.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use parking_lot::Mutex;
use serde_json::Value;
use sha1::{Digest as _, Sha1};
use tidings_core::ids::Name;
use tidings_core::limits;
use xxhash_rust::xxh3::xxh3_128;

use super::access::Caller;
use super::problem::Problem;

type Answer = (StatusCode, Value);

#[derive(Debug)]
struct Known {
    body: u128,
    answer: Arc<tokio::sync::Mutex<Option<Answer>>>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Table {
    known: HashMap<[u8; 20], Known>,
    order: VecDeque<[u8; 20]>,
    bytes: usize,
}

/// The answers remembered.
#[derive(Debug, Default)]
pub(super) struct Answers {
    table: Mutex<Table>,
}

/// A key that came with a call.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// Of the caller and his key: two callers may use the same one.
    digest: [u8; 20],
}

/// The place of one call's answer. Held while the call is carried out, so that the same call at
/// the same time waits for its outcome.
type Slot = tokio::sync::OwnedMutexGuard<Option<Answer>>;

impl Key {
    pub(super) fn read(headers: &HeaderMap, caller: Caller) -> Result<Option<Key>, Problem> {
        let mut all = headers.get_all("idempotency-key").iter();
        let Some(value) = all.next() else {
            return Ok(None);
        };
        let wrong = |why: &str| Err(Problem::bad(why).field("Idempotency-Key"));
        if all.next().is_some() {
            return wrong("there is more than one Idempotency-Key");
        }
        let key = value.as_bytes();
        if key.is_empty() {
            return wrong("the Idempotency-Key is empty");
        }
        if !key.iter().all(u8::is_ascii_graphic) {
            return wrong("an Idempotency-Key is visible ASCII without spaces");
        }
        if key.len() > limits::IDEMPOTENCY_KEY_BYTES_MAX {
            let max = limits::IDEMPOTENCY_KEY_BYTES_MAX;
            let problem = Problem::bad(format!("an Idempotency-Key has at most {max} bytes"));
            return Err(problem.field("Idempotency-Key").limit(max, key.len()));
        }
        let mut hash = Sha1::new();
        hash.update(caller.key.to_le_bytes());
        hash.update(key);
        let digest = hash.finalize().into();
        Ok(Some(Key { digest }))
    }

    /// The id of the message to one receiver.
    pub(super) fn message_id(&self, to: &str) -> Name {
        let mut hash = Sha1::new();
        hash.update(self.digest);
        hash.update(to.as_bytes());
        let mut id = String::from("api-");
        for byte in hash.finalize() {
            id.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
            id.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        }
        id.into()
    }
}

/// A call that is carried out now, and once for its key, if it has one.
#[derive(Debug)]
pub(super) struct Once(Option<(Key, Slot)>);

impl Once {
    pub(super) fn key(&self) -> Option<&Key> {
        self.0.as_ref().map(|(key, _)| key)
    }
}

/// What becomes of a call.
pub(super) enum Begun {
    /// It was carried out before: this was the answer.
    Replayed(Response),
    /// It is to be carried out; [`Answers::finish`] takes its outcome.
    New(Once),
}

impl Answers {
    /// Begins a call with this body.
    pub(super) async fn begin(
        &self,
        headers: &HeaderMap,
        caller: Caller,
        body: &[u8],
    ) -> Result<Begun, Problem> {
        let Some(key) = Key::read(headers, caller)? else {
            return Ok(Begun::New(Once(None)));
        };
        let slot = self.enter(&key, body).await?;
        let Some((status, answer)) = &*slot else {
            return Ok(Begun::New(Once(Some((key, slot)))));
        };
        let mut response = (*status, Json(answer)).into_response();
        let replayed = HeaderValue::from_static("true");
        response
            .headers_mut()
            .insert("idempotency-replayed", replayed);
        Ok(Begun::Replayed(response))
    }

    /// Ends a call: its answer is remembered, unless a part of it may still succeed.
    pub(super) fn finish(
        &self,
        once: Once,
        outcome: Result<Answer, Problem>,
    ) -> Result<Response, Problem> {
        if let Some((key, slot)) = once.0 {
            let remembered = match &outcome {
                Ok((_, answer)) if is_unfinished(answer) => {
                    (StatusCode::SERVICE_UNAVAILABLE, Value::Null)
                }
                Ok(answer) => answer.clone(),
                Err(problem) => (problem.status(), Value::Null),
            };
            self.remember(&key, slot, &remembered);
        }
        outcome.map(|(status, answer)| (status, Json(answer)).into_response())
    }

    /// Waits for the same call, if it is under way. The slot holds the answer if there is one.
    async fn enter(&self, key: &Key, body: &[u8]) -> Result<Slot, Problem> {
        let body = xxh3_128(body);
        let slot = self.table.lock().enter(key, body)?;
        Ok(slot.lock_owned().await)
    }

    /// Remembers the answer. Refusals that may pass are not remembered: the call may be repeated.
    fn remember(&self, key: &Key, mut slot: Slot, answer: &Answer) {
        if answer.0.is_success() {
            self.table.lock().weigh(key, &answer.1);
            *slot = Some(answer.clone());
        } else if answer.0 != StatusCode::CONFLICT {
            drop(slot);
            self.table.lock().forget(key);
        }
    }
}

/// Some of the messages were refused for a reason that passes.
fn is_unfinished(answer: &Value) -> bool {
    let messages = answer["messages"].as_array();
    let mut refused = messages.into_iter().flatten().map(|one| &one["problem"]);
    refused.any(|problem| problem["status"].as_u64() >= Some(500))
}

impl Table {
    fn enter(
        &mut self,
        key: &Key,
        body: u128,
    ) -> Result<Arc<tokio::sync::Mutex<Option<Answer>>>, Problem> {
        if let Some(known) = self.known.get(&key.digest) {
            if known.body != body {
                let detail = "this Idempotency-Key was used with another body";
                return Err(Problem::conflict(detail).field("Idempotency-Key"));
            }
            return Ok(known.answer.clone());
        }
        while self.known.len() >= limits::IDEMPOTENCY_ANSWERS_MAX {
            self.drop_oldest();
        }
        let answer = Arc::default();
        let known = Known {
            body,
            answer: Arc::clone(&answer),
            bytes: 0,
        };
        self.known.insert(key.digest, known);
        self.order.push_back(key.digest);
        Ok(answer)
    }

    fn weigh(&mut self, key: &Key, answer: &Value) {
        let bytes = answer.to_string().len();
        if let Some(known) = self.known.get_mut(&key.digest) {
            self.bytes = self.bytes - known.bytes + bytes;
            known.bytes = bytes;
        }
        while self.bytes > limits::IDEMPOTENCY_BYTES_MAX && self.known.len() > 1 {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(known) = self.order.pop_front().and_then(|at| self.known.remove(&at)) {
            self.bytes -= known.bytes;
        }
    }

    fn forget(&mut self, key: &Key) {
        if let Some(known) = self.known.remove(&key.digest) {
            self.bytes -= known.bytes;
            // Refusals are rare: a walk through the queue is dearer than nothing only then.
            self.order.retain(|at| *at != key.digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(n: usize) -> Key {
        let mut headers = HeaderMap::new();
        headers.insert("idempotency-key", n.to_string().parse().unwrap());
        Key::read(
            &headers,
            Caller {
                rate: 1,
                key: 1,
                name: "key 1".into(),
            },
        )
        .unwrap()
        .unwrap()
    }

    #[tokio::test]
    async fn the_table_is_bounded_and_forgets_the_oldest() {
        let answers = Answers::default();
        let answer = (StatusCode::CREATED, json!({"id": "x"}));
        for n in 0..=limits::IDEMPOTENCY_ANSWERS_MAX {
            let slot = answers.enter(&key(n), b"body").await.unwrap();
            answers.remember(&key(n), slot, &answer);
        }
        assert_eq!(
            answers.table.lock().known.len(),
            limits::IDEMPOTENCY_ANSWERS_MAX
        );
        assert!(answers.enter(&key(1), b"other").await.is_err());
        assert!(
            answers.enter(&key(0), b"other").await.is_ok(),
            "the oldest is forgotten"
        );
    }

    #[tokio::test]
    async fn a_refusal_may_be_repeated_with_another_body() {
        let answers = Answers::default();
        let slot = answers.enter(&key(1), b"body").await.unwrap();
        answers.remember(&key(1), slot, &(StatusCode::NOT_FOUND, json!({})));
        assert!(answers.enter(&key(1), b"other").await.unwrap().is_none());
        assert!(answers.table.lock().order.len() == 1);
    }
}
