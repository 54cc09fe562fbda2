-- Calls a second of a key that has a rate of its own; the others have API_CALLS_PER_S.

ALTER TABLE api_key ADD COLUMN rate INTEGER;
