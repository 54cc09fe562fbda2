//! The driver: does with the machine what the server's driver does, on the model network and disk.

use std::collections::{BTreeMap, VecDeque};

use tidings_core::ids::LinkId;
use tidings_core::node::{Batch, Node};
use tidings_core::shard::{Action, Event as Told, Input, Path};
use tidings_core::time::Time;
use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::{self, Frame};

use super::{ProcessEvent, World, encode};
use crate::Mutation;
use crate::check::paid;

/// The store writes its cursors after so long.
const IDLE_MS: u64 = 500;

/// What a crash takes away.
pub(super) struct Process {
    pub(super) node: Node,
    pub(super) links: BTreeMap<LinkId, usize>,
    /// What the disk has.
    pub(super) batch: Option<Batch>,
    /// The link that each record without a verdict came from, in order.
    pub(super) causes: VecDeque<Option<LinkId>>,
    /// When the committer is going to look for a batch.
    pub(super) gather_at: Option<Time>,
    tick_at: Option<Time>,
}

impl World {
    /// The server comes up.
    pub(super) fn restart(&mut self) {
        self.epoch += 1;
        self.disk.fall_back();
        let config = self.plan.config.clone();
        let mut node = Node::new(config);
        if let Some(Mutation::Node(mistake)) = self.mutation {
            node.make(mistake);
        }
        self.process = Some(Process {
            node,
            links: BTreeMap::new(),
            batch: None,
            causes: VecDeque::new(),
            gather_at: None,
            tick_at: None,
        });
        let epoch = self.epoch;
        self.log(format_args!("server up, epoch {epoch}"));
        self.check.store_matches(&self.disk);
        self.later(IDLE_MS, ProcessEvent::Idle);
    }

    /// The server's process dies.
    pub(super) fn die(&mut self) {
        if self.process.take().is_none() {
            return;
        }
        self.crashes += 1;
        self.log(format_args!("server dies"));
        self.check.process_died();
        for conn in 0..self.conns.len() {
            self.conns[conn].link = None;
            self.conns[conn].last_link = None;
            self.conns[conn].waiting.clear();
            self.conns[conn].paused = false;
            if self.conns[conn].held && !self.conns[conn].server_closed {
                self.cut(conn);
                self.conns[conn].server_closed = true;
            }
        }
        let down = self.rng.chaos.range(50, 8_000);
        self.after(down, super::Event::Restart);
    }

    pub(super) fn accept(&mut self, conn: usize) {
        let clock = self.clock();
        let transport = self.conns[conn].transport;
        let Some(process) = &mut self.process else {
            // Nobody listens: refused.
            self.conns[conn].cut = true;
            return self.after(
                5,
                super::Event::Gone {
                    conn,
                    at_server: false,
                },
            );
        };
        if self.conns[conn].cut {
            return;
        }
        let link = process.node.open(clock, transport);
        process.links.insert(link, conn);
        self.conns[conn].link = Some(link);
        self.conns[conn].last_link = Some(link);
        self.check.link_opened(link, conn, transport);
        let client = self.conns[conn].client;
        self.log(format_args!(
            "open {link:?} conn {conn} of client {client} by {transport:?}"
        ));
        self.arm_tick();
        if self.conns[conn].is_stream() {
            self.client_connected(conn);
        }
    }

    /// Bytes reached the server.
    pub(super) fn server_receives(&mut self, conn: usize, bytes: Vec<u8>) {
        if self.conns[conn].cut || self.process.is_none() {
            return;
        }
        if !self.conns[conn].is_stream() {
            return self.datagram(conn, &bytes);
        }
        self.conns[conn].waiting.push_back(bytes);
        self.drain(conn);
    }

    fn drain(&mut self, conn: usize) {
        while !self.conns[conn].paused
            && let Some(bytes) = self.conns[conn].waiting.pop_front()
        {
            self.stream_bytes(conn, &bytes);
        }
    }

