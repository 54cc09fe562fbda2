-- tidings.db, version 1: the truth. What a commit writes is ordered by insertion.

-- Every message, in the order of custody. A conversation's number is the position of its first
-- message. prev and jump are positions of ancestors in the same conversation (0: none), from which
-- any number is found without an index. body is NULL where retention removed the last message of a
-- conversation: the row stays so that numbers go on.
CREATE TABLE log (
    position     INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL,
    seq          INTEGER NOT NULL,
    prev         INTEGER NOT NULL,
    jump         INTEGER NOT NULL,
    time_ms      INTEGER NOT NULL,
    typeu        INTEGER NOT NULL,
    sender       TEXT    NOT NULL,
    recipient    TEXT    NOT NULL,
    id           TEXT    NOT NULL,
    body         TEXT,
    checksum     INTEGER NOT NULL
) STRICT;

-- Devices and issued logins of a user, as JSON: a login is one read and at most one write.
CREATE TABLE users (
    name   TEXT PRIMARY KEY,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- joined: the group's last number when the member joined; he is owed what came after it.
CREATE TABLE groups (
    name   TEXT    NOT NULL,
    member TEXT    NOT NULL,
    joined INTEGER NOT NULL,
    PRIMARY KEY (name, member)
) STRICT, WITHOUT ROWID;
CREATE INDEX memberships ON groups (member, name, joined);

-- How far a device has acknowledged a conversation. sparse and unanswered are JSON, NULL if empty.
CREATE TABLE cursors (
    device       INTEGER NOT NULL,
    conversation INTEGER NOT NULL,
    acked        INTEGER NOT NULL,
    sparse       TEXT,
    unanswered   TEXT,
    PRIMARY KEY (device, conversation)
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('next_device', 1);
