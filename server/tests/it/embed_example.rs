//! The example, end to end over HTTP: what its callbacks saw.

#[allow(dead_code, unreachable_pub)] // its `main`
#[path = "../../examples/embed.rs"]
mod example;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidings_server::config::Settings;
use tidings_server::store::Durability;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

async fn http(to: SocketAddr, method: &str, target: &str) -> (u16, String) {
    let mut stream = tokio::net::TcpStream::connect(to).await.unwrap();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer[9..12].parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    (status, body)
}

/// Waits for all of these lines, in any order.
async fn see(lines: &mut mpsc::UnboundedReceiver<String>, wanted: &[&str]) {
    let mut wanted: Vec<&str> = wanted.to_vec();
    let all = async {
        while !wanted.is_empty() {
            let line = lines.recv().await.unwrap();
            wanted.retain(|w| !line.starts_with(w));
        }
    };
    let seen = tokio::time::timeout(Duration::from_secs(30), all).await;
    assert!(seen.is_ok(), "never seen: {wanted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_web_application_works() {
    let mut settings = Settings::default();
    settings.delivery.durability = Durability::Memory;
    settings.listen.tcp = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    settings.listen.udp = None;
    settings.listen.ws = None;
    settings.listen.http = None;
    settings.listen.agents = None;
    let (said, mut lines) = mpsc::unbounded_channel();
    let say: example::Say = Arc::new(move |line| {
        let _ = said.send(line);
    });
    let app = example::App::start(settings, say).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let web = listener.local_addr().unwrap();
    let serving = tokio::spawn(axum::serve(listener, app.routes()).into_future());

    let (status, page) = http(web, "GET", "/docs/").await;
    assert_eq!(status, 200);
    assert!(page.contains("swagger"));
    let (_, description) = http(web, "GET", "/openapi.json").await;
    assert!(description.contains("/api/sendMsg"));

    let (status, _) = http(web, "POST", "/api/sendMsg?friendId=alice&msg=hello").await;
    assert_eq!(status, 409);
    let (status, body) = http(web, "POST", "/api/loginConnect?username=alice&password=").await;
    assert_eq!((status, &*body), (401, r#"{"code":1025}"#));
    see(&mut lines, &["server: verify alice: no"]).await;

    let (status, body) = http(web, "POST", "/api/loginConnect?username=alice&password=x").await;
    assert_eq!((status, &*body), (200, r#"{"code":0}"#));
    see(
        &mut lines,
        &["server: verify alice: ok", "server: alice logged in"],
    )
    .await;

    let (status, _) = http(web, "POST", "/api/sendMsg?friendId=alice&msg=hello").await;
    assert_eq!(status, 200);
    let wanted = [
        "server: alice to alice: hello",
        "client alice: message from alice: hello",
        "client alice: acknowledged",
    ];
    see(&mut lines, &wanted).await;
    http(web, "POST", "/api/sendMsg?friendId=0&msg=question").await;
    see(&mut lines, &["server: alice to the server: question"]).await;
    http(web, "POST", "/api/sendMsg?friendId=bob&msg=later").await;
    see(&mut lines, &["server: alice to bob, later: later"]).await;
    http(web, "POST", "/api/sendMsg?friendId=bob&msg=spam").await;
    see(&mut lines, &["client alice: error 1026"]).await;

    app.stop().await;
    see(&mut lines, &["server: alice logged out, code -1"]).await;
    serving.abort();
}
