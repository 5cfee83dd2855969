-- Imports: past payments brought along from before.

-- Such an attempt was not ours when it was made: the gateway may know it by another's reference.
ALTER TABLE attempts ADD COLUMN imported boolean NOT NULL DEFAULT false;

-- No webhook tells of what was brought along: that is no silence.
DROP INDEX facts_untold;
CREATE INDEX facts_untold ON facts (account_id, learned_at) WHERE source NOT IN ('webhook', 'import');
