-- Retries: what is tried again and when, and who was told.

-- Whose saved methods the payment may charge: a cus_ of the gateway's own, named by the caller.
ALTER TABLE payments ADD COLUMN stripe_customer text;
-- The saved method that was charged last, with the customer away. NULL: the customer was there.
ALTER TABLE payments ADD COLUMN saved_method text;
-- The customer was away, the last try was declined, and none is to follow. They may still pay by their link.
ALTER TABLE payments ADD COLUMN given_up_at timestamptz;

-- What follows a decline: the same saved method charged again, or an invitation to the customer.
CREATE TABLE retries (
    payment_id        text NOT NULL REFERENCES payments,
    number            integer NOT NULL CHECK (number > 0),
    out_of            integer NOT NULL,                 -- as many as were allowed when it was planned
    kind              text NOT NULL CHECK (kind IN ('charge', 'invitation')),
    after_attempt_id  text NOT NULL,                    -- the attempt whose failure it answers
    attempt_id        text,                             -- the attempt that was opened for it
    method_ref        text,
    reason            text NOT NULL,                    -- the code of that failure
    state             text NOT NULL CHECK (state IN ('planned', 'done', 'cancelled')),
    because           text,                             -- why it was cancelled
    planned_at        timestamptz NOT NULL,
    due_at            timestamptz NOT NULL,
    next_check_at     timestamptz,                      -- due_at, and later while it cannot be carried out
    ended_at          timestamptz,
    PRIMARY KEY (payment_id, number),
    FOREIGN KEY (after_attempt_id, payment_id) REFERENCES attempts (id, payment_id),
    -- deferred: the try knows its attempt before that is written, so that the plan is not taken for another's
    FOREIGN KEY (attempt_id, payment_id) REFERENCES attempts (id, payment_id) DEFERRABLE INITIALLY DEFERRED,
    CHECK (number <= out_of),
    CHECK ((kind = 'charge') = (method_ref IS NOT NULL)),
    CHECK ((state = 'planned') = (next_check_at IS NOT NULL)),
    CHECK ((state = 'planned') = (ended_at IS NULL)),
    CHECK ((state = 'cancelled') = (because IS NOT NULL))
);
CREATE UNIQUE INDEX one_planned_retry ON retries (payment_id) WHERE state = 'planned';
CREATE INDEX retries_due ON retries (next_check_at) WHERE state = 'planned';

-- Mails on their way: written with what they tell of, worded when they are sent.
CREATE TABLE mails (
    id             text PRIMARY KEY,
    merchant_id    text NOT NULL REFERENCES merchants,
    mode           text NOT NULL CHECK (mode IN ('sandbox', 'live')),
    kind           text NOT NULL,                       -- what is said
    occasion       text NOT NULL,                       -- told once to each recipient
    about          text NOT NULL,                       -- the id of the payment
    recipient      text NOT NULL CHECK (recipient <> ''),
    tries          integer NOT NULL DEFAULT 0,
    next_check_at  timestamptz,                         -- NULL: ended
    outcome        text CHECK (outcome IN ('sent', 'bounced', 'failed', 'withdrawn')),
    error          text,                                -- what the last try came to
    created_at     timestamptz NOT NULL,
    ended_at       timestamptz,
    CHECK ((outcome IS NULL) = (next_check_at IS NOT NULL)),
    CHECK ((outcome IS NULL) = (ended_at IS NULL))
);
-- A mail that was not true any more when it was to be sent may become true again.
CREATE UNIQUE INDEX one_mail_an_occasion ON mails (occasion, recipient) WHERE outcome IS DISTINCT FROM 'withdrawn';
CREATE INDEX mails_due ON mails (next_check_at) WHERE next_check_at IS NOT NULL;
CREATE INDEX mails_about ON mails (about);
CREATE INDEX mails_ended ON mails (ended_at) WHERE ended_at IS NOT NULL;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN
        GRANT SELECT, INSERT, UPDATE ON retries TO app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON mails TO app;
    END IF;
END $$;
