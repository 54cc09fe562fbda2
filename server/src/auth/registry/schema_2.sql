-- What SCRAM-SHA-256 needs of a password, as SCRAM-SHA-256$ROUNDS:SALT$STORED_KEY:SERVER_KEY in
-- base64. Accounts whose password is older have none, and log in with the password itself.

ALTER TABLE account ADD COLUMN scram TEXT;
