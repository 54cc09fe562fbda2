//! The storage listener "database": tables `chat`, `chat_record` and `agent_log` of `desk.db`.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use tidings_core::wire::code;

use super::{ChatRecord, DeskEvent, Owner};
use crate::desk::directory::scrub;

/// The type of a note that only agents see.
pub(in crate::desk) const TYPE_NOTE: u8 = 20;

/// The last row of the tenant's log that a listener has.
pub(super) fn cursor(db: &mut Connection, sink: &str, tenant: &str) -> rusqlite::Result<u64> {
    let sql = "SELECT seq FROM sink WHERE name = ?1 AND tenant = ?2";
    let found = db.query_row(sql, params![sink, tenant], |row| row.get(0));
    Ok(found.optional()?.unwrap_or(0))
}

/// Writes what one row of the log says, and the cursor.
pub(super) fn write(
    db: &mut Connection,
    (sink, tenant): (&str, &str),
    seq: u64,
    events: &[DeskEvent],
) -> rusqlite::Result<()> {
    let transaction = db.transaction()?;
    for event in events {
        apply(&transaction, tenant, event)?;
    }
    transaction
        .prepare_cached("INSERT OR REPLACE INTO sink (name, tenant, seq) VALUES (?1, ?2, ?3)")?
        .execute(params![sink, tenant, seq])?;
    transaction.commit()?;
    let removes = |event: &DeskEvent| matches!(event, DeskEvent::Recalled { .. });
    match events.iter().any(removes) {
        true => scrub(db),
        false => Ok(()),
    }
}

fn apply(db: &Transaction<'_>, tenant: &str, event: &DeskEvent) -> rusqlite::Result<()> {
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
        db.prepare_cached(sql)?.execute(values).map(drop)
    };
    match event {
        DeskEvent::Opened {
            episode,
            part,
            customer,
            team,
            time_ms,
        } => run(
            "INSERT INTO chat (tenant, episode, part, customer, team, opened_ms, began_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, coalesce(
                 (SELECT opened_ms FROM chat WHERE tenant = ?1 AND episode = ?2 AND part = 0), ?6
             ), ?6)",
            params![tenant, episode, part, &**customer, &**team, time_ms],
        ),
        DeskEvent::Assigned {
            episode,
            part,
            agent,
            how,
            waited_ms,
            time_ms,
        } => run(
            "UPDATE chat SET agent = ?4, how = ?5, waited_ms = ?6, began_ms = ?7
             WHERE tenant = ?1 AND episode = ?2 AND part = ?3",
            params![tenant, episode, part, &**agent, how, waited_ms, time_ms],
        ),
        DeskEvent::Message(record) => message(db, tenant, record),
        DeskEvent::Recalled { episode, seq } => run(
            "UPDATE chat_record SET recalled = 1, text = ''
             WHERE tenant = ?1 AND episode = ?2 AND seq = ?3",
            params![tenant, episode, seq],
        ),
        DeskEvent::Ended {
            episode,
            part,
            close,
            time_ms,
        } => run(
            "UPDATE chat SET ended_ms = ?4, close_type = ?5
             WHERE tenant = ?1 AND episode = ?2 AND part = ?3",
            params![tenant, episode, part, time_ms, close.to_ocim()],
        ),
        DeskEvent::Rated {
            episode,
            stars,
            text,
        } => run(
            // Whoever served last is rated.
            "UPDATE chat SET stars = ?3, suggest = ?4 WHERE tenant = ?1 AND episode = ?2 AND part =
                (SELECT max(part) FROM chat WHERE tenant = ?1 AND episode = ?2)",
            params![tenant, episode, stars, text],
        ),
        DeskEvent::Agent {
            agent,
            kind,
            status,
            time_ms,
        } => run(
            "INSERT INTO agent_log (tenant, agent, type, status, time_ms)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![tenant, &**agent, kind, status, time_ms],
        ),
    }
}

fn message(db: &Transaction<'_>, tenant: &str, record: &ChatRecord) -> rusqlite::Result<()> {
    let recalled = record.typeu == code::DESK_RECALLED;
    let fresh = db
        .prepare_cached(
            "INSERT OR IGNORE INTO chat_record (tenant, episode, seq, message_id, owner, author,
                type, offline, recalled, text, time_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            tenant,
            record.episode,
            record.seq,
            record.id,
            record.owner.to_ocim(),
            &*record.author,
            ocim_type(record.typeu, record.owner),
            record.offline,
            recalled,
            record.text,
            record.time_ms,
        ])?;
    // A note is no answer.
    if fresh == 0 || record.owner == Owner::Automatic || record.typeu == code::DESK_NOTE {
        return Ok(());
    }
    let sql = match record.owner {
        Owner::Customer => {
            "UPDATE chat SET customer_messages = customer_messages + 1
             WHERE tenant = ?1 AND episode = ?2 AND ?3 = ?3 AND part =
                (SELECT max(part) FROM chat WHERE tenant = ?1 AND episode = ?2)"
        }
        _ => {
            "UPDATE chat SET agent_messages = agent_messages + 1,
                first_answer_ms = coalesce(first_answer_ms, max(0, ?3 - began_ms))
             WHERE tenant = ?1 AND episode = ?2 AND part =
                (SELECT max(part) FROM chat WHERE tenant = ?1 AND episode = ?2)"
        }
    };
    db.prepare_cached(sql)?
        .execute(params![tenant, record.episode, record.time_ms])?;
    Ok(())
}

/// OCIM's messageType, and one of our own for notes.
fn ocim_type(typeu: i32, owner: Owner) -> u8 {
    match (typeu, owner) {
        (code::DESK_IMAGE, _) => 2,
        (code::DESK_AGENT_GREETING, _) => 5,
        (code::DESK_TEAM_GREETING, _) => 9,
        (code::DESK_GOODS, _) => 10,
        (code::DESK_ORDER, _) => 11,
        (code::DESK_LOGISTICS, _) => 12,
        (code::DESK_ROBOT, _) => 13,
        (code::DESK_NOTE, _) => TYPE_NOTE,
        _ => 1,
    }
}
