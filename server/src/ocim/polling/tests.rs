//! The polls of one session on a virtual clock: it jumps to the next deadline when nothing else can
//! happen.

use super::*;
use crate::ocim::line::Item;

const HOLD: Duration = Duration::from_secs(60);
const LIFE: Duration = Duration::from_secs(72);
const AWAITED: Duration = Duration::from_millis(limits::OCIM_TAB_AWAITED_MS_MAX);

/// How an answer fared.
enum Fate {
    /// Taken by the system, its connection still there.
    Written,
    /// Its connection ended before.
    Cut,
}

#[derive(Default)]
struct Rig {
    line: Line,
    polls: Polls,
    done: Mutex<Vec<Done>>,
}

impl Default for Polls {
    fn default() -> Polls {
        Polls::new()
    }
}

fn rig() -> Arc<Rig> {
    Arc::default()
}

fn numbers(items: &[Item]) -> Vec<u64> {
    items.iter().map(|item| item.seq).collect()
}

impl Rig {
    fn push(&self, count: usize) {
        for _ in 0..count {
            let packet = Packet::new(PacketType::Message);
            let done = Done::Episode(tidings_core::desk::EpisodeId(1), 1);
            self.line.push(packet, done);
        }
        self.polls.wake();
    }

    async fn told(&self, confirms: Confirms, fate: &Fate) -> Told {
        let times = Times {
            hold: HOLD,
            life: LIFE,
        };
        let done = |done| self.done.lock().push(done);
        let told = self.polls.poll(&self.line, &confirms, times, done).await;
        let written = Written::default();
        match fate {
            // A connection that was closed after it was written to is one that arrived.
            Fate::Written => {
                written.wrote(&std::task::Poll::Ready(Ok(10)));
                written.over();
            }
            Fate::Cut => written.over(),
        }
        let mut state = self.polls.state.lock();
        state
            .readers
            .answered(told.reader, told.upto(), (written, 10));
        drop(state);
        self.polls.wake();
        told
    }

    async fn poll(&self) -> Vec<u64> {
        let told = self.told(Confirms::default(), &Fate::Written).await;
        numbers(&told.items)
    }

    async fn poll_ack(&self, ack: u64) -> Vec<u64> {
        let confirms = Confirms {
            ack: Some(ack),
            ..Confirms::default()
        };
        numbers(&self.told(confirms, &Fate::Written).await.items)
    }

    fn held(self: &Arc<Self>) -> tokio::task::JoinHandle<Vec<u64>> {
        let rig = self.clone();
        tokio::spawn(async move { rig.poll().await })
    }
}

/// Lets what was spawned come as far as it does without time.
async fn settle() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_is_held_for_its_time_and_no_longer() {
    let rig = rig();
    let start = Instant::now();
    assert!(rig.poll().await.is_empty());
    assert_eq!(start.elapsed(), HOLD);
}

