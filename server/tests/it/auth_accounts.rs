//! Accounts, visitors, blocks and the admin socket of a running server.

#![cfg(unix)]

use std::io::Read as _;

use crate::support::{TestServer, connect, login_over, login_tcp, login_udp, login_ws};
use serde_json::json;
use tidings_core::wire::code::{REFUSED_BLOCKED, REFUSED_TOKEN};
use tidings_server::admin::{self, Task};
use tidings_server::auth::{Command, Role, Scope};
use tidings_server::config::AuthMode;
use tidings_server::store::Durability;

fn accounts() -> TestServer {
    TestServer::start(|settings| settings.auth.mode = AuthMode::Accounts)
}

fn add(user: &str, role: Role) -> Command {
    Command::AccountAdd {
        user: user.to_owned(),
        role,
        password: "correct horse".to_owned(),
    }
}

#[test]
fn passwords_on_every_transport() {
    let server = accounts();
    admin::run(server.data.path(), add("alice", Role::User)).unwrap();
    assert_eq!(login_tcp(server.tcp(), "alice", "correct horse"), 0);
    assert_eq!(login_ws(server.ws(), "alice", "correct horse"), 0);
    assert_eq!(login_udp(server.udp(), "alice", "correct horse"), 0);
    assert_eq!(
        login_tcp(server.tcp(), "alice", "wrong horse"),
        REFUSED_TOKEN
    );
    assert_eq!(login_ws(server.ws(), "bob", "correct horse"), REFUSED_TOKEN);
    assert_eq!(login_udp(server.udp(), "alice", ""), REFUSED_TOKEN);
}

#[test]
fn staff_needs_its_password_even_where_all_is_open() {
    let server = TestServer::start(|_| {});
    assert_eq!(server.login("boss", "anything"), 0);
    admin::run(server.data.path(), add("boss", Role::Admin)).unwrap();
    assert_eq!(server.login("boss", "anything"), REFUSED_TOKEN);
    assert_eq!(server.login("boss", "correct horse"), 0);
    assert_eq!(server.login("alice", "anything"), 0);
}

/// Many wrong passwords from one address at once do not keep the right one out.
#[test]
fn guessing_does_not_refuse_the_right_password() {
    let server = accounts();
    admin::run(server.data.path(), add("alice", Role::User)).unwrap();
    let address = server.tcp();
    let guessers: Vec<_> = (0..8)
        .map(|n| {
            std::thread::spawn(move || {
                for m in 0..4 {
                    let code = login_tcp(address, "alice", &format!("guess {n} {m}"));
                    assert_eq!(code, REFUSED_TOKEN);
                }
            })
        })
        .collect();
    for _ in 0..4 {
        assert_eq!(server.login("alice", "correct horse"), 0);
    }
    for guesser in guessers {
        guesser.join().unwrap();
    }
    assert_eq!(server.login("alice", "correct horse"), 0);
}

#[test]
fn visitors_come_in_with_what_we_issued() {
    let server = accounts();
    let access = server.running.as_ref().unwrap().access();
    let visitor = access.visitor();
    let token = visitor.token.expose();
    assert_eq!(server.login(&visitor.user, token), 0);
    assert_eq!(
        server.login(&visitor.user, "v1.9999999999.AAAA"),
        REFUSED_TOKEN
    );
    assert_eq!(server.login(&access.visitor().user, token), REFUSED_TOKEN);
    let renewed = access.renew_visitor(&visitor.user, &visitor.token).unwrap();
    assert_eq!(server.login(&visitor.user, renewed.token.expose()), 0);
}

