-- index.db, version 1: follows tidings.db and can be made again from it at any time.

CREATE TABLE conversations (
    conversation  INTEGER PRIMARY KEY,
    key           TEXT    NOT NULL UNIQUE,
    head_position INTEGER NOT NULL,
    head_seq      INTEGER NOT NULL
) STRICT;

-- The two users of each pair conversation.
CREATE TABLE members (
    user         TEXT    NOT NULL,
    conversation INTEGER NOT NULL,
    PRIMARY KEY (user, conversation)
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('watermark', 0);
