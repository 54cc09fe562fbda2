//! Carrying out a node's actions.

use std::sync::Arc;

use tidings_core::custody::{Verdict, Want};
use tidings_core::ids::LinkId;
use tidings_core::message::MessageRef;
use tidings_core::shard::{Action, CloseReason, Event, Input};
use tidings_core::time::{Now, Time};
use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::Form;

use super::trail::{Station, stage};
use super::{FLUSH_INLINE_MAX, Guarded, Router, Todo, close_words, end_of, load, slot};
use crate::auth::{self, Decision, Presented};
use crate::link::{Custody, LinkEnd, StreamLink};

impl Router {
    /// Carries out `actions` under the lock, together with everything that follows from them at
    /// once; leaves the emptied list with the shard for the next time.
    pub(super) fn perform(
        &self,
        now: Now,
        guarded: &mut Guarded,
        actions: Vec<Action>,
        todo: &mut Todo,
    ) {
        guarded.actions = self.perform_some(now, guarded, actions, todo);
        self.publish(guarded, todo);
    }

    /// The same; returns the emptied list.
    pub(super) fn perform_some(
        &self,
        now: Now,
        guarded: &mut Guarded,
        mut actions: Vec<Action>,
        todo: &mut Todo,
    ) -> Vec<Action> {
        let mut follow = std::mem::take(&mut guarded.follow);
        loop {
            for action in actions.drain(..) {
                match action {
                    Action::Verify {
                        link,
                        user,
                        token,
                        extra,
                    } => {
                        let presented = Presented::Login { user, token, extra };
                        match self.verify(guarded, link, presented) {
                            Decision::Now(verdict) => {
                                let input = self.verified(now, guarded, link, &verdict);
                                guarded.node.on(now, input, &mut follow);
                            }
                            Decision::Later(answer) => todo.verify.push((link, answer)),
                        }
                    }
                    Action::Load {
                        link,
                        wants,
                        messages_max,
                    } => {
                        if let Some(job) = self.load_at_once(
                            now,
                            guarded,
                            (link, wants, messages_max),
                            &mut follow,
                        ) {
                            todo.load.push(job);
                        }
                    }
                    Action::ReadBacklog { link, user, device } => {
                        todo.load.push(load::Job::Backlog { link, user, device });
                    }
                    Action::Remember(cursor) => todo.remember.push(cursor),
                    Action::Tell(event) => self.told(now, guarded, event, todo),
                    Action::Ask { link, draft, qos } => todo.ask.push((link, draft, qos)),
                    Action::Submitted { ticket, outcome } => {
                        let waiting = guarded.submissions.remove(&ticket);
                        todo.submitted.extend(waiting.map(|w| (w, outcome)));
                    }
                    other => guarded.emit(now, other, todo),
                }
            }
            if self.immediate {
                self.commit_at_once(now, guarded, &mut follow);
            }
            if follow.is_empty() {
                guarded.follow = follow;
                return actions;
            }
            std::mem::swap(&mut actions, &mut follow);
        }
    }

    /// What is still in memory needs no loader; returns the job if it is not.
    fn load_at_once(
        &self,
        now: Now,
        guarded: &mut Guarded,
        (link, wants, messages_max): (LinkId, Vec<Want>, usize),
        follow: &mut Vec<Action>,
    ) -> Option<load::Job> {
        let Some(loaded) = self
            .store
            .load_recent(&wants, messages_max, load::BYTES_MAX)
        else {
            return Some(load::Job::Load {
                link,
                wants,
                messages_max,
            });
        };
        let loaded = Some(loaded);
        let input = Input::Loaded {
            link,
            wants,
            loaded,
        };
        guarded.node.on(now, input, follow);
        None
    }

    /// A store without a disk answers in line.
    fn commit_at_once(&self, now: Now, guarded: &mut Guarded, follow: &mut Vec<Action>) {
        while let Some(batch) = guarded.node.next_batch(now.mono) {
            let mut verdicts: Vec<Verdict> = Vec::with_capacity(batch.records().len());
            let outcome = self.store.commit(batch.records(), &mut verdicts);
            self.committed(now, guarded, batch, (outcome, verdicts), follow);
        }
    }

