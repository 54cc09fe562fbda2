//! The commands of docs/operations.md, "Secured in ten minutes", as they stand there, in a clean
//! directory: only the ports are others, and the listeners stay on this machine.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

const PAGE: &str = include_str!("../../../docs/operations.md");

/// The shell blocks of a section, one after the other.
fn commands(section: &str) -> String {
    let (_, rest) = PAGE.split_once(&format!("\n## {section}\n")).unwrap();
    let section = rest.split("\n## ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap())
        .collect()
}

fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    command
        .arg("version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok()
}

#[test]
fn a_newcomer_secures_a_server_from_the_page() {
    if !(is_there("openssl") && is_there("curl")) {
        println!("skipped: the page needs openssl and curl");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // Held together, so that they differ; free again when the script runs.
    let free = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let mut script = commands("Secured in ten minutes").replace("0.0.0.0", "127.0.0.1");
    for (listener, port) in free.iter().zip(["8901", "3000", "8080"]) {
        let other = listener.local_addr().unwrap().port();
        script = script.replace(&format!(":{port}"), &format!(":{other}"));
    }
    script = script.replace("2> tidings.log &", "2> tidings.log & echo $! > server.pid");
    drop(free);
    let binary = Path::new(env!("CARGO_BIN_EXE_tidings"));
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", binary.parent().unwrap().display());
    let mut command = Command::new("sh");
    command.args(["-euxc", &script]).current_dir(dir.path());
    command.env("PATH", path).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TIDINGS_") {
            command.env_remove(name);
        }
    }
    // Into files: the server that stays behind would hold a pipe open.
    let output = dir.path().join("output");
    let file = std::fs::File::create(&output).unwrap();
    command.stdout(file.try_clone().unwrap()).stderr(file);
    let status = command.status().unwrap();
    if let Ok(server) = std::fs::read_to_string(dir.path().join("server.pid")) {
        let _ = Command::new("kill").arg(server.trim()).status();
    }
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();
    let (said, log) = (read("output"), read("tidings.log"));
    assert!(status.success(), "{said}\n--- log of the server:\n{log}");
    assert!(
        said.contains("1 messages in 1 conversations: all as they were"),
        "{said}"
    );
    let backups = std::fs::read_dir(dir.path().join("backups")).unwrap();
    assert_eq!(backups.count(), 1);
}
