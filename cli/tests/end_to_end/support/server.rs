//! The real binary as a child process.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;

use super::PATIENCE;

/// Where a server listens, as its ready line says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) tcp: Option<SocketAddr>,
    pub(crate) udp: Option<SocketAddr>,
    pub(crate) ws: Option<SocketAddr>,
    pub(crate) http: Option<SocketAddr>,
}

/// A running `tidings serve`. Killed when dropped; its log is shown if the test fails.
pub(crate) struct Server {
    child: Child,
    /// Held open: a closed standard output is no reason to fail, but not what is tested here.
    _stdout: BufReader<ChildStdout>,
    pub(crate) ready_line: String,
    pub(crate) at: Addresses,
    log: PathBuf,
}

/// How a server ended that never got ready.
#[derive(Debug)]
pub(crate) struct NotStarted {
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
}

/// The binary without any `TIDINGS_` variable from outside.
pub(crate) fn tidings() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TIDINGS_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// `tidings serve` on free ports, data in `dir/data`.
pub(crate) fn serve(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = tidings();
    command.arg("serve").arg("--data").arg(dir.join("data"));
    for listener in ["--tcp", "--udp", "--ws", "--http", "--agents"] {
        if !arguments.contains(&listener) {
            command.args([listener, "127.0.0.1:0"]);
        }
    }
    command.args(arguments);
    command
}

impl Server {
    /// Starts a server and waits until it is ready.
    pub(crate) fn start(dir: &Path, arguments: &[&str]) -> Server {
        Server::run(dir, serve(dir, arguments)).unwrap_or_else(|failed| panic!("{failed:?}"))
    }

    /// Starts a server whose configuration file has these lines.
    pub(crate) fn configured(dir: &Path, config: &str, arguments: &[&str]) -> Server {
        let path = dir.join("tidings.toml");
        std::fs::write(&path, config).unwrap();
        let mut command = serve(dir, arguments);
        command.arg("--config").arg(path);
        Server::run(dir, command).unwrap_or_else(|failed| panic!("{failed:?}"))
    }

    /// Runs a prepared command until it is ready or has ended.
    pub(crate) fn run(dir: &Path, mut command: Command) -> Result<Server, NotStarted> {
        let log = dir.join("server.log");
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let start = file.metadata().unwrap().len() as usize;
        let mut child = command.stdout(Stdio::piped()).stderr(file).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let result = stdout.read_line(&mut line);
            let _ = sender.send((result, line, stdout));
        });
        let Ok((Ok(_), line, stdout)) = receiver.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            panic!("neither ready nor ended; log: {}", read(&log));
        };
        if line.is_empty() {
            let code = child.wait().unwrap().code();
            let stderr = read(&log)[start..].to_owned();
            return Err(NotStarted { code, stderr });
        }
        let at = addresses(&line);
        Ok(Server {
            child,
            _stdout: stdout,
            ready_line: line,
            at,
            log,
        })
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let start = std::time::Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "it does not end; log: {}",
                self.log_text()
            );
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Whether it has not ended.
    pub(crate) fn is_up(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What it has logged so far.
    pub(crate) fn log_text(&self) -> String {
        read(&self.log)
    }

    /// Resident memory in KiB; `None` where the system does not tell.
    pub(crate) fn memory_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let text = self.log_text();
            let tail = text.len().saturating_sub(8000);
            eprintln!(
                "--- log of the server:\n{}",
                text.get(tail..).unwrap_or(&text)
            );
        }
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// Reads `ready tcp=127.0.0.1:8901 udp=…`.
fn addresses(line: &str) -> Addresses {
    let mut words = line.split_whitespace();
    assert_eq!(words.next(), Some("ready"), "{line:?}");
    let mut at = Addresses::default();
    for word in words {
        let (name, address) = word.split_once('=').expect("name=address");
        let address = Some(address.parse().expect("an address"));
        match name {
            "tcp" => at.tcp = address,
            "udp" => at.udp = address,
            "ws" => at.ws = address,
            "http" => at.http = address,
            "agents" => {}
            _ => panic!("{name} is no listener"),
        }
    }
    at
}
