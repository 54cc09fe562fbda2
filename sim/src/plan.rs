//! What the seed decides beforehand: who is there, and how often what goes wrong. Swarm testing:
//! each seed switches most faults off, so that those that are left can meet each other.

use tidings_core::ids::Name;
use tidings_core::session::Transport;
use tidings_core::shard::{Config, SecondLogin};

use crate::rng::Rng;

/// What one client is.
#[derive(Debug, Clone)]
pub(crate) struct ClientPlan {
    pub(crate) user: Name,
    pub(crate) transport: Transport,
    /// `None`: a MobileIMSDK client.
    pub(crate) ours: Option<Ours>,
    pub(crate) keepalive_ms: u64,
    /// Acknowledges with nonsense in from and to.
    pub(crate) sloppy: bool,
    /// Never acknowledges anything.
    pub(crate) mute: bool,
    /// Some messages kill it before it acknowledges them: [`ClientPlan::dies_of`].
    pub(crate) fragile: bool,
}

impl ClientPlan {
    /// Whether a message, by its text, kills this client.
    pub(crate) fn dies_of(&self, body: &str) -> bool {
        let number = body.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok());
        self.fragile && number.is_some_and(|n| n % 29 == 7)
    }
}

/// What one of our clients declares.
#[derive(Debug, Clone)]
pub(crate) struct Ours {
    pub(crate) device: String,
    pub(crate) class: String,
    pub(crate) own: bool,
}

/// Rates are per thousand, periods are means in milliseconds with 0 for never.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) config: Config,
    pub(crate) clients: Vec<ClientPlan>,
    pub(crate) groups: Vec<(Name, Vec<Name>)>,
    pub(crate) chaos_ms: u64,
    pub(crate) latency_ms_max: u64,
    pub(crate) udp_loss: u64,
    pub(crate) udp_double: u64,
    pub(crate) udp_delay_ms_max: u64,
    pub(crate) cut_every_ms: u64,
    pub(crate) stall_every_ms: u64,
    pub(crate) crash_every_ms: u64,
    pub(crate) wall_jump_every_ms: u64,
    pub(crate) regroup_every_ms: u64,
    pub(crate) app_restart_every_ms: u64,
    pub(crate) commit_fail: u64,
    pub(crate) commit_unknown: u64,
    pub(crate) read_fail: u64,
    pub(crate) sync_ms_max: u64,
    pub(crate) verdict_delay_ms_max: u64,
    pub(crate) read_ms_max: u64,
    pub(crate) send_every_ms: u64,
    pub(crate) burst: u64,
    pub(crate) mix: Mix,
    /// Ids are small numbers that different senders share, and not unique ones.
    pub(crate) small_ids: bool,
    /// The driver feeds what arrives for a link that has ended.
    pub(crate) ghosts: u64,
}

/// What clients send, per thousand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mix {
    pub(crate) to_group: u64,
    pub(crate) to_self: u64,
    pub(crate) to_server: u64,
    pub(crate) without_qos: u64,
    pub(crate) without_id: u64,
    pub(crate) conflict: u64,
    pub(crate) garbage: u64,
    pub(crate) large: u64,
    pub(crate) too_large: u64,
    pub(crate) forged_from: u64,
    pub(crate) forged_login: u64,
    pub(crate) repeat_login: u64,
}

fn sometimes(rng: &mut Rng, per_mille: u64, low: u64, high: u64) -> u64 {
    let value = rng.range(low, high);
    if rng.chance(per_mille) { value } else { 0 }
}

const TRANSPORTS: [Transport; 3] = [Transport::Tcp, Transport::Udp, Transport::WebSocket];

fn client(rng: &mut Rng, user: &Name, number: u64, transport: Transport) -> ClientPlan {
    let ours = rng.chance(500).then(|| Ours {
        device: format!("d{number}"),
        class: (*rng.pick(&["phone", "web", "desktop"])).to_owned(),
        own: rng.chance(500),
    });
    ClientPlan {
        user: user.clone(),
        transport,
        ours,
        keepalive_ms: *rng.pick(&[3_000, 5_000, 10_000, 15_000]),
        sloppy: rng.chance(150),
        mute: rng.chance(30),
        fragile: false,
    }
}

