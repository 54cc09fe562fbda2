//! Logins by the password of an account: one hash at a time, on a thread of its own, because a hash
//! takes 19 MiB and as much time as thousands of messages. Whose turn it is, `turns` says.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tidings_core::ids::Name;
use tidings_core::limits;
use tidings_core::wire::code;
use tokio::sync::oneshot;

use super::memo::Memo;
use super::registry::{Known, Registry, Role};
use super::turns::{Failures, Next, Source, Turns};
use super::{Secret, crypt};
use crate::clock::Clock;

/// A password that was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Right {
    pub(super) role: Role,
    /// Of the credential.
    pub(super) version: i64,
}

/// What is asked about an account.
struct Job {
    user: Name,
    password: Secret,
    /// Whatever it says, the login is refused: it costs what a wrong password costs, so that nobody
    /// tells by the time who has one.
    decoy: bool,
    answer: oneshot::Sender<Result<Right, i32>>,
}

struct State {
    turns: Turns<Job>,
    closed: bool,
}

struct Queue {
    state: Mutex<State>,
    work: Condvar,
}

/// Verifies passwords.
pub(super) struct Accounts {
    registry: Arc<Registry>,
    queue: Arc<Queue>,
    memo: Arc<Memo>,
    clock: Clock,
}

impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accounts").finish_non_exhaustive()
    }
}

impl Accounts {
    /// Starts the thread.
    pub(super) fn start(
        registry: Arc<Registry>,
        failures: Arc<Mutex<Failures>>,
        clock: Clock,
    ) -> std::io::Result<Accounts> {
        let queue = Arc::new(Queue {
            state: Mutex::new(State {
                turns: Turns::new(),
                closed: false,
            }),
            work: Condvar::new(),
        });
        let memo = Arc::new(Memo::new(limits::PASSWORDS_REMEMBERED_MAX));
        let worker = Worker {
            registry: registry.clone(),
            queue: queue.clone(),
            memo: memo.clone(),
            failures,
            clock,
            nobody: None,
        };
        std::thread::Builder::new()
            .name("passwords".to_owned())
            .spawn(move || worker.run())?;
        Ok(Accounts {
            registry,
            queue,
            memo,
            clock,
        })
    }

    /// What the account is whose password this is; at once, if it was right lately.
    pub(super) async fn verify(
        &self,
        source: Source,
        user: &Name,
        password: &Secret,
    ) -> Result<Right, i32> {
        if password.expose().len() > limits::PASSWORD_BYTES_MAX {
            return Err(code::REFUSED_TOKEN);
        }
        // In this order: what changes meanwhile makes the second look find nothing.
        let version = self.registry.version_of(user);
        let standing = self.registry.standing(user);
        let seen = self.memo.seen(
            self.registry.version(),
            &fingerprint(&self.memo, user, password),
        );
        let now = self.clock.now().mono;
        if let Some(standing) = standing
            && seen.is_some_and(|at| now.since_ms(at) < limits::PASSWORD_REMEMBERED_MS)
        {
            let role = standing.role;
            return Ok(Right { role, version });
        }
        self.ask(source, user, password, false).await
    }

    /// Takes as long as a wrong password does, and counts as one.
    pub(super) async fn decoy(&self, source: Source, user: &Name, token: &Secret) {
        if token.expose().len() <= limits::PASSWORD_BYTES_MAX {
            let _ = self.ask(source, user, token, true).await; // refused in any case
        }
    }

    async fn ask(
        &self,
        source: Source,
        user: &Name,
        password: &Secret,
        decoy: bool,
    ) -> Result<Right, i32> {
        let (answer, receiver) = oneshot::channel();
        let job = Job {
            user: user.clone(),
            password: password.clone(),
            decoy,
            answer,
        };
        self.push(source, user.clone(), job);
        receiver.await.unwrap_or(Err(code::REFUSED_BUSY))
    }

    /// Whoever loses his place by it hears that he is not answered.
    fn push(&self, source: Source, account: Name, job: Job) {
        let now = self.clock.now().mono;
        let out = self
            .queue
            .state
            .lock()
            .turns
            .push(now, source, account, job);
        self.queue.work.notify_one();
        drop(out);
    }
}

impl Drop for Accounts {
    fn drop(&mut self) {
        self.queue.state.lock().closed = true;
        self.queue.work.notify_all();
    }
}

fn fingerprint(memo: &Memo, user: &Name, password: &Secret) -> crypt::Digest {
    memo.fingerprint(&[user.as_bytes(), password.expose().as_bytes()])
}

struct Worker {
    registry: Arc<Registry>,
    queue: Arc<Queue>,
    memo: Arc<Memo>,
    failures: Arc<Mutex<Failures>>,
    clock: Clock,
    /// The hash of a password that nobody has: users who are not there cost the same time.
    nobody: Option<String>,
}

impl Worker {
    fn run(mut self) {
        while let Some((source, account, job)) = self.next() {
            if job.answer.is_closed() {
                self.forgive(&source, &account); // the connection is gone
                continue;
            }
            let decided = self.decide(&job);
            if !matches!(decided, Err(code::REFUSED_TOKEN)) {
                self.forgive(&source, &account);
            }
            let _ = job.answer.send(decided);
        }
    }

