//! Every door asks one admission, and whatever voids what somebody was let in with ends what he has
//! there at once. Door by door: one that is added does not compile here without its line in each table.

use std::io::Read as _;
use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tidings_server::admin;
use tidings_server::auth::{Command, Door, Role, Scope, Secret};
use tidings_server::config::AuthMode;
use tidings_server::core::desk::AgentStatus;
use tidings_server::desk::directory::{Agent, Member};
use tidings_server::desk::{Act, AgentLink, AgentRef, DeskError};
use tidings_server::store::Durability;
use tidings_server::{LocalLink, Running};

use crate::desk::by_test;
use crate::ocim::{self, Answer, Frame, Poller, Ws, agent_auth, auth, http, request};
use crate::ocim_agents::{Desktop, plain};
use crate::support::{self, PATIENCE, code_of, connect, login_frame, login_over, login_ws_over};

const PASSWORD: &str = "correct-horse";

/// Somebody with an account, an agent of the desk by it, a session token and a key of the API.
struct Somebody {
    user: String,
    token: String,
    key: String,
    key_id: i64,
}

/// What he has behind a door.
enum Held {
    /// A connection that the server must close.
    Stream(std::net::TcpStream),
    /// A session without a connection.
    Session,
    Local(LocalLink),
    /// A poll that waits, and the token of its session.
    Poll(tokio::task::JoinHandle<Answer>, Poller),
    Ws(Box<Ws>),
    Desktop(Desktop),
    Desk(AgentRef, AgentLink),
    /// Each request shows what it has.
    Nothing,
}

/// What voids it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Password,
    Removed,
    Role,
    NoAgent,
    UserBlocked,
    AddressBlocked,
    KeyRevoked,
}

const HOWS: [How; 7] = [
    How::Password,
    How::Removed,
    How::Role,
    How::NoAgent,
    How::UserBlocked,
    How::AddressBlocked,
    How::KeyRevoked,
];

/// What a door knows its people by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// The password, as a user.
    User,
    /// The password, as one of the staff.
    Staff,
    Token,
    Key,
    /// The permissions of a file.
    File,
}

/// By what, and whether the door knows from where one comes.
fn known_by(door: Door) -> (By, bool) {
    match door {
        Door::Tcp | Door::Udp | Door::WebSocket | Door::OcimCustomer => (By::User, true),
        Door::Local => (By::User, false),
        Door::OcimAgent | Door::SaslPlain | Door::SaslScram | Door::ApiBasic => (By::Staff, true),
        Door::Desk => (By::Staff, false),
        Door::OcimToken => (By::Token, true),
        Door::ApiKey => (By::Key, true),
        Door::AdminSocket => (By::File, false),
    }
}

/// Whether what he has behind this door ends.
fn ends(how: How, door: Door) -> bool {
    let (by, from_somewhere) = known_by(door);
    match how {
        How::AddressBlocked => from_somewhere,
        How::KeyRevoked => by == By::Key,
        _ => !matches!(by, By::Key | By::File),
    }
}

/// Whether he can come in again with what he had.
fn comes_back(how: How, door: Door) -> bool {
    let (by, _) = known_by(door);
    match how {
        // His password is still his own.
        How::Role | How::NoAgent if by == By::User => true,
        _ => !ends(how, door),
    }
}

async fn server(dir: &Path) -> Running {
    let free = Some(([127, 0, 0, 1], 0).into());
    ocim::start(|settings| {
        settings.data = dir.to_owned();
        settings.delivery.durability = Durability::Os;
        settings.auth.mode = AuthMode::Accounts;
        settings.listen.tcp = free;
        settings.listen.udp = free;
        settings.listen.ws = free;
    })
    .await
}

async fn execute(running: &Running, command: Command) -> Value {
    let access = running.access();
    let execute = move || access.execute(command).unwrap();
    tokio::task::spawn_blocking(execute).await.unwrap()
}

async fn somebody(running: &Running, user: String) -> Somebody {
    let add = Command::AccountAdd {
        user: user.clone(),
        role: Role::Agent,
        password: PASSWORD.to_owned(),
    };
    execute(running, add).await;
    let agent = Agent {
        teams: vec![Member {
            team: "support".to_owned(),
            capacity: None,
        }],
        capacity: 1,
        ..Agent::default()
    };
    let name = user.clone();
    let put = move |directory: &tidings_server::desk::directory::Directory| {
        directory.put_agent("demo", &name, &agent, &by_test())
    };
    running.desks().change(put).await.unwrap();
    let login = agent_auth(&user, PASSWORD, "1").to_string();
    let answer = request(http(running), "POST", "/ws.io", &[], &login).await;
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    let (scope, name) = (Scope::Read, user.clone());
    let made = execute(
        running,
        Command::KeyCreate {
            scope,
            name,
            rate: None,
        },
    )
    .await;
    Somebody {
        user,
        token,
        key: made["key"].as_str().unwrap().to_owned(),
        key_id: made["id"].as_i64().unwrap(),
    }
}

