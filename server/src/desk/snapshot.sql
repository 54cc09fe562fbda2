-- A desk and its storage listeners as they stood after a row of the tenant's log: a start reads what
-- came since. Made from the log; can be made again from it.

CREATE TABLE snapshot (
    tenant     TEXT    NOT NULL,
    what       TEXT    NOT NULL,               -- desk, or the name of a listener
    row        INTEGER NOT NULL,               -- the last row of the tenant's log that is in it
    row_id     TEXT    NOT NULL,               -- its id: another log has another one there
    body       TEXT    NOT NULL,               -- JSON
    PRIMARY KEY (tenant, what)
) STRICT, WITHOUT ROWID;
