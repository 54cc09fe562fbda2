-- Everything that was issued names the version of its holder's credential: a new password, a removal,
-- a block or another role make it void. Kept for names without an account as well: who was removed
-- must not come back with what he had before.

CREATE TABLE principal (
    user       TEXT    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row: the last version that was given, and the auth.mode in which things are issued. Another
-- mode is another epoch, in which nothing from before is valid.
CREATE TABLE door (
    one   INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    last  INTEGER NOT NULL,
    mode  TEXT    NOT NULL,
    epoch INTEGER NOT NULL
) STRICT;

INSERT INTO door VALUES (1, 1, '', 0);
INSERT INTO principal SELECT user, 1, changed_ms FROM account;

-- Made by `serve --demo`, with a password that everybody knows.
ALTER TABLE account ADD COLUMN demo INTEGER NOT NULL DEFAULT 0;

-- Who changed what; the newest AUDIT_ENTRIES_MAX.
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    time_ms INTEGER NOT NULL,
    who     TEXT    NOT NULL,               -- "key 3", an account, "tidings admin", "application"
    what    TEXT    NOT NULL,
    name    TEXT    NOT NULL                -- a user, an address, the number of a key
) STRICT;
