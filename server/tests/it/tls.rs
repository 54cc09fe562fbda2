//! TLS over real sockets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use crate::support::{
    TestServer, connect, login_frame, login_over, login_udp, login_ws_over, now_s, read_frame,
    until, write_frame,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tidings_server::tls::self_signed;

/// Writes a new pair; returns its certificate.
fn make_pair(dir: &Path) -> CertificateDer<'static> {
    let pair = self_signed(&["localhost".to_owned()], now_s()).unwrap();
    // The certificate last: between the two the files do not match, and nothing may break.
    std::fs::write(dir.join("key.pem"), &pair.key).unwrap();
    std::fs::write(dir.join("cert.pem"), &pair.certificate).unwrap();
    CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()
}

pub(crate) fn server() -> (TestServer, CertificateDer<'static>) {
    let data = tempfile::tempdir().unwrap();
    let certificate = make_pair(data.path());
    let (cert, key) = (data.path().join("cert.pem"), data.path().join("key.pem"));
    let server = TestServer::try_start(data, |settings| {
        settings.tls.cert_file = Some(cert);
        settings.tls.key_file = Some(key);
    });
    (server.unwrap(), certificate)
}

pub(crate) type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Shakes hands with a server that shows this certificate.
pub(crate) fn secure(
    address: SocketAddr,
    certificate: &CertificateDer<'static>,
) -> std::io::Result<Stream> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(session, connect(address));
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// A client that trusts nobody: for its first message.
pub(crate) fn client() -> ClientConnection {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    ClientConnection::new(Arc::new(config), name).unwrap()
}

#[test]
fn logins_over_tcp_and_websocket_and_an_answer_over_https() {
    let (server, certificate) = server();
    let mut tcp = secure(server.tcp(), &certificate).unwrap();
    assert_eq!(login_over(&mut tcp, "alice", ""), 0);
    let mut ws = secure(server.ws(), &certificate).unwrap();
    assert_eq!(login_ws_over(&mut ws, "bob", ""), 0);
    let mut http = secure(server.http(), &certificate).unwrap();
    let request = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    http.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = http.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    // Datagrams are not covered.
    assert_eq!(login_udp(server.udp(), "carl", ""), 0);
}

/// More than a record, a socket buffer and an outbox hold, both ways, in order.
#[test]
fn much_goes_through_it_and_nothing_is_lost() {
    let (server, certificate) = server();
    let mut stream = secure(server.tcp(), &certificate).unwrap();
    assert_eq!(login_over(&mut stream, "alice", ""), 0);
    let count = 400;
    let filler = "x".repeat(4000);
    let frames: Vec<String> = (0..count)
        .map(|n| {
            let data = format!("{n}-{filler}");
            serde_json::json!({"type": 5, "dataContent": data, "from": "alice", "to": "0"})
        })
        .map(|frame| frame.to_string())
        .collect();
    let mut next = 0;
    for some in frames.chunks(40) {
        let mut bytes = Vec::new();
        for frame in some {
            write_frame(&mut bytes, frame);
        }
        stream.write_all(&bytes).unwrap();
        stream.flush().unwrap();
        for _ in some {
            let frame: serde_json::Value =
                serde_json::from_slice(&read_frame(&mut stream)).unwrap();
            assert_eq!(frame["type"], 53);
            let data = frame["dataContent"].as_str().unwrap();
            assert!(data.starts_with(&format!("{next}-")));
            next += 1;
        }
    }
    assert_eq!(next, count);
}

/// What comes right behind the handshake is read, although the socket says nothing more.
#[test]
fn a_login_that_arrives_with_the_end_of_the_handshake() {
    let (server, certificate) = server();
    for _ in 0..20 {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let mut session = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut bytes = Vec::new();
        write_frame(&mut bytes, &login_frame("alice", ""));
        session.writer().write_all(&bytes).unwrap();
        let mut stream = StreamOwned::new(session, connect(server.tcp()));
        assert_eq!(crate::support::code_of(&read_frame(&mut stream)), 0);
    }
}

#[test]
fn a_plain_client_is_closed_and_hurts_nobody() {
    let (server, certificate) = server();
    for address in [server.tcp(), server.ws(), server.http()] {
        let mut plain = connect(address);
        let _ = plain.write_all(b"\x00\x00\x00\x02{}GET / HTTP/1.1\r\n\r\n");
        let mut rest = Vec::new();
        // An alert at most, then the end.
        let _ = plain.read_to_end(&mut rest);
        assert!(rest.len() < 64, "{rest:?}");
        assert!(!rest.starts_with(b"HTTP"));
    }
    let mut silent = connect(server.tcp());
    let mut stream = secure(server.tcp(), &certificate).unwrap();
    assert_eq!(login_over(&mut stream, "alice", ""), 0);
    let _ = silent.write_all(b"\x16");
}

#[test]
fn the_certificate_is_exchanged_while_it_runs() {
    let (server, first) = server();
    let mut before = secure(server.tcp(), &first).unwrap();
    assert_eq!(login_over(&mut before, "alice", ""), 0);
    // A file that cannot be used changes nothing.
    std::fs::write(server.data.path().join("cert.pem"), "nonsense").unwrap();
    std::thread::sleep(std::time::Duration::from_secs(5));
    assert!(secure(server.tcp(), &first).is_ok());
    let second = make_pair(server.data.path());
    until("the new certificate", || {
        secure(server.tcp(), &second).is_ok()
    });
    assert!(secure(server.tcp(), &first).is_err());
    // Who is connected stays so.
    write_frame(&mut before, r#"{"type":5,"dataContent":"still here"}"#);
    let echo = String::from_utf8(read_frame(&mut before)).unwrap();
    assert!(echo.contains("still here"));
}

#[test]
fn what_does_not_belong_together_does_not_start() {
    let try_with = |cert: &str, key: &str| {
        let data = tempfile::tempdir().unwrap();
        make_pair(data.path());
        let other = self_signed(&["localhost".to_owned()], now_s()).unwrap();
        std::fs::write(data.path().join("other.pem"), other.key).unwrap();
        let (cert, key) = (data.path().join(cert), data.path().join(key));
        let outcome = TestServer::try_start(data, |settings| {
            settings.tls.cert_file = Some(cert);
            settings.tls.key_file = Some(key);
        });
        outcome.err().unwrap_or_default()
    };
    assert_eq!(try_with("cert.pem", "key.pem"), "");
    assert!(try_with("cert.pem", "other.pem").contains("is not the key of the certificate"));
    assert!(try_with("missing.pem", "key.pem").contains("cannot be read"));
    assert!(try_with("key.pem", "key.pem").contains("no certificate"));
    assert!(try_with("cert.pem", "cert.pem").contains("holds no such thing"));
    let one = TestServer::try_start(tempfile::tempdir().unwrap(), |settings| {
        settings.tls.cert_file = Some("cert.pem".into());
    });
    assert!(one.is_err_and(|error| error.contains("belong together")));
}
