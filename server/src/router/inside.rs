//! The router's side of what lives in this process: hooks, local links, the public handle.

use std::net::SocketAddr;
use std::sync::Arc;

use tidings_core::custody::Draft;
use tidings_core::ids::{LinkId, Name};
use tidings_core::limits;
use tidings_core::message::MessageRef;
use tidings_core::session::Transport;
use tidings_core::shard::{Event, Input, Submission};
use tidings_core::time::Now;
use tidings_core::wire::code;
use tokio::sync::oneshot;

use super::{Guarded, Router, Todo, slot};
use crate::auth::{Decision, Door, Host, Presented, Revoked, Whose};
use crate::handle::HandleError;
use crate::hooks::{LoginRequest, SessionInfo, Told};
use crate::link::{LinkEnd, LocalEnd, LocalRef};
use crate::store::StoreError;

/// One session, for a list of who is online.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OnlineSession {
    /// Who.
    pub user: Name,
    /// On which installation.
    pub device: Name,
    /// Of which class.
    pub class: Name,
    /// How connected.
    pub transport: Transport,
    /// From where; `None` inside this process.
    pub address: Option<SocketAddr>,
    /// When he logged in, milliseconds since 1970 UTC.
    pub since_ms: i64,
}

impl Host for Router {
    fn end(&self, revoked: &Revoked) {
        let (code, reason) = (code::KICK_BY_ADMIN, Some(revoked.why));
        match &revoked.whose {
            Whose::User(user) => self.feed(Input::Kick { user, code, reason }),
            Whose::Network(network) => {
                let from_there: Vec<LinkId> = {
                    let guarded = self.guarded.lock();
                    let entries = guarded.links.iter().flatten();
                    let of = |end: &LinkEnd| end.address().map(|address| address.ip());
                    let there = entries.filter(|e| of(&e.end).is_some_and(|a| network.contains(a)));
                    there.map(|entry| entry.link).collect()
                };
                for link in from_there {
                    self.feed(Input::KickLink { link, code, reason });
                }
            }
        }
    }
}

impl Router {
    /// The admission first, then the listener.
    pub(super) fn verify(
        &self,
        guarded: &Guarded,
        link: LinkId,
        presented: Presented<'_>,
    ) -> Decision {
        let transport = guarded.node.shard().transport_of(link);
        let transport = transport.unwrap_or(Transport::Local);
        let door = match transport {
            Transport::Tcp => Door::Tcp,
            Transport::Udp => Door::Udp,
            Transport::WebSocket => Door::WebSocket,
            Transport::Local => Door::Local,
        };
        let address = guarded.end(link).and_then(LinkEnd::address);
        let request = match (&self.hooks, &presented) {
            (Some(hooks), Presented::Login { user, token, extra }) => Some((
                hooks.clone(),
                LoginRequest {
                    user: user.clone(),
                    token: token.expose().to_owned(),
                    extra: extra.clone(),
                    transport,
                    address,
                },
            )),
            _ => None,
        };
        let peer = address.map(|address| address.ip());
        let decision = self.admission.admit(door, peer, presented);
        let Some((hooks, request)) = request else {
            return decision;
        };
        Decision::Later(Box::pin(async move {
            let admitted = decision.verdict().await?;
            match hooks.verify(request).await {
                code::OK => Ok(admitted),
                refused => Err(refused),
            }
        }))
    }

    /// Something happened: remembered until the lock is about to be released.
    pub(super) fn told(&self, now: Now, guarded: &mut Guarded, event: Event, todo: &mut Todo) {
        let mut session = None;
        if let Event::LoggedIn {
            user,
            device,
            link,
            transport,
        } = &event
        {
            let number = guarded
                .node
                .shard()
                .session_of(*link)
                .map(|view| view.device_id);
            if let Some(Some(entry)) = guarded.links.get_mut(slot(*link)) {
                entry.since_ms = now.wall_ms;
                entry.device = number.unwrap_or(entry.device);
                entry.end.admit();
            }
            self.metrics.login(true);
            if self.hooks.is_some() {
                let view = guarded.node.shard().session_of(*link);
                session = Some(Arc::new(SessionInfo {
                    link: *link,
                    user: user.clone(),
                    device: device.clone(),
                    // It may be gone already, if its logout came with its login.
                    class: view.map_or_else(|| device.clone(), |v| v.class.clone()),
                    transport: *transport,
                    address: guarded.end(*link).and_then(LinkEnd::address),
                    since_ms: now.wall_ms,
                }));
            }
        }
        match &event {
            Event::SteppedAside { .. } => self.metrics.stepped_aside(),
            Event::SetAside { .. } => self.metrics.set_aside(),
            _ => {}
        }
        todo.tell.push(Told {
            event,
            closed: None,
            session,
        });
    }

