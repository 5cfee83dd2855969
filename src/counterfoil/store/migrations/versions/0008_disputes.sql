-- Disputes: what a customer's bank asks back, and what we answered.

-- What its gateway reports is always recordable; what binds is our own answer.
CREATE TABLE disputes (
    id              text PRIMARY KEY,
    merchant_id     text NOT NULL REFERENCES merchants,
    mode            text NOT NULL CHECK (mode IN ('sandbox', 'live')),
    payment_id      text NOT NULL REFERENCES payments,
    charge_id       text NOT NULL REFERENCES charges,
    account_id      text NOT NULL REFERENCES gateway_accounts,
    gateway         text NOT NULL,
    ref             text NOT NULL,                  -- dp_ or disp_
    state           text NOT NULL CHECK (state IN ('inquiry', 'needs_response', 'under_review', 'closed', 'won', 'lost')),
    amount          bigint NOT NULL,
    currency        text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    reason          text,
    phase           text,
    respond_by      timestamptz,                    -- the latest deadline that was named
    answered_until  timestamptz,                    -- the deadline up to which the bank has its answer
    refundable      boolean NOT NULL,
    submissions     integer NOT NULL,               -- how often the gateway says that it had evidence
    submissions_before integer NOT NULL,            -- and had had when we last began to send ours
    held            bigint NOT NULL,                -- not refundable now
    withdrawn       bigint NOT NULL,
    reinstated      bigint NOT NULL,
    lost            bigint NOT NULL,
    draft           jsonb NOT NULL DEFAULT '{}',    -- evidence that a person may still edit
    answer          text NOT NULL CHECK (answer IN ('none', 'submitting', 'submitted', 'accepting', 'accepted')),
    sent            jsonb,                          -- the evidence as it was sent
    failure         jsonb,
    submitted_at    timestamptz,
    submitted_by    text,
    accepted_at     timestamptz,
    accepted_by     text,
    next_check_at   timestamptz,
    checks          integer NOT NULL DEFAULT 0,
    version         bigint NOT NULL DEFAULT 1,
    opened_at       timestamptz NOT NULL,           -- the gateway's time
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    UNIQUE (account_id, ref),
    -- nothing leaves that nobody stands for
    CONSTRAINT somebody_submits
        CHECK (answer NOT IN ('submitting', 'submitted') OR (sent IS NOT NULL AND submitted_by IS NOT NULL)),
    CONSTRAINT somebody_accepts CHECK (answer NOT IN ('accepting', 'accepted') OR accepted_by IS NOT NULL),
    CONSTRAINT submission_has_its_time CHECK (answer <> 'submitted' OR submitted_at IS NOT NULL),
    CONSTRAINT acceptance_has_its_time CHECK (answer <> 'accepted' OR accepted_at IS NOT NULL)
);
CREATE INDEX disputes_of_payment ON disputes (payment_id);
CREATE INDEX disputes_of_charge ON disputes (charge_id);
CREATE INDEX disputes_newest ON disputes (merchant_id, mode, id DESC);
CREATE INDEX disputes_due ON disputes (next_check_at) WHERE next_check_at IS NOT NULL;

-- A dispute that was accepted is given up for good.
CREATE FUNCTION acceptance_must_stand() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'dispute % stays accepted', OLD.id USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER accepted_for_good BEFORE UPDATE OF answer ON disputes FOR EACH ROW
    WHEN (OLD.answer = 'accepted' AND NEW.answer <> 'accepted') EXECUTE FUNCTION acceptance_must_stand();

ALTER TABLE calls ADD COLUMN dispute_id text REFERENCES disputes;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN
        GRANT SELECT, INSERT, UPDATE ON disputes TO app;
    END IF;
END $$;
