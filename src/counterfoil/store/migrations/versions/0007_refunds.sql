-- Refunds: what is asked, who approved it, what came of it.

-- Who stands behind a key: keys that a key makes belong to the same person, who must not approve their own requests.
ALTER TABLE api_keys ADD COLUMN person text;
UPDATE api_keys SET person = id;
ALTER TABLE api_keys ALTER COLUMN person SET NOT NULL, ADD CHECK (person <> '');

-- The goods are on their way: from then on a cancellation is not refunded by itself.
ALTER TABLE payments ADD COLUMN fulfilled_at timestamptz;

CREATE TABLE refund_batches (
    id            text PRIMARY KEY,
    merchant_id   text NOT NULL REFERENCES merchants,
    mode          text NOT NULL CHECK (mode IN ('sandbox', 'live'))
);

CREATE TABLE refunds (
    id               text PRIMARY KEY,
    merchant_id      text NOT NULL REFERENCES merchants,
    mode             text NOT NULL CHECK (mode IN ('sandbox', 'live')),
    payment_id       text NOT NULL REFERENCES payments,
    charge_id        text NOT NULL REFERENCES charges,
    account_id       text NOT NULL REFERENCES gateway_accounts,
    amount           bigint NOT NULL CHECK (amount > 0),
    currency         text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    reason           text NOT NULL CHECK (reason <> ''),
    note             text,
    source           text NOT NULL CHECK (source IN ('request', 'rule', 'surplus', 'gateway')),
    method           text NOT NULL CHECK (method IN ('gateway', 'manual')),
    state            text NOT NULL CHECK (state IN ('pending_approval', 'approved', 'processing', 'succeeded', 'failed',
                                                    'rejected', 'cancelled')),
    because          text,                          -- why it was rejected, cancelled or voided
    rule             text NOT NULL,                 -- which rule said how many must agree
    needed           smallint NOT NULL CHECK (needed BETWEEN 0 AND 2),
    requested_by     text NOT NULL,
    person           text NOT NULL CHECK (person <> ''),
    role             text NOT NULL,                 -- as which it was asked for: whose limits hold
    batch_id         text REFERENCES refund_batches,
    retry_of         text REFERENCES refunds,
    evidence         text,                          -- of a manual refund: the bank transfer's reference
    speed            text NOT NULL CHECK (speed IN ('normal', 'optimum')),
    subject          text NOT NULL,                 -- whose day it counts in
    day              date NOT NULL,                 -- of the business
    body             bytea,                         -- what is sent, to the byte: a resend is the same request
    gateway_ref      text,                          -- re_ or rfnd_, once heard of
    arn              text,                          -- the bank's reference
    speed_processed  text,
    failure          jsonb,
    tries            integer NOT NULL DEFAULT 0,
    requested_at     timestamptz NOT NULL,
    approved_at      timestamptz,
    expires_at       timestamptz,
    reminded_at      timestamptz,
    sent_at          timestamptz,
    ended_at         timestamptz,
    next_check_at    timestamptz,
    checks           integer NOT NULL DEFAULT 0,
    version          bigint NOT NULL DEFAULT 1,
    updated_at       timestamptz NOT NULL,
    UNIQUE (account_id, gateway_ref),
    UNIQUE (id, payment_id, amount, currency, person),
    CHECK (method = 'gateway' OR evidence IS NOT NULL),
    CHECK (state NOT IN ('rejected', 'cancelled') OR because IS NOT NULL)
);
CREATE INDEX refunds_of_payment ON refunds (payment_id);
CREATE INDEX refunds_newest ON refunds (merchant_id, mode, id DESC);
CREATE INDEX refunds_pending ON refunds (merchant_id, mode, requested_at) WHERE state = 'pending_approval';
CREATE INDEX refunds_due ON refunds (next_check_at) WHERE next_check_at IS NOT NULL;
CREATE INDEX refunds_of_subject ON refunds (merchant_id, mode, subject);
CREATE INDEX refunds_of_day ON refunds (merchant_id, mode, day);
CREATE INDEX refunds_of_batch ON refunds (batch_id) WHERE batch_id IS NOT NULL;