    /// Queues what happened for the listener; under the lock, so that order is that of the events.
    pub(super) fn publish(&self, guarded: &mut Guarded, todo: &mut Todo) {
        todo.wake_committer |= self.committer.look(guarded);
        if todo.tell.is_empty() {
            return;
        }
        if let Some(hooks) = &self.hooks {
            hooks.tell(&todo.tell);
        }
        if let Some(desks) = self.desks.get() {
            desks.tell(&todo.tell);
        }
    }

    /// The part of `finish` that concerns this process.
    pub(super) fn finish_inside(&self, todo: &mut Todo) {
        for local in todo.local.drain(..) {
            local.wake();
        }
        for (waiting, outcome) in todo.submitted.drain(..) {
            let _ = waiting.send(outcome); // whoever asked may have gone
        }
        if let Some(desks) = self.desks.get()
            && !todo.tell.is_empty()
        {
            desks.wake();
        }
        let Some(hooks) = &self.hooks else {
            return;
        };
        if !todo.tell.is_empty() {
            hooks.wake();
        }
        for (link, draft, qos) in todo.ask.drain(..) {
            let (hooks, me) = (hooks.clone(), self.me.clone());
            self.runtime.spawn(async move {
                let answer = hooks.before(link, *draft, qos).await;
                if let Some(router) = me.upgrade() {
                    router.feed(Input::Answered { link, answer });
                }
            });
        }
    }

    /// A link inside this process; `None` once the server stops.
    pub(crate) fn open_local(&self) -> Option<(LinkId, LocalRef)> {
        let now = self.clock.now();
        let mut guarded = self.guarded.lock();
        if self.is_stopping() {
            return None;
        }
        let end = Arc::new(LocalEnd::default());
        let link = guarded.node.open(now, Transport::Local);
        guarded.register(link, LinkEnd::Local(end.clone()));
        Some((link, end))
    }

    pub(super) fn close_locals(&self) {
        let guarded = self.guarded.lock();
        let ends = guarded.links.iter().flatten().map(|entry| &entry.end);
        let locals: Vec<LocalRef> = ends
            .filter_map(|end| match end {
                LinkEnd::Local(local) => Some(local.clone()),
                _ => None,
            })
            .collect();
        drop(guarded);
        for local in locals {
            local.close(None);
            local.wake();
        }
    }

    /// Ends every session that is left, so that its cursor is written and its end is told.
    pub(super) fn end_sessions(&self) {
        let links: Vec<LinkId> = {
            let guarded = self.guarded.lock();
            guarded
                .node
                .shard()
                .sessions()
                .map(|view| view.link)
                .collect()
        };
        for link in links {
            self.closed(link);
        }
    }

    /// Commits and routes a message that no session sent. `None` once the server stops.
    pub(crate) async fn submit(&self, draft: Draft) -> Option<Submission> {
        self.submit_all(vec![draft]).await.pop()
    }

    /// The same for several, which are committed in order and, but for a queue that is full to the
    /// brim, in one transaction. Shorter than `drafts` if the server stops.
    pub(crate) async fn submit_all(&self, drafts: Vec<Draft>) -> Vec<Submission> {
        self.room().await;
        let mut receivers = Vec::with_capacity(drafts.len());
        {
            let now = self.clock.now();
            let mut guarded = self.guarded.lock();
            // Whoever sees it unset here is waited for: `stop` takes the lock after setting it.
            if self.is_stopping() {
                return Vec::new();
            }
            let mut todo = Todo::default();
            let mut actions = std::mem::take(&mut guarded.actions);
            for draft in drafts {
                let (sender, receiver) = oneshot::channel();
                let ticket = guarded.next_ticket;
                guarded.next_ticket += 1;
                guarded.submissions.insert(ticket, sender);
                let input = Input::Submit { ticket, draft };
                guarded.node.on(now, input, &mut actions);
                receivers.push(receiver);
            }
            self.perform(now, &mut guarded, actions, &mut todo);
            drop(guarded);
            self.finish(todo);
        }
        let mut outcomes = Vec::with_capacity(receivers.len());
        for receiver in receivers {
            let Ok(outcome) = receiver.await else {
                break;
            };
            outcomes.push(outcome);
        }
        outcomes
    }

