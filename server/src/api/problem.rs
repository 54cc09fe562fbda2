//! Refusals as RFC 9457 wants them: what is wrong, in which field, what the limit is and what came.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use tidings_core::custody::Refusal;
use tidings_core::ids::NameError;
use tidings_core::limits;

use crate::desk::directory::DirectoryError;
use crate::desk::{DeskError, DeskStartError, RemoveError};
use crate::handle::{HandleError, SendError};
use crate::store::StoreError;

/// Why a call was refused.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    more: Map<String, Value>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        Problem {
            status,
            detail: detail.into(),
            more: Map::new(),
        }
    }

    pub(super) fn bad(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn unprocessable(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, detail)
    }

    pub(super) fn conflict(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::CONFLICT, detail)
    }

    pub(super) fn stopped() -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server stops")
    }

    /// Which part of the request is meant.
    pub(super) fn field(self, field: impl Into<String>) -> Problem {
        self.with("field", field.into())
    }

    /// What is allowed at most, and what came.
    pub(super) fn limit(self, limit: impl Into<Value>, value: impl Into<Value>) -> Problem {
        self.with("limit", limit).with("value", value)
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Problem {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// As JSON.
    pub(super) fn json(&self) -> Value {
        let mut body = self.more.clone();
        let title = self.status.canonical_reason().unwrap_or("Error");
        let kind = body.get("code").and_then(Value::as_str);
        let kind = kind.map_or("about:blank".into(), |code| {
            format!("urn:tidings:desk:{code}")
        });
        body.insert("type".into(), json!(kind));
        body.insert("title".into(), json!(title));
        body.insert("status".into(), json!(self.status.as_u16()));
        body.insert("detail".into(), json!(self.detail));
        Value::Object(body)
    }

    /// A name that breaks a rule.
    pub(super) fn name(field: &str, name: &str, problem: NameError) -> Problem {
        let told = Problem::unprocessable(format!("{field} {problem}")).field(field);
        match problem {
            NameError::TooLong { bytes, bytes_max } => told.limit(bytes_max, bytes),
            _ => told.with("value", name),
        }
    }

    /// What the store or the server says to a call on something with this name.
    pub(super) fn of(field: &str, error: HandleError) -> Problem {
        match error {
            HandleError::Name { name, problem, .. } => Problem::name(field, &name, problem),
            HandleError::TooManyMembers { count, max } => {
                let detail = format!("a group has at most {max} members");
                Problem::unprocessable(detail)
                    .field("members")
                    .limit(max, count)
            }
            HandleError::KickCode(code) => {
                let detail = HandleError::KickCode(code).to_string();
                Problem::unprocessable(detail)
                    .field("code")
                    .with("value", code)
            }
            HandleError::RetentionDays(days) => {
                let detail = HandleError::RetentionDays(days).to_string();
                Problem::unprocessable(detail)
                    .field("days")
                    .with("value", days)
            }
            HandleError::Stopped => Problem::stopped(),
            HandleError::Store(error) => error.into(),
        }
    }
}

/// What the desk's machine refuses is a conflict with how things are, and has a code that stays.
impl From<tidings_core::desk::Refusal> for Problem {
    fn from(refusal: tidings_core::desk::Refusal) -> Problem {
        use tidings_core::desk::Refusal as R;
        let code = match refusal {
            R::NoAgent => "no_agent",
            R::NoTeam => "no_team",
            R::NoEpisode => "not_open",
            R::NotBound => "no_session",
            R::NotYours => "not_yours",
            R::NotSupervisor => "not_supervisor",
            R::QueueEmpty => "queue_empty",
            R::OfferOver => "offer_over",
            R::TargetBusy => "target_busy",
            R::TargetAbsent => "target_absent",
            R::TransferPending => "transfer_pending",
            R::BadSettings => "bad_settings",
            R::BadRating => "bad_rating",
            R::TooLate => "too_late",
            R::NotYourMessage => "not_your_message",
            R::Already => "already",
        };
        Problem::conflict(refusal.to_string()).with("code", code)
    }
}

impl From<DeskError> for Problem {
    fn from(error: DeskError) -> Problem {
        let detail = error.to_string();
        match error {
            DeskError::Refused(refusal) => refusal.into(),
            DeskError::TooLong {
                what: "the message",
                bytes,
                max,
            } => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
                .field("text")
                .limit(max, bytes),
            DeskError::TooLong { bytes, max, .. } => Problem::unprocessable(detail)
                .field("note")
                .limit(max, bytes),
            DeskError::Id { id, .. } => Problem::conflict(detail).field("id").with("value", id),
            DeskError::SignedOut => Problem::new(StatusCode::UNAUTHORIZED, detail),
            DeskError::NoDesk => Problem::not_found(detail).field("tenant"),
            DeskError::Stopped => Problem::stopped(),
            DeskError::Busy => Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail),
            DeskError::Store(reason) => {
                tracing::error!(reason, "a call of the desk's API failed");
                let detail = "the store does not answer; see the server's log";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            }
        }
    }
}

