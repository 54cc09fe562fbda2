use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tidings_core::secret::Secret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::*;
use crate::config::Settings;
use crate::gate::Gate;
use crate::{Running, Server};

/// A server without sockets.
async fn server() -> Running {
    let mut settings = Settings::default();
    settings.delivery.durability = crate::store::Durability::Memory;
    let listen = &mut settings.listen;
    for address in [
        &mut listen.tcp,
        &mut listen.udp,
        &mut listen.ws,
        &mut listen.http,
        &mut listen.agents,
    ] {
        *address = None;
    }
    Server::start(settings).await.unwrap()
}

async fn ask(stream: &mut DuplexStream, content: Value) -> Value {
    let packet = json!({"type": "AUTH", "body": {"type": "LOGIN", "content": content.to_string()}});
    let text = packet.to_string();
    let length = u32::try_from(text.len()).unwrap();
    stream.write_u32(length).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = vec![0; stream.read_u32().await.unwrap() as usize];
    stream.read_exact(&mut answer).await.unwrap();
    serde_json::from_slice(&answer).unwrap()
}

/// The address of the connection and whether it is safe come from the listener: here from a test.
#[tokio::test(flavor = "multi_thread")]
async fn plain_is_refused_where_others_could_read_along() {
    let running = server().await;
    let doors = (running.access(), running.desks());
    let ocim = Ocim::new(&Settings::default(), running.handle(), doors, false);
    let (near, mut far) = tokio::io::duplex(1 << 16);
    let address = "192.0.2.7".parse().unwrap();
    let door = Gate::new(0, None).door("agents", false);
    let place = door.enter(address).unwrap();
    let served = tokio::spawn(tcp::serve(ocim, near, (address, false), place));
    let login = json!({"mechanism": "PLAIN", "data": STANDARD.encode("\0wang\0secret")});
    let refused = ask(&mut far, login).await;
    assert_eq!(refused["body"]["type"], "FAIL");
    let reason = refused["body"]["content"].as_str().unwrap();
    assert!(reason.contains("SCRAM-SHA-256"), "{reason}");
    // SCRAM goes on: the password itself is never said.
    let first = STANDARD.encode("n,,n=wang,r=abc");
    let challenge = ask(
        &mut far,
        json!({"mechanism": "SCRAM-SHA-256", "data": first}),
    )
    .await;
    assert_eq!(challenge["body"]["type"], "RESPONSE");
    drop(far);
    served.await.unwrap();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_is_secure_under_tls() {
    let running = server().await;
    for secure in [false, true] {
        let doors = (running.access(), running.desks());
        let ocim = Ocim::new(&Settings::default(), running.handle(), doors, secure);
        let login = authorization::Login {
            admitted: crate::auth::Admitted {
                rate: None,
                user: "alice".into(),
                role: crate::auth::Role::User,
                scope: None,
                until_s: None,
                version: 0,
            },
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            name: String::new(),
            status: None,
        };
        let cookie = ocim.cookie(&login, &Secret::from("token"), &HeaderMap::new());
        assert_eq!(cookie.contains("; Secure"), secure, "{cookie}");
        assert!(cookie.contains("; HttpOnly; SameSite=Lax"));
        // A proxy in front of us does the TLS.
        for (name, value) in [
            ("origin", "https://im.example"),
            ("x-forwarded-proto", "https"),
        ] {
            let headers = HeaderMap::from_iter([(
                axum::http::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )]);
            let cookie = ocim.cookie(&login, &Secret::from("token"), &headers);
            assert!(cookie.contains("; Secure"), "{cookie}");
        }
    }
    running.stop().await;
}
