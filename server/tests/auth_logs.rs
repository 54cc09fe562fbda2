//! Secrets do not reach the log, at any level.

#![allow(clippy::unwrap_used)] // in a test a panic is the report
#![cfg(unix)]

#[path = "it/support/mod.rs"]
mod support;

use std::io;
use std::sync::{Arc, Mutex};

use support::{TestServer, login_tcp, login_udp, login_ws};
use tidings_server::admin;
use tidings_server::auth::{Command, Role};
use tidings_server::config::AuthMode;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn tokens_and_passwords_are_not_in_it() {
    let captured = Captured::default();
    let writer = captured.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let secret = "s3cr3t-of-this-test";
    for mode in [
        AuthMode::Open,
        AuthMode::Jwt,
        AuthMode::Webhook,
        AuthMode::Accounts,
    ] {
        let data = tempfile::tempdir().unwrap();
        let key = data.path().join("jwt.key");
        std::fs::write(&key, format!("{secret}, as the key for tokens")).unwrap();
        let server = TestServer::try_start(data, |settings| {
            settings.auth.mode = mode;
            settings.auth.jwt.key_file = Some(key);
            // Nobody is there: the error must not carry what was asked.
            settings.auth.webhook.url = "http://127.0.0.1:9/".to_owned();
        })
        .unwrap();
        let add = Command::AccountAdd {
            user: "alice".to_owned(),
            role: Role::User,
            password: secret.to_owned(),
        };
        admin::run(server.data.path(), add).unwrap();
        for user in ["alice", "bob", "~carl", "#wrong"] {
            for token in [secret, &format!("{secret}.{secret}.{secret}")] {
                login_tcp(server.tcp(), user, token);
                login_ws(server.ws(), user, token);
                login_udp(server.udp(), user, token);
            }
        }
    }
    let log = captured.0.lock().unwrap().clone();
    let log = String::from_utf8_lossy(&log);
    assert!(log.contains("login refused"), "nothing was captured");
    assert!(!log.contains(secret), "{log}");
}