    fn stream_bytes(&mut self, conn: usize, bytes: &[u8]) {
        let Some(link) = self.conns[conn].link else {
            return self.ghost(conn, bytes);
        };
        if bytes.is_empty() {
            return self.feed(Some(link), Input::Heard { link }, |_, _| Ok(()));
        }
        match mobileimsdk::decode(bytes) {
            Ok(frame) => self.frame(conn, link, frame, bytes.len()),
            Err(error) => {
                let reason = error.to_string();
                let input = Input::Unreadable { link, reason };
                self.feed(Some(link), input, |_, _| Ok(()));
            }
        }
    }

    fn datagram(&mut self, conn: usize, bytes: &[u8]) {
        let Ok(frame) = mobileimsdk::decode(bytes) else {
            return;
        };
        if self.conns[conn].link.is_none() && frame.kind == code::LOGIN {
            self.accept(conn);
        }
        let Some(link) = self.conns[conn].link else {
            self.ghost(conn, bytes);
            let (clock, path) = (self.clock(), Path::default());
            let Some(process) = &mut self.process else {
                return;
            };
            let answer = process.node.stranger(clock, path, &frame, bytes.len());
            if let Some(answer) = answer {
                let asked = bytes.len();
                let bytes = encode::control(&answer, clock.wall_ms);
                if !paid(asked, bytes.len()) {
                    let told = bytes.len();
                    self.check
                        .fail(format!("a stranger's {asked} bytes are answered {told}"));
                }
                self.transmit(conn, false, bytes);
            }
            return;
        };
        self.frame(conn, link, frame, bytes.len());
    }

    /// A link that has ended goes on talking: nothing may come of it.
    fn ghost(&mut self, conn: usize, bytes: &[u8]) {
        let Some(link) = self.conns[conn].last_link else {
            return;
        };
        let ghosts = self.plan.ghosts;
        if !self.rng.driver.chance(ghosts) {
            return;
        }
        if let Ok(frame) = mobileimsdk::decode(bytes) {
            let input = Input::Frame {
                link,
                frame,
                bytes: bytes.len(),
            };
            self.feed(None, input, |actions, _| match actions.first() {
                None => Ok(()),
                Some(action) => Err(format!("a link that has ended speaks: {action:?}")),
            });
        }
    }

    fn frame(&mut self, conn: usize, link: LinkId, frame: Frame<'_>, bytes: usize) {
        let kind = frame.kind;
        let data = frame.data.as_deref().unwrap_or("");
        let client = self.conns[conn].client;
        let short: String = data.chars().take(60).collect();
        let (to, fp) = (frame.to.as_deref(), frame.fp.as_deref());
        self.trace.line(
            self.now,
            format_args!("<- client {client} {link:?} type {kind} to {to:?} id {fp:?} {short}"),
        );
        let question = self.check.question(link, &frame, bytes);
        let input = Input::Frame { link, frame, bytes };
        self.feed(Some(link), input, |actions, stores| {
            question.judge(link, actions, stores)
        });
    }

    pub(super) fn server_lost(&mut self, conn: usize) {
        let Some(link) = self.conns[conn].link.take() else {
            return;
        };
        self.log(format_args!("{link:?} is gone"));
        if let Some(process) = &mut self.process {
            process.links.remove(&link);
        }
        self.feed(Some(link), Input::Closed { link }, |_, _| Ok(()));
        self.check.link_closed(link);
    }

    /// Feeds the machine, has its answer judged (the actions, and whether something is to be kept),
    /// carries it out.
    pub(super) fn feed(
        &mut self,
        cause: Option<LinkId>,
        input: Input<'_>,
        judge: impl FnOnce(&[Action], bool) -> Result<(), String>,
    ) {
        let clock = self.clock();
        let Some(process) = &mut self.process else {
            return;
        };
        let mut actions = Vec::new();
        let before = process.node.gathered().len();
        process.node.on(clock, input, &mut actions);
        let stores = process.node.gathered().len() > before;
        if let Err(violation) = judge(&actions, stores) {
            self.check.fail(violation);
        }
        for action in actions {
            self.carry_out(action);
        }
        self.gathered(cause, before);
        self.arm_tick();
    }