-- An approval is of exactly this payment, amount and requester: where one stands, none of them can be changed.
-- Append-only.
CREATE TABLE refund_approvals (
    refund_id   text NOT NULL,
    payment_id  text NOT NULL,
    amount      bigint NOT NULL,
    currency    text NOT NULL,
    requester   text NOT NULL,
    person      text NOT NULL CHECK (person <> ''),
    actor       text NOT NULL,
    role        text NOT NULL CHECK (role IN ('approver', 'admin')),
    at          timestamptz NOT NULL,
    PRIMARY KEY (refund_id, person),
    FOREIGN KEY (refund_id, payment_id, amount, currency, requester)
        REFERENCES refunds (id, payment_id, amount, currency, person),
    CONSTRAINT nobody_approves_their_own_request CHECK (person <> requester)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON refund_approvals EXECUTE FUNCTION refuse_change();

-- What was asked for stays what was asked for, and goes out only with the approvals that it needs. What a gateway reports
-- is always recordable: it is a fact, whatever we had decided.
CREATE FUNCTION refund_needs_its_approvals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state IN ('approved', 'processing', 'succeeded')
       AND (NEW.gateway_ref IS NULL OR NEW.method = 'manual')
       AND NEW.needed > (SELECT count(*) FROM refund_approvals WHERE refund_id = NEW.id) THEN
        RAISE EXCEPTION 'refund % needs % approvals', NEW.id, NEW.needed USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals BEFORE INSERT OR UPDATE ON refunds FOR EACH ROW EXECUTE FUNCTION refund_needs_its_approvals();

CREATE FUNCTION refund_keeps_its_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.payment_id, NEW.charge_id, NEW.account_id, NEW.amount, NEW.currency, NEW.person, NEW.requested_by, NEW.method)
       IS DISTINCT FROM
       (OLD.payment_id, OLD.charge_id, OLD.account_id, OLD.amount, OLD.currency, OLD.person, OLD.requested_by, OLD.method) THEN
        RAISE EXCEPTION 'refund % keeps its terms: another amount is another refund', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.needed < OLD.needed THEN
        RAISE EXCEPTION 'refund % needs % approvals: rules that change ask for more, never for fewer', OLD.id, OLD.needed
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER terms BEFORE UPDATE ON refunds FOR EACH ROW EXECUTE FUNCTION refund_keeps_its_terms();

-- What is kept of a charge is there when it is kept. What gateways report later may leave less than that.
CREATE FUNCTION reserve_must_be_there() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.reserved > NEW.captured - NEW.refunded_seen - NEW.disputed_held THEN
        RAISE EXCEPTION 'charge % has less left than % to reserve', NEW.id, NEW.reserved USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reserve BEFORE UPDATE OF reserved ON charges FOR EACH ROW
    WHEN (NEW.reserved > OLD.reserved) EXECUTE FUNCTION reserve_must_be_there();

-- What somebody's refunds of one local day come to: a customer's, and a requester's. Rejected ones are taken off again.
CREATE TABLE refund_days (
    merchant_id  text NOT NULL REFERENCES merchants,
    mode         text NOT NULL,
    subject      text NOT NULL,
    currency     text NOT NULL,
    day          date NOT NULL,
    amount       bigint NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (merchant_id, mode, subject, currency, day)
);

ALTER TABLE calls ADD COLUMN refund_id text REFERENCES refunds;
-- A refund whose outcome was lost, and which was then not found, goes out again under the same key.
ALTER TABLE calls DROP CONSTRAINT calls_key_key;
CREATE UNIQUE INDEX one_call_a_key ON calls (key) WHERE refund_id IS NULL;
-- What an operator says was paid back in another way, and what was brought along from before.
ALTER TABLE facts DROP CONSTRAINT facts_source_check;
ALTER TABLE facts ADD CONSTRAINT facts_source_check CHECK (source IN ('api', 'webhook', 'sweep', 'operator', 'import'));
ALTER TABLE calls DROP CONSTRAINT calls_verb_check;
ALTER TABLE calls ADD CONSTRAINT calls_verb_check CHECK (verb IN (
    'open', 'confirm', 'capture', 'cancel', 'refund', 'submit_evidence', 'accept_dispute'));

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN
        GRANT SELECT, INSERT, UPDATE ON refunds, refund_batches, refund_days TO app;
        GRANT SELECT, INSERT ON refund_approvals TO app;
    END IF;
END $$;
