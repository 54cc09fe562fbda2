//! The first step: who asks, by the session's token, or by credentials at an AUTH.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, Method, StatusCode, header};
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
use crate::auth::{Admitted, Door, Presented, Role, Verdict};

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
    Session(Admitted),
    /// Somebody who has just logged in and wants a WebSocket.
    Login(Login),
}

/// A login that was right.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) admitted: Admitted,
    /// Where he comes from.
    pub(super) address: IpAddr,
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
    if let Err(refused) = by_its_own_page(ocim, &asked) {
        return Step::Answer(refused);
    }
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

/// A cookie travels with whatever a browser asks for, also for a link on somebody else's page. So what
/// is asked with nothing but a cookie must come by POST, with an upgrade, or from a page of ours as the
/// browser says itself. Every packet but PING changes something: a poll confirms, AUTH ends the page
/// before.
fn by_its_own_page(ocim: &Ocim, asked: &Asked) -> Result<(), Answer> {
    let by_cookie = asked.tokens.query.is_none() && asked.tokens.bearer.is_none();
    let by_cookie = by_cookie && asked.tokens.cookie.is_some();
    let is_link = asked.method == Method::GET && !asked.headers.contains_key(header::UPGRADE);
    if asked.packet.kind == PacketType::Ping || !by_cookie || !is_link {
        return Ok(());
    }
    match asked.headers.get("sec-fetch-site") {
        Some(site) if site == "same-origin" => Ok(()),
        // Old pages over plain HTTP, where browsers do not say it.
        None if ocim.settings.compat.send_by_get => Ok(()),
        _ => {
            let reason = "with a cookie this is taken by POST only: a link on any page could do it";
            refuse(StatusCode::FORBIDDEN, reason)
        }
    }
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
    let Ok(passed) = ocim.passed(token, asked.address) else {
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
        _ if asked.method == Method::POST => {
            Ok(Step::Answer(ocim.logged_in(&login, &asked.headers).1))
        }
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
    // A page of a session that is there, reloaded or in another tab: it joins.
    let session = ocim.customers.get(&login.admitted.user);
    if let (Some(session), Some(token)) = (session, asked.token())
        && session.is_joined(token)
    {
        let cookie = ocim.cookie(login, token, &asked.headers);
        return Ok(Step::Answer(Answer::logged_in(token.expose(), cookie)));
    }
    let seat = ocim.seat(asked.address)?;
    let (token, answer) = ocim.logged_in(login, &asked.headers);
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
    let login = |admitted: Admitted| Login {
        // Also an agent is a customer here.
        admitted: Admitted {
            role: Role::User,
            ..admitted
        },
        address: asked.address,
        name: name.unwrap_or_default(),
        status: None,
    };
    let credentials = packet.content();
    let passed = asked.token().map(|token| ocim.passed(token, asked.address));
    match (packet.from_uid(), passed) {
        (uid, Some(Ok(passed)))
            if passed.role == Role::User && uid.is_none_or(|uid| *uid == *passed.user) =>
        {
            Ok(login(passed))
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
        (None, None) => {
            let door = Door::OcimCustomer;
            let admitted = ocim
                .access
                .admit(door, Some(asked.address), Presented::Nobody);
            match admitted.await {
                Ok(admitted) => Ok(login(admitted)),
                Err(code::REFUSED_BLOCKED) => unauthorized("your address is blocked"),
                Err(_) => refuse(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too many new visitors from your address: try again in some seconds",
                ),
            }
        }
    }
}

/// A customer who says who he is, by whatever the server's door asks for.
async fn verified(ocim: &Ocim, asked: &Asked, uid: &str, token: &str) -> Result<Admitted, Answer> {
    if ids::check_user(uid).is_err() {
        let reason = "`from.uid` is no user id; leave it out to come as an anonymous visitor";
        return unauthorized(reason);
    }
    let presented = Presented::Login {
        user: Name::from(uid),
        token: Secret::from(token),
        extra: None,
    };
    let door = Door::OcimCustomer;
    match ocim
        .access
        .admit(door, Some(asked.address), presented)
        .await
    {
        Ok(admitted) => Ok(admitted),
        Err(code::REFUSED_BUSY) => {
            refuse(StatusCode::SERVICE_UNAVAILABLE, "try again in some seconds")
        }
        Err(_) => {
            unauthorized("the credentials for `from.uid` in `body.content` are wrong or missing")
        }
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
        let passed = asked.token().map(|token| ocim.passed(token, asked.address));
        return match passed {
            Some(Ok(admitted)) if admitted.role != Role::User => Ok(Login {
                admitted,
                address: asked.address,
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
    let presented = Presented::Password {
        user: Name::from(&*user),
        password,
    };
    let door = Door::OcimAgent;
    match ocim
        .access
        .admit(door, Some(asked.address), presented)
        .await
    {
        Ok(admitted) => Ok(Login {
            admitted,
            address: asked.address,
            name: String::new(),
            status: Some(status),
        }),
        Err(code::REFUSED_BUSY) => {
            refuse(StatusCode::SERVICE_UNAVAILABLE, "try again in some seconds")
        }
        Err(_) => unauthorized("user or password is wrong"),
    }
}

impl Ocim {
    /// Who holds a session token.
    pub(super) fn passed(&self, token: &Secret, address: IpAddr) -> Verdict {
        let presented = Presented::Pass(token.expose());
        self.access
            .admit_now(Door::OcimToken, Some(address), presented)
    }

    /// A new token for a login, and the answer that tells it.
    pub(super) fn logged_in(&self, login: &Login, headers: &HeaderMap) -> (Secret, Answer) {
        let token = self.access.pass(&login.admitted);
        let cookie = self.cookie(login, &token, headers);
        let answer = Answer::logged_in(token.expose(), cookie);
        (token, answer)
    }

    /// Scripts cannot read it, other pages' requests do not carry it. An agent's remembers the status
    /// with which he logged in, for the WebSocket that is opened with it. Under TLS it never travels in
    /// the clear, whether the TLS is ours or, as the browser or a proxy says, in front of us: a lie
    /// harms nobody but the liar.
    pub(super) fn cookie(&self, login: &Login, token: &Secret, headers: &HeaderMap) -> String {
        let says = |name: &str, start: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.is_some_and(|value| value.to_ascii_lowercase().starts_with(start))
        };
        let tls = self.secure || says("origin", "https://") || says("x-forwarded-proto", "https");
        let secure = if tls { "; Secure" } else { "" };
        let side = match login.admitted.role {
            Role::User => Side::Customer,
            Role::Agent | Role::Admin => Side::Agent,
        };
        let (name, token) = (side.cookie(), token.expose());
        let status = login.status.iter();
        let status: String = status.map(|s| format!("{STATUS_MARK}{s}")).collect();
        format!("{name}={token}{status}; Path=/; HttpOnly; SameSite=Lax{secure}")
    }
}
