//! What all benchmarks take: where the server is, who logs in.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header};
use tidings_core::secret::Secret;
use tidings_core::wire::mobileimsdk::login::{Declared, Login, encode_login};

/// Ports that one source address is asked for; the next address takes over, on loopback.
pub(super) const PORTS_PER_SOURCE: usize = 20_000;
/// How long a signed token is valid: longer than any run.
const TOKEN_S: u64 = 24 * 60 * 60;

/// How frames travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Tcp,
    Udp,
    WebSocket,
}

/// A server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) scheme: Scheme,
    pub(super) address: SocketAddr,
    /// As it was given, with the port: for WebSocket's `Host`.
    pub(super) host: String,
    /// For WebSocket.
    pub(super) path: String,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(url: &str) -> Result<Endpoint, String> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or("expected tcp://HOST:PORT, udp://HOST:PORT or ws://HOST:PORT/PATH")?;
        let scheme = match scheme {
            "tcp" => Scheme::Tcp,
            "udp" => Scheme::Udp,
            "ws" => Scheme::WebSocket,
            other => return Err(format!("`{other}` is none of tcp, udp, ws")),
        };
        let (host, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None if scheme == Scheme::WebSocket => (rest, "/websocket"),
            None => (rest, ""),
        };
        if scheme != Scheme::WebSocket && !matches!(path, "" | "/") {
            return Err("only ws:// has a path".to_owned());
        }
        let mut addresses = host
            .to_socket_addrs()
            .map_err(|error| format!("`{host}` is no HOST:PORT that resolves: {error}"))?;
        let address = addresses
            .next()
            .ok_or_else(|| format!("`{host}` has no address"))?;
        Ok(Endpoint {
            scheme,
            address,
            host: host.to_owned(),
            path: path.to_owned(),
        })
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = match self.scheme {
            Scheme::Tcp => "tcp",
            Scheme::Udp => "udp",
            Scheme::WebSocket => "ws",
        };
        write!(f, "{scheme}://{}{}", self.host, self.path)
    }
}

/// Whether Tidings' own members of frames are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Extensions {
    Off,
    On,
}

/// What every benchmark takes.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Common {
    /// tcp://HOST:PORT, udp://HOST:PORT or ws://HOST:PORT/websocket
    #[arg(long, value_name = "URL")]
    pub(super) server: Endpoint,
    /// Process id of the server, if it runs here: its CPU time and memory are measured
    #[arg(long)]
    pub(super) pid: Option<u32>,
    /// One line of JSON instead of a table
    #[arg(long)]
    pub(super) json: bool,
    /// Ask for Tidings' extensions of the protocol; off speaks plain MobileIMSDK
    #[arg(long, value_enum, default_value = "off")]
    pub(super) extensions: Extensions,
    /// Token that all users present; {user} in it stands for the user
    #[arg(long, default_value = "bench")]
    pub(super) token: String,
    /// Sign a JSON Web Token for each user with the key in this file (HS256), as for auth.mode = "jwt"
    #[arg(long, value_name = "FILE", value_parser = shared_key, conflicts_with = "token")]
    pub(super) jwt_key: Option<Secret>,
    /// What the names of users begin with [default: a new one per run]
    #[arg(long, value_name = "PREFIX")]
    pub(super) users_prefix: Option<String>,
    /// Seconds between the heartbeats of each connection
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(super) heartbeat: u64,
    /// Threads of the load generator [default: one per core, at most two]
    #[arg(long)]
    pub(super) threads: Option<usize>,
    /// Which loopback address to connect from first, for processes that share the work
    #[arg(long, hide = true, default_value_t = 0)]
    pub(super) sources_from: usize,
}

impl Common {
    /// What users' names begin with: new users for each run and round, unless told otherwise, so
    /// that nothing that an earlier run left behind is delivered into this one.
    pub(super) fn prefix(&self, round: usize) -> String {
        match &self.users_prefix {
            Some(prefix) => prefix.clone(),
            None => format!("bench-{:08x}-{round}-", random() as u32),
        }
    }

