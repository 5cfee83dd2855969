-- Recovery: how far the gateways' own lists were read.

-- A row a list of an account. Windows begin at next_from and are `step` long; at the end of a pass next_from goes back
-- by the list's overlap, because some things appear late.
CREATE TABLE recovery (
    account_id     text NOT NULL REFERENCES gateway_accounts,
    list           text NOT NULL CHECK (list <> ''),
    next_from      timestamptz NOT NULL,
    read_to        timestamptz NOT NULL,            -- all that was to be seen up to here has been seen
    step           interval NOT NULL CHECK (step > interval '0'),
    next_check_at  timestamptz NOT NULL,
    failures       integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    error          text,
    recovered      bigint NOT NULL DEFAULT 0,       -- what was found here first
    PRIMARY KEY (account_id, list)
);
CREATE INDEX recovery_due ON recovery (next_check_at);

-- When an account's webhooks were last heard, and what was found or done since without one.
CREATE INDEX inbox_heard ON inbox (account_id, last_delivery_at) WHERE secret_id <> 'recovered';
CREATE INDEX inbox_recovered ON inbox (account_id, received_at) WHERE secret_id = 'recovered';
CREATE INDEX facts_untold ON facts (account_id, learned_at) WHERE source <> 'webhook';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON recovery TO app;
    END IF;
END $$;
