//! Asking other servers: the application's webhook, a key set. Blocks: called on threads for that.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{TlsConfig, TlsProvider};

/// A client that keeps connections open between requests and follows no redirects: a token goes to
/// the address that the operator wrote, nowhere else.
#[derive(Debug, Clone)]
pub(super) struct Http {
    agent: ureq::Agent,
}

impl Http {
    /// Every request ends after `timeout`, one way or the other.
    pub(super) fn new(timeout: Duration) -> Http {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .max_redirects(0)
            .http_status_as_error(false)
            .user_agent("tidings")
            .tls_config(tls)
            .build()
            .new_agent();
        Http { agent }
    }

    /// The body of a 200.
    pub(super) fn get(&self, url: &str, bytes_max: usize) -> Result<Vec<u8>, String> {
        let answer = self.agent.get(url).call().map_err(|e| e.to_string())?;
        body(answer, bytes_max)
    }

    /// Posts JSON; the body of a 200.
    pub(super) fn post(&self, url: &str, json: &[u8], bytes_max: usize) -> Result<Vec<u8>, String> {
        let request = self.agent.post(url).content_type("application/json");
        let answer = request.send(json).map_err(|e| e.to_string())?;
        body(answer, bytes_max)
    }
}

fn body(answer: ureq::http::Response<ureq::Body>, bytes_max: usize) -> Result<Vec<u8>, String> {
    if answer.status() != 200 {
        return Err(format!("it answers {}", answer.status()));
    }
    let mut bytes = Vec::new();
    let mut reader = answer.into_body().into_reader().take(bytes_max as u64 + 1);
    reader.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() > bytes_max {
        return Err(format!("it answers with more than {bytes_max} bytes"));
    }
    Ok(bytes)
}