impl From<DirectoryError> for Problem {
    fn from(error: DirectoryError) -> Problem {
        let detail = error.to_string();
        match error {
            DirectoryError::Name { kind, name } => {
                let long = name.len() > limits::DESK_NAME_BYTES_MAX;
                let told = Problem::unprocessable(detail).field(kind);
                match long {
                    true => told.limit(limits::DESK_NAME_BYTES_MAX, name.len()),
                    false => told.with("value", name),
                }
            }
            DirectoryError::Unknown { kind, name } => {
                Problem::not_found(detail).field(kind).with("value", name)
            }
            DirectoryError::Taken(name) => {
                Problem::conflict(detail).field("team").with("value", name)
            }
            DirectoryError::TooMany { kind, max } => Problem::unprocessable(detail)
                .field(kind)
                .limit(max, max + 1),
            DirectoryError::Storage(_) | DirectoryError::Disk(_) | DirectoryError::Json(_) => {
                tracing::error!(%error, "the directory of the desk failed");
                let detail = "what is set up cannot be read or written; see the server's log";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            }
        }
    }
}

impl From<DeskStartError> for Problem {
    fn from(error: DeskStartError) -> Problem {
        match error {
            DeskStartError::Directory(error) => error.into(),
            DeskStartError::Store(error) => error.into(),
            DeskStartError::Accounts(error) => {
                tracing::error!(%error, "accounts could not be changed");
                let detail = "accounts cannot be written; see the server's log";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            }
        }
    }
}

impl From<RemoveError> for Problem {
    fn from(error: RemoveError) -> Problem {
        match error {
            RemoveError::Needed(why) => Problem::conflict(why).with("code", "needed"),
            RemoveError::Change(error) => error.into(),
            RemoveError::Desk(error) => error.into(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        // Paths and what the database says are for the operator's log, not for the caller.
        tracing::error!(%error, "a call of the API failed");
        let full = matches!(error, StoreError::DiskFull { .. });
        let status = if full {
            StatusCode::INSUFFICIENT_STORAGE
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        Problem::new(status, "the store does not answer; see the server's log")
    }
}

impl From<SendError> for Problem {
    fn from(error: SendError) -> Problem {
        let detail = error.to_string();
        match error {
            SendError::Name {
                what,
                name,
                problem,
            } => {
                let field = match what {
                    "receiver" => "to",
                    "sender" => "from",
                    _ => "id",
                };
                Problem::name(field, &name, problem)
            }
            SendError::NoSuchAddress(to) => Problem::unprocessable(detail)
                .field("to")
                .with("value", &*to),
            SendError::TooLarge { bytes, max } => {
                let detail = format!("{detail} (`delivery.frame_bytes_max`)");
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
                    .field("text")
                    .limit(max, bytes)
            }
            SendError::Conflict => Problem::conflict(detail),
            SendError::Refused(Refusal::NoGroup) => Problem::not_found(detail).field("to"),
            SendError::Refused(Refusal::NotMember) => {
                Problem::new(StatusCode::FORBIDDEN, detail).field("from")
            }
            SendError::Refused(Refusal::Damaged) => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).field("to")
            }
            SendError::Refused(Refusal::Full { limit, max }) => {
                Problem::new(StatusCode::INSUFFICIENT_STORAGE, detail)
                    .field(limit)
                    .with("limit", max)
            }
            SendError::NotStored(reason) => {
                let detail = format!("not stored: {reason}, with the same Idempotency-Key");
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            }
            SendError::Store(error) => error.into(),
            SendError::Stopped => Problem::stopped(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let kind = HeaderValue::from_static("application/problem+json");
        let body = self.json().to_string();
        let mut response = (self.status, [(header::CONTENT_TYPE, kind)], body).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let how = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, how);
        }
        response
    }
}
