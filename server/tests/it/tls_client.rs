//! The client library over TLS, against a server with a certificate of its own making.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::embed::settings;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tidings_client::{Builder, Client, Event, Events};
use tidings_server::tls::self_signed;
use tidings_server::{Running, Server};

struct Secured {
    running: Running,
    certificate: PathBuf,
    fingerprint: String,
    _files: tempfile::TempDir,
}

async fn secured() -> Secured {
    let files = tempfile::tempdir().unwrap();
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let pair = self_signed(&["localhost".to_owned()], now_s.as_secs() as i64).unwrap();
    let (certificate, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
    std::fs::write(&certificate, &pair.certificate).unwrap();
    std::fs::write(&key, &pair.key).unwrap();
    let der = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der);
    let hex = digest.as_ref().iter().map(|byte| format!("{byte:02X}"));
    let mut settings = settings();
    settings.listen.tcp = Some("127.0.0.1:0".parse().unwrap());
    settings.listen.ws = Some("127.0.0.1:0".parse().unwrap());
    settings.tls.cert_file = Some(certificate.clone());
    settings.tls.key_file = Some(key);
    Secured {
        running: Server::start(settings).await.unwrap(),
        fingerprint: hex.collect::<Vec<_>>().join(":"),
        certificate,
        _files: files,
    }
}

impl Secured {
    fn client(&self, scheme: &str, host: &str, user: &str) -> Builder {
        let addresses = self.running.addresses();
        let address = match scheme {
            "wss" => addresses.ws,
            _ => addresses.tcp,
        };
        let url = format!("{scheme}://{host}:{}", address.unwrap().port());
        Client::builder(url).user(user).token("secret")
    }
}

/// What the link's loss is blamed on, if it never came to a login.
async fn refusal(events: &mut Events) -> String {
    match events.next().await {
        Some(Event::LinkLost { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_messages_go_both_ways_over_tcp_and_websocket() {
    let server = secured().await;
    let alice = server.client("tls", "localhost", "alice");
    let alice = alice.tls_authorities(&server.certificate).unwrap();
    let (alice, mut to_alice) = alice.connect().await.unwrap();
    let bob = server.client("wss", "127.0.0.1", "bob");
    let bob = bob.tls_pin(&server.fingerprint).unwrap();
    let (bob, mut to_bob) = bob.connect().await.unwrap();
    // More than a record and than the sockets' buffers hold.
    let texts: Vec<String> = (0..300)
        .map(|n| format!("{n}-{}", "x".repeat(3000)))
        .collect();
    let send = |client: Client, to: &'static str| {
        let texts = texts.clone();
        async move {
            for text in texts {
                client.send(to, text).await.unwrap();
            }
        }
    };
    let receive = async |events: &mut Events| {
        let mut got = Vec::new();
        while got.len() < texts.len() {
            if let Some(Event::Message(message)) = events.next().await {
                got.push(message.text);
            }
        }
        got
    };
    let (_, _, at_alice, at_bob) = tokio::join!(
        send(alice, "bob"),
        send(bob, "alice"),
        receive(&mut to_alice),
        receive(&mut to_bob)
    );
    assert!(at_alice == texts && at_bob == texts);
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_nobody_vouches_for_is_not_told_a_password() {
    let server = secured().await;
    let strangers = server.client("tls", "localhost", "alice");
    let (_client, mut events) = strangers.connect().await.unwrap();
    assert!(refusal(&mut events).await.contains("certificate"));
    let other = server.client("tls", "localhost", "alice");
    let other = other.tls_pin(&"00".repeat(32)).unwrap();
    let (_client, mut events) = other.connect().await.unwrap();
    assert!(refusal(&mut events).await.contains("pinned"));
    // The right certificate, shown for another name.
    let misnamed = server.client("tls", "127.0.0.1", "alice");
    let misnamed = misnamed.tls_authorities(&server.certificate).unwrap();
    let (_client, mut events) = misnamed.connect().await.unwrap();
    assert!(refusal(&mut events).await.contains("certificate"));
    assert!(server.running.handle().online().is_empty());
    server.running.stop().await;
}
