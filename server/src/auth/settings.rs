//! What an operator sets about logins.

use std::path::PathBuf;
use std::str::FromStr;

use axum::http::Uri;
use tidings_core::limits;

use super::registry::Network;
use crate::config::ConfigError;

/// Who may log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// How logins are verified.
    pub mode: AuthMode,
    /// Permits [`AuthMode::Open`] on addresses that other machines reach.
    pub allow_open_on_public: bool,
    /// How long a visitor's token is valid.
    pub visitor_days: u32,
    /// Visitors from one network that may come at once.
    pub visitors_burst: u32,
    /// And then so many more a minute.
    pub visitors_per_minute: u32,
    /// Sessions live on when the token that let them in expires.
    pub session_outlives_token: bool,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// For [`AuthMode::Jwt`].
    pub jwt: Jwt,
    /// For [`AuthMode::Webhook`].
    pub webhook: Webhook,
}

/// How logins are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuthMode {
    /// Anybody is who he says he is; any token will do.
    #[default]
    Open,
    /// The token is a signed JSON Web Token.
    Jwt,
    /// An application decides.
    Webhook,
    /// The token is the password of an account of ours.
    Accounts,
}

impl AuthMode {
    /// As it stands in the configuration.
    pub(crate) fn word(self) -> &'static str {
        match self {
            AuthMode::Open => "open",
            AuthMode::Jwt => "jwt",
            AuthMode::Webhook => "webhook",
            AuthMode::Accounts => "accounts",
        }
    }
}

impl FromStr for AuthMode {
    type Err = ();

    fn from_str(text: &str) -> Result<AuthMode, ()> {
        match text {
            "open" => Ok(AuthMode::Open),
            "jwt" => Ok(AuthMode::Jwt),
            "webhook" => Ok(AuthMode::Webhook),
            "accounts" => Ok(AuthMode::Accounts),
            _ => Err(()),
        }
    }
}

/// How JSON Web Tokens are verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwt {
    /// The only algorithm that is accepted.
    pub algorithm: JwtAlgorithm,
    /// The key, or public keys as PEM.
    pub key_file: Option<PathBuf>,
    /// A second one, while keys are being changed.
    pub old_key_file: Option<PathBuf>,
    /// A key set instead: the path of a file, or a URL.
    pub jwks: Option<String>,
    /// What `aud` must contain.
    pub audience: Option<String>,
    /// What `iss` must be; anything if `None`.
    pub issuer: Option<String>,
    /// By how much `exp` and `nbf` may miss.
    pub leeway_s: u64,
    /// Refuses tokens without `exp`.
    pub require_exp: bool,
}

impl Default for Jwt {
    fn default() -> Jwt {
        Jwt {
            algorithm: JwtAlgorithm::Hs256,
            key_file: None,
            old_key_file: None,
            jwks: None,
            audience: None,
            issuer: None,
            leeway_s: limits::TOKEN_LEEWAY_S_MAX,
            require_exp: true,
        }
    }
}

/// Algorithms of tokens. `none` is not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JwtAlgorithm {
    /// A shared key.
    #[default]
    Hs256,
    /// RSA.
    Rs256,
    /// The curve P-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl FromStr for JwtAlgorithm {
    type Err = ();

    fn from_str(text: &str) -> Result<JwtAlgorithm, ()> {
        match text {
            "HS256" => Ok(JwtAlgorithm::Hs256),
            "RS256" => Ok(JwtAlgorithm::Rs256),
            "ES256" => Ok(JwtAlgorithm::Es256),
            "EdDSA" => Ok(JwtAlgorithm::EdDsa),
            _ => Err(()),
        }
    }
}

/// How an application is asked about logins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where it is. Empty is nowhere.
    pub url: String,
    /// Permits plain http to other machines.
    pub allow_http: bool,
    /// After so long it counts as down.
    pub timeout_ms: u64,
    /// For so long its yes is remembered.
    pub cache_s: u64,
    /// What happens while it is down.
    pub when_down: WhenDown,
}

impl Default for Webhook {
    fn default() -> Webhook {
        Webhook {
            url: String::new(),
            allow_http: false,
            timeout_ms: 3_000,
            cache_s: 60,
            when_down: WhenDown::Refuse,
        }
    }
}

