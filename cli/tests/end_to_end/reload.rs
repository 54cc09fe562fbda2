//! SIGHUP: what can change while the server runs does, what cannot is named, and a mistake changes
//! nothing.

use std::path::Path;

use crate::support::PATIENCE;
use crate::support::admin::says;
use crate::support::raw::{Raw, Transport, json, login, message};
use crate::support::server::Server;
use crate::support::until;

/// Writes the file, sends the signal, and returns what the log says about it, once it ends with
/// this.
fn reload(server: &Server, file: &Path, config: &str, end: &str) -> String {
    let before = server.log_text().len();
    std::fs::write(file, config).unwrap();
    server.signal("HUP");
    let start = std::time::Instant::now();
    loop {
        let log = server.log_text()[before..].to_owned();
        if log.contains(end) {
            return log;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "{end:?} is not in the log: {log}"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

const DONE: &str = "the settings were read again";
const REFUSED: &str = "the settings stay as they were";

#[test]
fn what_can_change_changes_and_the_rest_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = dir.path().join("tidings.toml");
    let server = Server::configured(dir.path(), "", &[]);

    let log = reload(&server, &file, "", DONE);
    assert!(log.contains("changed=0 needs_restart=0"), "{log}");

    let config = "[log]\nlevel = \"debug\"\nmessages = true\n\
                  [delivery]\nretention_days = 30\nudp_window = 2\n[groups]\ncrew = [\"alice\", \"bob\"]\n";
    let log = reload(&server, &file, config, DONE);
    for key in [
        "log.level",
        "log.messages",
        "delivery.retention_days",
        "groups",
    ] {
        assert!(
            log.contains(&format!("changed key=\"{key}\"")),
            "{key}: {log}"
        );
    }
    assert!(
        log.contains("needs a restart key=\"delivery.udp_window\""),
        "{log}"
    );
    assert!(log.contains("changed=4 needs_restart=1"), "{log}");
    assert!(says(&data, &["group", "show", "crew"]).contains("alice"));

    // What needs a restart is told again as long as it has not had one.
    let log = reload(&server, &file, config, DONE);
    assert!(log.contains("changed=0 needs_restart=1"), "{log}");

    let mut alice = Raw::connect(Transport::Tcp, &server.at);
    alice.login("alice");
    alice.send(&message("alice", "#crew", "followed", "text"));
    alice.frame();
    until("it is followed", || server.log_text().contains("followed"));
    let config = "[log]\nlevel = \"error\"\n";
    std::fs::write(&file, config).unwrap();
    server.signal("HUP");
    // Nothing is said about it at this level: a further change shows that it counts.
    reload(&server, &file, "[log]\nlevel = \"bad\"\n", REFUSED);
    assert!(says(&data, &["group", "show", "crew"]).contains("bob"));
}

#[test]
fn a_mistake_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tidings.toml");
    let key = dir.path().join("jwt.key");
    std::fs::write(&key, "one key of at least thirty-two bytes, for tokens\n").unwrap();
    let jwt = |path: &Path, more: &str| {
        format!("[auth]\nmode = \"jwt\"\n[auth.jwt]\nkey_file = {path:?}\n{more}")
    };
    let server = Server::configured(dir.path(), &jwt(&key, ""), &[]);
    for (config, words) in [
        ("[log]\nlevel = \"loud\"\n".to_owned(), "log.level"),
        (jwt(&dir.path().join("nowhere.key"), ""), "nowhere.key"),
        (jwt(&key, "[tls]\ncert_file = \"x.pem\"\n"), "tls.key_file"),
        (jwt(&key, "[groups]\nempty = []\n"), "empty"),
    ] {
        let log = reload(&server, &file, &config, REFUSED);
        assert!(log.contains(words), "{words}: {log}");
    }
    // Still the same mode: a token that is none is refused.
    let mut raw = Raw::connect(Transport::Tcp, &server.at);
    raw.send(&login("alice", 0));
    let answer = json(&raw.frame());
    let payload = json(answer["dataContent"].as_str().unwrap());
    assert_eq!(payload["code"], 321);
    // Another mode needs a restart, with everything that is said for it.
    let log = reload(&server, &file, "", DONE);
    assert!(log.contains("changed=0 needs_restart=2"), "{log}");
    // And TLS is not switched on while it runs.
    let log = reload(
        &server,
        &file,
        &jwt(&key, "[tls]\ncert_file = \"x.pem\"\nkey_file = \"y.pem\"\n"),
        DONE,
    );
    assert!(
        log.contains("needs a restart key=\"tls.cert_file\""),
        "{log}"
    );
}
