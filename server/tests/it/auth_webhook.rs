//! Logins that an application decides, over real sockets, with an application of a few lines.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{TestServer, login_tcp, login_ws};
use serde_json::{Value, json};
use tidings_core::wire::code::{REFUSED_BUSY, REFUSED_TOKEN};
use tidings_server::config::{AuthMode, WhenDown};

/// Lets in whose token is `right-<user>`; answers other tokens by what they say.
struct Application {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    down: Arc<AtomicBool>,
    last: Arc<Mutex<Value>>,
}

fn decide(request: &Value) -> String {
    let (user, token) = (
        request["user"].as_str().unwrap(),
        request["token"].as_str().unwrap(),
    );
    match token {
        _ if token == format!("right-{user}") => json!({"code": 0, "more": 1}).to_string(),
        "banned" => json!({"code": 1025}).to_string(),
        "low" => json!({"code": 7}).to_string(),
        "nonsense" => "nonsense".to_owned(),
        "long" => "x".repeat(1 << 20),
        _ => json!({"code": 2000}).to_string(),
    }
}

impl Application {
    fn start() -> Application {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let application = Application {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
            down: Arc::default(),
            last: Arc::default(),
        };
        let (asked, down) = (application.asked.clone(), application.down.clone());
        let last = application.last.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (asked, down, last) = (asked.clone(), down.clone(), last.clone());
                std::thread::spawn(move || {
                    let mut writer = stream.try_clone().unwrap();
                    let mut reader = BufReader::new(stream);
                    loop {
                        let mut length = 0;
                        loop {
                            let mut line = String::new();
                            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                                return;
                            }
                            let line = line.trim().to_lowercase();
                            if let Some(n) = line.strip_prefix("content-length:") {
                                length = n.trim().parse().unwrap();
                            }
                            if line.is_empty() {
                                break;
                            }
                        }
                        let mut body = vec![0; length];
                        reader.read_exact(&mut body).unwrap();
                        let request: Value = serde_json::from_slice(&body).unwrap();
                        asked.fetch_add(1, Ordering::SeqCst);
                        let slow = request["token"] == "slow";
                        let mut answer = decide(&request);
                        *last.lock().unwrap() = request;
                        let mut status = "200 OK";
                        if down.load(Ordering::SeqCst) {
                            (status, answer) = ("503 Service Unavailable", String::new());
                        }
                        if slow {
                            std::thread::sleep(Duration::from_secs(5));
                        }
                        let head = format!(
                            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
                            answer.len()
                        );
                        if writer.write_all((head + &answer).as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        application
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn server(application: &Application, when_down: WhenDown, cache_s: u64) -> TestServer {
    let url = format!("http://{}/login", application.address);
    TestServer::start(|settings| {
        settings.auth.mode = AuthMode::Webhook;
        settings.auth.webhook.url = url;
        settings.auth.webhook.timeout_ms = 1_000;
        settings.auth.webhook.cache_s = cache_s;
        settings.auth.webhook.when_down = when_down;
    })
}

#[test]
fn the_application_decides_and_its_codes_reach_the_client() {
    let application = Application::start();
    let server = server(&application, WhenDown::Refuse, 60);
    assert_eq!(login_tcp(server.tcp(), "alice", "right-alice"), 0);
    let expected = json!({
        "user": "alice", "token": "right-alice", "extra": "more", "address": "127.0.0.1",
    });
    assert_eq!(*application.last.lock().unwrap(), expected);
    assert_eq!(login_ws(server.ws(), "alice", "banned"), 1025);
    assert_eq!(login_tcp(server.tcp(), "bob", "right-alice"), 2000);
    assert_eq!(login_tcp(server.tcp(), "bob", "low"), REFUSED_TOKEN);
}

#[test]
fn a_yes_is_remembered_and_a_no_is_not() {
    let application = Application::start();
    let server = server(&application, WhenDown::Refuse, 60);
    for _ in 0..5 {
        assert_eq!(server.login("alice", "right-alice"), 0);
    }
    assert_eq!(application.asked(), 1);
    for _ in 0..3 {
        assert_eq!(server.login("alice", "banned"), 1025);
    }
    assert_eq!(application.asked(), 4);
}

#[test]
fn down_refuses_or_lets_in_whom_it_knows() {
    for (policy, known) in [(WhenDown::Refuse, REFUSED_BUSY), (WhenDown::AllowKnown, 0)] {
        let application = Application::start();
        let server = server(&application, policy, 0);
        assert_eq!(server.login("alice", "right-alice"), 0);
        application.down.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            assert_eq!(server.login("alice", "right-alice"), known);
            assert_eq!(server.login("alice", "another token"), REFUSED_BUSY);
            assert_eq!(server.login("bob", "right-bob"), REFUSED_BUSY);
        }
        application.down.store(false, Ordering::SeqCst);
        crate::support::until("it is up again", || server.login("bob", "right-bob") == 0);
    }
}

#[test]
fn slow_and_strange_answers_count_as_down() {
    let application = Application::start();
    for token in ["slow", "nonsense", "long"] {
        let server = server(&application, WhenDown::Refuse, 60);
        assert_eq!(server.login("alice", token), REFUSED_BUSY, "{token}");
        crate::support::until("others get in", || server.login("bob", "right-bob") == 0);
    }
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", nowhere.local_addr().unwrap());
    drop(nowhere);
    let server = TestServer::start(|settings| {
        settings.auth.mode = AuthMode::Webhook;
        settings.auth.webhook.url = url;
    });
    assert_eq!(server.login("alice", "right-alice"), REFUSED_BUSY);
}
