-- Who has an account, which keys open the API, who is shut out.

CREATE TABLE account (
    user       TEXT    NOT NULL PRIMARY KEY,
    role       TEXT    NOT NULL,               -- user, agent or admin
    hash       TEXT    NOT NULL,               -- argon2id, as a PHC string
    created_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_key (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    hash       BLOB    NOT NULL UNIQUE,        -- SHA-256 of the key, which is random itself
    scope      TEXT    NOT NULL,               -- admin, send or read
    name       TEXT    NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE block (
    kind       TEXT    NOT NULL,               -- user or address
    what       TEXT    NOT NULL,               -- a user id; an address or a network
    reason     TEXT    NOT NULL,
    since_ms   INTEGER NOT NULL,
    PRIMARY KEY (kind, what)
) STRICT, WITHOUT ROWID;