    /// What the shard is told of a verdict. Under the lock, so that who is revoked meanwhile is either
    /// told so here or ended by what comes after.
    fn verified(
        &self,
        now: Now,
        guarded: &Guarded,
        link: LinkId,
        verdict: &auth::Verdict,
    ) -> Input<'static> {
        let peer = guarded.end(link).and_then(LinkEnd::address);
        let peer = peer.map(|address| address.ip());
        let (code, until) = match verdict {
            Ok(admitted) if self.admission.holds(admitted, peer) => {
                let ends_s = self.admission.session_until_s(admitted);
                let left_ms = ends_s.map(|end| end.saturating_mul(1000) - now.wall_ms);
                let left_ms = left_ms.map(|left| u64::try_from(left).unwrap_or(0));
                let until = left_ms.map_or(Time(u64::MAX), |left| now.mono + left);
                (code::OK, until)
            }
            Ok(_) => (code::REFUSED_TOKEN, Time(u64::MAX)),
            Err(code) => (*code, Time(u64::MAX)),
        };
        if code != code::OK {
            self.metrics.login(false);
        }
        Input::Verified { link, code, until }
    }

    /// What is done after the lock is released.
    pub(super) fn finish(&self, mut todo: Todo) {
        if todo.wake_committer {
            self.committer.wake();
        }
        self.metrics.delivered(todo.deliveries, todo.resends);
        if !todo.remember.is_empty() {
            self.store.acknowledge(&mut todo.remember);
        }
        for (link, answer) in todo.verify.drain(..) {
            let Some(router) = self.me.upgrade() else {
                continue;
            };
            self.runtime.spawn(async move {
                let verdict = answer.await;
                router.feed_with(|now, guarded| router.verified(now, guarded, link, &verdict));
            });
        }
        if let Some(socket) = todo.datagrams.take() {
            socket.flush();
        }
        for job in todo.load.drain(..) {
            self.loader.push(job);
        }
        self.finish_inside(&mut todo);
        self.flush(todo.flush);
        for told in todo.tell {
            tell(&told.event);
        }
    }

    /// Few links: at once. Many: shared out among the I/O workers, or the committer would be the
    /// ceiling for everybody; a thread that is one of them keeps a share.
    fn flush(&self, mut links: Vec<Arc<StreamLink>>) {
        if links.len() > FLUSH_INLINE_MAX {
            let share = links
                .len()
                .div_ceil(self.runtime.metrics().num_workers().max(1));
            let keep = if tokio::runtime::Handle::try_current().is_ok() {
                share
            } else {
                0
            };
            while links.len() > keep {
                let part = links.split_off(links.len().saturating_sub(share).max(keep));
                self.runtime
                    .spawn(async move { part.iter().for_each(StreamLink::flush) });
            }
        }
        links.iter().for_each(StreamLink::flush);
    }
}

impl Guarded {
    /// Everything that ends in an outbox, and what is remembered of it.
    fn emit(&mut self, now: Now, action: Action, todo: &mut Todo) {
        let (links, encoder) = (&self.links, &mut self.encoder);
        match action {
            Action::Send { link, frame } => match end_of(links, link) {
                Some(LinkEnd::Local(local)) => {
                    local.control(&frame);
                    todo.local.push(local.clone());
                }
                Some(end) => put(end, encoder.control(&frame, now.wall_ms), todo),
                None => {}
            },
            Action::Acknowledge {
                link,
                id,
                from,
                to,
                seq,
                time_ms,
                extended,
            } => {
                stage!(%id, %from, %to, link = link.0, seq, "acknowledged to the sender");
                match end_of(links, link) {
                    Some(LinkEnd::Local(local)) => {
                        local.taken(&id, Custody { seq, time_ms });
                        todo.local.push(local.clone());
                    }
                    Some(end) => {
                        let at = (seq, time_ms);
                        let frame = encoder.acknowledgement(&id, &from, &to, at, extended);
                        put(end, frame, todo);
                    }
                    None => {}
                }
            }
            Action::Deliver {
                link,
                message,
                form,
                again,
            } => self.deliver(now, link, &message, (form, again), todo),
            Action::Acknowledged { link, message } => self.acknowledged(now, link, &message),
            Action::Close { link, reason } => self.close(link, reason, todo),
            Action::Pause { link } => self.pause(link, true, todo),
            Action::Resume { link } => self.pause(link, false, todo),
            _ => {}
        }
    }

