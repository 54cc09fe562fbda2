-- tidings.db, version 2: rows beside the log have checksums, too. They are filled in by the program.

ALTER TABLE users ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE groups ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE cursors ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
DROP INDEX memberships;
CREATE INDEX memberships ON groups (member, name, joined, checksum);

-- How many times something else than new messages and cursors was written: what the file `head`
-- compares.
INSERT INTO meta VALUES ('changes', 0);
