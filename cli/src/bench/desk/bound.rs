//! What no dispatcher can beat: queueing theory's lines beside the measured ones.
//!
//! Erlang-A (M/M/N+M) is the birth–death chain of a pool in which every slot serves everybody.
//! With agents who slow down as they serve several at once, the ideal is the same chain with
//! the pool's greatest total rate for each number of customers. For a subset of the classes, the
//! chain with only their arrivals and every agent who can serve any of them bounds their
//! abandonment from below. Exact for exponential work and patience; a reference line otherwise.

/// The steady state of a chain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Steady {
    /// Fraction of the arrivals that leave without service.
    pub(super) abandoned: f64,
    /// Mean number waiting.
    pub(super) queue: f64,
    /// Probability that an arrival has to wait.
    pub(super) waits: f64,
    /// Mean number in service.
    pub(super) busy: f64,
}

/// The greatest total rate of a pool for each number of customers in service, in units of one
/// agent with one customer. An agent with k customers works at k / (1 + slowdown (k − 1)).
pub(super) fn pool_rates(capacities: &[u32], slowdown: f64) -> Vec<f64> {
    let rate = |k: u32| f64::from(k) / (1.0 + slowdown * (f64::from(k) - 1.0));
    let mut gains: Vec<f64> = capacities
        .iter()
        .flat_map(|capacity| {
            (1..=*capacity).map(|k| if k == 1 { 1.0 } else { rate(k) - rate(k - 1) })
        })
        .collect();
    // The rate is concave, so the greatest total takes the greatest gains first.
    gains.sort_by(|a, b| b.total_cmp(a));
    let mut rates = vec![0.0];
    let mut total = 0.0;
    for gain in gains {
        total += gain;
        rates.push(total);
    }
    rates
}

/// The chain with `rates[n]` (times `service_per_s`) for n customers in service, all beyond
/// waiting with patience of mean 1 / `leave_per_s`.
pub(super) fn chain(
    arrive_per_s: f64,
    service_per_s: f64,
    leave_per_s: f64,
    rates: &[f64],
) -> Steady {
    let slots = rates.len() - 1;
    let death = |n: usize| {
        let served = n.min(slots);
        rates[served] * service_per_s + (n - served) as f64 * leave_per_s
    };
    // From the likeliest state outwards, so that nothing overflows however large the pool is.
    let mut mode = 0;
    while death(mode + 1) < arrive_per_s {
        mode += 1;
    }
    let (mut sum, mut queue, mut waits, mut busy) = (0.0, 0.0, 0.0, 0.0);
    let mut add = |n: usize, weight: f64| {
        sum += weight;
        queue += weight * n.saturating_sub(slots) as f64;
        waits += if n >= slots { weight } else { 0.0 };
        busy += weight * n.min(slots) as f64;
    };
    add(mode, 1.0);
    let (mut weight, mut n) = (1.0, mode);
    while weight > 1e-18 {
        n += 1;
        weight *= arrive_per_s / death(n);
        add(n, weight);
    }
    (weight, n) = (1.0, mode);
    while weight > 1e-18 && n > 0 {
        weight *= death(n) / arrive_per_s;
        n -= 1;
        add(n, weight);
    }
    let queue = queue / sum;
    Steady {
        abandoned: leave_per_s * queue / arrive_per_s,
        queue,
        waits: waits / sum,
        busy: busy / sum,
    }
}

/// The chain into which `burst` more come at once, `bursts_per_s` times.
pub(super) fn chain_with_bursts(
    arrive_per_s: f64,
    (bursts_per_s, burst): (f64, usize),
    service_per_s: f64,
    leave_per_s: f64,
    rates: &[f64],
) -> Steady {
    let slots = rates.len() - 1;
    let (mut sum, mut queue, mut waits, mut busy) = (0.0, 0.0, 0.0, 0.0);
    // What goes up past n equals what comes down to it: each state follows from those below.
    let mut p = vec![1e-200];
    let mut from_below = 0.0;
    for n in 0.. {
        let weight = p[n];
        sum += weight;
        queue += weight * n.saturating_sub(slots) as f64;
        waits += if n >= slots { weight } else { 0.0 };
        busy += weight * n.min(slots) as f64;
        from_below += weight;
        if n >= burst {
            from_below -= p[n - burst];
        }
        let served = (n + 1).min(slots);
        let death = rates[served] * service_per_s + (n + 1 - served) as f64 * leave_per_s;
        p.push((arrive_per_s * weight + bursts_per_s * from_below.max(0.0)) / death);
        if n > slots + 2 * burst && weight < 1e-15 * sum {
            break;
        }
    }
    let (queue, arrived) = (queue / sum, arrive_per_s + bursts_per_s * burst as f64);
    Steady {
        abandoned: leave_per_s * queue / arrived,
        queue,
        waits: waits / sum,
        busy: busy / sum,
    }
}

/// The chain through a day that repeats itself, `rate_at` giving the arrivals per second: integrated
/// until the second day, whose means are returned.
pub(super) fn chain_through_day(
    rate_at: impl Fn(f64) -> f64,
    day_s: f64,
    service_per_s: f64,
    leave_per_s: f64,
    rates: &[f64],
) -> Steady {
    let slots = rates.len() - 1;
    let most = (0..1440)
        .map(|m| rate_at(day_s * f64::from(m) / 1440.0))
        .fold(0.0, f64::max);
    // Far above where the busiest hour would settle.
    let states = slots + (3.0 * most / leave_per_s) as usize + 100;
    let death: Vec<f64> = (0..=states)
        .map(|n| rates[n.min(slots)] * service_per_s + n.saturating_sub(slots) as f64 * leave_per_s)
        .collect();
    let step_s = 0.2 / (most + death[states]);
    let steps = (day_s / step_s) as usize;
    let mut p = vec![0.0; states + 1];
    p[0] = 1.0;
    let (mut arrived, mut left, mut queued, mut waits, mut busy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let mut high = 1;
    for day in 0..2 {
        for step in 0..steps {
            let rate = rate_at(step as f64 * step_s);
            let mut flow_in = 0.0;
            let (mut queue, mut full, mut used) = (0.0, 0.0, 0.0);
            for n in 0..=high {
                let up = if n < states { rate * p[n] } else { 0.0 };
                let down = if n < states {
                    death[n + 1] * p[n + 1]
                } else {
                    0.0
                };
                let flow_out = up - down;
                p[n] += step_s * (flow_in - flow_out);
                flow_in = flow_out;
                queue += p[n] * n.saturating_sub(slots) as f64;
                full += if n >= slots { p[n] } else { 0.0 };
                used += p[n] * n.min(slots) as f64;
            }
            if high < states {
                p[high + 1] += step_s * flow_in;
                if p[high + 1] > 1e-15 {
                    high += 1;
                }
            }
            if day == 1 {
                arrived += rate * step_s;
                left += leave_per_s * queue * step_s;
                queued += queue * step_s;
                waits += rate * full * step_s;
                busy += used * step_s;
            }
        }
    }
    Steady {
        abandoned: left / arrived,
        queue: queued / day_s,
        waits: waits / arrived,
        busy: busy / day_s,
    }
}
