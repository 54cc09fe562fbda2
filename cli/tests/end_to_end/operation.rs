//! Starting, stopping and failing, as an operator sees it.

use std::path::Path;

use crate::support::disk::SmallDisk;
use crate::support::raw::{Got, Raw, TRANSPORTS, Transport, json, keepalive, message};
use crate::support::server::{NotStarted, Server, serve, tidings};

fn refused(dir: &Path, arguments: &[&str]) -> NotStarted {
    match Server::run(dir, serve(dir, arguments)) {
        Ok(server) => panic!("it started: {}", server.ready_line),
        Err(failed) => failed,
    }
}

/// One line that says what is wrong, and the exit code of a failed start.
fn one_line(failed: &NotStarted, expected: &str) {
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(failed.stderr.contains(expected), "{failed:?}");
    let lines: Vec<_> = failed
        .stderr
        .lines()
        .filter(|l| l.starts_with("tidings: "))
        .collect();
    assert_eq!(lines.len(), 1, "{failed:?}");
}

#[test]
fn the_ready_line_names_what_is_bound() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let names: Vec<_> = server
        .ready_line
        .split_whitespace()
        .map(|word| word.split('=').next().unwrap())
        .collect();
    assert_eq!(names, ["ready", "tcp", "udp", "ws", "http", "agents"]);
    for address in [server.at.tcp, server.at.udp, server.at.ws, server.at.http] {
        let address = address.unwrap();
        assert!(address.ip().is_loopback() && address.port() != 0);
    }
    drop(server);
    let server = Server::start(dir.path(), &["--udp", "off", "--http", "off"]);
    assert!(server.at.udp.is_none() && server.at.http.is_none());
    assert!(server.at.tcp.is_some() && server.at.ws.is_some());
}

#[test]
fn signals_stop_it_gracefully() {
    let dir = tempfile::tempdir().unwrap();
    for signal in ["TERM", "INT"] {
        let mut server = Server::start(dir.path(), &[]);
        let mut links: Vec<Raw> = TRANSPORTS
            .iter()
            .map(|transport| {
                let mut raw = Raw::connect(*transport, &server.at);
                raw.login(&format!("user{transport:?}"));
                raw
            })
            .collect();
        // What was handed over before the signal is answered before the end.
        for raw in &mut links {
            let user = format!("user{:?}", raw.transport);
            raw.send(&message(&user, "0", signal, "last words"));
            assert_eq!(json(&raw.frame())["dataContent"], signal);
        }
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0), "{signal}");
        for raw in &mut links {
            match raw.transport {
                Transport::Tcp => assert_eq!(raw.next(), Got::End),
                Transport::Udp => {}
                Transport::Ws => match raw.next() {
                    Got::Control(8, payload) => assert_eq!(payload[..2], 1001_u16.to_be_bytes()),
                    other => panic!("{other:?} instead of a close frame"),
                },
            }
        }
    }
}

#[test]
fn a_mistake_in_the_configuration_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("bad.toml");
    std::fs::write(&config, "[delivery]\ndurabilty = \"disk\"\n").unwrap();
    let failed = refused(dir.path(), &["--config", config.to_str().unwrap()]);
    one_line(&failed, "bad.toml:2: unknown key delivery.durabilty");

    std::fs::write(&config, "[delivery]\ndurability = \"ram\"\n").unwrap();
    let failed = refused(dir.path(), &["--config", config.to_str().unwrap()]);
    one_line(&failed, "bad.toml:2: delivery.durability = \"ram\"");

    let mut command = serve(dir.path(), &[]);
    command.env("TIDINGS_LISTEN_TPC", "127.0.0.1:1");
    let failed = Server::run(dir.path(), command).err().unwrap();
    one_line(&failed, "environment variable TIDINGS_LISTEN_TPC");

    let failed = refused(dir.path(), &["--tcp", "0.0.0.0:0"]);
    one_line(&failed, "auth.allow_open_on_public = true");

    let failed = refused(dir.path(), &["--config", "/nowhere/at.all"]);
    one_line(&failed, "/nowhere/at.all");
}

#[test]
fn the_environment_and_the_file_count() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("t.toml");
    std::fs::write(&config, "[listen]\nudp = \"off\"\nws = \"off\"\n").unwrap();
    let mut command = tidings();
    command
        .args(["serve", "--tcp", "127.0.0.1:0", "--config"])
        .arg(&config);
    command
        .env("TIDINGS_LISTEN_HTTP", "off")
        .env("TIDINGS_LISTEN_UDP", "127.0.0.1:0");
    command
        .env("TIDINGS_DATA", dir.path().join("data"))
        .env("TIDINGS_TOKEN", "of the client");
    let server = Server::run(dir.path(), command).unwrap();
    assert!(server.at.tcp.is_some() && server.at.udp.is_some());
    assert!(server.at.ws.is_none() && server.at.http.is_none());
    assert!(dir.path().join("data").is_dir());
}

#[test]
fn wrong_usage_exits_with_2() {
    for arguments in [
        &["serve", "--durability", "ram"][..],
        &["serve", "--tcp", "8901"],
        &["serve", "--tpc", "127.0.0.1:0"],
        &["serve", "--shutdown-ms", "-1"],
        &["surf"],
        &[],
    ] {
        let output = tidings().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    }
    let output = tidings().arg("--version").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn an_address_in_use_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    for (option, address) in [("--tcp", server.at.tcp), ("--udp", server.at.udp)] {
        let address = address.unwrap().to_string();
        one_line(&refused(other.path(), &[option, &address]), &address);
    }
}

