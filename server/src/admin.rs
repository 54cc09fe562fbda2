//! `admin.sock` in the data directory: what `tidings admin` asks of a running server. One JSON object
//! a line each way: a command, then `{"ok": …}` or `{"error": "…"}`.
//!
//! Whoever can open the socket may do everything; only the server's own user can. Without a running
//! server the same commands work on the files themselves ([`run`]).

use std::io::{BufRead as _, BufReader as StdReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, io};

use serde_json::{Value, json};
use tidings_core::limits;
use tidings_core::shard::Input;
use tidings_core::wire::code::KICK_BY_ADMIN;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::auth::{Access, Command, Fault, Registry};
use crate::router::Router;
use crate::store::{self, StoreError};

/// Its name in the data directory.
const FILE: &str = "admin.sock";
/// A line must come, and an answer go, within this time.
const PATIENCE: Duration = Duration::from_secs(30);

/// The socket of a running server; its file is removed when dropped.
#[derive(Debug)]
pub(crate) struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl AdminSocket {
    /// Must be called on a runtime, by whoever holds the directory's lock: what lies there under
    /// the socket's name is a dead server's.
    pub(crate) fn bind(dir: &Path) -> io::Result<AdminSocket> {
        let path = dir.join(FILE);
        // Made where nobody else can look, and moved to its place when nobody else can open it.
        let closed = dir.join(".admin");
        let _ = fs::remove_dir_all(&closed);
        fs::create_dir(&closed)?;
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700))?;
        let made = closed.join("s");
        let listener = UnixListener::bind(&made)?;
        fs::set_permissions(&made, fs::Permissions::from_mode(0o600))?;
        fs::rename(&made, &path)?;
        fs::remove_dir(&closed)?;
        Ok(AdminSocket { listener, path })
    }

    /// Serves until the future is dropped.
    pub(crate) async fn serve(self, router: Arc<Router>, access: Access) {
        let places = Arc::new(Semaphore::new(limits::ADMIN_CONNECTIONS_MAX));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let (router, access) = (router.clone(), access.clone());
                    tokio::spawn(async move {
                        let _place = place;
                        if let Err(error) = talk(stream, &router, &access).await {
                            tracing::debug!(%error, "admin.sock");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "admin.sock");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn talk(stream: UnixStream, router: &Arc<Router>, access: &Access) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        let max = limits::ADMIN_LINE_BYTES_MAX as u64;
        let mut bounded = (&mut reader).take(max);
        let read = bounded.read_until(b'\n', &mut line);
        tokio::time::timeout(PATIENCE, read).await??;
        if line.is_empty() {
            return Ok(());
        }
        let (router, access) = (router.clone(), access.clone());
        let work = move || execute(&line, &router, &access);
        let answer = match tokio::task::spawn_blocking(work).await {
            Ok(Ok(value)) => json!({ "ok": value }),
            Ok(Err(fault)) => json!({ "error": fault.to_string() }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        let answer = format!("{answer}\n");
        tokio::time::timeout(PATIENCE, writer.write_all(answer.as_bytes())).await??;
    }
}

fn execute(line: &[u8], router: &Router, access: &Access) -> Result<Value, Fault> {
    // What serde says about a command that it does not know may quote a password.
    let unknown = |_| Fault::Refused("this is no command that this server knows".to_owned());
    let request: Value = serde_json::from_slice(line).map_err(unknown)?;
    if request["command"] == "kick" {
        let user = request["user"].as_str().unwrap_or_default();
        kick(router, user, request["reason"].as_str());
        return Ok(json!({ "user": user }));
    }
    let command: Command = serde_json::from_value(request).map_err(unknown)?;
    let blocked = match &command {
        Command::BlockUser { user, .. } => Some(user.clone()),
        _ => None,
    };
    let value = access.execute(command)?;
    if let Some(user) = blocked {
        kick(router, &user, Some("blocked"));
    }
    Ok(value)
}

fn kick(router: &Router, user: &str, reason: Option<&str>) {
    let code = KICK_BY_ADMIN;
    router.feed(Input::Kick { user, code, reason });
}

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
    if let Some(answer) = ask(dir, &line)? {
        return Ok(answer);
    }
    let _lock = store::lock_directory(dir)?;
    let registry = Registry::open(dir)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ms = i64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(i64::MAX);
    Ok(registry.execute(command, now_ms)?)
}

/// Ends all sessions of a user; needs a running server. Blocks.
///
/// # Errors
/// If it was not carried out.
pub fn kick_user(dir: &Path, user: &str, reason: Option<&str>) -> Result<Value, AdminError> {
    let line = json!({ "command": "kick", "user": user, "reason": reason }).to_string();
    ask(dir, &line)?.ok_or_else(|| AdminError::NotRunning(dir.to_owned()))
}

/// Asks the running server; `None` if there is none.
fn ask(dir: &Path, line: &str) -> Result<Option<Value>, AdminError> {
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
        stream.set_read_timeout(Some(PATIENCE))?;
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
