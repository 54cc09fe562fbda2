//! What `tidings admin` does: accounts, keys and blocks ([`Command`]), everything else ([`Task`]).
//!
//! - `socket`: `admin.sock` in the data directory of a running server. One JSON object a line each
//!   way: a command or task, then `{"ok": …}` or `{"error": "…"}`. Whoever can open it may do
//!   everything; only the server's own user can.
//! - `task`: what is done; `backup`: the files of a copy, and back; `desk`: what accounts mean to desks
//!
//! Without a running server the same is done on its files: by [`run`] and [`perform`], which both
//! know which of the two it is.

mod backup;
mod desk;
mod socket;
mod task;

use std::io::{self, BufRead as _, BufReader as StdReader, Write as _};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::auth::{Command, Fault, Registry};
use crate::config::{Listen, Settings};
use crate::handle::HandleError;
use crate::server::{Server, StartError};
use crate::store::{self, StoreError};
pub(crate) use socket::AdminSocket;
pub(crate) use task::Office;
pub use task::Task;

/// Its name in the data directory.
const FILE: &str = "admin.sock";
/// A line must come, and an answer go, within this time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a command of `tidings admin` was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// It cannot be done.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The running server says no.
    #[error("{0}")]
    Refused(String),
    /// The data directory cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The running server, or the store, says no.
    #[error(transparent)]
    Handle(#[from] HandleError),
    /// The data directory of a server that does not run cannot be used.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A copy cannot be made, or cannot be used.
    #[error("{}: {reason}", path.display())]
    Backup {
        /// Where.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// There is nothing in the directory that could be worked on.
    #[error("{} is no data directory of a server: there is no tidings.db; see --data", .0.display())]
    NoData(PathBuf),
    /// Something that only a running server can do.
    #[error("no server is running on {}", .0.display())]
    NotRunning(PathBuf),
    /// The socket is there, but nothing sensible comes out of it.
    #[error("{}: {reason}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Carries a command out: by the server that runs on this data directory, or else on its files.
/// Blocks.
///
/// # Errors
/// If it was not carried out.
pub fn run(dir: &Path, command: Command) -> Result<Value, AdminError> {
    let line = serde_json::to_string(&command).unwrap_or_default();
    if let Some(answer) = ask(dir, &line, Some(PATIENCE))? {
        return Ok(answer);
    }
    let _lock = store::lock_directory(dir)?;
    let registry = Registry::open(dir)?;
    Ok(desk::execute(dir, &registry, command)?)
}

/// The same for a task. Blocks for as long as it takes; not to be called on a runtime.
///
/// # Errors
/// If it was not done. What a check finds to be wrong is no error.
pub fn perform(dir: &Path, task: Task) -> Result<Value, AdminError> {
    let line = serde_json::to_string(&task).unwrap_or_default();
    if let Some(answer) = ask(dir, &line, None)? {
        return Ok(answer);
    }
    match task {
        Task::Kick { .. } => Err(AdminError::NotRunning(dir.to_owned())),
        task => alone(dir, task),
    }
}

/// Makes a data directory out of what [`Task::Backup`] wrote, and checks it as [`Task::Check`]
/// does: that is the answer. Blocks; not to be called on a runtime.
///
/// # Errors
/// If `from` is no backup, `dir` is there and not empty, or it cannot be written; nothing is left
/// in it then.
pub fn restore(dir: &Path, from: &Path) -> Result<Value, AdminError> {
    backup::restore(dir, from)?;
    alone(dir, Task::Check)
}

/// By a server of our own, which nobody can connect to.
fn alone(dir: &Path, task: Task) -> Result<Value, AdminError> {
    if !dir.join("tidings.db").is_file() {
        return Err(AdminError::NoData(dir.to_owned()));
    }
    let settings = Settings {
        data: dir.to_owned(),
        listen: Listen {
            tcp: None,
            udp: None,
            ws: None,
            http: None,
            ocim: None,
            agents: None,
        },
        ..Settings::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    runtime.map_err(StartError::Thread)?.block_on(async {
        let running = Server::start(settings).await?;
        let done = running.office().execute(task).await;
        running.stop().await;
        done
    })
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

/// Asks the running server; `None` if there is none. Waits without end for what takes its time.
fn ask(dir: &Path, line: &str, patience: Option<Duration>) -> Result<Option<Value>, AdminError> {
    let path = dir.join(FILE);
    let fault = |reason: String| AdminError::Socket {
        path: path.clone(),
        reason,
    };
    let mut stream = match StdStream::connect(&path) {
        Ok(stream) => stream,
        Err(error) => match error.kind() {
            // Never there, or a dead server's.
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => return Ok(None),
            _ => return Err(fault(error.to_string())),
        },
    };
    let mut exchange = || -> io::Result<Vec<u8>> {
        stream.set_read_timeout(patience)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(format!("{line}\n").as_bytes())?;
        let mut answer = Vec::new();
        StdReader::new(&stream).read_until(b'\n', &mut answer)?;
        Ok(answer)
    };
    let answer = exchange().map_err(|error| fault(error.to_string()))?;
    let answer: Value =
        serde_json::from_slice(&answer).map_err(|_| fault("the server gave no answer".into()))?;
    if let Some(reason) = answer["error"].as_str() {
        return Err(AdminError::Refused(reason.to_owned()));
    }
    match answer.get("ok") {
        Some(value) => Ok(Some(value.clone())),
        None => Err(fault("the server gave no answer".to_owned())),
    }
}
