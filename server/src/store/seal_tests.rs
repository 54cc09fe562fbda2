use super::*;

fn open() -> Connection {
    let mut db = Connection::open_in_memory().unwrap();
    prepare(&db).unwrap();
    db.execute_batch("CREATE TABLE t (a TEXT PRIMARY KEY, b INTEGER) STRICT, WITHOUT ROWID")
        .unwrap();
    renew(&mut db, &["t"], false).unwrap();
    db
}

fn told(db: &Connection) -> Vec<String> {
    look(db, &["t"]).unwrap()
}

#[test]
fn whatever_writes_is_sealed() {
    let mut db = open();
    for sql in [
        "INSERT INTO t VALUES ('x', 1), ('y', NULL)",
        "INSERT OR REPLACE INTO t VALUES ('x', 2)",
        "INSERT INTO t VALUES ('x', 3) ON CONFLICT DO UPDATE SET b = 4",
        "UPDATE t SET a = 'z' WHERE a = 'y'",
        "DELETE FROM t WHERE a = 'x'",
        "ALTER TABLE t ADD COLUMN c TEXT",
    ] {
        db.execute_batch(sql).unwrap();
        renew(&mut db, &["t"], false).unwrap();
        assert_eq!(told(&db), [""; 0], "{sql}");
    }
    db.execute("UPDATE t SET c = 'new'", []).unwrap();
    assert_eq!(told(&db), [""; 0]);
}

/// What is written past the triggers stands for what a disk does by itself.
#[test]
fn d3_rows_that_nobody_wrote_are_noticed() {
    for (sql, words) in [
        ("UPDATE t SET b = 2", "is not what was written"),
        (
            "UPDATE t SET a = 'w' WHERE a = 'x'",
            "is not what was written",
        ),
        ("DELETE FROM t", "has 0 rows where 2 were written"),
        (
            "INSERT INTO t VALUES ('v', 1)",
            "has 3 rows where 2 were written",
        ),
    ] {
        let mut db = open();
        db.execute_batch("INSERT INTO t VALUES ('x', 1), ('y', 5)")
            .unwrap();
        let kept = "SELECT sql FROM sqlite_schema WHERE type = 'trigger'";
        let mut statement = db.prepare(kept).unwrap();
        let triggers = statement
            .query_map([], |row| row.get::<_, String>(0))
            .unwrap();
        let triggers: Vec<String> = triggers.map(Result::unwrap).collect();
        drop(statement);
        for kind in ["insert", "update", "delete"] {
            db.execute_batch(&format!("DROP TRIGGER seal_t_{kind}"))
                .unwrap();
        }
        db.execute_batch(sql).unwrap();
        for trigger in triggers {
            db.execute_batch(&trigger).unwrap();
        }
        let told_once = told(&db);
        assert_eq!(told_once.len(), 1);
        assert!(told_once[0].contains(words), "{told_once:?}");
        renew(&mut db, &["t"], true).unwrap();
        assert_eq!(told(&db), [""; 0]);
    }
}
