//! The one function that every door asks, and what it knows.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use axum::http::HeaderMap;
use parking_lot::{Mutex, RwLock};
use tidings_core::bucket::{Buckets, Rate};
use tidings_core::ids::Name;
use tidings_core::limits;
use tidings_core::wire::code;

use super::accounts::{Accounts, Right};
use super::hosts::{Host, Hosts};
use super::jwt::Jwt;
use super::proxies::Proxies;
use super::registry::{Act, Command, Fault, Registry, Revoked, Role, Whose};
use super::requests::Requests;
use super::settings::{Auth, AuthMode};
use super::turns::{Failures, Source, network};
use super::visitors::{self, Bound, Visitors};
use super::webhook::Webhook;
use super::{
    Admitted, AuthError, Credentials, Decision, Door, Presented, Secret, Verdict, Visitor, files,
};
use crate::clock::Clock;
use crate::config::Settings;

const MINUTE_MS: u64 = 60_000;

#[derive(Debug)]
enum Mode {
    Open,
    Jwt(Arc<Jwt>),
    Webhook(Box<Webhook>),
    Accounts,
}

impl Mode {
    /// Reads the keys; blocks.
    fn open(settings: &Auth) -> Result<Mode, AuthError> {
        Ok(match settings.mode {
            AuthMode::Open => Mode::Open,
            AuthMode::Jwt => Mode::Jwt(Arc::new(Jwt::open(&settings.jwt)?)),
            AuthMode::Webhook => Mode::Webhook(Box::new(Webhook::new(&settings.webhook))),
            AuthMode::Accounts => Mode::Accounts,
        })
    }
}

/// What new settings make of an admission, ready to be put into force.
pub(crate) struct Renewed {
    /// `None` stays as it is.
    mode: Option<Mode>,
    auth: Auth,
}

#[derive(Debug)]
pub(super) struct Inner {
    /// Exchanged as a whole by a reload; a login that is under way ends as it began.
    mode: RwLock<Arc<Mode>>,
    pub(super) registry: Arc<Registry>,
    accounts: Accounts,
    pub(super) visitors: Visitors,
    /// New visitors, by network.
    newcomers: Mutex<Buckets<IpAddr>>,
    requests: Requests,
    proxies: Proxies,
    outlives: AtomicBool,
    /// Accounts that are agents of a desk: staff, whether they have a password or not.
    agents: RwLock<Arc<HashSet<Name>>>,
    hosts: Hosts,
    pub(super) clock: Clock,
}

/// Decides who comes in. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    pub(super) inner: Arc<Inner>,
}

fn newcomers(auth: &Auth) -> Buckets<IpAddr> {
    let rate = Rate {
        burst: auth.visitors_burst,
        refill_ms: MINUTE_MS / u64::from(auth.visitors_per_minute.max(1)),
    };
    Buckets::new(rate, limits::OCIM_ADDRESSES_REMEMBERED_MAX)
}

impl Admission {
    /// Reads keys and accounts; blocks. What is kept is in the data directory, whose lock the caller
    /// holds.
    pub(crate) fn open(settings: &Settings, is_kept: bool) -> Result<Admission, AuthError> {
        let auth = &settings.auth;
        let (registry, visitors) = if is_kept {
            let visitors = Visitors::open(&settings.data, auth.visitor_days);
            let path = settings.data.join(visitors::FILE);
            let visitors = visitors.map_err(|reason| AuthError::VisitorKey { path, reason })?;
            let registry = Registry::open_with(&settings.data, settings.accept_loss)?;
            (registry, visitors)
        } else {
            let visitors = Visitors::in_memory(auth.visitor_days);
            (Registry::in_memory()?, visitors)
        };
        let registry = Arc::new(registry);
        let clock = Clock::start();
        let mode = RwLock::new(Arc::new(Mode::open(auth)?));
        registry.enter_mode(auth.mode.word(), clock.now().wall_ms)?;
        let failures = Arc::new(Mutex::new(Failures::new()));
        let accounts = Accounts::start(registry.clone(), failures.clone(), clock);
        let inner = Arc::new(Inner {
            mode,
            accounts: accounts.map_err(AuthError::Thread)?,
            registry,
            visitors,
            newcomers: Mutex::new(newcomers(auth)),
            requests: Requests::new(failures, clock),
            proxies: Proxies::default(),
            outlives: AtomicBool::new(auth.session_outlives_token),
            agents: RwLock::default(),
            hosts: Hosts::default(),
            clock,
        });
        inner.proxies.set(&auth.trusted_proxies);
        Ok(Admission { inner })
    }

