-- What was settled may happen anew: then it waits for a person once more, as a row of its own.
ALTER TABLE exceptions DROP CONSTRAINT exceptions_kind_subject_key;
CREATE UNIQUE INDEX one_open_exception ON exceptions (kind, subject) WHERE resolved_at IS NULL;
CREATE INDEX exceptions_settled ON exceptions (kind, subject) WHERE resolved_by IS NOT NULL;