#[test]
fn who_is_blocked_is_kicked_and_stays_out() {
    let server = TestServer::start(|_| {});
    let dir = server.data.path();
    let mut online = connect(server.tcp());
    assert_eq!(login_over(&mut online, "mallory", ""), 0);
    let user = || "mallory".to_owned();
    let block = Command::BlockUser {
        user: user(),
        reason: "spam".to_owned(),
    };
    admin::run(dir, block).unwrap();
    let mut rest = Vec::new();
    online.read_to_end(&mut rest).unwrap();
    let rest = String::from_utf8_lossy(&rest);
    assert!(rest.contains("\\\"code\\\":2"), "{rest}");
    assert_eq!(server.login("mallory", ""), REFUSED_BLOCKED);
    assert_eq!(server.login("alice", ""), 0);
    admin::run(dir, Command::UnblockUser { user: user() }).unwrap();
    assert_eq!(server.login("mallory", ""), 0);
    let address = || "127.0.0.0/8".to_owned();
    let block = Command::BlockAddress {
        address: address(),
        reason: String::new(),
    };
    admin::run(dir, block).unwrap();
    assert_eq!(server.login("alice", ""), REFUSED_BLOCKED);
    assert_eq!(login_udp(server.udp(), "alice", ""), REFUSED_BLOCKED);
    admin::run(dir, Command::UnblockAddress { address: address() }).unwrap();
    assert_eq!(server.login("alice", ""), 0);
}

fn kick() -> Task {
    let (user, reason) = ("nobody".to_owned(), None);
    Task::Kick { user, reason }
}

/// The same commands with and without a server, on the same files.
#[test]
fn keys_while_it_runs_and_while_it_does_not() {
    let data = tempfile::tempdir().unwrap();
    let create = |scope| Command::KeyCreate {
        scope,
        name: "ci".to_owned(),
        rate: None,
    };
    let before = admin::run(data.path(), create(Scope::Read)).unwrap();
    let path = data.path().to_owned();
    let mut server = TestServer::try_start(data, |settings| {
        settings.delivery.durability = Durability::Disk;
    })
    .unwrap();
    let keys = server.running.as_ref().unwrap().access().keys();
    assert_eq!(
        keys.check(before["key"].as_str().unwrap()),
        Some(Scope::Read)
    );
    let during = admin::run(&path, create(Scope::Admin)).unwrap();
    let key = during["key"].as_str().unwrap();
    assert_eq!(keys.check(key), Some(Scope::Admin));
    assert_eq!(keys.check("tidings_wrong"), None);
    let kicked = admin::perform(&path, kick()).unwrap();
    assert_eq!(kicked, json!({"user": "nobody", "ended": 0}));
    let error = admin::run(&path, Command::KeyRevoke { id: 99 }).unwrap_err();
    assert_eq!(error.to_string(), "there is no key 99");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let meta = std::fs::metadata(path.join("admin.sock")).unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    }
    let running = server.running.take().unwrap();
    server.runtime.block_on(running.stop());
    assert!(!path.join("admin.sock").exists());
    // Its threads let go of the directory in their own time.
    crate::support::until("the directory is free", || {
        admin::run(&path, Command::KeyList).is_ok()
    });
    let list = admin::run(&path, Command::KeyList).unwrap();
    assert_eq!(list["keys"].as_array().unwrap().len(), 2);
    assert!(admin::perform(&path, kick()).is_err());
    // A socket that a killed server left behind is no running server.
    drop(std::os::unix::net::UnixListener::bind(path.join("admin.sock")).unwrap());
    assert!(admin::run(&path, Command::KeyList).is_ok());
}

#[test]
fn nonsense_on_the_socket_is_answered() {
    use std::io::{BufRead as _, BufReader, Write as _};
    let server = TestServer::start(|_| {});
    let socket = server.data.path().join("admin.sock");
    let stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for line in [
        "x",
        "{}",
        "[]",
        r#"{"command":"key_create","scope":"all"}"#,
        "\u{0}",
    ] {
        (&stream).write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        reader.read_line(&mut answer).unwrap();
        assert!(answer.contains("error"), "{answer}");
    }
    (&stream)
        .write_all(b"{\"command\":\"key_list\"}\n")
        .unwrap();
    let mut answer = String::new();
    reader.read_line(&mut answer).unwrap();
    assert_eq!(answer, "{\"ok\":{\"keys\":[]}}\n");
}