fn mix(rng: &mut Rng) -> Mix {
    Mix {
        to_group: sometimes(rng, 500, 50, 500),
        to_self: sometimes(rng, 300, 20, 200),
        to_server: sometimes(rng, 300, 20, 200),
        without_qos: sometimes(rng, 300, 20, 300),
        without_id: sometimes(rng, 300, 10, 100),
        conflict: sometimes(rng, 300, 10, 100),
        garbage: sometimes(rng, 300, 10, 100),
        large: sometimes(rng, 300, 20, 300),
        too_large: sometimes(rng, 200, 10, 100),
        forged_from: sometimes(rng, 300, 10, 100),
        forged_login: sometimes(rng, 200, 5, 30),
        repeat_login: sometimes(rng, 300, 5, 50),
    }
}

fn groups(rng: &mut Rng, users: &[Name]) -> Vec<(Name, Vec<Name>)> {
    let mut groups = Vec::new();
    for group in 0..rng.range(0, 2) {
        let mut members = users.to_vec();
        members.retain(|_| rng.chance(800));
        if !members.is_empty() {
            groups.push((Name::from(format!("#g{group}")), members));
        }
    }
    groups
}

impl Plan {
    /// Who dies of some messages, in one world of four: apart from the other draws.
    pub(crate) fn draw_fragile(&mut self, rng: &mut Rng) {
        if rng.chance(250) {
            for client in &mut self.clients {
                client.fragile = rng.chance(300);
            }
        }
    }

    pub(crate) fn draw(rng: &mut Rng) -> Plan {
        let users: Vec<Name> = ["alice", "bob", "carol", "dave"][..rng.range(2, 4) as usize]
            .iter()
            .map(|name| Name::from(*name))
            .collect();
        let mut clients = Vec::new();
        let only = *rng.pick(&TRANSPORTS);
        let mixed = rng.chance(700);
        for user in &users {
            let devices = if rng.chance(500) { 1 } else { rng.range(1, 4) };
            for number in 0..devices {
                let transport = if mixed { *rng.pick(&TRANSPORTS) } else { only };
                clients.push(client(rng, user, number, transport));
            }
        }
        let groups = groups(rng, &users);
        let small_ids = rng.chance(250);
        if small_ids {
            // Who acknowledges ids that others use, too, must say whose he means.
            clients.iter_mut().for_each(|client| client.sloppy = false);
        }
        let config = Config {
            second_login: *rng.pick(&[
                SecondLogin::Replace,
                SecondLogin::Replace,
                SecondLogin::Coexist,
                SecondLogin::Refuse,
            ]),
            udp_window: if rng.chance(250) { 4 } else { 1 },
            ..Config::default()
        };
        Plan {
            config,
            clients,
            groups,
            chaos_ms: rng.range(30_000, 240_000),
            latency_ms_max: rng.range(1, 120),
            udp_loss: sometimes(rng, 700, 10, 300),
            udp_double: sometimes(rng, 500, 10, 200),
            udp_delay_ms_max: sometimes(rng, 500, 50, 1500),
            cut_every_ms: sometimes(rng, 600, 2_000, 60_000),
            stall_every_ms: sometimes(rng, 400, 5_000, 60_000),
            crash_every_ms: sometimes(rng, 500, 5_000, 90_000),
            wall_jump_every_ms: sometimes(rng, 300, 5_000, 60_000),
            regroup_every_ms: sometimes(rng, 300, 5_000, 40_000),
            app_restart_every_ms: sometimes(rng, 400, 5_000, 60_000),
            commit_fail: sometimes(rng, 400, 5, 150),
            commit_unknown: sometimes(rng, 400, 5, 150),
            read_fail: sometimes(rng, 300, 5, 100),
            sync_ms_max: if rng.chance(200) {
                2_000
            } else {
                rng.range(1, 60)
            },
            verdict_delay_ms_max: if rng.chance(200) { 500 } else { 5 },
            read_ms_max: if rng.chance(200) {
                1_500
            } else {
                rng.range(1, 80)
            },
            send_every_ms: rng.range(60, 1_500),
            burst: if rng.chance(300) { rng.range(2, 90) } else { 1 },
            mix: mix(rng),
            small_ids,
            ghosts: sometimes(rng, 500, 100, 900),
        }
    }
}
