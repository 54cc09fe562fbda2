//! Everything that can be set before a client starts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tidings_core::ids::{self, Name};
use tidings_core::wire::mobileimsdk::login::Declared;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use crate::client::{Client, Events};
use crate::driver::Driver;
use crate::error::ConnectError;
use crate::journal::Journal;
use crate::link::tls::Trust;
use crate::link::{Target, Transport};
use crate::machine::{Config, Machine, Restored};

/// Commands that wait for the client's task; callers wait beyond.
const COMMANDS_MAX: usize = 256;

/// Made by [`Client::builder`]; [`Builder::connect`] starts the client.
#[derive(Debug, Clone)]
#[must_use = "nothing happens before `connect`"]
pub struct Builder {
    url: String,
    user: String,
    token: Option<String>,
    extra: Option<String>,
    device: Option<(String, String)>,
    extensions: bool,
    own: bool,
    notices: bool,
    outbox: Option<PathBuf>,
    trust: Trust,
    heartbeat: Option<Duration>,
    loss: Option<Duration>,
    backoff_max: Duration,
    resend: Duration,
    retries: u32,
    window: usize,
    events_max: usize,
    outbox_messages_max: usize,
    outbox_bytes_max: usize,
    frame_bytes_max: Option<usize>,
}

impl Builder {
    pub(crate) fn new(url: String) -> Builder {
        Builder {
            url,
            user: String::new(),
            token: None,
            extra: None,
            device: None,
            extensions: true,
            own: false,
            notices: false,
            outbox: None,
            trust: Trust::default(),
            heartbeat: None,
            loss: None,
            backoff_max: Duration::from_secs(10),
            resend: Duration::from_secs(5),
            retries: 2,
            window: 64,
            events_max: 256,
            outbox_messages_max: 10_000,
            outbox_bytes_max: 64 << 20,
            frame_bytes_max: None,
        }
    }

    /// Who logs in. Must be set.
    pub fn user(mut self, user: impl Into<String>) -> Builder {
        self.user = user.into();
        self
    }

    /// His proof: a token or password, as the server wants it.
    pub fn token(mut self, token: impl Into<String>) -> Builder {
        self.token = Some(token.into());
        self
    }

    /// Anything that the application on the server wants to know at login.
    pub fn extra(mut self, extra: impl Into<String>) -> Builder {
        self.extra = Some(extra.into());
        self
    }

    /// Names this installation and its class (`phone`, `web`…). The server remembers for each
    /// device how far it has read; without a name it is `default`.
    pub fn device(mut self, name: impl Into<String>, class: impl Into<String>) -> Builder {
        self.device = Some((name.into(), class.into()));
        self
    }

    /// Whether the login offers the extensions (default: yes). MobileIMSDK servers ignore the
    /// offer. A device that was set is declared in any case.
    pub fn extensions(mut self, offer: bool) -> Builder {
        self.extensions = offer;
        self
    }

    /// Whether this device is shown what its user sends from other devices (default: no): as
    /// [`Event::Message`](crate::Event::Message) from the user himself. Asks for the extensions,
    /// and for a [device](Builder::device) of its own, or there is no other.
    pub fn own_messages(mut self, shown: bool) -> Builder {
        self.own = shown;
        self
    }

    /// Whether this client is told what a support team tells its customers beside texts: places in
    /// the queue, who serves, the end (default: no). They come as
    /// [`Event::Message`](crate::Event::Message) with `typeu` 400 and JSON as text, as
    /// `docs/protocol.md` shows. Asks for the extensions.
    pub fn desk_notices(mut self, shown: bool) -> Builder {
        self.notices = shown;
        self
    }

    /// Keeps what is not acknowledged in this file, which is made if it is not there: `send` then
    /// returns only once the message is on disk, and messages survive restarts. It also keeps the
    /// ids of messages that the application took, so that none is shown twice. One client at a
    /// time can use a file, and one user.
    pub fn outbox(mut self, path: impl Into<PathBuf>) -> Builder {
        self.outbox = Some(path.into());
        self
    }

    /// With `tls://` and `wss://`: believes servers with a certificate of an authority in this PEM
    /// file, or with one that is in it, as a server's self-made one is. Default: the authorities
    /// that Mozilla trusts.
    ///
    /// # Errors
    /// If the file cannot be read or has no certificate.
    pub fn tls_authorities(mut self, path: impl AsRef<Path>) -> Result<Builder, ConnectError> {
        self.trust = Trust::file(path.as_ref())?;
        Ok(self)
    }

    /// With `tls://` and `wss://`: believes the server with this certificate and no other, whatever
    /// its names and its authority. `fingerprint` is the SHA-256 of the certificate in 64
    /// hexadecimal digits, with or without colons, as
    /// `openssl x509 -in cert.pem -noout -fingerprint -sha256` says it.
    ///
    /// # Errors
    /// If it is no fingerprint.
    pub fn tls_pin(mut self, fingerprint: &str) -> Result<Builder, ConnectError> {
        self.trust = Trust::pin(fingerprint)?;
        Ok(self)
    }

    /// Time between two signs of life. Default: 10 s, on UDP 3 s, because a MobileIMSDK server
    /// forgets UDP clients after 10 s.
    pub fn heartbeat(mut self, every: Duration) -> Builder {
        self.heartbeat = Some(every);
        self
    }

    /// A link from which nothing is heard for so long is given up. Default: as MobileIMSDK's
    /// clients, for example 15 s at a heartbeat of 10 s.
    pub fn loss_timeout(mut self, after: Duration) -> Builder {
        self.loss = Some(after);
        self
    }

    /// Longest wait between two attempts to log in (default 10 s). The first is made at once, the
    /// waits double, half of each is chance.
    pub fn backoff_max(mut self, wait: Duration) -> Builder {
        self.backoff_max = wait;
        self
    }