#[test]
fn a_data_directory_serves_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let failed = refused(dir.path(), &[]);
    one_line(&failed, "in use by another tidings process");
    server.kill();
    Server::start(dir.path(), &[]);
}

#[test]
fn a_data_directory_that_cannot_be_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let mut command = tidings();
    command.args([
        "serve",
        "--tcp",
        "127.0.0.1:0",
        "--udp",
        "off",
        "--ws",
        "off",
    ]);
    command
        .args(["--http", "off", "--agents", "off", "--data"])
        .arg(file.join("data"));
    let failed = Server::run(dir.path(), command).err().unwrap();
    one_line(&failed, file.to_str().unwrap());
}

#[test]
fn a_damaged_store_is_named_and_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]);
    let mut raw = Raw::connect(Transport::Tcp, &server.at);
    raw.login("alice");
    raw.send(&message("alice", "bob", "m1", "precious"));
    raw.frame();
    server.terminate();
    server.wait();
    let log = dir.path().join("data/tidings.db");
    assert!(log.metadata().unwrap().len() >= 4096, "this is not the log");
    std::fs::write(&log, vec![0xa5; 65536]).unwrap();
    // A write-ahead log that was left would mend it.
    let _ = std::fs::remove_file(dir.path().join("data/tidings.db-wal"));
    let failed = refused(dir.path(), &[]);
    one_line(&failed, "tidings.db is damaged");
    assert_eq!(std::fs::read(&log).unwrap(), vec![0xa5; 65536]);
}

#[test]
fn it_tells_its_health() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let ask = |path: &str| {
        let at = crate::support::server::Addresses {
            tcp: server.at.http,
            ..server.at
        };
        let mut raw = Raw::connect(Transport::Tcp, &at);
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        raw.send_bytes(request.as_bytes());
        raw.read_head().unwrap()
    };
    assert!(ask("/healthz").starts_with("HTTP/1.1 200 "));
    assert!(ask("/readyz").starts_with("HTTP/1.1 200 "));
    assert!(ask("/nothing").starts_with("HTTP/1.1 404 "));
}

#[test]
fn echo_is_there_for_conformance_suites_only() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--echo", "--durability", "memory"]);
    let at = crate::support::server::Addresses {
        tcp: server.at.ws,
        ..server.at
    };
    let mut raw = Raw::connect(Transport::Tcp, &at);
    raw.send_bytes(
        b"GET /echo HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert!(raw.read_head().unwrap().starts_with("HTTP/1.1 101 "));
    raw.transport = Transport::Ws;
    let big = vec![7; 1 << 20];
    raw.send_bytes(&crate::support::raw::websocket_frame(0x82, &big));
    assert_eq!(raw.next(), Got::Control(2, big));
    raw.send_bytes(&crate::support::raw::websocket_frame(
        0x81,
        "grüße".as_bytes(),
    ));
    assert_eq!(raw.next(), Got::Frame("grüße".to_owned()));
}

/// On a full disk senders are refused, nothing acknowledged is lost, nobody is thrown out, and
/// space that is freed is used.
#[test]
fn a_full_disk_refuses_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let _disk = match SmallDisk::mount(&data) {
        Ok(disk) => disk,
        Err(reason) => {
            println!("skipped: a small file system cannot be mounted here: {reason}");
            return;
        }
    };
    let ballast = data.join("ballast");
    std::fs::write(&ballast, vec![1; 2 << 20]).unwrap();
    let mut server = Server::start(dir.path(), &[]);
    let mut sender = Raw::connect(Transport::Tcp, &server.at);
    sender.login("alice");
    let body = "x".repeat(5000);
    let mut acknowledged = Vec::new();
    let code = loop {
        let id = format!("m{}", acknowledged.len());
        sender.send(&message("alice", "bob", &id, &body));
        let answer = json(&sender.frame());
        if answer["type"] == 4 {
            acknowledged.push(id);
            assert!(acknowledged.len() < 2000, "4 MB never fill");
            continue;
        }
        let payload = json(answer["dataContent"].as_str().unwrap());
        break payload["errorCode"].as_i64().unwrap();
    };
    assert_eq!(code, 315);
    assert!(server.is_up());
    sender.send(&keepalive("alice"));
    assert_eq!(json(&sender.frame())["type"], 51);

    std::fs::remove_file(&ballast).unwrap();
    let id = "after";
    loop {
        sender.send(&message("alice", "bob", id, "there is room again"));
        let answer = json(&sender.frame());
        if answer["type"] == 4 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50)); // be polite: it is asked again
    }
    server.kill();
    let server = Server::start(dir.path(), &[]);
    let mut receiver = Raw::connect(Transport::Tcp, &server.at);
    receiver.login("bob");
    for id in acknowledged.iter().map(String::as_str).chain([id]) {
        assert_eq!(json(&receiver.frame())["fp"], id);
        receiver.send(&crate::support::raw::acknowledgement("bob", "alice", id));
    }
}
