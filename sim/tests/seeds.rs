//! A fixed budget of seeds, the seeds that once failed, and proof that the checkers can fail.

use tidings_core::node::Mistake;
use tidings_sim::{Mutation, Options, run};

fn must_hold(seed: u64) {
    let outcome = run(seed, Options::default());
    if let Some(violation) = &outcome.violation {
        let tail = outcome.tail.join("\n    ");
        panic!("seed {seed}: {violation}\n    {tail}");
    }
}

#[test]
fn a_fixed_budget_of_seeds() {
    (0..70).for_each(must_hold);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..6 {
        let first = run(seed, Options::default());
        assert_eq!(first, run(seed, Options::default()), "seed {seed}");
    }
}

#[test]
fn different_seeds_give_different_traces() {
    let hash = |seed| run(seed, Options::default()).trace_hash;
    assert_ne!(hash(1), hash(2));
}

/// The numbers are only there to notice when the simulation no longer does anything.
#[test]
fn faults_really_happen() {
    let outcomes: Vec<_> = (0..24).map(|seed| run(seed, Options::default())).collect();
    let sum = |count: fn(&tidings_sim::Outcome) -> usize| outcomes.iter().map(count).sum::<usize>();
    assert!(sum(|o| o.stored) > 2_000);
    assert!(sum(|o| o.delivered) > 3_000);
    assert!(sum(|o| o.logins) > 200);
    assert!(sum(|o| o.crashes) > 10);
    assert!(sum(|o| o.unknown) > 25);
}

/// An own message was flushed to the store after a later cursor: the cursor went back.
#[test]
fn own_messages_do_not_move_a_cursor_back() {
    [0, 1, 2, 3, 5].into_iter().for_each(must_hold);
}

/// A backlog or a load that an earlier login on the link had asked for was taken for the new one's,
/// and what it lacked was passed over.
#[test]
fn reads_of_an_earlier_login_do_not_count() {
    [9, 51, 59, 94, 201].into_iter().for_each(must_hold);
}

/// A verdict came after the session had read, sent and forgotten its message: it was sent again.
#[test]
fn a_verdict_after_the_load_delivers_nothing_twice() {
    [4, 37].into_iter().for_each(must_hold);
}

/// A refusal was sent to a link that had ended.
#[test]
fn nothing_is_sent_to_a_link_that_has_ended() {
    must_hold(8);
}

/// A session's own message, committed while its backlog was read, moved a cursor that was not
/// known yet over messages that were never sent.
#[test]
fn a_head_that_rises_while_loading_moves_no_cursor() {
    [9, 36, 163, 192].into_iter().for_each(must_hold);
}

/// A member who joined while online read its backlog again and lost what it knew meanwhile.
#[test]
fn joining_a_group_while_online_loses_nothing() {
    [41, 94, 124, 201, 219, 8571]
        .into_iter()
        .for_each(must_hold);
}

/// An acknowledgement that the network doubled counted for another message with the same id, because
/// resends made the session forget which ones it had counted.
#[test]
fn h6_a_doubled_acknowledgement_counts_once() {
    must_hold(5_011_193);
}

/// The backlog named a conversation no longer, because the session before had acknowledged what the
/// new one was told of afterwards: the new one's cursor began below it.
#[test]
fn h7_a_late_verdict_moves_no_cursor_back() {
    must_hold(5_028_701);
}

fn must_be_caught(mutation: Mutation, words: &[&str]) {
    let options = Options {
        trace: false,
        mutation: Some(mutation),
    };
    let found = (0..80).find_map(|seed| run(seed, options).violation);
    let Some(violation) = found else {
        panic!("{mutation:?} was not caught by 80 seeds");
    };
    let fits = words.iter().any(|word| violation.contains(word));
    assert!(
        fits,
        "{mutation:?} was caught as something else: {violation}"
    );
}

#[test]
fn an_acknowledgement_before_the_commit_is_caught() {
    must_be_caught(Mutation::AckBeforeCommit, &["acknowledged"]);
}

#[test]
fn a_disk_that_forgets_is_caught() {
    must_be_caught(Mutation::ForgetOnCrash, &["stored", "unseen"]);
}

#[test]
fn swapped_verdicts_are_caught() {
    must_be_caught(
        Mutation::SwapVerdicts,
        &["acknowledged", "refused", "liveness", "stored"],
    );
}

#[test]
fn a_repeated_batch_taken_for_duplicates_is_caught() {
    let mistake = Mutation::Node(Mistake::RepeatIsDuplicate);
    must_be_caught(mistake, &["unseen", "lost"]);
}

#[test]
fn h2_a_refusal_of_what_may_be_stored_is_caught() {
    let mistake = Mutation::Node(Mistake::RefuseAfterUnknown);
    must_be_caught(mistake, &["refused", "unseen"]);
}

#[test]
fn a_batch_that_is_not_repeated_is_caught() {
    let mistake = Mutation::Node(Mistake::ForgetUnknown);
    must_be_caught(mistake, &["acknowledged", "refused", "liveness", "stored"]);
}

#[test]
fn an_unanswered_load_is_caught() {
    must_be_caught(Mutation::DropLoad, &["unseen", "lost"]);
}

#[test]
fn a_stream_that_overtakes_itself_is_caught() {
    must_be_caught(Mutation::ReorderStream, &["in order"]);
}

#[test]
fn a_cursor_ahead_is_caught() {
    must_be_caught(
        Mutation::RememberAhead,
        &["unseen", "lost", "goes back", "beyond"],
    );
}