    /// Reads the keys of new settings, in the mode that is in force; blocks.
    pub(crate) fn prepare(&self, before: &Auth, new: &Auth) -> Result<Renewed, AuthError> {
        // What an application said is remembered for as long as it is the same application.
        let same = new.mode == AuthMode::Webhook && before.webhook == new.webhook;
        Ok(Renewed {
            mode: (!same).then(|| Mode::open(new)).transpose()?,
            auth: new.clone(),
        })
    }

    /// Puts new settings into force.
    pub(crate) fn renew(&self, new: Renewed) {
        let inner = &self.inner;
        if let Some(mode) = new.mode {
            *inner.mode.write() = Arc::new(mode);
        }
        inner.visitors.set_days(new.auth.visitor_days);
        *inner.newcomers.lock() = newcomers(&new.auth);
        inner.proxies.set(&new.auth.trusted_proxies);
        let outlives = new.auth.session_outlives_token;
        inner.outlives.store(outlives, Ordering::Release);
    }

    /// Who comes in by `door` from `peer` with what he presents, as what and until when; or the code
    /// of a refusal. Never blocks.
    pub(crate) fn admit(
        &self,
        door: Door,
        peer: Option<IpAddr>,
        presented: Presented<'_>,
    ) -> Decision {
        let inner = &self.inner;
        if peer.is_some_and(|address| inner.registry.is_address_blocked(address)) {
            return Decision::Now(Err(code::REFUSED_BLOCKED));
        }
        let (user, work) = match presented {
            Presented::Socket => return Decision::Now(Ok(operator())),
            Presented::Key(key) => return Decision::Now(inner.key(key)),
            Presented::Pass(pass) => return Decision::Now(inner.passed(pass)),
            Presented::Nobody => return Decision::Now(inner.newcomer(peer)),
            Presented::Login { user, token, extra } => (user, Work::Login { token, extra }),
            Presented::Password { user, password } => (user, Work::Password(password)),
            Presented::Proof { user, with, right } => {
                let known = right.then(|| with.right()).flatten();
                (user, Work::Proof(known))
            }
        };
        if inner.registry.is_user_blocked(&user) {
            return Decision::Now(Err(code::REFUSED_BLOCKED));
        }
        // Before anything is verified: what changes meanwhile makes it void.
        let version = inner.registry.version_of(&user);
        let staff = inner.is_staff(&user);
        // In `open` mode whoever can reach the server is who he says he is, but for staff.
        if matches!(work, Work::Login { .. }) && !staff && matches!(*inner.mode(), Mode::Open) {
            return Decision::Now(Ok(of_user(&user, version, None)));
        }
        let (me, task) = (
            self.clone(),
            Task {
                user,
                peer,
                staff,
                version,
            },
        );
        Decision::Later(Box::pin(async move {
            let verdict = me.inner.work(&task, work).await;
            let verdict = verdict.and_then(|admitted| match door.is_for_staff() {
                true if admitted.role == Role::User => Err(code::REFUSED_TOKEN),
                _ if !me.holds(&admitted, peer) => Err(code::REFUSED_TOKEN),
                _ => Ok(admitted),
            });
            if let Err(code) = verdict {
                tracing::debug!(user = %task.user, ?door, code, "login refused");
            }
            verdict
        }))
    }

    /// Whether what somebody was let in with still holds: it was not revoked since, and where he
    /// comes from is not blocked. Does not block.
    pub(crate) fn holds(&self, admitted: &Admitted, peer: Option<IpAddr>) -> bool {
        let registry = &self.inner.registry;
        let is_his = || registry.version_of(&admitted.user) == admitted.version;
        (admitted.scope.is_some() || is_his())
            && !peer.is_some_and(|address| registry.is_address_blocked(address))
    }

    /// Until when a session lasts that begins with this, in seconds since 1970 UTC.
    pub(crate) fn session_until_s(&self, admitted: &Admitted) -> Option<i64> {
        let outlives = self.inner.outlives.load(Ordering::Acquire);
        admitted.until_s.filter(|_| !outlives)
    }

    /// From where a request comes, whose connection comes from `socket`.
    pub(crate) fn peer(&self, socket: IpAddr, headers: &HeaderMap) -> IpAddr {
        self.inner.proxies.peer(socket, headers)
    }

