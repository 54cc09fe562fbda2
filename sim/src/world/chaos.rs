//! What goes wrong, what clients send, and the moment when faults stop.

use tidings_core::ids::Name;
use tidings_core::session::Transport;
use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::login::{Login, encode_login};

use super::client::{Outgoing, State};
use super::clienting::frame;
use super::{Chaos, Event, ProcessEvent, World, encode};

/// Beyond, one at a time over a slow network takes longer than a run.
const MESSAGES_MAX: usize = 500;

/// What an application sends before it waits for answers.
const APP_MESSAGES_MAX: usize = 50;

impl World {
    pub(super) fn next_chaos(&mut self, chaos: Chaos) {
        let mean = match chaos {
            Chaos::Cut => self.plan.cut_every_ms,
            Chaos::Stall => self.plan.stall_every_ms,
            Chaos::Crash => self.plan.crash_every_ms,
            Chaos::WallJump => self.plan.wall_jump_every_ms,
            Chaos::Regroup => self.plan.regroup_every_ms,
            Chaos::AppRestart => self.plan.app_restart_every_ms,
        };
        if mean > 0 {
            let ms = self.rng.chaos.below(mean * 2);
            self.after(ms, Event::Chaos(chaos));
        }
    }

    pub(super) fn chaos(&mut self, chaos: Chaos) {
        if self.calm {
            return;
        }
        self.next_chaos(chaos);
        match chaos {
            Chaos::Crash => self.die(),
            Chaos::WallJump => {
                let hours = i64::try_from(self.rng.chaos.below(200)).unwrap_or(0) - 100;
                self.wall_offset_ms += hours * 3_600_000;
                self.log(format_args!("the wall clock jumps by {hours} h"));
            }
            Chaos::Regroup => self.regroup(),
            Chaos::Cut | Chaos::Stall | Chaos::AppRestart => {
                let client = self.rng.chaos.below(self.clients.len() as u64);
                let client = usize::try_from(client).unwrap_or(0);
                self.trouble(chaos, client);
            }
        }
    }

    fn trouble(&mut self, chaos: Chaos, client: usize) {
        if let Chaos::AppRestart = chaos {
            self.log(format_args!("client {client} starts again"));
            if self.clients[client].app.is_some() {
                return self.app_restart(client);
            }
            self.come_back(client, 1_000);
            return self.clients[client].forget();
        }
        let Some(conn) = self.clients[client].conn else {
            return;
        };
        if let Chaos::Cut = chaos {
            self.cut(conn);
        } else {
            let ms = self.rng.chaos.range(1_000, 40_000);
            self.log(format_args!("client {client} does not read for {ms} ms"));
            self.conns[conn].stalled_until = self.now + ms;
        }
    }

    /// A member leaves a group or joins it: stored first, then told to the machine.
    fn regroup(&mut self) {
        if self.plan.groups.is_empty() || self.process.is_none() {
            return;
        }
        let at = self.rng.chaos.below(self.plan.groups.len() as u64);
        let at = usize::try_from(at).unwrap_or(0);
        let clients = self.plan.clients.len() as u64;
        let who = usize::try_from(self.rng.chaos.below(clients)).unwrap_or(0);
        let user = self.plan.clients[who].user.clone();
        let (group, members) = &mut self.plan.groups[at];
        let member = !members.contains(&user);
        if member {
            members.push(user.clone());
        } else if members.len() > 1 {
            members.retain(|m| *m != user);
        } else {
            return;
        }
        let (group, members) = (group.clone(), members.clone());
        self.disk.set_group(&group, &members);
        self.disk.sync();
        self.check.group(&group, &members);
        let ms = self.rng.driver.below(20);
        self.later(
            ms,
            ProcessEvent::Membership {
                group,
                user,
                member,
            },
        );
    }

    /// Faults stop. Of the clients that would kick each other for ever, one stays.
    pub(super) fn calm_down(&mut self) {
        self.log(format_args!("calm"));
        self.calm = true;
        let mut kept: Vec<(Name, String, String)> = Vec::new();
        for client in 0..self.clients.len() {
            let me = &self.clients[client];
            let (user, class) = (me.plan.user.clone(), me.class().to_owned());
            let device = me.device().to_owned();
            let rivals = kept
                .iter()
                .any(|(u, c, d)| *u == user && (*c == class || *d == device));
            if rivals {
                self.clients[client].enabled = false;
                self.come_back(client, 0);
            } else {
                kept.push((user, class, device));
            }
        }
    }

    pub(super) fn log_in_again(&mut self) {
        for client in 0..self.clients.len() {
            if self.clients[client].enabled && self.clients[client].state == State::Online {
                self.come_back(client, 500);
            }
        }
    }

    /// The application has something to say.
    pub(super) fn somebody_sends(&mut self) {
        if self.calm || self.check.stored() >= MESSAGES_MAX {
            return;
        }
        let ms = self.rng.app.below(self.plan.send_every_ms * 2);
        self.after(ms, Event::Send);
        let client = self.rng.app.below(self.clients.len() as u64);
        let client = usize::try_from(client).unwrap_or(0);
        let count = if self.rng.app.chance(100) {
            self.plan.burst
        } else {
            1
        };
        for _ in 0..count {
            self.say(client);
        }
    }

