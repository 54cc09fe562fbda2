//! The way of a request: authorization → polling → websocket. Each step answers, or hands the
//! packet on to the next; nothing reaches a transport before it is known who asks.

use std::sync::Arc;

use axum::http::StatusCode;

use super::answer::{Answer, Form};
use super::polling::Polled;
use super::request::Asked;
use super::{Ocim, authorization, polling, websocket};

/// What a step makes of a request.
pub(super) enum Step<T, A = Answer> {
    /// It is answered.
    Answer(A),
    /// It is for the next step.
    Next(T),
}

/// Runs a request through the chain. With packets in the answer, also who must learn whether they
/// were written.
pub(super) async fn run(ocim: &Arc<Ocim>, asked: Asked, form: &Form) -> (Answer, Option<Polled>) {
    let kind = asked.packet.kind.name();
    let traced = |handler, result| {
        tracing::trace!(handler, packet = kind, result, "chain");
    };
    if !form.allowed {
        traced("authorization", "foreign origin");
        let reason = "pages of this origin may not use this server: see ocim.origin";
        return (Answer::refuse(StatusCode::FORBIDDEN, reason), None);
    }
    let asked = match Box::pin(authorization::step(ocim, asked)).await {
        Step::Answer(answer) => {
            traced("authorization", "answered");
            return (answer, None);
        }
        Step::Next(asked) => asked,
    };
    traced("authorization", "next");
    let asked = match Box::pin(polling::step(ocim, asked)).await {
        Step::Answer((answer, polled)) => {
            traced("polling", "answered");
            return (answer, polled);
        }
        Step::Next(asked) => asked,
    };
    traced("polling", "next");
    let answer = websocket::step(ocim, asked);
    traced("websocket", "answered");
    (answer, None)
}
