//! What a cursor means: which part of a conversation is still owed to a device.

use tidings_core::custody::{Cursor, Unanswered};
use tidings_core::ids::{ConversationId, DeviceId};

/// The cursor of a device that has none in this conversation.
pub(crate) fn fresh(device: DeviceId, conversation: u64, acked: u64) -> Cursor {
    Cursor {
        device,
        conversation: ConversationId(conversation),
        acked,
        sparse: Vec::new(),
        unanswered: Vec::new(),
    }
}

/// A cursor of a group's member, who is owed nothing from before he joined.
pub(crate) fn since_joined(mut cursor: Cursor, joined: u64) -> Cursor {
    if cursor.acked < joined {
        cursor.acked = joined;
        cursor.sparse.retain(|seq| *seq > joined);
        cursor.unanswered.retain(|u| u.seq > joined);
    }
    cursor
}

/// What a device did not answer, as JSON: for each message its number, logins, ends of links, and when
/// it is tried again.
pub(crate) fn unanswered_json(unanswered: &[Unanswered]) -> serde_json::Result<String> {
    let rows = unanswered.iter();
    let rows: Vec<_> = rows
        .map(|u| (u.seq, u.logins, u.ends, u.again_ms))
        .collect();
    serde_json::to_string(&rows)
}

/// Reads what [`unanswered_json`] wrote, and rows of number and logins alone, which older versions
/// wrote.
pub(crate) fn unanswered(json: &str) -> serde_json::Result<Vec<Unanswered>> {
    let rows: Vec<Vec<i64>> = serde_json::from_str(json)?;
    let of = |row: &Vec<i64>, at: usize| row.get(at).copied().unwrap_or(0);
    let count = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    let rows = rows.iter().map(|row| Unanswered {
        seq: of(row, 0) as u64,
        logins: count(of(row, 1)),
        ends: count(of(row, 2)),
        again_ms: of(row, 3),
    });
    Ok(rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c1_what_an_older_version_wrote_is_read() {
        let read = unanswered("[[3,2],[9,1,4,170]]").unwrap();
        assert_eq!((read[0].seq, read[0].logins, read[0].ends), (3, 2, 0));
        assert_eq!((read[1].ends, read[1].again_ms), (4, 170));
        assert_eq!(unanswered(&unanswered_json(&read).unwrap()).unwrap(), read);
    }
}
