//! The first step: who asks, by the session's token, or by credentials at an AUTH.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tidings_core::ids::{self, Name};
use tidings_core::limits;
use tidings_core::secret::Secret;
use tidings_core::wire::code;
use tidings_core::wire::ocim::{BodyType, Identity, PacketType, Transport, WaiterLogin};

use super::Ocim;
use super::answer::Answer;
use super::chain::Step;
use super::request::{Asked, STATUS_MARK, Side};
use super::session::Entry;
use crate::auth::{Credentials, Passed, Role};

/// A request of whom is known who sent it.
pub(super) struct Known {
    pub(super) asked: Asked,
    pub(super) who: Who,
}

/// Who.
pub(super) enum Who {
    /// Nobody needs to know: a PING.
    Anybody,
    /// The holder of this session token.
    Session(Passed),
    /// Somebody who has just logged in and wants a WebSocket.
    Login(Login),
}

/// A login that was right.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) user: Name,
    pub(super) role: Role,
    /// What he is called, as he says himself.
    pub(super) name: String,
    /// The status that an agent begins with, as he says it.
    pub(super) status: Option<String>,
}

const URL_REFUSED: &str = "passwords and tokens are not taken from URLs here: send AUTH by POST, \
    and open the WebSocket with the cookie of its answer (or see ocim.compat.credentials_in_url)";

fn refuse<T>(status: StatusCode, reason: &str) -> Result<T, Answer> {
    Err(Answer::refuse(status, reason))
}

fn unauthorized<T>(reason: &str) -> Result<T, Answer> {
    refuse(StatusCode::UNAUTHORIZED, reason)
}

/// Runs the step.
pub(super) async fn step(ocim: &Arc<Ocim>, asked: Asked) -> Step<Known> {
    let outcome = match asked.packet.kind {
        PacketType::Auth => log_in(ocim, asked).await,
        PacketType::Ping => Ok(Step::Next(Known {
            asked,
            who: Who::Anybody,
        })),
        _ => session_of(ocim, asked).map(Step::Next),
    };
    outcome.unwrap_or_else(Step::Answer)
}

/// Everything but a login needs the session's token, which alone says who asks: old pages put ids of
/// their own into `from.uid`.
fn session_of(ocim: &Ocim, asked: Asked) -> Result<Known, Answer> {
    if asked.has_credentials_in_url() && !ocim.settings.compat.credentials_in_url {
        return unauthorized(URL_REFUSED);
    }
    let Some(token) = asked.token() else {
        return unauthorized("there is no session token: send AUTH first");
    };
    let Ok(passed) = ocim.access.passed(token.expose()) else {
        return Err(no_session(&asked));
    };
    Ok(Known {
        asked,
        who: Who::Session(passed),
    })
}

/// The token is wrong or has expired. A cookie that is of no use is taken back: a page cannot do
/// that itself.
fn no_session(asked: &Asked) -> Answer {
    let reason = "the session token is wrong or has expired: send AUTH without it";
    let refused = Answer::refuse(StatusCode::UNAUTHORIZED, reason);
    match asked.tokens.cookie {
        Some(_) => {
            let name = asked.side.cookie();
            refused.cookie(format!(
                "{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
            ))
        }
        None => refused,
    }
}

/// AUTH: by its transport, its body and the identity that it claims.
async fn log_in(ocim: &Arc<Ocim>, asked: Asked) -> Result<Step<Known>, Answer> {
    if asked.packet.body_kind() != Some(BodyType::Login) {
        return unauthorized("AUTH needs a body of type LOGIN");
    }
    if asked.has_credentials_in_url() && !ocim.settings.compat.credentials_in_url {
        return unauthorized(URL_REFUSED);
    }
    let waiter = asked.packet.from_idy() == Some(Identity::Waiter);
    let login = match asked.packet.ts {
        Some(Transport::Polling | Transport::WebSocket) if !waiter => {
            customer(ocim, &asked).await?
        }
        Some(Transport::WebSocket) => agent(ocim, &asked).await?,
        Some(Transport::Polling) => return unauthorized("an agent cannot poll: open a WebSocket"),
        _ => return unauthorized("AUTH by HTTP needs `ts` POLLING or WEBSOCKET"),
    };
    asked.connection.admit();
    match asked.packet.ts {
        Some(Transport::Polling) => enter_by_polling(ocim, &asked, &login).await,
        // By POST it is the login alone, for those who then open the WebSocket with its cookie.
        _ if asked.method == Method::POST => Ok(Step::Answer(ocim.logged_in(&login).1)),
        _ => Ok(Step::Next(Known {
            asked,
            who: Who::Login(login),
        })),
    }
}

