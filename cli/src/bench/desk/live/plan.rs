//! What is drawn from the seed: who comes when, how long he is served, what he types.

use super::super::prng::Prng;
use super::{LiveArgs, Transport};

/// Below this handling time a second text follows at once: the agent waits for it, and would be
/// held up by a longer way.
const UNHURRIED_S: f64 = 0.5;

/// One customer.
#[derive(Debug, Clone)]
pub(super) struct Person {
    /// Seconds after the beginning.
    pub(super) arrives_s: f64,
    pub(super) handle_s: f64,
    /// Infinite if he never gives up.
    pub(super) patience_s: f64,
    /// One or two.
    pub(super) texts: u32,
    /// The second text follows the first at once, and not the agent's first answer.
    pub(super) hurried: bool,
    pub(super) polls: bool,
}

/// A whole run.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) people: Vec<Person>,
    pub(super) agents: usize,
    pub(super) capacity: usize,
    pub(super) per_s: f64,
    /// Somebody may leave before he is served.
    pub(super) gives_up: bool,
}

impl Plan {
    /// The same for the same arguments and seed. Each kind of draw has a stream of its own.
    pub(super) fn draw(args: &LiveArgs, seed: u64) -> Plan {
        let handle_s = args.handle_ms / 1000.0;
        let slots = f64::from(args.agents) * f64::from(args.capacity);
        let per_s = args.load * slots / handle_s;
        let [mut arrivals, mut work, mut patience, mut words] =
            [1, 2, 3, 4].map(|stream| Prng::new(seed, stream));
        let mut at_s = 0.0;
        let person = |number| {
            at_s += arrivals.exponential(1.0 / per_s);
            let handle_s = work.exponential(handle_s);
            let texts = 1 + u32::from(words.unit() < 0.5);
            Person {
                arrives_s: at_s,
                handle_s,
                patience_s: args
                    .patience_ms
                    .map_or(f64::INFINITY, |ms| patience.exponential(ms / 1000.0)),
                texts,
                hurried: words.unit() < 0.5 || handle_s < UNHURRIED_S,
                polls: match args.transport {
                    Transport::Ws => false,
                    Transport::Poll => true,
                    Transport::Mixed => number % 2 == 1,
                },
            }
        };
        Plan {
            people: (0..args.customers).map(person).collect(),
            agents: args.agents as usize,
            capacity: args.capacity as usize,
            per_s,
            gives_up: args.patience_ms.is_some(),
        }
    }

    pub(super) fn last_arrival_s(&self) -> f64 {
        self.people.last().map_or(0.0, |person| person.arrives_s)
    }
}
