//! Customers and agents on text clients: `tidings bench desk`, which checks both ends by itself.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::PATIENCE;
use crate::support::server::{Server, tidings};

const AGENTS: [&str; 4] = ["--agents", "3", "--capacity", "2"];
const CUSTOMERS: u64 = 12;

/// Sets the desk up in a data directory that no server uses.
pub(crate) fn prepare(data: &Path) {
    let mut command = tidings();
    command
        .args(["bench", "desk", "--prepare", "--data"])
        .arg(data);
    assert!(command.args(AGENTS).status().unwrap().success());
}

/// Where desktop agents come in, as the ready line says.
pub(crate) fn agents_port(server: &Server) -> String {
    let words = server.ready_line.split_whitespace();
    let mut found = words.filter_map(|word| word.strip_prefix("agents="));
    found.next().unwrap().to_owned()
}

/// Customers on WebSocket and polling, agents on WebSocket and TCP; the server may die meanwhile.
pub(crate) fn begin(server: &Server, seed: u64) -> Child {
    let mut command = tidings();
    command.args([
        "bench",
        "desk",
        "--json",
        "--survive",
        "--transport",
        "mixed",
    ]);
    command.args(["--server", &format!("http://{}", server.at.http.unwrap())]);
    command.args(["--agents-address", &agents_port(server)]);
    command
        .args(AGENTS)
        .args(["--customers", &CUSTOMERS.to_string()]);
    command.args(["--load", "1.1", "--handle-ms", "600", "--grace", "30"]);
    command.args(["--seed", &seed.to_string()]);
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What was found: everybody served, nothing lost, out of order, or served by two.
pub(crate) fn end(mut load: Child) -> Result<(), String> {
    let begun = Instant::now();
    let over = loop {
        match load.try_wait().unwrap() {
            Some(over) => break over,
            None if begun.elapsed() > PATIENCE * 4 => {
                load.kill().unwrap();
                load.wait().unwrap();
                return Err("the customers and agents never come to an end".to_owned());
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let mut json = String::new();
    load.stdout
        .take()
        .unwrap()
        .read_to_string(&mut json)
        .unwrap();
    let found: serde_json::Value = serde_json::from_str(&json)
        .map_err(|error| format!("the desk's load ended with {over}: {error}: {json}"))?;
    let broken: Vec<&str> = ["lost", "out_of_order", "over_capacity", "two_agents"]
        .into_iter()
        .filter(|promise| found[*promise] != 0)
        .collect();
    match broken.is_empty() && found["served"] == CUSTOMERS {
        true => Ok(()),
        false => Err(format!("at the desk {broken:?}: {json}")),
    }
}