    /// Whose turn it is; `None` at the end.
    fn next(&self) -> Option<(Source, Name, Job)> {
        let mut state = self.queue.state.lock();
        loop {
            if state.closed {
                return None;
            }
            let now = self.clock.now().mono;
            let next = state.turns.next(now, &mut self.failures.lock());
            match next {
                Next::Job(source, account, job) => return Some((source, account, job)),
                Next::Late(job) => drop(job),
                Next::Wait(until) => {
                    let pause = Duration::from_millis(until.since_ms(now).max(1));
                    let _ = self.queue.work.wait_for(&mut state, pause);
                }
                Next::Empty => self.queue.work.wait(&mut state),
            }
        }
    }

    fn forgive(&self, source: &Source, account: &Name) {
        let now = self.clock.now().mono;
        self.failures.lock().forgive(now, source, account);
        self.queue.state.lock().turns.look_again(source);
    }

    fn decide(&mut self, job: &Job) -> Result<Right, i32> {
        let version = self.registry.version();
        let known = match self.registry.password(&job.user) {
            Ok(known) => known,
            Err(error) => {
                tracing::error!(%error, "a login could not be verified");
                return Err(code::REFUSED_BUSY);
            }
        };
        let hash = match &known {
            Some(known) => known.hash.clone(),
            None => self.nobody(),
        };
        let right = crypt::verify_password(job.password.expose(), &hash);
        match known {
            Some(Known {
                role,
                version: of_credential,
                ..
            }) if right && !job.decoy => {
                let now = self.clock.now().mono;
                let fingerprint = fingerprint(&self.memo, &job.user, &job.password);
                self.memo.remember(version, now, fingerprint);
                Ok(Right {
                    role,
                    version: of_credential,
                })
            }
            _ => Err(code::REFUSED_TOKEN),
        }
    }

    fn nobody(&mut self) -> String {
        let make = || {
            let password = crypt::to_base64(&crypt::random::<32>());
            crypt::hash_password(&password).unwrap_or_default()
        };
        self.nobody.get_or_insert_with(make).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::registry::Command;

    #[tokio::test]
    async fn right_wrong_nobody_and_a_changed_password() {
        let registry = Arc::new(Registry::in_memory().unwrap());
        let failures = Arc::new(Mutex::new(Failures::new()));
        let accounts = Accounts::start(registry.clone(), failures, Clock::start()).unwrap();
        let add = Command::AccountAdd {
            user: "alice".to_owned(),
            role: Role::Agent,
            password: "correct horse".to_owned(),
        };
        registry.execute(add, 1, "test").unwrap();
        let login = async |user: &str, password: &str| {
            let source = Source::Account(user.into());
            let (user, password) = (Name::from(user), Secret::from(password));
            let verified = accounts.verify(source, &user, &password).await;
            verified.map(|right| right.role)
        };
        const WRONG: Result<Role, i32> = Err(code::REFUSED_TOKEN);
        assert_eq!(login("alice", "correct horse").await, Ok(Role::Agent));
        assert_eq!(login("alice", "correct horse").await, Ok(Role::Agent));
        assert_eq!(login("alice", "wrong horse").await, WRONG);
        assert_eq!(login("nobody", "correct horse").await, WRONG);
        assert_eq!(login("alice", "").await, WRONG);
        let long = "a".repeat(limits::PASSWORD_BYTES_MAX + 1);
        assert_eq!(login("alice", &long).await, WRONG);
        let change = Command::AccountPassword {
            user: "alice".to_owned(),
            password: "battery staple".to_owned(),
        };
        registry.execute(change, 2, "test").unwrap();
        assert_eq!(login("alice", "correct horse").await, WRONG);
        assert_eq!(login("alice", "battery staple").await, Ok(Role::Agent));
    }

    /// What is composed of other characters is the same password.
    #[tokio::test]
    async fn b23_passwords_are_normalised() {
        let registry = Arc::new(Registry::in_memory().unwrap());
        let failures = Arc::new(Mutex::new(Failures::new()));
        let accounts = Accounts::start(registry.clone(), failures, Clock::start()).unwrap();
        let (composed, decomposed) = ("caf\u{e9} horse", "cafe\u{301} horse");
        for (user, set, given) in [("a", composed, decomposed), ("b", decomposed, composed)] {
            let add = Command::AccountAdd {
                user: user.to_owned(),
                role: Role::User,
                password: set.to_owned(),
            };
            registry.execute(add, 1, "test").unwrap();
            for password in [set, given] {
                let source = Source::Account(user.into());
                let (name, password) = (Name::from(user), Secret::from(password));
                let right = accounts.verify(source, &name, &password).await;
                assert!(right.is_ok(), "{user}");
            }
        }
        // What a version hashed that did not normalise is still right.
        let old = crypt::hash_exactly(decomposed).unwrap();
        assert!(crypt::verify_password(decomposed, &old));
        assert!(!crypt::verify_password(composed, &old));
    }
}