    /// From now on it is told what ends.
    pub(crate) fn add_host(&self, host: Weak<dyn Host>) {
        self.inner.hosts.add(host);
    }

    /// Changes or lists accounts, keys and blocks in the name of `by`, and ends what that makes void;
    /// blocks.
    pub(crate) fn execute(&self, command: Command, by: &str) -> Result<serde_json::Value, Fault> {
        let inner = &self.inner;
        if let Command::AccountAdd { user, role, .. } = &command {
            check_not_an_agents(*role, inner.agents.read().contains(&**user), user)?;
        }
        let ends = command.ends();
        let done = inner
            .registry
            .execute(command, inner.clock.now().wall_ms, by)?;
        if let Some(revoked) = ends {
            inner.hosts.end(&revoked, by);
        }
        Ok(done)
    }

    /// Accounts that are agents of a desk from now on. Nothing ends by it: see
    /// [`Admission::role_changed`].
    pub(crate) fn set_agents(&self, agents: HashSet<Name>) {
        *self.inner.agents.write() = Arc::new(agents);
    }

    /// Somebody's role at a desk changed: nothing from before holds. Blocks.
    pub(crate) fn role_changed(&self, user: &Name, why: &'static str) -> Result<(), Fault> {
        let inner = &self.inner;
        let act = Act {
            by: "desk",
            now_ms: inner.clock.now().wall_ms,
            what: why,
        };
        inner.registry.void(user, act)?;
        let revoked = Revoked {
            whose: Whose::User(user.clone()),
            why,
            no_agent: false,
        };
        inner.hosts.end(&revoked, "desk");
        Ok(())
    }

    /// Reads files again that changed. Runs until it is dropped.
    pub(crate) async fn keep_fresh(self) {
        let mut interval = tokio::time::interval(files::LOOK_AGAIN);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let inner = self.inner.clone();
            let _ = tokio::task::spawn_blocking(move || inner.look_again()).await;
        }
    }
}

/// A plain account must not take the name of an agent who has none yet.
pub(crate) fn check_not_an_agents(role: Role, is_agent: bool, user: &str) -> Result<(), Fault> {
    match role == Role::User && is_agent {
        true => Err(Fault::Refused(format!(
            "{user} is an agent of a desk: make the account with the role agent, or take the agent \
             from the desk first"
        ))),
        false => Ok(()),
    }
}

/// What is verified, that takes a while.
enum Work {
    Login {
        token: Secret,
        extra: Option<String>,
    },
    Password(Secret),
    /// Of SCRAM: what he is, if his proof was right.
    Proof(Option<Right>),
}

/// Of whom.
struct Task {
    user: Name,
    peer: Option<IpAddr>,
    staff: bool,
    version: i64,
}

impl Inner {
    pub(super) fn now_s(&self) -> i64 {
        self.clock.now().wall_ms / 1000
    }

    fn mode(&self) -> Arc<Mode> {
        self.mode.read().clone()
    }

    /// Whoever has a role, in the registry or at a desk. Does not block.
    fn is_staff(&self, user: &str) -> bool {
        let account = self.registry.standing(user);
        account.is_some_and(|account| account.role != Role::User)
            || self.agents.read().contains(user)
    }

    /// Behind whom a login waits: those of his network, if that can be told.
    fn source(&self, task: &Task) -> Source {
        match task.peer {
            Some(address) if !self.proxies.is_trusted(address) => Source::Network(network(address)),
            _ => Source::Account(task.user.clone()),
        }
    }

    async fn work(&self, task: &Task, work: Work) -> Verdict {
        let source = self.source(task);
        match work {
            Work::Password(password) => self.account(task, source, &password).await,
            Work::Proof(known) => {
                let turn = self.requests.turn(source, &task.user).await;
                let turn = turn.ok_or(code::REFUSED_BUSY)?;
                let right = known.ok_or(code::REFUSED_TOKEN)?;
                turn.forgive();
                Ok(of_account(&task.user, right))
            }
            Work::Login { token, .. } if task.staff => self.account(task, source, &token).await,
            Work::Login { token, extra } => {
                let credentials = Credentials {
                    user: task.user.clone(),
                    token,
                    extra,
                    address: task.peer,
                };
                self.login(task, source, credentials).await
            }
        }
    }

    async fn account(&self, task: &Task, source: Source, password: &Secret) -> Verdict {
        let right = self.accounts.verify(source, &task.user, password).await?;
        Ok(of_account(&task.user, right))
    }