    pub(super) fn arm_tick(&mut self) {
        let Some(process) = &mut self.process else {
            return;
        };
        let Some(next) = process.node.next_deadline() else {
            return;
        };
        if process.tick_at.is_none_or(|at| next < at) {
            process.tick_at = Some(next);
            let ms = next.0.saturating_sub(self.now + 1_000);
            self.later(ms, ProcessEvent::Tick);
        }
    }

    fn conn_of(&self, link: LinkId) -> Option<usize> {
        self.process.as_ref()?.links.get(&link).copied()
    }

    pub(super) fn carry_out(&mut self, action: Action) {
        self.check.action(&action);
        match action {
            Action::Remember(mut cursor) => {
                let (device, conversation, acked) =
                    (cursor.device.0, cursor.conversation.0, cursor.acked);
                self.log(format_args!(
                    "remember device {device} in {conversation}: {acked}"
                ));
                if self.mutation == Some(Mutation::RememberAhead) {
                    cursor.acked += 1;
                }
                self.disk.acknowledge(cursor);
            }
            Action::Verify { link, token, .. } => {
                let code = if token.expose() == "good" { 0 } else { 1025 };
                let ms = self.rng.driver.below(30);
                self.later(ms, ProcessEvent::Verified { link, code });
            }
            Action::ReadBacklog { link, user, device } => {
                let ms = self.read_ms();
                self.later(ms, ProcessEvent::ReadBacklog { link, user, device });
            }
            Action::Load {
                link,
                wants,
                messages_max,
            } => {
                let drops = self.mutation == Some(Mutation::DropLoad);
                if drops && self.rng.driver.chance(50) {
                    return;
                }
                let ms = self.read_ms();
                self.later(
                    ms,
                    ProcessEvent::ReadLoad {
                        link,
                        wants,
                        messages_max,
                    },
                );
            }
            Action::Tell(event) => self.tell(&event),
            other => self.emit(other),
        }
    }

    fn read_ms(&mut self) -> u64 {
        let max = self
            .plan
            .read_ms_max
            .min(if self.calm { 20 } else { u64::MAX });
        if self.rng.driver.chance(400) {
            0
        } else {
            self.rng.driver.below(max)
        }
    }

    /// What ends in an outbox.
    pub(super) fn emit(&mut self, action: Action) {
        match action {
            Action::Send { link, frame } => {
                let Some(conn) = self.conn_of(link) else {
                    return;
                };
                let kind = frame.kind;
                let data = frame.data.clone().unwrap_or_default();
                self.log(format_args!("-> {link:?} type {kind} {data}"));
                let bytes = encode::control(&frame, self.clock().wall_ms);
                self.check.sent(link, bytes.len());
                self.transmit(conn, false, bytes);
            }
            Action::Acknowledge {
                link,
                id,
                from,
                to,
                seq,
                time_ms,
                extended,
            } => {
                let Some(conn) = self.conn_of(link) else {
                    return;
                };
                self.log(format_args!("-> {link:?} ack {id} {to} to {from}: {seq}"));
                let extension = extended.then_some((seq, time_ms));
                let bytes = encode::acknowledgement(&id, &from, &to, extension);
                self.check.sent(link, bytes.len());
                self.transmit(conn, false, bytes);
            }
            Action::Deliver {
                link,
                message,
                form,
                again,
            } => {
                let Some(conn) = self.conn_of(link) else {
                    return;
                };
                let (from, to, id, seq) = (&message.from, &message.to, &message.id, message.seq);
                self.trace.line(
                    self.now,
                    format_args!("-> {link:?} {from} to {to} {id} seq {seq} again {again}"),
                );
                if again && self.conns[conn].stalled_until > self.now {
                    return;
                }
                let bytes = encode::message(&message, form);
                self.check.frame_length(link, bytes.len());
                self.check.sent(link, bytes.len());
                self.transmit(conn, false, bytes);
            }
            Action::Close { link, reason } => {
                self.log(format_args!("close {link:?}: {reason:?}"));
                let Some(process) = &mut self.process else {
                    return;
                };
                if let Some(conn) = process.links.remove(&link) {
                    self.conns[conn].link = None;
                    self.hang_up(conn, true);
                }
            }
            Action::Pause { link } => self.pause(link, true),
            Action::Resume { link } => self.pause(link, false),
            _ => {}
        }
    }