    fn receiver(&mut self, user: &Name) -> String {
        let mix = self.plan.mix;
        if self.rng.app.chance(mix.to_group) && !self.plan.groups.is_empty() {
            return self.rng.app.pick(&self.plan.groups).0.to_string();
        }
        if self.rng.app.chance(mix.to_self) {
            return user.to_string();
        }
        if self.rng.app.chance(mix.to_server) {
            return "0".to_owned();
        }
        let clients = &self.plan.clients;
        self.rng.app.pick(clients).user.to_string()
    }

    fn say(&mut self, client: usize) {
        let online = self.clients[client].state == State::Online;
        let ours = self.clients[client].plan.ours.is_some();
        if !online && !ours {
            return;
        }
        // One at a time over a slow network, more than this takes longer than a run.
        let app = self.clients[client].app.as_ref();
        if app.is_some_and(|app| app.unacknowledged() >= APP_MESSAGES_MAX) {
            return;
        }
        let user = self.clients[client].plan.user.clone();
        let to = self.receiver(&user);
        let me = &mut self.clients[client];
        me.next_id += 1;
        let number = me.next_id;
        let id = if self.plan.small_ids {
            // Shared between senders, not between the devices of one.
            let before = &self.clients[..client];
            let nth = before.iter().filter(|c| c.plan.user == user).count();
            format!("{nth}{number}")
        } else {
            format!("c{client}-{number}")
        };
        let mix = self.plan.mix;
        if online && !ours && self.misbehave(client, &user, &to, &id) {
            return;
        }
        let bytes = if self.rng.app.chance(mix.too_large) {
            // More than TCP takes, or more than anything.
            if number.is_multiple_of(3) {
                66_000
            } else {
                7_000
            }
        } else if self.rng.app.chance(mix.large) {
            self.rng.app.range(700, 3_000)
        } else {
            0
        };
        let body = format!(
            "{user} {number} {}",
            "x".repeat(usize::try_from(bytes).unwrap_or(0))
        );
        let out = Outgoing {
            id,
            to,
            body,
            typeu: i32::try_from(self.rng.app.below(4)).unwrap_or(0),
            first_sent: self.now,
            last_sent: self.now,
            sends: 0,
        };
        self.check.said(client, &user, &out);
        self.clients[client].outbox.push(out);
        let at = self.clients[client].outbox.len() - 1;
        if ours {
            self.app_says(client, at);
        } else {
            self.send_out(client, at);
        }
    }

    /// Something that must be refused, or must do no harm. True if that was all.
    fn misbehave(&mut self, client: usize, user: &Name, to: &str, id: &str) -> bool {
        let mix = self.plan.mix;
        if self.rng.app.chance(mix.without_qos) {
            // The network may double what a UDP client sends, and nobody would know.
            let stream = self.clients[client].plan.transport != Transport::Udp;
            let id = format!("{}{id}", if stream { "n" } else { "u" });
            let mut message = frame(code::COMMON_DATA, user, to, Some("no matter"), Some(&id));
            message.qos = false;
            self.client_sends(client, &message);
            return true;
        }
        if self.rng.app.chance(mix.without_id) {
            let mut message = frame(code::COMMON_DATA, user, to, Some("no id"), None);
            message.qos = true;
            self.client_sends(client, &message);
            return true;
        }
        if self.rng.app.chance(mix.forged_from) {
            let id = format!("f{id}");
            let mut message = frame(code::COMMON_DATA, "bob", to, Some("forged"), Some(&id));
            message.typeu = 0;
            let out = Outgoing {
                id: id.clone(),
                to: to.to_owned(),
                body: "forged".to_owned(),
                typeu: 0,
                first_sent: 0,
                last_sent: 0,
                sends: 0,
            };
            self.check.said(client, user, &out);
            self.client_sends(client, &message);
            return true;
        }
        if self.rng.app.chance(mix.conflict) {
            return self.conflict(client, user);
        }
        if self.rng.app.chance(mix.garbage)
            && let Some(conn) = self.clients[client].conn
        {
            let mut bytes = encode::plain(&frame(code::COMMON_DATA, user, to, Some("{"), None));
            bytes.truncate(usize::try_from(self.rng.app.range(1, 60)).unwrap_or(1));
            self.transmit(conn, true, bytes);
            return true;
        }
        if self.rng.app.chance(mix.forged_login) {
            let login = Login {
                user: Some("alice".to_owned()),
                token: Some("stolen".to_owned()),
                ..Login::default()
            };
            let data = encode_login(&login);
            self.client_sends(client, &frame(code::LOGIN, "alice", "0", Some(&data), None));
            return true;
        }
        if self.rng.app.chance(mix.repeat_login) {
            self.send_login(client);
            return true;
        }
        false
    }

    /// The id of a message under way, with other content.
    fn conflict(&mut self, client: usize, user: &Name) -> bool {
        let Some(out) = self.clients[client].outbox.last().cloned() else {
            return false;
        };
        let body = format!("{} but otherwise", out.body);
        let other = Outgoing { body, ..out };
        let key = (other.id.clone(), other.to.clone());
        self.clients[client].poisoned.insert(key);
        self.check.said(client, user, &other);
        let mut message = frame(
            code::COMMON_DATA,
            user,
            &other.to,
            Some(&other.body),
            Some(&other.id),
        );
        message.typeu = other.typeu;
        self.client_sends(client, &message);
        true
    }
}
