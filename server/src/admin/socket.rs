//! `admin.sock`: the running server's end.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use serde_json::{Value, json};
use tidings_core::limits;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::task::{Office, Task};
use super::{AdminError, FILE, PATIENCE};
use crate::auth::{Command, Door, Fault, Presented};

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
    pub(crate) async fn serve(self, office: Office) {
        let places = Arc::new(Semaphore::new(limits::ADMIN_CONNECTIONS_MAX));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let office = office.clone();
                    tokio::spawn(async move {
                        let _place = place;
                        if let Err(error) = talk(stream, &office).await {
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

async fn talk(stream: UnixStream, office: &Office) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        let max = limits::ADMIN_LINE_BYTES_MAX;
        // One more, for the end of the line.
        let mut bounded = (&mut reader).take(max as u64 + 1);
        let read = bounded.read_until(b'\n', &mut line);
        tokio::time::timeout(PATIENCE, read).await??;
        let whole = line.pop() == Some(b'\n');
        if !whole && line.len() < max {
            return Ok(()); // the other side has gone, maybe in the middle of a line
        }
        let answer = match whole {
            true => execute(&line, office).await,
            false => Err(AdminError::Refused(format!(
                "the line has more than ADMIN_LINE_BYTES_MAX = {max} bytes: say less at once"
            ))),
        };
        let answer = match answer {
            Ok(value) => json!({ "ok": value }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        let answer = format!("{answer}\n");
        tokio::time::timeout(PATIENCE, writer.write_all(answer.as_bytes())).await??;
        if !whole {
            return Ok(());
        }
    }
}

/// What may stand on a line.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Request {
    Command(Command),
    Task(Task),
}

async fn execute(line: &[u8], office: &Office) -> Result<Value, AdminError> {
    let command = match serde_json::from_slice(line) {
        Ok(Request::Task(task)) => return office.execute(task).await,
        Ok(Request::Command(command)) => command,
        // What serde says about a command that it does not know may quote a password.
        Err(_) => {
            let words = "this is no command that this server knows";
            return Err(AdminError::Refused(words.to_owned()));
        }
    };
    let access = office.access.clone();
    let admitted = access.admit_now(Door::AdminSocket, None, Presented::Socket);
    let admitted = admitted.map_err(|code| AdminError::Refused(format!("refused: {code}")))?;
    let execute = move || access.execute_by(command, &admitted.user);
    let done = tokio::task::spawn_blocking(execute).await;
    Ok(done.map_err(|error| Fault::Storage(error.to_string()))??)
}