/// Comes in by a door; `None` if he is refused.
#[allow(clippy::too_many_lines)] // one arm for each door
async fn enter(running: &Running, dir: &Path, door: Door, who: &Somebody) -> Option<Held> {
    let (user, addresses) = (&who.user, running.addresses());
    match door {
        Door::Tcp => tokio::task::block_in_place(|| {
            let mut stream = connect(addresses.tcp.unwrap());
            let code = login_over(&mut stream, user, PASSWORD);
            (code == 0).then_some(Held::Stream(stream))
        }),
        Door::WebSocket => tokio::task::block_in_place(|| {
            let mut stream = connect(addresses.ws.unwrap());
            let code = login_ws_over(&mut stream, user, PASSWORD);
            (code == 0).then_some(Held::Stream(stream))
        }),
        Door::Udp => tokio::task::block_in_place(|| {
            let code = login_udp(addresses.udp.unwrap(), user);
            (code == 0).then_some(Held::Session)
        }),
        Door::Local => {
            let link = running.handle().connect(user.as_str()).token(PASSWORD);
            link.await.ok().map(Held::Local)
        }
        Door::OcimCustomer => {
            let mut packet = auth("POLLING", user);
            packet["body"]["content"] = json!(PASSWORD);
            let address = http(running);
            let answer = request(address, "POST", "/poll.io", &[], &packet.to_string()).await;
            (answer.status == 200).then(|| {
                let token = answer.json()["token"].as_str().unwrap().to_owned();
                let poller = Poller { address, token };
                let polling = poller.clone();
                Held::Poll(tokio::spawn(async move { polling.poll().await }), poller)
            })
        }
        Door::OcimAgent => {
            let opened = Ws::try_open(http(running), &agent_auth(user, PASSWORD, "1"), &[]).await;
            bound(opened.ok()?).await
        }
        Door::OcimToken => {
            let packet = json!({
                "type": "AUTH", "ts": "WEBSOCKET", "from": {"idy": "WAITER"},
                "body": {"type": "LOGIN"},
            });
            let bearer = format!("Bearer {}", who.token);
            let headers = [("Authorization", &*bearer)];
            bound(Ws::try_open(http(running), &packet, &headers).await.ok()?).await
        }
        Door::SaslPlain => {
            let mut desktop = Desktop::connect(running).await;
            let (said, _) = desktop.plain(&plain(user, PASSWORD)).await;
            bound_desktop(desktop, said == "AUTH/SUCCESS").await
        }
        Door::SaslScram => {
            let mut desktop = Desktop::connect(running).await;
            let right = desktop.scram(user, PASSWORD).await == Ok(true);
            bound_desktop(desktop, right).await
        }
        Door::ApiKey => {
            let bearer = format!("Bearer {}", who.key);
            get(running, "/api/v1/stats", &bearer).await
        }
        Door::ApiBasic => {
            let basic = STANDARD.encode(format!("{user}:{PASSWORD}"));
            let basic = format!("Basic {basic}");
            get(running, "/api/v1/desk/tenants/demo/teams", &basic).await
        }
        Door::Desk => {
            let desks = running.desks();
            let agent = desks
                .sign_in(user, Secret::from(PASSWORD), None)
                .await
                .ok()?;
            let link = desks.bind(&agent, AgentStatus::Online).await.ok()?;
            Some(Held::Desk(agent, link))
        }
        Door::AdminSocket => {
            let dir = dir.to_owned();
            let list = move || admin::run(&dir, Command::AccountList);
            let listed = tokio::task::spawn_blocking(list).await.unwrap();
            listed.ok().map(|_| Held::Nothing)
        }
    }
}

async fn get(running: &Running, path: &str, authorization: &str) -> Option<Held> {
    let headers = [("Authorization", authorization)];
    let answer = request(http(running), "GET", path, &headers, "").await;
    (answer.status == 200).then_some(Held::Nothing)
}