    /// Threads for `units` of work that cannot be split.
    pub(super) fn threads(&self, units: usize) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or(cores.min(2)).clamp(1, units.max(1))
    }

    /// How to log in.
    pub(super) fn dialing(&self) -> Dialing {
        Dialing {
            endpoint: self.server.clone(),
            extensions: self.extensions == Extensions::On,
            token: self.token.clone(),
            jwt_key: self.jwt_key.clone(),
            heartbeat_ns: self.heartbeat.max(1) * 1_000_000_000,
            number_from: self.sources_from * PORTS_PER_SOURCE,
        }
    }
}

/// How a connection of a benchmark is made.
#[derive(Debug, Clone)]
pub(super) struct Dialing {
    pub(super) endpoint: Endpoint,
    pub(super) extensions: bool,
    pub(super) token: String,
    pub(super) jwt_key: Option<Secret>,
    pub(super) heartbeat_ns: u64,
    /// Connections count from here; see [`PORTS_PER_SOURCE`].
    pub(super) number_from: usize,
}

impl Dialing {
    fn token_of(&self, user: &str) -> String {
        let Some(key) = &self.jwt_key else {
            return self.token.replace("{user}", user);
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let exp = now.unwrap_or_default().as_secs() + TOKEN_S;
        let claims = serde_json::json!({ "sub": user, "exp": exp });
        let key = EncodingKey::from_secret(key.expose().as_bytes());
        // Fails only for keys of other kinds; the login then tells.
        jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap_or_default()
    }

    /// Payload of a LOGIN.
    pub(super) fn login(&self, user: &str, first_login_time: i64) -> String {
        encode_login(&Login {
            user: Some(user.to_owned()),
            token: Some(self.token_of(user)),
            extra: None,
            first_login_time,
            tidings: self.extensions.then(Declared::default),
        })
    }
}

/// As the server reads `auth.jwt.key_file`: without one trailing newline.
fn shared_key(path: &str) -> Result<Secret, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let key = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::from(key.to_owned()))
}

/// Sixty-four random bits, from what the standard library seeds its hash maps with.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_all_transports_are_read() {
        let read = |url: &str| url.parse::<Endpoint>();
        let tcp = read("tcp://127.0.0.1:8901").expect("tcp");
        assert_eq!(tcp.scheme, Scheme::Tcp);
        assert_eq!(tcp.address, SocketAddr::from(([127, 0, 0, 1], 8901)));
        assert_eq!(read("udp://127.0.0.1:1/").expect("udp").scheme, Scheme::Udp);
        let ws = read("ws://127.0.0.1:3000/other?x=1").expect("ws");
        assert_eq!((ws.scheme, &*ws.path), (Scheme::WebSocket, "/other?x=1"));
        assert_eq!(ws.to_string(), "ws://127.0.0.1:3000/other?x=1");
        assert_eq!(read("ws://127.0.0.1:3000").expect("ws").path, "/websocket");
    }

    #[test]
    fn wrong_urls_are_refused_with_a_reason() {
        for (url, word) in [
            ("127.0.0.1:8901", "expected"),
            ("http://127.0.0.1:80", "none of"),
            ("tcp://127.0.0.1", "HOST:PORT"),
            ("tcp://127.0.0.1:8901/x", "path"),
        ] {
            let error = url.parse::<Endpoint>().expect_err(url);
            assert!(error.contains(word), "{url}: {error}");
        }
    }

    #[test]
    fn a_token_can_name_its_user() {
        let dialing = Dialing {
            endpoint: "tcp://127.0.0.1:1".parse().expect("url"),
            extensions: false,
            token: "t-{user}".to_owned(),
            jwt_key: None,
            heartbeat_ns: 1,
            number_from: 0,
        };
        let login = dialing.login("ann", 7);
        assert!(
            login.contains("\"t-ann\"") && !login.contains("tidings"),
            "{login}"
        );
        assert!(login.contains("\"firstLoginTime\":7"), "{login}");
    }
}
