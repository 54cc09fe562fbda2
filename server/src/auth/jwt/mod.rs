//! Logins by JSON Web Token: `sub` must be the user, the signature right, the times in order.
//!
//! Here: what a token must say. In `keys`: where the keys that verify it come from.

mod keys;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use parking_lot::{Mutex, RwLock};
use serde::Deserialize;
use tidings_core::limits;
use tidings_core::wire::code;

use super::AuthError;
use super::files::Watched;
use super::http::Http;
use super::settings::{self, JwtAlgorithm, shown};
use keys::KeySet;

/// A key set must come within this time.
const FETCH_WITHIN: Duration = Duration::from_secs(5);

/// A time that read as milliseconds is later than so long ago was meant as milliseconds: read as seconds
/// it lies tens of thousands of years ahead.
const MILLISECONDS_SINCE_S: f64 = 10.0 * 366.0 * 86_400.0;
/// The same warning is written again after so long.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// What we look at in a token.
#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
    iss: Option<String>,
    aud: Option<Audience>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// A token that is right, and until when, in seconds since 1970 UTC; leeway included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Valid {
    pub(super) until_s: Option<i64>,
}

/// What a look at a token gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Known(Result<Valid, i32>),
    /// It names a key that we do not have.
    UnknownKey,
}

/// Where keys come from.
#[derive(Debug)]
enum Source {
    Files(Vec<PathBuf>),
    SetFile(PathBuf),
    SetUrl(String, Http),
}

/// One question for a key set.
#[derive(Debug, Clone, Copy)]
struct Fetch {
    /// When it ended, or began if nobody waits for it.
    at: Instant,
    /// It is known to have brought keys.
    worked: bool,
}

/// Verifies tokens.
pub(super) struct Jwt {
    settings: settings::Jwt,
    validation: Validation,
    source: Source,
    keys: RwLock<Arc<KeySet>>,
    watched: Mutex<Watched>,
    /// How the key set was asked for last; held while it is asked for, so that it is asked once.
    fetched: tokio::sync::Mutex<Option<Fetch>>,
    /// When it was last said that somebody counts in milliseconds.
    told_milliseconds: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Jwt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jwt")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl Jwt {
    /// Reads the keys; blocks. A key set behind a URL may be unreachable for now: logins are
    /// refused as "try again" until it comes.
    pub(super) fn open(settings: &settings::Jwt) -> Result<Jwt, AuthError> {
        let files: Vec<PathBuf> = [&settings.key_file, &settings.old_key_file]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        let source = match settings.jwks.as_deref() {
            Some(url) if url.starts_with("https://") || url.starts_with("http://") => {
                Source::SetUrl(url.to_owned(), Http::new(FETCH_WITHIN))
            }
            Some(path) => Source::SetFile(PathBuf::from(path)),
            None => Source::Files(files),
        };
        let watched = match &source {
            Source::Files(files) => Watched::new(files.iter().cloned()),
            Source::SetFile(path) => Watched::new([path.clone()]),
            Source::SetUrl(..) => Watched::new([]),
        };
        let mut jwt = Jwt {
            validation: validation(settings.algorithm),
            settings: settings.clone(),
            source,
            keys: RwLock::default(),
            watched: Mutex::new(watched),
            fetched: tokio::sync::Mutex::default(),
            told_milliseconds: Mutex::default(),
        };
        match (jwt.load(), &jwt.source) {
            (Ok(keys), _) => jwt.keys = RwLock::new(Arc::new(keys)),
            (Err(error), Source::SetUrl(url, _)) => {
                let url = shown(url);
                tracing::error!(url, %error, "no keys yet: nobody can log in until they come");
            }
            (Err(error), _) => return Err(AuthError::Keys(error)),
        }
        Ok(jwt)
    }

