//! Logins by the password of an account: one hash at a time, on a thread of its own, because a hash
//! takes 19 MiB and as much time as thousands of messages.
//!
//! Whose address has failed often lately is served after everybody else; so is what one address has
//! waiting beyond a few. So guessing slows the guesser, and whoever is right gets his turn.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tidings_core::ids::Name;
use tidings_core::limits;
use tidings_core::wire::code;
use tokio::sync::oneshot;

use super::guess::network;
use super::memo::Memo;
use super::registry::{Registry, Role};
use super::{Credentials, crypt};
use crate::clock::Clock;

/// What is asked about an account.
struct Job {
    credentials: Credentials,
    answer: oneshot::Sender<i32>,
}

#[derive(Default)]
struct Lanes {
    first: VecDeque<Job>,
    second: VecDeque<Job>,
    closed: bool,
}

impl Lanes {
    fn take(&mut self) -> Option<Job> {
        self.first.pop_front().or_else(|| self.second.pop_front())
    }

    fn waiting_from(&self, address: IpAddr) -> usize {
        let of = |job: &&Job| job.credentials.address.map(network) == Some(network(address));
        self.first.iter().filter(of).count()
    }
}

#[derive(Default)]
struct Queue {
    lanes: Mutex<Lanes>,
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
    pub(super) fn start(registry: Arc<Registry>, clock: Clock) -> std::io::Result<Accounts> {
        let queue = Arc::new(Queue::default());
        let memo = Arc::new(Memo::new(limits::PASSWORDS_REMEMBERED_MAX));
        let worker = Worker {
            registry: registry.clone(),
            queue: queue.clone(),
            memo: memo.clone(),
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

    /// The code for a login; at once, if this password was right lately.
    pub(super) async fn verify(&self, credentials: &Credentials, suspicious: bool) -> i32 {
        if credentials.token.expose().len() > limits::PASSWORD_BYTES_MAX {
            return code::REFUSED_TOKEN;
        }
        let fingerprint = fingerprint(&self.memo, credentials);
        let now = self.clock.now().mono;
        let seen = self.memo.seen(self.registry.version(), &fingerprint);
        if seen.is_some_and(|at| now.since_ms(at) < limits::PASSWORD_REMEMBERED_MS) {
            return code::OK;
        }
        match self.enqueue(credentials, suspicious) {
            // The thread ends only with the server.
            Some(answer) => answer.await.unwrap_or(code::REFUSED_BUSY),
            None => code::REFUSED_BUSY,
        }
    }

    fn enqueue(
        &self,
        credentials: &Credentials,
        suspicious: bool,
    ) -> Option<oneshot::Receiver<i32>> {
        let (answer, receiver) = oneshot::channel();
        let job = Job {
            credentials: credentials.clone(),
            answer,
        };
        let mut lanes = self.queue.lanes.lock();
        let per_address = limits::PASSWORDS_WAITING_PER_ADDRESS_MAX;
        let greedy = credentials.address.is_some_and(|address| {
            !address.to_canonical().is_loopback() && lanes.waiting_from(address) >= per_address
        });
        let lane = match suspicious || greedy {
            true => &mut lanes.second,
            false => &mut lanes.first,
        };
        if lane.len() >= limits::PASSWORDS_WAITING_MAX {
            return None;
        }
        lane.push_back(job);
        drop(lanes);
        self.queue.work.notify_one();
        Some(receiver)
    }
}

impl Drop for Accounts {
    fn drop(&mut self) {
        self.queue.lanes.lock().closed = true;
        self.queue.work.notify_all();
    }
}

fn fingerprint(memo: &Memo, credentials: &Credentials) -> crypt::Digest {
    let (user, password) = (&credentials.user, credentials.token.expose());
    memo.fingerprint(&[user.as_bytes(), password.as_bytes()])
}

struct Worker {
    registry: Arc<Registry>,
    queue: Arc<Queue>,
    memo: Arc<Memo>,
    clock: Clock,
    /// The hash of a password that nobody has: users who are not there cost the same time.
    nobody: Option<String>,
}

impl Worker {
    fn run(mut self) {
        loop {
            let mut lanes = self.queue.lanes.lock();
            let job = loop {
                if lanes.closed {
                    return;
                }
                match lanes.take() {
                    Some(job) => break job,
                    None => self.queue.work.wait(&mut lanes),
                }
            };
            drop(lanes);
            if job.answer.is_closed() {
                continue; // the connection is gone
            }
            let code = self.decide(&job.credentials);
            let _ = job.answer.send(code);
        }
    }

    fn decide(&mut self, credentials: &Credentials) -> i32 {
        let version = self.registry.version();
        let known = match self.registry.password_hash(&credentials.user) {
            Ok(known) => known,
            Err(error) => {
                tracing::error!(%error, "a login could not be verified");
                return code::REFUSED_BUSY;
            }
        };
        let exists = known.is_some();
        let hash = match known {
            Some((hash, _)) => hash,
            None => self.nobody(),
        };
        let right = crypt::verify_password(credentials.token.expose(), &hash);
        if !(right && exists) {
            return code::REFUSED_TOKEN;
        }
        let now = self.clock.now().mono;
        let fingerprint = fingerprint(&self.memo, credentials);
        self.memo.remember(version, now, fingerprint);
        code::OK
    }

    fn nobody(&mut self) -> String {
        let make = || {
            let password = crypt::to_base64(&crypt::random::<32>());
            crypt::hash_password(&password).unwrap_or_default()
        };
        self.nobody.get_or_insert_with(make).clone()
    }
}

/// For other doors than a LOGIN: the console, agents.
impl Accounts {
    /// What the account is, if the password is its own.
    pub(super) async fn role(
        &self,
        credentials: &Credentials,
        suspicious: bool,
    ) -> Result<Role, i32> {
        match self.verify(credentials, suspicious).await {
            code::OK => {
                let registry = self.registry.clone();
                let user: Name = credentials.user.clone();
                let find = move || registry.password_hash(&user);
                match tokio::task::spawn_blocking(find).await {
                    Ok(Ok(Some((_, role)))) => Ok(role),
                    Ok(Ok(None)) => Err(code::REFUSED_TOKEN),
                    _ => Err(code::REFUSED_BUSY),
                }
            }
            refused => Err(refused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Secret;
    use crate::auth::registry::Command;

    fn credentials(user: &str, password: &str, address: &str) -> Credentials {
        Credentials {
            user: Name::from(user),
            token: Secret::from(password),
            extra: None,
            address: Some(address.parse().unwrap()),
        }
    }

    /// Without its thread: what waits stays.
    fn idle() -> Accounts {
        Accounts {
            registry: Arc::new(Registry::in_memory().unwrap()),
            queue: Arc::default(),
            memo: Arc::new(Memo::new(10)),
            clock: Clock::start(),
        }
    }

    #[test]
    fn the_queue_is_bounded_and_one_address_has_a_share() {
        let accounts = idle();
        let mut answers = Vec::new();
        let mut enqueue = |address: &str, suspicious| {
            let answer = accounts.enqueue(&credentials("a", "b", address), suspicious);
            let taken = answer.is_some();
            answers.extend(answer);
            taken
        };
        // A greedy address fills the second lane, not the first.
        let share = limits::PASSWORDS_WAITING_PER_ADDRESS_MAX;
        for _ in 0..share + limits::PASSWORDS_WAITING_MAX {
            assert!(enqueue("192.0.2.1", false));
        }
        assert!(!enqueue("192.0.2.1", false));
        assert!(!enqueue("192.0.2.2", true));
        // Others still have their place, up to the bound and not one more.
        for n in 0..limits::PASSWORDS_WAITING_MAX - share {
            let address = format!("198.51.{}.{}", n / 200, n % 200);
            assert!(enqueue(&address, false));
        }
        assert!(!enqueue("203.0.113.1", false));
        // And they come first.
        let mut lanes = accounts.queue.lanes.lock();
        let first = lanes.take().unwrap();
        assert_eq!(
            first.credentials.address,
            Some("192.0.2.1".parse().unwrap())
        );
        let rest = std::iter::from_fn(|| lanes.take());
        let from: Vec<_> = rest.map(|job| job.credentials.address.unwrap()).collect();
        let greedy: IpAddr = "192.0.2.1".parse().unwrap();
        let firsts = &from[..limits::PASSWORDS_WAITING_MAX - 1];
        assert_eq!(firsts.iter().filter(|a| **a == greedy).count(), share - 1);
    }

    #[tokio::test]
    async fn right_wrong_nobody_and_a_changed_password() {
        let registry = Arc::new(Registry::in_memory().unwrap());
        let accounts = Accounts::start(registry.clone(), Clock::start()).unwrap();
        let add = Command::AccountAdd {
            user: "alice".to_owned(),
            role: Role::Agent,
            password: "correct horse".to_owned(),
        };
        registry.execute(add, 1).unwrap();
        let login = async |user, password| {
            let credentials = credentials(user, password, "192.0.2.1");
            accounts.verify(&credentials, false).await
        };
        assert_eq!(login("alice", "correct horse").await, code::OK);
        assert_eq!(login("alice", "correct horse").await, code::OK);
        assert_eq!(login("alice", "wrong horse").await, code::REFUSED_TOKEN);
        assert_eq!(login("nobody", "correct horse").await, code::REFUSED_TOKEN);
        assert_eq!(login("alice", "").await, code::REFUSED_TOKEN);
        let long = "a".repeat(limits::PASSWORD_BYTES_MAX + 1);
        assert_eq!(login("alice", &long).await, code::REFUSED_TOKEN);
        let right = credentials("alice", "correct horse", "192.0.2.1");
        assert_eq!(accounts.role(&right, false).await, Ok(Role::Agent));
        let change = Command::AccountPassword {
            user: "alice".to_owned(),
            password: "battery staple".to_owned(),
        };
        registry.execute(change, 2).unwrap();
        assert_eq!(login("alice", "correct horse").await, code::REFUSED_TOKEN);
        assert_eq!(login("alice", "battery staple").await, code::OK);
    }
}