    /// Passes a message without QoS on.
    pub(crate) fn pass(&self, message: MessageRef) {
        self.feed(Input::Pass(message));
    }

    /// Longest frame that leaves.
    pub(crate) fn frame_bytes_max(&self) -> usize {
        self.frame_bytes_max
    }

    /// Notices that the listener missed.
    pub(crate) fn notices_missed(&self) -> u64 {
        self.hooks.as_ref().map_or(0, |hooks| hooks.missed())
    }

    /// Who is online, or the sessions of one user.
    pub(crate) fn online(&self, user: Option<&str>) -> Vec<OnlineSession> {
        let guarded = self.guarded.lock();
        let describe = |view: tidings_core::shard::SessionView<'_>| {
            let entry = guarded.links.get(slot(view.link));
            let entry = entry.and_then(Option::as_ref);
            OnlineSession {
                user: view.user.clone(),
                device: view.device.clone(),
                class: view.class.clone(),
                transport: view.transport,
                address: entry.and_then(|e| e.end.address()),
                since_ms: entry.map_or(0, |e| e.since_ms),
            }
        };
        match user {
            Some(user) => {
                let links = guarded.node.shard().links_of(user).iter();
                let views = links.filter_map(|link| guarded.node.shard().session_of(*link));
                views.map(describe).collect()
            }
            None => guarded.node.shard().sessions().map(describe).collect(),
        }
    }

    /// Makes a group have exactly these members, also for those who are online.
    pub(crate) async fn set_group(
        self: &Arc<Self>,
        group: Name,
        members: Vec<Name>,
    ) -> Result<(), StoreError> {
        let _one_at_a_time = self.groups.lock().await;
        let (router, name) = (self.clone(), group.clone());
        let (before, after) = self
            .blocking(move || {
                let before = router.store.group(&name)?.unwrap_or_default();
                router.store.set_group(&name, &members)?;
                Ok((before, members))
            })
            .await?;
        self.members_changed(&group, &before, &after);
        Ok(())
    }

    /// Adds or removes one member; `false` if there is no such group, or none such to remove.
    pub(crate) async fn change_member(
        self: &Arc<Self>,
        group: Name,
        user: Name,
        member: bool,
    ) -> Result<bool, HandleError> {
        let _one_at_a_time = self.groups.lock().await;
        let (store, name) = (self.store.clone(), group.clone());
        let Some(before) = self.blocking(move || store.group(&name)).await? else {
            return Ok(false);
        };
        if before.contains(&user) == member {
            return Ok(member);
        }
        let mut after = before.clone();
        if member {
            after.push(user);
        } else {
            after.retain(|other| *other != user);
        }
        if after.len() > limits::GROUP_MEMBERS_MAX {
            return Err(HandleError::TooManyMembers {
                count: after.len(),
                max: limits::GROUP_MEMBERS_MAX,
            });
        }
        let (store, name) = (self.store.clone(), group.clone());
        let after = self
            .blocking(move || store.set_group(&name, &after).map(|()| after))
            .await?;
        self.members_changed(&group, &before, &after);
        Ok(true)
    }

    /// Those who are online learn of it.
    fn members_changed(&self, group: &str, before: &[Name], after: &[Name]) {
        let differ = |one: &[Name], other: &[Name]| -> Vec<Name> {
            let other: std::collections::HashSet<&Name> = other.iter().collect();
            one.iter().filter(|u| !other.contains(u)).cloned().collect()
        };
        for (changed, member) in [
            (differ(before, after), false),
            (differ(after, before), true),
        ] {
            for user in changed {
                self.feed(Input::Membership {
                    group,
                    user: &user,
                    member,
                });
            }
        }
    }

    /// Calls the store on a thread where it may block.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self.runtime.spawn_blocking(call).await {
            Ok(result) => result,
            Err(error) => Err(StoreError::Unavailable(error.to_string())),
        }
    }
}