    pub(super) fn load(&self) -> Result<KeySet, String> {
        let algorithm = self.settings.algorithm;
        match &self.source {
            Source::Files(files) => keys::from_files(files, algorithm),
            Source::SetFile(path) => keys::from_set_file(path, algorithm),
            Source::SetUrl(url, http) => {
                let bytes = http.get(url, limits::TOKEN_KEY_FILE_BYTES_MAX)?;
                keys::from_set(&bytes, algorithm)
            }
        }
    }

    /// Reads the files again if they changed; blocks. What cannot be read leaves the keys as they
    /// were: a half-written file must not lock everybody out.
    pub(super) fn look_again(&self) {
        let due = match self.source {
            Source::SetUrl(..) => self.is_fetch_due(),
            _ => self.watched.lock().changed(),
        };
        if due {
            let _ = self.reload();
        }
    }

    fn is_fetch_due(&self) -> bool {
        let Ok(mut fetched) = self.fetched.try_lock() else {
            return false;
        };
        let wait = match self.keys.read().is_empty() {
            true => limits::TOKEN_KEYS_REFRESH_MS_MIN,
            false => limits::TOKEN_KEYS_REFRESH_MS,
        };
        let due = fetched.is_none_or(|last| last.at.elapsed() >= Duration::from_millis(wait));
        if due {
            let (at, worked) = (Instant::now(), false);
            *fetched = Some(Fetch { at, worked });
        }
        due
    }

    /// True if there are new ones.
    fn reload(&self) -> bool {
        match self.load() {
            Ok(keys) => {
                tracing::info!(keys = keys.len(), "keys for tokens were read again");
                *self.keys.write() = Arc::new(keys);
                true
            }
            Err(error) => {
                tracing::error!(%error, "keys for tokens stay as they were");
                false
            }
        }
    }

    /// The verdict on a login. `now_s` is called again after waiting for keys.
    pub(super) async fn verify(
        self: &Arc<Self>,
        user: &str,
        token: &str,
        now_s: impl Fn() -> f64,
    ) -> Result<Valid, i32> {
        if token.len() > limits::TOKEN_BYTES_MAX {
            return Err(code::REFUSED_TOKEN);
        }
        if let Outcome::Known(verdict) = self.check(user, token, now_s()) {
            return verdict;
        }
        if !matches!(self.source, Source::SetUrl(..)) {
            return Err(code::REFUSED_TOKEN);
        }
        let is_newest = self.fetch().await;
        match self.check(user, token, now_s()) {
            Outcome::Known(verdict) => verdict,
            Outcome::UnknownKey if is_newest => Err(code::REFUSED_TOKEN),
            // The key may have come into use a moment ago.
            Outcome::UnknownKey => Err(code::REFUSED_BUSY),
        }
    }

    /// Asks for the key set, unless that was done a moment ago. Whoever comes meanwhile waits for
    /// the same answer. True if the keys are from after the call.
    async fn fetch(self: &Arc<Self>) -> bool {
        let called = Instant::now();
        let mut fetched = self.fetched.lock().await;
        let wait = Duration::from_millis(limits::TOKEN_KEYS_REFRESH_MS_MIN);
        if let Some(last) = fetched.filter(|last| last.at.elapsed() < wait) {
            return last.worked && last.at >= called;
        }
        let jwt = self.clone();
        let asked = tokio::task::spawn_blocking(move || jwt.reload()).await;
        let (at, worked) = (Instant::now(), asked.unwrap_or(false));
        *fetched = Some(Fetch { at, worked });
        worked
    }

