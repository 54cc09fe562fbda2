//! The last step: a login that wants a WebSocket gets one. Nothing is kept for it before the
//! client has left HTTP.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tidings_core::limits;
use tidings_core::secret::Secret;
use tidings_core::wire::ocim::{Packet, PacketType};
use tidings_core::wire::websocket::handshake::accept_key;

use super::answer::Answer;
use super::authorization::{Known, Login, Who};
use super::line::{Done, Line};
use super::session::{Entry, Session};
use super::table::Seat;
use super::upgraded::{self, Flow, Talker, pong, refusal};
use super::{Ocim, agents};
use crate::auth::Role;

pub(super) const NO_AGENT: &str = "this account is no agent of any desk: an administrator makes him one with \
     PUT /api/v1/desk/tenants/TENANT/agents/ACCOUNT";

/// Runs the step.
pub(super) fn step(ocim: &Arc<Ocim>, known: Known) -> Answer {
    let Who::Login(login) = known.who else {
        let reason = "a packet by HTTP needs `ts` POLLING; one for the WebSocket is sent over it";
        return Answer::refuse(StatusCode::BAD_REQUEST, reason);
    };
    let asked = known.asked;
    let key = match handshake(&asked.method, asked.version, &asked.headers) {
        Ok(key) => key,
        Err(refused) => return refused,
    };
    let Some(upgrade) = asked.upgrade else {
        return upgrade_required("the connection cannot be upgraded");
    };
    let agent = match login.admitted.role {
        Role::User => None,
        Role::Agent | Role::Admin => match agents::Agent::new(ocim.clone(), &login) {
            Some(agent) => Some(agent),
            None => return Answer::refuse(StatusCode::FORBIDDEN, NO_AGENT),
        },
    };
    let seat = match ocim.seat(asked.address) {
        Ok(seat) => seat,
        Err(refused) => return refused,
    };
    let token = ocim.access.pass(&login.admitted);
    let answer = Answer::empty(StatusCode::SWITCHING_PROTOCOLS)
        .cookie(ocim.cookie(&login, &token, &asked.headers))
        .header(header::UPGRADE, HeaderValue::from_static("websocket"))
        .header(header::CONNECTION, HeaderValue::from_static("upgrade"));
    let accept = HeaderValue::try_from(accept_key(&key));
    let answer = match accept {
        Ok(accept) => answer.header(header::SEC_WEBSOCKET_ACCEPT, accept),
        Err(_) => return upgrade_required("the key is not base64"),
    };
    let ocim = ocim.clone();
    tokio::spawn(async move {
        let within = Duration::from_millis(limits::LOGIN_MS_MAX);
        let Ok(Ok(upgraded)) = tokio::time::timeout(within, upgrade).await else {
            return; // the client went before it was open
        };
        match agent {
            Some(agent) => talk_to_agent(&ocim, &agent, seat, upgraded).await,
            None => talk_to_customer(ocim, login, token, seat, upgraded).await,
        }
    });
    answer
}

fn upgrade_required(reason: &str) -> Answer {
    Answer::refuse(StatusCode::UPGRADE_REQUIRED, reason)
        .header(header::UPGRADE, HeaderValue::from_static("websocket"))
        .header(header::CONNECTION, HeaderValue::from_static("upgrade"))
        .header(
            header::SEC_WEBSOCKET_VERSION,
            HeaderValue::from_static("13"),
        )
}

/// The client's key, if it asks for a WebSocket as RFC 6455 §4.1 says.
fn handshake(method: &Method, version: Version, headers: &HeaderMap) -> Result<String, Answer> {
    let lists = |name, token: &str| {
        let values = headers.get_all(name).into_iter();
        let texts = values.filter_map(|v: &HeaderValue| v.to_str().ok());
        let mut items = texts.flat_map(|text| text.split(','));
        items.any(|item| item.trim().eq_ignore_ascii_case(token))
    };
    if *method != Method::GET
        || version != Version::HTTP_11
        || !lists(header::CONNECTION, "upgrade")
        || !lists(header::UPGRADE, "websocket")
        || !lists(header::SEC_WEBSOCKET_VERSION, "13")
    {
        let reason = "AUTH with `ts` WEBSOCKET opens a WebSocket, version 13";
        return Err(upgrade_required(reason));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    let key = key.and_then(|key| key.to_str().ok()).unwrap_or_default();
    match STANDARD.decode(key) {
        Ok(bytes) if bytes.len() == 16 => Ok(key.to_owned()),
        _ => {
            let reason = "sec-websocket-key is not 16 bytes in base64";
            Err(Answer::refuse(StatusCode::BAD_REQUEST, reason))
        }
    }
}

/// From the upgrade to the end of the connection.
async fn talk_to_agent(ocim: &Ocim, agent: &agents::Agent, seat: Seat, upgraded: Upgraded) {
    let idle = Duration::from_millis(ocim.settings.idle_ms);
    upgraded::serve(TokioIo::new(upgraded), agent, idle).await;
    drop(seat);
}

/// From the upgrade to the end of the connection.
async fn talk_to_customer(
    ocim: Arc<Ocim>,
    login: Login,
    token: Secret,
    seat: Seat,
    upgraded: Upgraded,
) {
    let io = TokioIo::new(upgraded);
    let idle = Duration::from_millis(ocim.settings.idle_ms);
    match ocim.enter(&login, token, seat, Entry::WebSocket).await {
        Ok(session) => {
            let customer = Customer { ocim, session };
            upgraded::serve(io, &customer, idle).await;
            customer.session.detach();
        }
        Err(error) => {
            tracing::debug!(user = %login.admitted.user, %error, "a customer could not come in");
        }
    }
}

/// A customer's end of his WebSocket.
struct Customer {
    ocim: Arc<Ocim>,
    session: Arc<Session>,
}

impl Talker for Customer {
    fn line(&self) -> &Line {
        &self.session.line
    }

    fn done(&self, done: &Done) {
        self.session.done(done);
    }

    async fn on(&self, packet: Packet) -> Flow {
        let outcome = match packet.kind {
            PacketType::Ping => {
                self.line().push(pong(self.ocim.wall_ms()), Done::Nothing);
                Ok(())
            }
            PacketType::Message => {
                let said = self.session.say(&self.ocim, &packet).await;
                said.map_err(|error| error.to_string())
            }
            PacketType::Close => {
                self.session.leave().await;
                Ok(())
            }
            PacketType::CloseChat | PacketType::Evaluate => {
                self.ocim.act(&self.session.user, &packet).await
            }
            _ => Err(format!("a customer does not send {}", packet.kind.name())),
        };
        if let Err(reason) = outcome {
            let told = refusal(&packet, PacketType::Chatting, &reason);
            self.line()
                .push(told.at(self.ocim.wall_ms()), Done::Nothing);
        }
        Flow::On
    }
}
