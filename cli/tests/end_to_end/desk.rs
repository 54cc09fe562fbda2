//! A desk with customers and agents over sockets, and SIGKILL in the middle: everybody comes back,
//! nothing that was typed is lost or out of order, and nobody is served by two agents. The load is
//! `tidings bench desk`, which checks both ends.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::support::dice::Dice;
use crate::support::server::{Server, tidings};
use crate::support::{knob, until};

const AGENTS: &str = "5";
const CAPACITY: &str = "2";

fn prepare(dir: &Path) {
    let mut command = tidings();
    command.args(["bench", "desk", "--prepare", "--data"]);
    command.arg(dir.join("data"));
    command.args(["--agents", AGENTS, "--capacity", CAPACITY]);
    assert!(command.status().unwrap().success());
}

/// Customers on WebSocket and polling, agents on WebSocket and on the agents' port.
fn load(server: &Server, seed: u64, survive: bool) -> Child {
    let http = server.at.http.unwrap();
    let mut command = tidings();
    command.args(["bench", "desk", "--json", "--transport", "mixed"]);
    command.args(["--server", &format!("http://{http}")]);
    command.args(["--agents-address", &agents(server)]);
    command.args(["--agents", AGENTS, "--capacity", CAPACITY]);
    command.args(["--customers", "40", "--load", "1.1", "--handle-ms", "1000"]);
    command.args(["--grace", "30", "--seed", &seed.to_string()]);
    if survive {
        command.arg("--survive");
    }
    command.stdout(Stdio::piped()).spawn().unwrap()
}

fn agents(server: &Server) -> String {
    let words = server.ready_line.split_whitespace();
    let mut found = words.filter_map(|word| word.strip_prefix("agents="));
    found.next().unwrap().to_owned()
}

/// What the load found, and that no promise was broken.
fn found(mut load: Child) -> serde_json::Value {
    let mut json = String::new();
    let mut status = None;
    let mut out = load.stdout.take().unwrap();
    until("the load ends", || {
        status = load.try_wait().unwrap();
        status.is_some()
    });
    out.read_to_string(&mut json).unwrap();
    assert!(status.unwrap().success(), "{json}");
    let found: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(found["served"], 40, "{json}");
    found
}

#[test]
fn customers_are_served_over_sockets() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let server = Server::start(dir.path(), &["--log-level", "warn"]);
    let found = found(load(&server, knob("TIDINGS_TEST_SEED", 1), false));
    for promise in ["lost", "duplicated", "out_of_order", "over_capacity"] {
        assert_eq!(found[promise], 0, "{found}");
    }
}

#[test]
fn a_desk_survives_sigkill() {
    let seed = knob("TIDINGS_TEST_SEED", 1);
    let mut dice = Dice::new(seed);
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let mut server = Server::start(dir.path(), &["--log-level", "warn"]);
    let http = server.at.http.unwrap().to_string();
    let desktop = agents(&server);
    let mut load = load(&server, seed, true);
    for _ in 0..knob("TIDINGS_TEST_DESK_KILLS", 2) {
        // The load itself decides when; the moment within it is random.
        std::thread::sleep(Duration::from_millis(1500 + dice.below(1500) as u64));
        let over = load.try_wait().unwrap().is_some();
        server.kill();
        let there = ["--log-level", "warn", "--http", &http, "--agents", &desktop];
        server = Server::start(dir.path(), &there);
        if over {
            break;
        }
    }
    let found = found(load);
    for promise in ["lost", "out_of_order", "over_capacity", "two_agents"] {
        assert_eq!(found[promise], 0, "{found}");
    }
}