    fn pause(&mut self, link: LinkId, paused: bool) {
        let Some(conn) = self.conn_of(link) else {
            return;
        };
        self.log(format_args!("{link:?} paused {paused}"));
        if self.conns[conn].is_stream() {
            self.conns[conn].paused = paused;
            if !paused {
                self.later(0, ProcessEvent::Drain { conn });
            }
        }
    }

    fn tell(&mut self, event: &Told) {
        if let Told::LoggedIn {
            user, device, link, ..
        } = event
        {
            let (user, device, link) = (user.clone(), device.clone(), *link);
            self.log(format_args!("{user} logs in on {device} by {link:?}"));
            let Some(conn) = self.conn_of(link) else {
                return;
            };
            let plan = self.clients[self.conns[conn].client].plan.clone();
            self.check.logged_in(link, &user, &device, &plan);
        } else {
            self.check.told(event);
        }
    }

    pub(super) fn process_event(&mut self, event: ProcessEvent) {
        match event {
            ProcessEvent::Tick => {
                if let Some(process) = &mut self.process {
                    process.tick_at = None;
                }
                self.feed(None, Input::Tick, |_, _| Ok(()));
            }
            ProcessEvent::Gather => self.take_batch(),
            ProcessEvent::Synced => self.synced(),
            ProcessEvent::Committed(said) => self.committed(said),
            ProcessEvent::Verified { link, code } => {
                let until = Time(u64::MAX);
                self.feed(Some(link), Input::Verified { link, code, until }, |_, _| {
                    Ok(())
                });
            }
            ProcessEvent::Membership {
                group,
                user,
                member,
            } => {
                self.log(format_args!("{user} in {group}: {member}"));
                let input = Input::Membership {
                    group: &group,
                    user: &user,
                    member,
                };
                self.feed(None, input, |_, _| Ok(()));
            }
            ProcessEvent::Drain { conn } => self.drain(conn),
            ProcessEvent::Idle => {
                if self.process.as_ref().is_some_and(|p| p.batch.is_none()) {
                    self.disk.sync();
                }
                self.later(IDLE_MS, ProcessEvent::Idle);
            }
            other => self.read_event(other),
        }
    }

    /// What the loaders do: read, and hand on what they found.
    fn read_event(&mut self, event: ProcessEvent) {
        match event {
            ProcessEvent::ReadBacklog { link, user, device } => {
                let fails = !self.calm && self.rng.disk.chance(self.plan.read_fail);
                let backlog = if fails {
                    None
                } else {
                    self.disk.backlog(&user, device)
                };
                let ms = self.read_ms();
                self.later(ms, ProcessEvent::Backlog { link, backlog });
            }
            ProcessEvent::Backlog { link, backlog } => {
                self.log(format_args!("backlog of {link:?}: {backlog:?}"));
                self.feed(Some(link), Input::Backlog { link, backlog }, |_, _| Ok(()));
            }
            ProcessEvent::ReadLoad {
                link,
                wants,
                messages_max,
            } => {
                let fails = !self.calm && self.rng.disk.chance(self.plan.read_fail);
                let loaded = if fails {
                    None
                } else {
                    self.disk.load(&wants, messages_max)
                };
                let ms = self.read_ms();
                self.later(
                    ms,
                    ProcessEvent::Loaded {
                        link,
                        wants,
                        loaded,
                    },
                );
            }
            ProcessEvent::Loaded {
                link,
                wants,
                loaded,
            } => {
                let count = loaded.as_ref().map(|l| l.messages.len());
                self.log(format_args!("loaded for {link:?}: {count:?} of {wants:?}"));
                self.feed(
                    Some(link),
                    Input::Loaded {
                        link,
                        wants,
                        loaded,
                    },
                    |_, _| Ok(()),
                );
            }
            _ => {}
        }
    }
}
