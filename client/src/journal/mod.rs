//! The outbox file: what is unacknowledged and what was taken, across restarts.
//!
//! Here: the thread that writes it. The bytes are `file`'s business, what to write the machine's.
//! One thread for each file: whatever has gathered while it was busy shares its next fsync.

mod file;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::mpsc as thread_channel;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::error::OutboxError;
use crate::machine::{Input, Record, Restored};
use file::JournalFile;

/// Records that nobody waits for are written with the next that somebody waits for, or after this.
const IDLE_FLUSH: Duration = Duration::from_millis(500);

type Records = Vec<(u64, Record)>;

/// The writing thread's handle. When it is dropped, the thread writes what it has and ends.
pub(crate) struct Journal {
    jobs: Option<thread_channel::Sender<Records>>,
    answers: mpsc::UnboundedReceiver<Input>,
}

impl Journal {
    /// Opens or makes the file. `seen_max` bounds the ids of taken messages that it keeps.
    pub(crate) async fn open(
        path: PathBuf,
        user: &str,
        seen_max: usize,
    ) -> Result<(Journal, Restored), OutboxError> {
        let user = user.to_owned();
        let place = path.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let (file, restored) = JournalFile::open(path.clone(), &user, seen_max)?;
            let (jobs, inbox) = thread_channel::channel();
            let (outbox, answers) = mpsc::unbounded_channel();
            let name = "tidings-outbox".to_owned();
            let spawned = thread::Builder::new()
                .name(name)
                .spawn(move || Writer::new(file, outbox).run(&inbox));
            spawned.map_err(|source| OutboxError::Io { path, source })?;
            let jobs = Some(jobs);
            Ok((Journal { jobs, answers }, restored))
        });
        opened.await.unwrap_or_else(|error| {
            let source = io::Error::other(error);
            let path = place;
            Err(OutboxError::Io { path, source })
        })
    }

    /// Writes records, in order.
    pub(crate) fn write(&self, records: Records) {
        if let Some(jobs) = &self.jobs {
            // A thread that is gone has said so by the end of its answers.
            let _ = jobs.send(records);
        }
    }

    /// Nothing more is written; the answers end once all is on disk.
    pub(crate) fn finish(&mut self) {
        self.jobs = None;
    }

    /// What became of the oldest records; none after the last.
    pub(crate) async fn answer(&mut self) -> Option<Input> {
        self.answers.recv().await
    }
}

/// The thread's side.
struct Writer {
    file: JournalFile,
    answers: mpsc::UnboundedSender<Input>,
    batch: Records,
}

impl Writer {
    fn new(file: JournalFile, answers: mpsc::UnboundedSender<Input>) -> Writer {
        Writer {
            file,
            answers,
            batch: Vec::new(),
        }
    }

    fn run(mut self, jobs: &thread_channel::Receiver<Records>) {
        loop {
            let first = if self.batch.is_empty() {
                jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                jobs.recv_timeout(IDLE_FLUSH)
            };
            match first {
                Ok(records) => {
                    self.batch.extend(records);
                    while let Ok(more) = jobs.try_recv() {
                        self.batch.extend(more);
                    }
                    if self.is_awaited() {
                        self.flush();
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.flush(),
                Err(RecvTimeoutError::Disconnected) => {
                    self.flush();
                    return;
                }
            }
        }
    }

    /// Whether anybody waits for a record of the batch.
    fn is_awaited(&self) -> bool {
        let mut records = self.batch.iter().map(|(_, record)| record);
        records.any(|record| !matches!(record, Record::Done { .. }))
    }

    fn flush(&mut self) {
        let Some((last, _)) = self.batch.last() else {
            return;
        };
        let last = *last;
        let records = self.batch.iter().map(|(_, record)| record);
        let answer = match self.file.append(records) {
            Ok(()) => Input::Journaled(last),
            Err(error) => Input::JournalFailed(last, error.to_string()),
        };
        self.batch.clear();
        // A client that is gone needs no answer; what it handed over is on disk.
        let _ = self.answers.send(answer);
    }
}