/// By datagrams, sent again until one is answered.
fn login_udp(address: std::net::SocketAddr, user: &str) -> i32 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let patience = Some(Duration::from_millis(500));
    socket.set_read_timeout(patience).unwrap();
    let mut buffer = [0; 4096];
    let mut code = None;
    support::until("an answer by datagram", || {
        let frame = login_frame(user, PASSWORD);
        socket.send_to(frame.as_bytes(), address).unwrap();
        let answer = socket.recv_from(&mut buffer);
        code = answer.ok().map(|(length, _)| code_of(&buffer[..length]));
        code.is_some()
    });
    code.unwrap()
}

async fn bound(mut ws: Ws) -> Option<Held> {
    ws.send(&json!({"type": "BIND", "body": {}})).await;
    ws.until("BIND/SUCCESS").await;
    Some(Held::Ws(Box::new(ws)))
}

/// Whoever may log in and is no agent hears so.
async fn bound_desktop(mut desktop: Desktop, logged_in: bool) -> Option<Held> {
    if !logged_in {
        return None;
    }
    desktop.send(&json!({"type": "BIND"})).await;
    while let Some(packet) = desktop.next().await {
        if ocim::kind(&packet) == "BIND/SUCCESS" {
            return Some(Held::Desktop(desktop));
        }
    }
    None
}

async fn revoke(running: &Running, dir: &Path, how: How, who: &Somebody) {
    let user = who.user.clone();
    let command = match how {
        How::Password => Command::AccountPassword {
            user,
            password: "battery staple".to_owned(),
        },
        How::Removed => Command::AccountRemove { user },
        How::Role => Command::AccountRole {
            user,
            role: Role::User,
        },
        How::UserBlocked => Command::BlockUser {
            user,
            reason: String::new(),
        },
        How::AddressBlocked => Command::BlockAddress {
            address: "127.0.0.0/8".to_owned(),
            reason: String::new(),
        },
        How::KeyRevoked => Command::KeyRevoke { id: who.key_id },
        How::NoAgent => {
            let remove = move |directory: &tidings_server::desk::directory::Directory| {
                directory.remove("agent", "demo", &user, &by_test())
            };
            return running.desks().change(remove).await.unwrap();
        }
    };
    // Half of them by `tidings admin`, half by the application: both go the same way.
    if matches!(how, How::Password | How::UserBlocked | How::KeyRevoked) {
        let dir = dir.to_owned();
        let run = move || admin::run(&dir, command).unwrap();
        tokio::task::spawn_blocking(run).await.unwrap();
    } else {
        execute(running, command).await;
    }
}

