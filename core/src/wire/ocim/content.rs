//! Contents that are JSON themselves, and the waiter's login.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::read::PacketError;
use super::write::Object;
use crate::limits;
use crate::secret::Secret;
use crate::wire::json::{DecodeError, Reader, Token};

/// Content of BUILD_CHAT/SUCCESS, BUILD_TRANSFER_CHAT and TRANSFER/SUCCESS. Empty members are left
/// out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildChat {
    /// `ttc`: the tenant's code.
    pub tenant: String,
    /// `tmc`: the team's code.
    pub team: String,
    /// `tmb`: the team's name for people.
    pub team_name: String,
    /// `skc`: the skill's code.
    pub skill: String,
    /// `skn`: the skill's name for people.
    pub skill_name: String,
    /// `gc`: what the customer asks about.
    pub goods: String,
    /// `login`: he is a user, not an anonymous visitor.
    pub login: bool,
    /// `device`: "1" pc, "2" wap, "3" app, "4" WeChat, "5" other.
    pub device: String,
    /// `reason`: the remark of a transfer.
    pub reason: String,
}

impl BuildChat {
    /// The JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        json(|object| {
            for (name, value) in [
                ("ttc", &self.tenant),
                ("tmc", &self.team),
                ("tmb", &self.team_name),
                ("skc", &self.skill),
                ("skn", &self.skill_name),
                ("gc", &self.goods),
            ] {
                object.text(name, some(value));
            }
            object.flag("login", self.login);
            object.text("device", some(&self.device));
            object.text("reason", some(&self.reason));
        })
    }
}

/// Content of BIND/SUCCESS: an agent's own data. Empty members are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiter {
    /// `id`.
    pub id: i64,
    /// `tenantCode`.
    pub tenant: String,
    /// `teamCode`: his first team.
    pub team: String,
    /// `waiterName`: for people.
    pub name: String,
    /// `waiterCode`: his user id.
    pub code: String,
    /// `status`: "1" to "4".
    pub status: String,
    /// `shunt`: customers are assigned to him without asking.
    pub automatic: bool,
    /// `curReception`: customers that he serves.
    pub serving: i64,
    /// `maxReception`: so many at most.
    pub capacity: i64,
    /// `autoReply`, `replyMsg`: his greeting, if it is on.
    pub greeting: Option<String>,
}

impl Waiter {
    /// The JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        json(|object| {
            object.int("id", Some(self.id));
            object.text("tenantCode", some(&self.tenant));
            object.text("teamCode", some(&self.team));
            object.text("waiterName", some(&self.name));
            object.text("waiterCode", some(&self.code));
            object.text("status", some(&self.status));
            object.text("shunt", Some(digit(self.automatic)));
            object.int("curReception", Some(self.serving));
            object.int("maxReception", Some(self.capacity));
            object.text("autoReply", Some(digit(self.greeting.is_some())));
            object.text("replyMsg", self.greeting.as_deref());
        })
    }
}

fn digit(on: bool) -> &'static str {
    if on { "1" } else { "0" }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn json(fill: impl FnOnce(&mut Object<'_>)) -> String {
    let mut out = Vec::new();
    let mut object = Object::open(&mut out);
    fill(&mut object);
    object.close();
    // Only text was written.
    String::from_utf8(out).unwrap_or_default()
}

/// What an agent asks with TRANSFER. The codes of tenants and of the agents that it names are
/// not believed: the session says who asks. Members that are not text are passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transfer {
    /// `tmc`: the target team.
    pub team: Option<String>,
    /// `skc`: the skill needed there.
    pub skill: Option<String>,
    /// `uid`: the customer.
    pub customer: Option<String>,
    /// `toWc`: the target agent.
    pub to_waiter: Option<String>,
    /// `reason`: for the agent who gets the customer.
    pub reason: Option<String>,
}

impl Transfer {
    /// Reads the content of a TRANSFER.
    ///
    /// # Errors
    /// If it is not the JSON of an object, or a member is too long.
    pub fn parse(content: &str) -> Result<Transfer, PacketError> {
        let mut found = Transfer::default();
        members(content, |name, text| {
            let place = match name {
                "tmc" => &mut found.team,
                "skc" => &mut found.skill,
                "uid" => &mut found.customer,
                "toWc" => &mut found.to_waiter,
                "reason" => &mut found.reason,
                _ => return Ok(()),
            };
            let max = match name {
                "reason" => limits::DESK_NOTE_BYTES_MAX,
                _ => limits::NAME_BYTES_MAX,
            };
            let bytes = text.len();
            if bytes > max {
                let what = "a member of the transfer";
                return Err(PacketError::TooLong { what, bytes, max });
            }
            *place = Some(text);
            Ok(())
        })?;
        Ok(found)
    }
}

/// Calls `take` with every member of an object that is text or a number.
pub(super) fn members(
    json: &str,
    mut take: impl FnMut(&str, String) -> Result<(), PacketError>,
) -> Result<(), PacketError> {
    let mut reader = Reader::new(json);
    reader.open_object()?;
    let mut first = true;
    while let Some(name) = reader.next_name(first)? {
        first = false;
        match reader.value()? {
            Token::Text(text) => take(&name, text.into_owned())?,
            Token::Number(text) => take(&name, text.to_owned())?,
            other => reader.skip_open(&other)?,
        }
    }
    reader.end()?;
    Ok(())
}

/// An agent's credentials on WebSocket: base64 of `user password status`, single blanks between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaiterLogin {
    /// His user id.
    pub user: String,
    /// His password; without blanks.
    pub password: Secret,
    /// The status that he begins with: "1" to "4".
    pub status: String,
}

impl WaiterLogin {
    /// Reads the content of an agent's AUTH.
    ///
    /// # Errors
    /// If it is not base64 of three parts, or the status is none.
    pub fn parse(content: &str) -> Result<WaiterLogin, PacketError> {
        const WRONG: PacketError = PacketError::Json(DecodeError::BadField {
            name: "content",
            problem: "is not base64 of \"user password status\"",
        });
        let bytes = STANDARD.decode(content.trim()).map_err(|_| WRONG)?;
        let text = String::from_utf8(bytes).map_err(|_| WRONG)?;
        let parts: Vec<&str> = text.split(' ').collect();
        match parts[..] {
            [user, password, status] if ![user, password, status].contains(&"") => {
                if !["1", "2", "3", "4"].contains(&status) {
                    return Err(PacketError::Json(DecodeError::BadField {
                        name: "content",
                        problem: "ends with a status that is none of 1 (online), 2 (busy), 3 (away) \
                                  and 4 (offline)",
                    }));
                }
                Ok(WaiterLogin {
                    user: user.to_owned(),
                    password: Secret::from(password),
                    status: status.to_owned(),
                })
            }
            _ => Err(WRONG),
        }
    }
}