    /// By whatever `auth.mode` says.
    async fn login(&self, task: &Task, source: Source, credentials: Credentials) -> Verdict {
        let (user, token) = (&task.user, &credentials.token);
        let mode = self.mode();
        let decided = |decided: i32| match decided {
            code::OK => Ok(of_user(user, task.version, None)),
            refused => Err(refused),
        };
        if user.starts_with('~') && !matches!(*mode, Mode::Open) {
            let bound = self.bound(task.version);
            let visitor = self
                .visitors
                .verify(user, token.expose(), bound, self.now_s());
            return decided(visitor);
        }
        match &*mode {
            Mode::Open => decided(code::OK),
            Mode::Jwt(jwt) => {
                // `as`: exact until the year 285,000.
                let now_s = || self.clock.now().wall_ms as f64 / 1000.0;
                match jwt.verify(user, token.expose(), now_s).await {
                    Ok(valid) => Ok(of_user(user, task.version, valid.until_s)),
                    // A wrong password of an agent takes a hash: so does this, or the time would
                    // tell who is one.
                    Err(code::REFUSED_TOKEN) => {
                        self.accounts.decoy(source, user, token).await;
                        Err(code::REFUSED_TOKEN)
                    }
                    Err(refused) => Err(refused),
                }
            }
            Mode::Webhook(webhook) => {
                let clock = || self.clock.now().mono;
                let turns = (&self.requests, source);
                decided(webhook.verify(&credentials, turns, clock).await)
            }
            Mode::Accounts => self.account(task, source, token).await,
        }
    }

    fn key(&self, key: &str) -> Verdict {
        let known = self.registry.key_of(key).ok_or(code::REFUSED_TOKEN)?;
        Ok(Admitted {
            user: format!("key {}", known.id).into(),
            role: Role::User,
            scope: Some(known.scope),
            rate: known.rate,
            until_s: None,
            version: 0,
        })
    }

    /// A pass holds as long as nothing of what it is bound to has changed.
    fn passed(&self, pass: &str) -> Verdict {
        let passed = self.visitors.passed(pass, self.now_s())?;
        if self.registry.is_user_blocked(&passed.user) {
            return Err(code::REFUSED_BLOCKED);
        }
        let version = self.registry.version_of(&passed.user);
        if passed.epoch != self.registry.epoch() || passed.version != version {
            return Err(code::REFUSED_TOKEN);
        }
        Ok(Admitted {
            user: passed.user,
            role: passed.role,
            scope: None,
            rate: None,
            until_s: passed.until_s,
            version,
        })
    }

    /// A new visitor, if not too many came from there.
    fn newcomer(&self, peer: Option<IpAddr>) -> Verdict {
        if let Some(address) = peer {
            let now = self.clock.now().mono;
            if self.newcomers.lock().spend(now, network(address)).wait_ms > 0 {
                return Err(code::REFUSED_FULL);
            }
        }
        Ok(of_user(&self.visitor().user, 0, None))
    }

    pub(super) fn visitor(&self) -> Visitor {
        self.visitors.issue(self.bound(0), self.now_s())
    }

    pub(super) fn bound(&self, version: i64) -> Bound {
        (version, self.registry.epoch())
    }

    /// A pass for somebody who was let in as a `role`. What an application said yes to is asked again
    /// after `auth.visitor_days`: it cannot tell us that it has changed its mind.
    pub(super) fn pass(&self, to: &Admitted) -> Secret {
        let (mut to, now_s) = (to.clone(), self.now_s());
        if matches!(*self.mode(), Mode::Webhook(_)) && to.role == Role::User {
            let end = now_s.saturating_add(self.visitors.valid_s());
            to.until_s.get_or_insert(end);
        }
        self.visitors.pass(&to, self.registry.epoch(), now_s)
    }

    fn look_again(&self) {
        if let Mode::Jwt(jwt) = &*self.mode() {
            jwt.look_again();
        }
    }
}

fn of_user(user: &Name, version: i64, until_s: Option<i64>) -> Admitted {
    Admitted {
        user: user.clone(),
        role: Role::User,
        scope: None,
        rate: None,
        until_s,
        version,
    }
}

fn of_account(user: &Name, right: Right) -> Admitted {
    Admitted {
        role: right.role,
        ..of_user(user, right.version, None)
    }
}

/// Whoever can open `admin.sock`: the file's permissions have decided already.
fn operator() -> Admitted {
    Admitted {
        role: Role::Admin,
        ..of_user(&"tidings admin".into(), 0, None)
    }
}