async fn enter_by_polling(
    ocim: &Arc<Ocim>,
    asked: &Asked,
    login: &Login,
) -> Result<Step<Known>, Answer> {
    let seat = ocim.seat(asked.address)?;
    let (token, answer) = ocim.logged_in(login);
    let entered = ocim.enter(login, token, seat, Entry::Polling).await;
    match entered {
        Ok(_) => Ok(Step::Answer(answer)),
        Err(error) => refuse(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

/// A customer: by his session token, by credentials, or as a new visitor.
async fn customer(ocim: &Ocim, asked: &Asked) -> Result<Login, Answer> {
    let packet = &asked.packet;
    let name = packet.from.as_ref().and_then(|from| from.name.clone());
    let login = |user: Name| Login {
        user,
        role: Role::User,
        name: name.unwrap_or_default(),
        status: None,
    };
    let credentials = packet.content();
    let passed = asked
        .token()
        .map(|token| ocim.access.passed(token.expose()));
    match (packet.from_uid(), &passed) {
        (uid, Some(Ok(passed)))
            if passed.role == Role::User && uid.is_none_or(|uid| *uid == *passed.user) =>
        {
            Ok(login(passed.user.clone()))
        }
        (Some(uid), _) => verified(ocim, asked, uid, credentials).await.map(login),
        (None, _) if !credentials.is_empty() => match subject(credentials) {
            Some(uid) => verified(ocim, asked, &uid, credentials).await.map(login),
            None => unauthorized("the token in `body.content` names nobody (`sub`)"),
        },
        (None, Some(_)) => Err(no_session(asked)),
        (None, None) if !ocim.team().is_some_and(|team| team.anonymous) => {
            unauthorized("anonymous visitors are not let in: send a token in `body.content`")
        }
        (None, None) if !ocim.admits_visitor(asked.address) => refuse(
            StatusCode::TOO_MANY_REQUESTS,
            "too many new visitors from your address: try again in some seconds",
        ),
        (None, None) => Ok(login(ocim.access.visitor().user)),
    }
}

/// A customer who says who he is, by whatever the server's door asks for.
async fn verified(ocim: &Ocim, asked: &Asked, uid: &str, token: &str) -> Result<Name, Answer> {
    if ids::check_user(uid).is_err() {
        let reason = "`from.uid` is no user id; leave it out to come as an anonymous visitor";
        return unauthorized(reason);
    }
    let credentials = Credentials {
        user: Name::from(uid),
        token: Secret::from(token),
        extra: None,
        address: Some(asked.address),
    };
    let user = credentials.user.clone();
    match ocim.access.verify(credentials).await {
        code::OK => Ok(user),
        code::REFUSED_BUSY => refuse(StatusCode::SERVICE_UNAVAILABLE, "try again in some seconds"),
        _ => unauthorized("the credentials for `from.uid` in `body.content` are wrong or missing"),
    }
}

/// Of whom a JSON Web Token speaks: read to know whom to verify it for, and believed only then.
fn subject(token: &str) -> Option<String> {
    if token.len() > limits::TOKEN_BYTES_MAX {
        return None;
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    Some(claims.get("sub")?.as_str()?.to_owned())
}

/// An agent: by his password, or by the token of a login before.
async fn agent(ocim: &Ocim, asked: &Asked) -> Result<Login, Answer> {
    let content = asked.packet.content();
    if content.is_empty() {
        let passed = asked
            .token()
            .map(|token| ocim.access.passed(token.expose()));
        return match passed {
            Some(Ok(passed)) if passed.role != Role::User => Ok(Login {
                user: passed.user,
                role: passed.role,
                name: String::new(),
                status: asked.tokens.status.clone(),
            }),
            _ => unauthorized("an agent needs his password, or the token of his login"),
        };
    }
    let WaiterLogin {
        user,
        password,
        status,
    } = match WaiterLogin::parse(content) {
        Ok(login) => login,
        Err(error) => return unauthorized(&error.to_string()),
    };
    let credentials = Credentials {
        user: Name::from(&*user),
        token: password,
        extra: None,
        address: Some(asked.address),
    };
    match ocim.access.role(&credentials).await {
        Ok(role @ (Role::Agent | Role::Admin)) => Ok(Login {
            user: credentials.user,
            role,
            name: String::new(),
            status: Some(status),
        }),
        Err(code::REFUSED_BUSY) => {
            refuse(StatusCode::SERVICE_UNAVAILABLE, "try again in some seconds")
        }
        _ => unauthorized("user or password is wrong"),
    }
}

impl Ocim {
    /// A new token for a login, and the answer that tells it.
    pub(super) fn logged_in(&self, login: &Login) -> (Secret, Answer) {
        let token = self.access.pass(&login.user, login.role);
        let answer = Answer::logged_in(token.expose(), self.cookie(login, &token));
        (token, answer)
    }

    /// Scripts cannot read it, other pages' requests do not carry it. An agent's remembers the status
    /// with which he logged in, for the WebSocket that is opened with it.
    pub(super) fn cookie(&self, login: &Login, token: &Secret) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        let side = match login.role {
            Role::User => Side::Customer,
            Role::Agent | Role::Admin => Side::Agent,
        };
        let (name, token) = (side.cookie(), token.expose());
        let status = login.status.iter();
        let status: String = status.map(|s| format!("{STATUS_MARK}{s}")).collect();
        format!("{name}={token}{status}; Path=/; HttpOnly; SameSite=Lax{secure}")
    }
}
