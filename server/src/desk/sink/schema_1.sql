-- What the storage listener "database" keeps of conversations: OCIM's ChatRecord, Chat and
-- WaiterLog. Made from the log; can be made again from it as long as the log holds it.

CREATE TABLE sink (
    name       TEXT    NOT NULL,               -- of the listener
    tenant     TEXT    NOT NULL,
    seq        INTEGER NOT NULL,               -- rows of the tenant's log up to here are in
    PRIMARY KEY (name, tenant)
) STRICT, WITHOUT ROWID;

-- One customer with one agent: a transfer or a requeue begins another part.
CREATE TABLE chat (
    tenant     TEXT    NOT NULL,
    episode    INTEGER NOT NULL,               -- OCIM's cid
    part       INTEGER NOT NULL,
    customer   TEXT    NOT NULL,
    team       TEXT    NOT NULL,
    agent      TEXT,                           -- none: waited only
    opened_ms  INTEGER NOT NULL,               -- of the episode
    began_ms   INTEGER NOT NULL,               -- of this part
    ended_ms   INTEGER,
    waited_ms  INTEGER NOT NULL DEFAULT 0,
    how        TEXT    NOT NULL DEFAULT '',    -- how the agent got it
    close_type INTEGER NOT NULL DEFAULT 0,     -- 0 open, 1 customer, 2 agent, 3 system, 4 transfer
    customer_messages INTEGER NOT NULL DEFAULT 0,
    agent_messages    INTEGER NOT NULL DEFAULT 0,
    first_answer_ms   INTEGER,                 -- after the part began
    stars      INTEGER,
    suggest    TEXT,
    PRIMARY KEY (tenant, episode, part)
) STRICT, WITHOUT ROWID;
CREATE INDEX chat_by_time ON chat (tenant, began_ms);
CREATE INDEX chat_by_customer ON chat (tenant, customer, began_ms);

CREATE TABLE chat_record (
    tenant     TEXT    NOT NULL,
    episode    INTEGER NOT NULL,
    seq        INTEGER NOT NULL,               -- in the conversation's log
    message_id TEXT    NOT NULL,               -- OCIM's pid
    owner      INTEGER NOT NULL,               -- 1 customer, 2 agent, 3 automatic
    author     TEXT    NOT NULL,
    type       INTEGER NOT NULL,               -- OCIM's messageType
    offline    INTEGER NOT NULL,               -- 1: its receiver was away
    recalled   INTEGER NOT NULL DEFAULT 0,
    text       TEXT    NOT NULL,
    time_ms    INTEGER NOT NULL,
    PRIMARY KEY (tenant, episode, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE agent_log (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant     TEXT    NOT NULL,
    agent      TEXT    NOT NULL,
    type       INTEGER NOT NULL,               -- 1 login, 2 change of status, 3 logout
    status     TEXT    NOT NULL,               -- OCIM's WaiterStatus
    time_ms    INTEGER NOT NULL
) STRICT;
CREATE INDEX agent_log_by_time ON agent_log (tenant, time_ms);