/// What he has is over, without his doing anything.
async fn is_over(running: &Running, who: &Somebody, held: Held) {
    match held {
        Held::Stream(mut stream) => tokio::task::block_in_place(|| {
            let mut rest = Vec::new();
            let ended = stream.read_to_end(&mut rest); // a reset is an end, too
            let still = |error: std::io::Error| {
                use std::io::ErrorKind::{TimedOut, WouldBlock};
                matches!(error.kind(), TimedOut | WouldBlock)
            };
            assert!(!ended.is_err_and(still), "it is still open");
        }),
        Held::Session => tokio::task::block_in_place(|| {
            let handle = running.handle();
            support::until("his session ends", || handle.sessions(&who.user).is_empty());
        }),
        Held::Local(mut link) => while link.recv().await.is_some() {},
        Held::Poll(poll, poller) => {
            poll.await.unwrap();
            assert_eq!(poller.poll().await.status, 401);
            let packet = auth("POLLING", "");
            assert_eq!(poller.ask("POST", &packet).await.status, 401);
        }
        Held::Ws(mut ws) => while !matches!(ws.next().await, Frame::Close(_) | Frame::End) {},
        Held::Desktop(mut desktop) => while desktop.next().await.is_some() {},
        Held::Desk(agent, mut link) => {
            while link.recv().await.is_some() {}
            let act = running.desks().act(&agent, Act::Pull(None)).await;
            assert_eq!(act, Err(DeskError::SignedOut));
        }
        Held::Nothing => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_s5_s7_every_door_is_shut_at_once() {
    for how in HOWS {
        let dir = tempfile::tempdir().unwrap();
        let running = server(dir.path()).await;
        let mut inside = Vec::new();
        for (at, door) in Door::ALL.iter().enumerate() {
            let who = somebody(&running, format!("somebody{at}")).await;
            let held = enter(&running, dir.path(), *door, &who).await;
            let held = held.unwrap_or_else(|| panic!("{door:?} is shut before {how:?}"));
            inside.push((*door, who, held));
        }
        for (_, who, _) in &inside {
            revoke(&running, dir.path(), how, who).await;
        }
        for (door, who, held) in inside {
            if ends(how, door) {
                let over = is_over(&running, &who, held);
                let over = tokio::time::timeout(PATIENCE, over).await;
                over.unwrap_or_else(|_| panic!("{door:?} is open after {how:?}"));
            }
            let again = enter(&running, dir.path(), door, &who).await;
            let expected = comes_back(how, door);
            assert_eq!(again.is_some(), expected, "{door:?} after {how:?}");
        }
        running.stop().await;
    }
}

/// What an AUTH with nothing but a session token is answered.
async fn token_status(running: &Running, token: &str) -> u16 {
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", &*bearer)];
    let packet = auth("WEBSOCKET", "");
    let body = packet.to_string();
    request(http(running), "POST", "/ws.io", &headers, &body)
        .await
        .status
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_a_session_token_ends_with_the_token_it_was_issued_for_and_with_the_mode() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("jwt.key");
    let secret = "a key for the tokens of this test";
    std::fs::write(&key, secret).unwrap();
    let start = async |mode: AuthMode| {
        let key = key.clone();
        ocim::start_bare(|settings| {
            settings.data = dir.path().to_owned();
            settings.delivery.durability = Durability::Os;
            settings.auth.mode = mode;
            settings.auth.jwt.key_file = Some(key);
            settings.auth.jwt.leeway_s = 0;
        })
        .await
    };
    // From `open` mode.
    let running = start(AuthMode::Open).await;
    let old = Poller::log_in(http(&running), "alice").await.token;
    assert_eq!(token_status(&running, &old).await, 200);
    running.stop().await;
    let running = start(AuthMode::Jwt).await;
    assert_eq!(token_status(&running, &old).await, 401);
    // For a token of two seconds: its session and everything that is issued for it end with it.
    let exp = support::now_s() + 2;
    let claims = json!({"sub": "alice", "exp": exp});
    let signing = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    let jwt = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &signing).unwrap();
    let mut packet = auth("POLLING", "alice");
    packet["body"]["content"] = json!(jwt);
    let answer = request(http(&running), "POST", "/poll.io", &[], &packet.to_string()).await;
    let address = http(&running);
    let mut poller = Poller {
        address,
        token: answer.json()["token"].as_str().unwrap().to_owned(),
    };
    poller.log_in_again().await;
    poller.poll().await; // held until the session ends: it is answered long before the hold is over
    assert!(support::now_s() >= exp, "the session ended early");
    assert_eq!(poller.poll().await.status, 401);
    assert_eq!(token_status(&running, &poller.token).await, 401);
    running.stop().await;
}

/// In `open` mode a name that somebody serves customers by is nobody else's.
#[tokio::test(flavor = "multi_thread")]
async fn s5_b22_nobody_is_an_agent_without_the_agents_password() {
    let dir = tempfile::tempdir().unwrap();
    let running = ocim::start(|settings| {
        settings.data = dir.path().to_owned();
        settings.delivery.durability = Durability::Os;
        settings.listen.tcp = Some(([127, 0, 0, 1], 0).into());
    })
    .await;
    let tcp = running.addresses().tcp.unwrap();
    let login = |user: &str, token: &str| {
        tokio::task::block_in_place(|| support::login_tcp(tcp, user, token))
    };
    assert_ne!(login("agent1", "anything"), 0);
    // An agent whom an application made without an account has no way in, but keeps his name.
    let put = |directory: &tidings_server::desk::directory::Directory| {
        directory.put_agent("demo", "nobody", &Agent::default(), &by_test())
    };
    running.desks().change(put).await.unwrap();
    assert_ne!(login("nobody", "anything"), 0);
    let access = running.access();
    let take = Command::AccountAdd {
        user: "nobody".to_owned(),
        role: Role::User,
        password: PASSWORD.to_owned(),
    };
    let taken = tokio::task::spawn_blocking(move || access.execute(take));
    assert!(taken.await.unwrap().is_err());
    // Who has no account any more is an agent no more: then the name is a user's as any other.
    let user = "agent1".to_owned();
    execute(&running, Command::AccountRemove { user }).await;
    tokio::task::block_in_place(|| {
        support::until("his role goes", || {
            let roster = running.desks().directory().roster();
            !roster.tenants["demo"].agents.contains_key("agent1")
        });
    });
    assert_eq!(login("agent1", "anything"), 0);
    running.stop().await;
}