    /// A message that is not acknowledged after this (default 5 s) is sent again.
    pub fn resend_after(mut self, wait: Duration) -> Builder {
        self.resend = wait;
        self
    }

    /// Without an outbox file: so many times (default 2) a message is sent again before it is
    /// [`Event::Lost`](crate::Event::Lost). With one, none is given up.
    pub fn retries(mut self, retries: u32) -> Builder {
        self.retries = retries;
        self
    }

    /// Messages in flight, unacknowledged (default 64). On UDP at most one to each receiver, to
    /// keep their order.
    pub fn window(mut self, messages: usize) -> Builder {
        self.window = messages;
        self
    }

    /// Events that may wait for the application (default 256); the socket is not read beyond.
    pub fn events_max(mut self, events: usize) -> Builder {
        self.events_max = events;
        self
    }

    /// Messages in the outbox (default 10,000); `send` refuses more.
    pub fn outbox_messages_max(mut self, messages: usize) -> Builder {
        self.outbox_messages_max = messages;
        self
    }

    /// Bytes of text and names in the outbox (default 64 MiB); `send` refuses more.
    pub fn outbox_bytes_max(mut self, bytes: usize) -> Builder {
        self.outbox_bytes_max = bytes;
        self
    }

    /// Longest frame, for servers with another limit than 6144 bytes (UDP: 2048, WebSocket: 65,536).
    pub fn frame_bytes_max(mut self, bytes: usize) -> Builder {
        self.frame_bytes_max = Some(bytes);
        self
    }

    /// Starts the client, on a task of its own. It returns before the login:
    /// [`Event::LoggedIn`](crate::Event::LoggedIn) tells of that, and a server that cannot be
    /// reached is tried again and again.
    ///
    /// # Errors
    /// If the configuration makes no sense or the outbox file cannot be used.
    pub async fn connect(self) -> Result<(Client, Events), ConnectError> {
        let target = Target::parse(&self.url, &self.trust)?;
        let config = self.config(&target)?;
        let (journal, restored) = match &self.outbox {
            None => (None, Restored::default()),
            Some(path) => {
                let opened = Journal::open(path.clone(), &config.user, config.remembered_max);
                let (journal, restored) = opened.await?;
                (Some(journal), restored)
            }
        };
        let random = Uuid::new_v4().as_u64_pair().0;
        let (command, commands) = mpsc::channel(COMMANDS_MAX);
        let (event, events) = mpsc::unbounded_channel();
        let (take, taken) = watch::channel(0);
        let (attempt, next_attempt) = watch::channel(None);
        let driver = Driver {
            machine: Machine::new(config, random, restored),
            target,
            commands,
            events: event,
            taken,
            next_attempt: attempt,
            journal,
        };
        tokio::spawn(driver.run());
        Ok((
            Client::new(command, next_attempt),
            Events::new(events, take),
        ))
    }

    fn config(&self, target: &Target) -> Result<Config, ConnectError> {
        let named = |what, name: &str| {
            ids::check_user(name).map_err(|reason| ConnectError::Name { what, reason })
        };
        named("the user", &self.user)?;
        if let Some((device, class)) = &self.device {
            named("the device", device)?;
            named("the device's class", class)?;
        }
        if self.window == 0 || self.events_max == 0 {
            return Err(ConnectError::Config("window and events_max are at least 1"));
        }
        let udp = target.transport == Transport::Udp;
        let heartbeat_ms = match self.heartbeat {
            Some(every) => millis(every),
            None if udp => 3_000,
            None => 10_000,
        };
        let resend_ms = millis(self.resend);
        if heartbeat_ms == 0 || resend_ms == 0 {
            return Err(ConnectError::Config(
                "heartbeat and resend_after are at least 1 ms",
            ));
        }
        Ok(Config {
            user: Name::from(self.user.as_str()),
            token: self.token.clone(),
            extra: self.extra.clone(),
            declared: self.declared(),
            heartbeat_ms,
            loss_ms: self.loss.map_or(loss_ms(heartbeat_ms, udp), millis),
            connect_ms: 5_000,
            login_ms: 10_000,
            login_resend_ms: udp.then_some(2_000),
            backoff_ms_max: millis(self.backoff_max),
            resend_ms,
            retries: self.outbox.is_none().then_some(self.retries),
            window: self.window,
            window_per_receiver: if udp { 1 } else { self.window },
            events_max: self.events_max,
            remembered_max: 4096.max(self.events_max * 2),
            outbox_messages_max: self.outbox_messages_max,
            outbox_bytes_max: self.outbox_bytes_max,
            frame_bytes_max: self.frame_bytes_max.unwrap_or(target.frame_bytes_max()),
            durable: self.outbox.is_some(),
        })
    }

    fn declared(&self) -> Option<Declared> {
        let mut declared = Declared::default();
        match &self.device {
            Some((device, class)) => {
                declared.device.clone_from(device);
                declared.class.clone_from(class);
            }
            None if !self.extensions && !self.own && !self.notices => return None,
            None => {}
        }
        if self.own {
            declared.caps.push("own".to_owned());
        }
        if self.notices {
            declared.caps.push("desk".to_owned());
        }
        Some(declared)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX >> 1)
}

/// The table that MobileIMSDK's clients use: 3/5, 5/8, 10/15, 30/35 s and so on, on
/// UDP, where answers get lost, 3/10, 10/21, 30/61.
fn loss_ms(heartbeat_ms: u64, udp: bool) -> u64 {
    if udp {
        return (heartbeat_ms.saturating_mul(2).saturating_add(1_000)).max(10_000);
    }
    heartbeat_ms.saturating_add((heartbeat_ms / 2).clamp(2_000, 5_000))
}
