//! Every promise of [`Store`](super::Store) as a named test that any implementation runs, through
//! [`store_contract!`](crate::store_contract).
//!
//! Not here: what only one kind of store promises (files, crashes), which is tested beside it.
//! Called by the tests of each store, and, with the feature `contract`, by stores outside.

// Fixtures are mutable everywhere, so that every promise has one form.
#![allow(clippy::unwrap_used, clippy::needless_pass_by_ref_mut)]

pub mod cursors;
pub mod groups;
pub mod logins;
pub mod look;
pub mod messages;
pub mod reading;
pub mod retention;

use tidings_core::custody::{
    Cursor, Draft, Grant, LoginRecord, Record, Refusal, Unanswered, Verdict, Want,
};
use tidings_core::ids::{ConversationId, DeviceId, Name};
use tidings_core::limits;
use tidings_core::message::MessageRef;

use super::{Page, Store};

/// A store under test.
pub trait Fixture {
    /// The store.
    fn store(&self) -> &dyn Store;
    /// Closes and opens it. `false` if it does not keep anything, and nothing was done.
    fn reopen(&mut self) -> bool;
    /// Lets the indexes follow the log now, or does nothing if there are none.
    fn settle(&self) {}
}

/// Makes a `#[test]` of each promise, for the fixture that an expression makes.
#[macro_export]
macro_rules! store_contract {
    ($fixture:expr) => {
        $crate::store_contract!(@ $fixture, messages:
            numbers_have_no_gaps, verdicts_stand_in_the_order_of_the_records,
            a_duplicate_in_the_batch, a_duplicate_later, a_conflict,
            the_same_id_of_somebody_else_is_another_message, both_directions_share_one_log,
            a_user_writes_to_himself, the_server_is_an_address, many_writers_at_once,
            the_same_batch_from_two_threads, an_empty_batch);
        $crate::store_contract!(@ $fixture, logins:
            the_first_device_starts_at_the_beginning, a_further_device_starts_at_the_heads,
            a_login_in_the_middle_of_a_batch, an_issued_login_is_recognised,
            an_invented_login_counts_as_none, issued_times_rise_even_if_the_clock_falls,
            classes_do_not_share_logins, only_so_many_logins_are_remembered,
            devices_make_room);
        $crate::store_contract!(@ $fixture, cursors:
            a_cursor_is_seen_at_once, a_cursor_can_go_back, sparse_and_unanswered_are_kept,
            the_backlog_is_in_the_order_of_custody, nothing_behind_is_nothing);
        $crate::store_contract!(@ $fixture, groups:
            only_members_send, no_group_no_message, a_member_owes_nothing_from_before_he_joined,
            a_group_that_is_gone_and_comes_back, members_are_listed, groups_are_listed,
            a_duplicate_of_a_former_member_is_a_duplicate);
        $crate::store_contract!(@ $fixture, reading:
            a_load_merges_by_position, a_load_is_bounded_by_messages, a_load_is_bounded_by_bytes,
            a_load_of_nothing, a_load_from_memory_is_the_same, history_pages_backwards,
            history_pages_forwards, history_of_nobody, conversations_newest_first,
            deep_history,
            pages_are_not_cut);
        $crate::store_contract!(@ $fixture, retention:
            the_old_goes, what_a_device_waits_for_stays, a_device_not_seen_for_long_waits_for_nothing,
            numbers_go_on_after_everything_went, only_prefixes_go, a_removed_id_may_come_again,
            a_group_waits_for_its_members);
        $crate::store_contract!(@ $fixture, look:
            a_message_is_found_by_its_id, a_message_of_a_sender_is_found, so_many_are_found,
            users_are_listed, a_profile_names_the_devices, receipts_follow_the_cursors,
            receipts_of_a_new_member, the_size_is_about_right);
    };
    (@ $fixture:expr, $module:ident: $($name:ident),* $(,)?) => {
        mod $module {
            #[allow(unused_imports)]
            use super::*;
            $(
                #[test]
                fn $name() {
                    $crate::store::contract::$module::$name(&mut $fixture);
                }
            )*
        }
    };
}

/// A message to be stored.
#[must_use]
pub fn draft(from: &str, to: &str, id: &str) -> Record {
    draft_at(from, to, id, &format!("text of {id}"), 1_000)
}

/// A message with a text and a time.
#[must_use]
pub fn draft_at(from: &str, to: &str, id: &str, body: &str, time_ms: i64) -> Record {
    Record::Message(Draft {
        from: from.into(),
        to: to.into(),
        id: id.into(),
        typeu: 7,
        body: body.into(),
        time_ms,
    })
}

/// A login at a time, presenting a value.
#[must_use]
pub fn login_at(user: &str, device: &str, class: &str, presented: i64, now_ms: i64) -> Record {
    Record::Login(LoginRecord {
        user: user.into(),
        device: device.into(),
        class: class.into(),
        presented,
        now_ms,
    })
}

/// Commits.
pub fn commit(store: &dyn Store, batch: &[Record]) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    store.commit(batch, &mut verdicts).unwrap();
    assert_eq!(verdicts.len(), batch.len());
    verdicts
}

/// Commits one message that is expected to be new.
pub fn send(store: &dyn Store, from: &str, to: &str, id: &str) -> MessageRef {
    stored(commit(store, &[draft(from, to, id)]).remove(0))
}

/// The message of a `New`.
#[must_use]
pub fn stored(verdict: Verdict) -> MessageRef {
    match verdict {
        Verdict::New(message) => message,
        other => panic!("not new: {other:?}"),
    }
}

/// Logs a device in and returns what it was given.
pub fn login(store: &dyn Store, user: &str, device: &str) -> Grant {
    granted(commit(store, &[login_at(user, device, "default", 0, 1_000)]).remove(0))
}

/// The grant of a login.
#[must_use]
pub fn granted(verdict: Verdict) -> Grant {
    match verdict {
        Verdict::Login(grant) => grant,
        other => panic!("not a login: {other:?}"),
    }
}

/// Moves a cursor.
pub fn acknowledge(store: &dyn Store, device: DeviceId, conversation: ConversationId, acked: u64) {
    store.acknowledge(&mut vec![Cursor {
        device,
        conversation,
        acked,
        sparse: vec![],
        unanswered: vec![],
    }]);
}

/// `(acked, head, next)` of each conversation behind.
pub fn behind(store: &dyn Store, user: &str, device: DeviceId) -> Vec<(u64, u64, u64)> {
    let backlog = store.backlog(user, device).unwrap();
    let behind = backlog.behind.iter();
    behind.map(|b| (b.cursor.acked, b.head, b.next)).collect()
}

/// Everything of a conversation in `after + 1 ..= upto`, in one load.
pub fn load_all(store: &dyn Store, wants: &[Want]) -> Vec<MessageRef> {
    store.load(wants, 10_000, usize::MAX).unwrap().messages
}

/// Ids of messages.
#[must_use]
pub fn ids(messages: &[MessageRef]) -> Vec<&str> {
    messages.iter().map(|message| &*message.id).collect()
}

fn name(text: &str) -> Name {
    text.into()
}

fn refused(verdict: &Verdict) -> Refusal {
    match verdict {
        Verdict::Refused(refusal) => *refusal,
        other => panic!("not refused: {other:?}"),
    }
}