    fn check(&self, user: &str, token: &str, now_s: f64) -> Outcome {
        let keys = self.keys.read().clone();
        let refused = |reason: &str| {
            tracing::debug!(user, reason, "token refused");
            Outcome::Known(Err(code::REFUSED_TOKEN))
        };
        let Ok(header) = jsonwebtoken::decode_header(token) else {
            return refused("not a token");
        };
        if !self.validation.algorithms.contains(&header.alg) {
            return refused("another algorithm than auth.jwt.algorithm");
        }
        if header.crit.is_some() {
            return refused("it demands an extension that we do not know (`crit`)");
        }
        let mut tried = false;
        for key in keys.candidates(header.kid.as_deref()) {
            tried = true;
            if let Some(claims) = self.decode(token, key) {
                return Outcome::Known(self.judge(user, &claims, now_s));
            }
        }
        match tried {
            true => refused("the signature is not right"),
            false => Outcome::UnknownKey,
        }
    }

    fn decode(&self, token: &str, key: &DecodingKey) -> Option<Claims> {
        let data = jsonwebtoken::decode::<Claims>(token, key, &self.validation).ok()?;
        Some(data.claims)
    }

    /// What a token with the right signature says.
    fn judge(&self, user: &str, claims: &Claims, now_s: f64) -> Result<Valid, i32> {
        let refused = |reason: &str, code| {
            tracing::debug!(user, reason, "token refused");
            Err(code)
        };
        // `as`: a few dozen.
        let leeway = self.settings.leeway_s as f64;
        if claims.sub.as_deref() != Some(user) {
            return refused("it is another user's (`sub`)", code::REFUSED_TOKEN);
        }
        let in_ms = |at: f64| at / 1000.0 > now_s - MILLISECONDS_SINCE_S;
        if [claims.exp, claims.nbf].into_iter().flatten().any(in_ms) {
            self.tell_milliseconds(user);
            return refused("`exp` or `nbf` is in milliseconds", code::REFUSED_TOKEN);
        }
        match claims.exp {
            None if self.settings.require_exp => {
                return refused("it has no `exp`", code::REFUSED_TOKEN);
            }
            Some(exp) if exp + leeway <= now_s => {
                return refused("it has expired (`exp`)", code::REFUSED_EXPIRED);
            }
            _ => {}
        }
        if claims.nbf.is_some_and(|nbf| nbf - leeway > now_s) {
            return refused("it is not valid yet (`nbf`)", code::REFUSED_EXPIRED);
        }
        let issuer = self.settings.issuer.as_deref();
        if issuer.is_some() && issuer != claims.iss.as_deref() {
            return refused("another issuer (`iss`)", code::REFUSED_TOKEN);
        }
        let audience = self.settings.audience.as_deref();
        let fits = match (audience, &claims.aud) {
            (None, None) => true,
            (None, Some(_)) | (Some(_), None) => false,
            (Some(wanted), Some(Audience::One(one))) => wanted == one,
            (Some(wanted), Some(Audience::Several(all))) => all.iter().any(|one| one == wanted),
        };
        if !fits {
            return refused("it is for somebody else (`aud`)", code::REFUSED_TOKEN);
        }
        // `as`: it saturates.
        let until_s = claims.exp.map(|exp| (exp + leeway).ceil() as i64);
        Ok(Valid { until_s })
    }

    /// Not for each token: whoever makes one so makes them all so.
    fn tell_milliseconds(&self, user: &str) {
        let mut told = self.told_milliseconds.lock();
        if told.is_none_or(|at| at.elapsed() >= TELL_AGAIN) {
            *told = Some(Instant::now());
            tracing::warn!(
                user,
                "tokens are refused: their `exp` or `nbf` lies tens of thousands of \
                years ahead, which is to say in milliseconds; both are seconds since 1970 (RFC 7519)"
            );
        }
    }
}

/// The signature and nothing else: times and names are judged here, with our clock and our words.
fn validation(algorithm: JwtAlgorithm) -> Validation {
    let mut validation = Validation::new(match algorithm {
        JwtAlgorithm::Hs256 => Algorithm::HS256,
        JwtAlgorithm::Rs256 => Algorithm::RS256,
        JwtAlgorithm::Es256 => Algorithm::ES256,
        JwtAlgorithm::EdDsa => Algorithm::EdDSA,
    });
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}
