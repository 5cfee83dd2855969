-- Failover: how gateways fare, where a payment goes next, and what is given back by itself.

-- Another gateway was chosen: committed before anything is fenced, cleared by the attempt that is opened there. While it
-- stands, the payment has not failed, however its attempts have ended.
ALTER TABLE payments ADD COLUMN planned_gateway text;
-- What the payer is said to use (card, upi …), where the caller knows: routing's to weigh, nobody's to rely on.
ALTER TABLE payments ADD COLUMN method text;

ALTER TABLE calls DROP CONSTRAINT calls_verb_check;
ALTER TABLE calls ADD CONSTRAINT calls_verb_check CHECK (verb IN ('open', 'confirm', 'capture', 'cancel', 'refund'));

-- How an account fares, as a whole ('*') and by method. Shared by all processes; a row is written when something fails.
CREATE TABLE breakers (
    account_id   text NOT NULL REFERENCES gateway_accounts,
    method       text NOT NULL,
    failures     integer NOT NULL CHECK (failures >= 0),    -- in a row
    openings     integer NOT NULL CHECK (openings >= 0),    -- in a row: each waits longer than the one before
    opened_at    timestamptz,                               -- NULL: closed
    retry_at     timestamptz,                               -- from then on one payment may try
    probe_until  timestamptz,                               -- somebody is trying
    reason       text,
    updated_at   timestamptz NOT NULL,
    PRIMARY KEY (account_id, method),
    CHECK ((opened_at IS NULL) = (retry_at IS NULL))
);

-- What a gateway says of its own banks, networks and handles. Ordered by its own time: they come in any order.
CREATE TABLE downtimes (
    account_id  text NOT NULL REFERENCES gateway_accounts,
    id          text NOT NULL,
    method      text NOT NULL,
    instrument  jsonb NOT NULL DEFAULT '{}',                -- empty: the whole method
    severity    text NOT NULL,
    began_at    timestamptz NOT NULL,
    ended_at    timestamptz,
    said_at     timestamptz NOT NULL,
    PRIMARY KEY (account_id, id)
);
CREATE INDEX downtimes_now ON downtimes (account_id) WHERE ended_at IS NULL;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON breakers, downtimes TO app;
    END IF;
END $$;
