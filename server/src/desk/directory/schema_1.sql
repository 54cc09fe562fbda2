-- What an operator set up: tenants, teams, skills, agents, canned replies; and who changed what.

CREATE TABLE item (
    kind       TEXT    NOT NULL,               -- tenant, team, skill, agent or reply
    tenant     TEXT    NOT NULL,               -- whose; empty for a tenant itself
    name       TEXT    NOT NULL,
    number     INTEGER NOT NULL,               -- within kind and tenant, never given twice
    body       TEXT    NOT NULL,               -- JSON
    PRIMARY KEY (kind, tenant, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE counter (
    kind       TEXT    NOT NULL,
    tenant     TEXT    NOT NULL,
    last       INTEGER NOT NULL,
    PRIMARY KEY (kind, tenant)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    time_ms    INTEGER NOT NULL,
    tenant     TEXT    NOT NULL,
    who        TEXT    NOT NULL,               -- an account, or `key` and its number
    what       TEXT    NOT NULL,               -- as: put agent, delete team, take over
    name       TEXT    NOT NULL,
    body       TEXT    NOT NULL                -- JSON: what it became
) STRICT;
