//! Reading a request: its body, its query, its path. What is wrong is named.

use axum::body::{Body, HttpBody as _};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use tidings_core::limits;

use super::problem::Problem;

/// A JSON body and its bytes.
#[derive(Debug)]
pub(super) struct Input<T> {
    pub(super) value: T,
    pub(super) bytes: Vec<u8>,
}

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Input<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Input<T>, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let kind = kind.map(|kind| kind.to_str().unwrap_or_default().to_ascii_lowercase());
        let plain = kind
            .as_deref()
            .map(|k| k.split(';').next().unwrap_or_default().trim());
        if plain != Some("application/json") {
            let detail = "the body must be JSON: send Content-Type: application/json";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Problem::new(status, detail).field("Content-Type"));
        }
        let bytes = read(request.into_body()).await?;
        let value = parse(&bytes)?;
        Ok(Input { value, bytes })
    }
}

/// The whole body, or the refusal of one that is too long.
async fn read(mut body: Body) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| Problem::bad(format!("the body was cut off: {error}")))?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        let length = bytes.len() + data.len();
        if length > limits::API_BODY_BYTES_MAX {
            let said = body
                .size_hint()
                .exact()
                .and_then(|rest| usize::try_from(rest).ok());
            let length = length + said.unwrap_or(0);
            let detail = format!("a body has at most {} bytes", limits::API_BODY_BYTES_MAX);
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
                .field("body")
                .limit(limits::API_BODY_BYTES_MAX, length));
        }
        bytes.extend_from_slice(data);
    }
    Ok(bytes)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(wrong)?;
    json.end().map_err(|error| {
        Problem::bad(format!("something follows the body's JSON: {error}")).field("body")
    })?;
    Ok(value)
}

/// Reads a body that has been completed.
pub(super) fn from_value<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(wrong)
}

fn wrong(error: serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let path = error.path().to_string();
    let inner = error.into_inner();
    let text = inner.to_string();
    if inner.is_syntax() || inner.is_eof() {
        return Problem::bad(format!("the body is not JSON: {text}")).field("body");
    }
    Problem::unprocessable(text.as_str()).field(field(&path, &text))
}

/// A JSON body that may be missing.
#[derive(Debug)]
pub(super) struct Maybe<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned + Default> FromRequest<S> for Maybe<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Maybe<T>, Problem> {
        if request.headers().contains_key(header::CONTENT_TYPE) || !request.body().is_end_stream() {
            let input = Input::from_request(request, state).await?;
            return Ok(Maybe(input.value));
        }
        Ok(Maybe(T::default()))
    }
}

/// Serde names a field that is missing or unknown in its text, any other by the path to it.
fn field(path: &str, text: &str) -> String {
    let named = text
        .strip_prefix("unknown field `")
        .or_else(|| text.strip_prefix("missing field `"));
    let name = named.and_then(|rest| rest.split('`').next());
    match (name, path) {
        // The path of an unknown field ends with it.
        (Some(name), path) if path == name || path.ends_with(&format!(".{name}")) => path.into(),
        (Some(name), "." | "?" | "") => name.into(),
        (Some(name), path) => format!("{path}.{name}"),
        (None, "." | "?" | "") => "body".into(),
        (None, path) => path.into(),
    }
}

/// The query, with nothing in it that the call does not know.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<S: Sync + Send, T: DeserializeOwned + Send> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Asked<T>, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        match query {
            Ok(Query(query)) => Ok(Asked(query)),
            Err(QueryRejection::FailedToDeserializeQueryString(error)) => {
                use std::error::Error as _;
                let text = error
                    .source()
                    .map_or_else(|| error.body_text(), |e| e.to_string());
                let (name, told) = text.split_once(": ").unwrap_or(("", &text));
                let path = if name.contains(' ') { "" } else { name };
                let told = if path.is_empty() { text.as_str() } else { told };
                let field = field(path, told);
                let field = if field == "body" {
                    "query".into()
                } else {
                    field
                };
                Err(Problem::bad(told).field(field))
            }
            Err(other) => Err(Problem::bad(other.body_text()).field("query")),
        }
    }
}

/// What stands in the path.
#[derive(Debug)]
pub(super) struct Named<T>(pub(super) T);

impl<S: Sync + Send, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Named<T>, Problem> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(path)| Named(path))
            .map_err(|rejection: PathRejection| Problem::bad(rejection.body_text()).field("path"))
    }
}

/// A `limit`: the page's size if it is missing.
pub(super) fn page(limit: Option<usize>, max: usize) -> Result<usize, Problem> {
    match limit {
        None => Ok(max.min(50)),
        Some(limit) if (1..=max).contains(&limit) => Ok(limit),
        Some(limit) => Err(Problem::unprocessable(format!("limit is 1 to {max}"))
            .field("limit")
            .limit(max, limit)),
    }
}