/// What a login meets while the webhook is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenDown {
    /// A refusal; the client tries again.
    #[default]
    Refuse,
    /// The door, if the same user was let in with the same token a day ago at most.
    AllowKnown,
}

impl FromStr for WhenDown {
    type Err = ();

    fn from_str(text: &str) -> Result<WhenDown, ()> {
        match text {
            "refuse" => Ok(WhenDown::Refuse),
            "allow_known" => Ok(WhenDown::AllowKnown),
            _ => Err(()),
        }
    }
}

impl Default for Auth {
    fn default() -> Auth {
        Auth {
            mode: AuthMode::Open,
            allow_open_on_public: false,
            visitor_days: 30,
            visitors_burst: 60,
            visitors_per_minute: 60,
            session_outlives_token: false,
            trusted_proxies: Vec::new(),
            jwt: Jwt::default(),
            webhook: Webhook::default(),
        }
    }
}

impl Auth {
    /// Checks what no single key can tell. What a file or another server says is seen at start.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |key, problem: &str| {
            let problem = problem.to_owned();
            Err(ConfigError::Together { key, problem })
        };
        match self.mode {
            AuthMode::Open | AuthMode::Accounts => Ok(()),
            AuthMode::Jwt => {
                let jwks = self.jwt.jwks.as_deref();
                match (&self.jwt.key_file, jwks) {
                    (None, None) => wrong(
                        "auth.jwt.key_file",
                        "auth.mode = \"jwt\" needs a key: set this, or auth.jwt.jwks",
                    ),
                    (Some(_), Some(_)) => wrong(
                        "auth.jwt.jwks",
                        "stands beside auth.jwt.key_file: set one of them",
                    ),
                    (None, Some(url)) if is_in_the_clear(url) => wrong(
                        "auth.jwt.jwks",
                        "over http anybody on the way could exchange the keys: use https",
                    ),
                    _ => Ok(()),
                }
            }
            AuthMode::Webhook if self.webhook.url.is_empty() => wrong(
                "auth.webhook.url",
                "auth.mode = \"webhook\" needs the address of your application",
            ),
            AuthMode::Webhook if is_in_the_clear(&self.webhook.url) && !self.webhook.allow_http => {
                wrong(
                    "auth.webhook.url",
                    "over http anybody on the way reads every token and lets in whom he likes: use \
                     https, or set auth.webhook.allow_http = true if the network between is yours",
                )
            }
            AuthMode::Webhook => Ok(()),
        }
    }
}

/// True if a URL leads over plain http to another machine. What it is read as is what it is fetched
/// as.
fn is_in_the_clear(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else {
        return url.starts_with("http://");
    };
    if uri.scheme_str() != Some("http") {
        return false;
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_here = host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    // Who stands before an `@` is nobody that we know.
    !is_here || authority.contains('@')
}

/// A URL without what may be secret in it: user, password, query.
pub(crate) fn shown(url: &str) -> String {
    match url.parse::<Uri>() {
        Ok(uri) => {
            let host = uri.host().unwrap_or_default();
            let port = uri.port_u16().map(|port| format!(":{port}"));
            let (scheme, path) = (uri.scheme_str().unwrap_or_default(), uri.path());
            format!("{scheme}://{host}{}{path}", port.unwrap_or_default())
        }
        Err(_) => "a URL that cannot be read".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine() {
        for here in [
            "http://localhost/x",
            "http://localhost:80/x",
            "http://127.0.0.1:9",
            "http://[::1]:9/x",
            "https://host/x",
        ] {
            assert!(!is_in_the_clear(here), "{here}");
        }
        for elsewhere in [
            "http://localhost:80@host",
            "http://localhost@host/x",
            "http://127.0.0.1:80@192.0.2.1/",
            "http://localhost.example/",
            "http://host",
            "http://[::2]/",
            "http://user:password@localhost/",
        ] {
            assert!(is_in_the_clear(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn nothing_secret_of_a_url_is_shown() {
        let url = "https://user:s3cret@app.example:8443/login?key=s3cret#s3cret";
        assert_eq!(shown(url), "https://app.example:8443/login");
        assert!(!shown("https://s3cret s3cret").contains("s3cret"));
    }
}