    fn deliver(
        &mut self,
        now: Now,
        link: LinkId,
        message: &MessageRef,
        (form, again): (Form, bool),
        todo: &mut Todo,
    ) {
        let entry = self.links.get(slot(link)).and_then(Option::as_ref);
        let Some(entry) = entry.filter(|entry| entry.link == link) else {
            return;
        };
        if let LinkEnd::Stream(stream) = &entry.end {
            let droppable = message.seq == 0;
            if (droppable && stream.is_full()) || (again && stream.has_unsent()) {
                return;
            }
        }
        todo.deliveries += 1;
        todo.resends += u64::from(again);
        stage!(id = %message.id, from = %message.from, to = %message.to, link = link.0,
            seq = message.seq, again, "sent");
        if message.seq > 0 {
            let station = Station {
                device: entry.device,
                since_ms: entry.since_ms,
            };
            self.trail.sent(message, station, now.wall_ms);
        }
        if let LinkEnd::Local(local) = &entry.end {
            local.message(message, again);
            return todo.local.push(local.clone());
        }
        put(&entry.end, self.encoder.message(message, form), todo);
    }

    fn acknowledged(&mut self, now: Now, link: LinkId, message: &MessageRef) {
        stage!(id = %message.id, from = %message.from, to = %message.to, link = link.0,
            seq = message.seq, "acknowledged");
        if let Some(station) = self.station(link) {
            self.trail.acknowledged(message, station, now.wall_ms);
        }
    }

    fn pause(&self, link: LinkId, paused: bool, todo: &mut Todo) {
        match self.end(link) {
            Some(LinkEnd::Stream(stream)) => stream.pause(paused),
            Some(LinkEnd::Local(local)) => {
                local.pause(paused);
                todo.local.push(local.clone());
            }
            _ => {}
        }
    }

    fn close(&mut self, link: LinkId, reason: CloseReason, todo: &mut Todo) {
        let Some(end) = self.end(link).cloned() else {
            return;
        };
        if let LinkEnd::Datagram(to) = &end {
            self.addresses.remove(to.1, &self.links);
        }
        self.unregister(link);
        // The session's end stands right before it: now its reason is known.
        for told in todo.tell.iter_mut().rev().take(1) {
            if matches!(&told.event, Event::LoggedOut { link: l, .. } if *l == link) {
                told.closed = Some(reason);
            }
        }
        match end {
            LinkEnd::Stream(stream) => {
                tracing::debug!(link = link.0, ?reason, "link closed");
                let (code, text) = close_words(reason);
                stream.close(code, text);
                todo.flush.push(stream);
            }
            LinkEnd::Datagram(_) => {}
            LinkEnd::Local(local) => {
                local.close(Some(reason));
                todo.local.push(local);
            }
        }
    }
}

/// Appends a frame to where a link leads.
fn put(end: &LinkEnd, frame: &[u8], todo: &mut Todo) {
    match end {
        LinkEnd::Stream(stream) => {
            if stream.push(frame) {
                todo.flush.push(stream.clone());
            }
        }
        LinkEnd::Datagram(to) => {
            let (socket, address) = &**to;
            socket.push(*address, frame);
            todo.datagrams.get_or_insert_with(|| socket.clone());
        }
        LinkEnd::Local(_) => {} // takes no bytes
    }
}

/// One line in the log for what an operator may ask about.
fn tell(event: &Event) {
    match event {
        Event::LoggedIn {
            user,
            device,
            link,
            transport,
        } => {
            tracing::debug!(%user, %device, link = link.0, ?transport, "logged in");
        }
        Event::LoggedOut {
            user,
            link,
            kick_code,
        } => {
            tracing::debug!(%user, link = link.0, kick_code, "logged out");
        }
        Event::NotDeliverableNow(message) => {
            tracing::trace!(id = %message.id, to = %message.to, "receiver is not online");
        }
        Event::Desk(message) => {
            tracing::trace!(id = %message.id, from = %message.from, to = %message.to, "for a desk");
        }
        Event::Relayed(message) => {
            tracing::trace!(id = %message.id, to = %message.to, "relayed");
        }
        Event::Received { message, user } => {
            tracing::trace!(id = %message.id, %user, "received");
        }
        Event::Lost { message, user } => {
            tracing::info!(id = %message.id, %user, "not acknowledged in this login");
        }
        Event::SteppedAside {
            message,
            user,
            ends,
        } => {
            tracing::warn!(id = %message.id, from = %message.from, %user, ends,
                "links of this user end right after this message: it steps aside and is tried again later");
        }
        Event::SetAside { message, user } => {
            tracing::warn!(id = %message.id, from = %message.from, %user, "set aside: never acknowledged");
        }
    }
}
