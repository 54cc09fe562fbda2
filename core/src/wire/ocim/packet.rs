//! One packet and its parts.

use super::{BodyType, Identity, PacketType, Transport};

/// A packet. Members that are `None` are omitted on the wire; unknown ones are ignored. `ttc` and
/// `tmc` do not exist here: the server knows tenant and team of a session, and neither believes nor
/// tells clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The sender's id for it; the key for recalls. At most
    /// [`crate::limits::MESSAGE_ID_BYTES_MAX`] bytes.
    pub pid: Option<String>,
    /// The chat: an episode's number in decimal.
    pub cid: Option<String>,
    /// What it is.
    pub kind: PacketType,
    /// Who sends. Of clients only its `idy` is believed, and that at login.
    pub from: Option<Party>,
    /// For whom.
    pub to: Option<Party>,
    /// What it says.
    pub body: Option<Body>,
    /// How it travels; required on packets that come by HTTP.
    pub ts: Option<Transport>,
    /// When it was made, milliseconds since 1970 UTC.
    pub timestamp: Option<i64>,
    /// The same as [`super::datetime`] writes it.
    pub datetime: Option<String>,
    /// "1.0".
    pub ver: Option<String>,
}

/// Whom a packet is from or for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Party {
    /// User id.
    pub uid: Option<String>,
    /// For people.
    pub name: Option<String>,
    /// Who he is.
    pub idy: Option<Identity>,
}

/// What a packet says. Its `Debug` hides the content, which may be a password or a private word.
#[derive(Clone, PartialEq, Eq)]
pub struct Body {
    /// What the content is.
    pub kind: BodyType,
    /// The content, often JSON itself.
    pub content: Option<String>,
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl Packet {
    /// A packet of nothing but its type.
    #[must_use]
    pub fn new(kind: PacketType) -> Packet {
        Packet {
            pid: None,
            cid: None,
            kind,
            from: None,
            to: None,
            body: None,
            ts: None,
            timestamp: None,
            datetime: None,
            ver: None,
        }
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, kind: BodyType, content: impl Into<String>) -> Packet {
        self.body = Some(Body {
            kind,
            content: Some(content.into()),
        });
        self
    }

    /// From the server.
    #[must_use]
    pub fn from_sys(mut self) -> Packet {
        self.from = Some(Party::of("sys", "", Identity::Sys));
        self
    }

    /// With an id.
    #[must_use]
    pub fn pid(mut self, pid: impl Into<String>) -> Packet {
        self.pid = Some(pid.into());
        self
    }

    /// In a chat.
    #[must_use]
    pub fn cid(mut self, cid: u64) -> Packet {
        self.cid = Some(cid.to_string());
        self
    }

    /// Made now: `now_ms` is milliseconds since 1970 UTC. Fills `timestamp`, `datetime` and `ver`.
    #[must_use]
    pub fn at(mut self, now_ms: i64) -> Packet {
        self.timestamp = Some(now_ms);
        self.datetime = Some(super::datetime(now_ms));
        self.ver = Some("1.0".to_owned());
        self
    }

    /// Type of the body, if it has one.
    #[must_use]
    pub fn body_kind(&self) -> Option<BodyType> {
        self.body.as_ref().map(|body| body.kind)
    }

    /// Content of the body; empty if there is none.
    #[must_use]
    pub fn content(&self) -> &str {
        let content = self.body.as_ref().and_then(|body| body.content.as_deref());
        content.unwrap_or_default()
    }

    /// The sender's uid as the packet says it; `None` if it is missing or empty.
    #[must_use]
    pub fn from_uid(&self) -> Option<&str> {
        let uid = self.from.as_ref()?.uid.as_deref()?;
        (!uid.is_empty()).then_some(uid)
    }

    /// Who the sender says he is.
    #[must_use]
    pub fn from_idy(&self) -> Option<Identity> {
        self.from.as_ref()?.idy
    }
}

impl Party {
    /// Somebody; an empty name is left out.
    #[must_use]
    pub fn of(uid: &str, name: &str, idy: Identity) -> Party {
        Party {
            uid: Some(uid.to_owned()),
            name: (!name.is_empty()).then(|| name.to_owned()),
            idy: Some(idy),
        }
    }
}