#[tokio::test(start_paused = true)]
async fn data_wakes_a_held_poll_at_once() {
    let rig = rig();
    let start = Instant::now();
    let held = rig.held();
    tokio::time::sleep(Duration::from_secs(7)).await;
    rig.push(1);
    assert_eq!(held.await.unwrap(), [1]);
    assert_eq!(start.elapsed(), Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn what_waited_comes_in_one_array_in_order() {
    let rig = rig();
    let start = Instant::now();
    rig.push(3);
    assert_eq!(rig.poll().await, [1, 2, 3]);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn ack_confirms_and_the_rest_comes_again() {
    let rig = rig();
    rig.push(3);
    assert_eq!(rig.poll().await, [1, 2, 3]);
    assert_eq!(rig.poll_ack(2).await, [3]);
    assert_eq!(rig.done.lock().len(), 2);
    // What was never handed out cannot be confirmed.
    rig.push(1);
    assert_eq!(rig.poll_ack(99).await, [4]);
}

#[tokio::test(start_paused = true)]
async fn p4_without_ack_an_answer_counts_once_it_was_written_in_full() {
    let rig = rig();
    rig.push(1);
    let cut = rig.told(Confirms::default(), &Fate::Cut).await;
    assert_eq!(numbers(&cut.items), [1]);
    assert_eq!(rig.poll().await, [1], "it was not written");
    assert!(rig.done.lock().is_empty());
    rig.push(1);
    assert_eq!(rig.poll().await, [2]);
    assert_eq!(rig.done.lock().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn p4_a_poll_that_overtakes_the_end_of_the_answer_before_waits_for_it() {
    let rig = rig();
    rig.push(1);
    let times = Times {
        hold: HOLD,
        life: LIFE,
    };
    let none = Confirms::default();
    let told = rig.polls.poll(&rig.line, &none, times, |_| {}).await;
    // The page has the answer, and polls before the connection's task has counted it.
    let next = rig.held();
    settle().await;
    rig.push(1);
    settle().await;
    assert!(!next.is_finished());
    let written = Written::default();
    {
        let readers = &mut rig.polls.state.lock().readers;
        readers.answered(told.reader, told.upto(), (written.clone(), 10));
    }
    rig.polls.wake();
    settle().await;
    assert!(!next.is_finished());
    written.wrote(&std::task::Poll::Ready(Ok(10)));
    written.over();
    assert_eq!(next.await.unwrap(), [2]);
}

#[tokio::test(start_paused = true)]
async fn p4_the_browsers_cookies_say_what_a_proxy_lost() {
    let rig = rig();
    let with = |seen: &[(usize, u64)]| Confirms {
        ack: None,
        seen: seen.to_vec(),
    };
    // The first of its cookies shows that this browser keeps them.
    let first = (limits::OCIM_TABS_MAX, 0);
    rig.push(1);
    let told = rig.told(with(&[first]), &Fate::Written).await;
    let slot = told.slot;
    // The answer was written to a proxy, and the browser did not get it.
    let again = rig.told(with(&[first]), &Fate::Written).await;
    assert_eq!(numbers(&again.items), [1]);
    rig.push(1);
    let next = rig.told(with(&[first, (slot, 1)]), &Fate::Written).await;
    assert_eq!(numbers(&next.items), [2]);
    // A client that sends the same cookies whatever it is told does not get one answer for ever.
    let fixed = || with(&[first, (slot, 1)]);
    for _ in 0..limits::OCIM_ANSWERS_AGAIN_MAX {
        let again = rig.told(fixed(), &Fate::Written).await;
        assert_eq!(numbers(&again.items), [2]);
    }
    for number in 3..6 {
        rig.push(1);
        let on = rig.told(fixed(), &Fate::Written).await;
        assert_eq!(numbers(&on.items), [number]);
    }
}

#[tokio::test(start_paused = true)]
async fn p3_every_tab_is_held_and_sees_everything_once() {
    let rig = rig();
    let start = Instant::now();
    let mut tabs: [_; 3] = std::array::from_fn(|_| Some(rig.held()));
    settle().await;
    let mut seen = [const { Vec::new() }; 3];
    for round in 1..=5 {
        assert!(tabs.iter().flatten().all(|tab| !tab.is_finished()));
        rig.push(2);
        // They poll again in any order, as soon as they are answered, and the next packet is there
        // before all do.
        for at in [round % 3, (round + 2) % 3, (round + 1) % 3] {
            seen[at].extend(tabs[at].take().unwrap().await.unwrap());
            tabs[at] = Some(rig.held());
            settle().await;
            if at == 0 {
                rig.push(1);
            }
        }
        for at in 0..3 {
            seen[at].extend(tabs[at].take().unwrap().await.unwrap());
        }
        tabs = std::array::from_fn(|_| Some(rig.held()));
        settle().await;
    }
    assert_eq!(start.elapsed(), Duration::ZERO, "nobody waits for another");
    for seen in seen {
        assert_eq!(seen, (1..=15).collect::<Vec<u64>>());
    }
    tabs.into_iter().flatten().for_each(|tab| tab.abort());
}

#[tokio::test(start_paused = true)]
async fn p3_nothing_is_answered_while_nothing_happens() {
    let rig = rig();
    let tabs: Vec<_> = (0..limits::OCIM_TABS_MAX + 2).map(|_| rig.held()).collect();
    let start = Instant::now();
    for tab in tabs {
        assert!(tab.await.unwrap().is_empty());
    }
    assert_eq!(start.elapsed(), HOLD);
}

#[tokio::test(start_paused = true)]
async fn p3_a_tab_that_goes_holds_the_others_up_once() {
    let rig = rig();
    let (stays, goes) = (rig.held(), rig.held());
    settle().await;
    rig.push(1);
    assert_eq!(stays.await.unwrap(), [1]);
    assert_eq!(goes.await.unwrap(), [1]);
    // One polls again, the other was closed.
    let start = Instant::now();
    let stays = rig.held();
    settle().await;
    rig.push(1);
    assert_eq!(stays.await.unwrap(), [2]);
    assert_eq!(start.elapsed(), AWAITED);
    rig.push(1);
    assert_eq!(rig.poll().await, [3]);
    assert_eq!(start.elapsed(), AWAITED, "it is not waited for again");
    // A tab that was only slow gets what it missed, while the other polls.
    let stays = rig.held();
    settle().await;
    assert_eq!(rig.poll().await, [2, 3]);
    // What nobody came for is forgotten.
    stays.abort();
    settle().await;
    tokio::time::sleep(LIFE).await;
    let held = rig.held();
    settle().await;
    assert!(rig.line.beyond(0).is_empty());
    held.abort();
}

#[tokio::test(start_paused = true)]
async fn p3_a_tab_whose_poll_is_broken_off_goes_on_where_it_stood() {
    let rig = rig();
    let (one, other) = (rig.held(), rig.held());
    settle().await;
    one.abort();
    settle().await;
    rig.push(2);
    assert_eq!(other.await.unwrap(), [1, 2]);
    let other = rig.held();
    settle().await;
    assert!(!other.is_finished());
    assert_eq!(rig.poll().await, [1, 2]);
    other.abort();
}

#[tokio::test(start_paused = true)]
async fn p6_a_page_that_is_opened_is_told_how_things_stand() {
    let rig = rig();
    rig.push(1);
    assert_eq!(rig.poll().await, [1]);
    let open = rig.held();
    settle().await;
    rig.polls
        .announce(&rig.line, vec![Packet::new(PacketType::BuildChat)]);
    let told = rig.told(Confirms::default(), &Fate::Written).await;
    assert_eq!(told.context.len(), 1);
    assert!(told.items.is_empty());
    assert!(!open.is_finished(), "the other tab is told nothing");
    // Once, if it arrived.
    let next = rig.held();
    settle().await;
    rig.push(1);
    assert_eq!(next.await.unwrap(), [2]);
    assert_eq!(open.await.unwrap(), [2]);
}

#[tokio::test(start_paused = true)]
async fn silence_lasts_72_seconds_from_the_last_poll() {
    let rig = rig();
    let start = Instant::now();
    let silence = tokio::spawn({
        let rig = rig.clone();
        async move { rig.polls.silence(LIFE).await }
    });
    // A login alone counts as the first sign of life, and each poll as another.
    tokio::time::sleep(Duration::from_secs(70)).await;
    rig.poll().await;
    assert_eq!(start.elapsed(), Duration::from_secs(130));
    // Twelve seconds after the longest hold there was none.
    silence.await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(142));
}
