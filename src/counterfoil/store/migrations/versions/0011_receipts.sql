-- Receipts: numbered, kept, delivered.

-- The last number given in a series and financial year: taken in the transaction that makes the receipt due, so that no
-- number is lost with one that is undone, and none is given twice.
CREATE TABLE receipt_series (
    merchant_id  text NOT NULL REFERENCES merchants,
    mode         text NOT NULL,
    prefix       text NOT NULL CHECK (prefix ~ '^[A-Z0-9]{1,4}$'),
    year         integer NOT NULL,
    last         bigint NOT NULL CHECK (last > 0),
    PRIMARY KEY (merchant_id, mode, prefix, year)
);

CREATE TABLE receipts (
    id           text PRIMARY KEY,
    merchant_id  text NOT NULL REFERENCES merchants,
    mode         text NOT NULL CHECK (mode IN ('sandbox', 'live')),
    payment_id   text NOT NULL REFERENCES payments,
    refund_id    text REFERENCES refunds,
    kind         text NOT NULL CHECK (kind IN ('payment', 'refund', 'invoice')),
    prefix       text NOT NULL,
    year         integer NOT NULL,
    sequence     bigint NOT NULL CHECK (sequence > 0),
    number       text NOT NULL CHECK (length(number) <= 16),
    document     jsonb NOT NULL,                    -- what it said when it was issued
    issued_at    timestamptz NOT NULL,
    voided_at    timestamptz,
    void_reason  text,
    CONSTRAINT one_receipt_a_number UNIQUE (merchant_id, mode, prefix, year, sequence),
    CONSTRAINT a_refund_has_a_refund_receipt CHECK ((kind = 'refund') = (refund_id IS NOT NULL)),
    CONSTRAINT void_says_why CHECK ((voided_at IS NULL) = (void_reason IS NULL))
);
CREATE UNIQUE INDEX receipt_numbers ON receipts (merchant_id, mode, number);
CREATE UNIQUE INDEX one_receipt_a_payment ON receipts (payment_id) WHERE refund_id IS NULL AND voided_at IS NULL;
CREATE UNIQUE INDEX one_receipt_a_refund ON receipts (refund_id) WHERE refund_id IS NOT NULL AND voided_at IS NULL;
CREATE INDEX receipts_newest ON receipts (merchant_id, mode, id DESC);
CREATE INDEX receipts_of_payment ON receipts (payment_id);

-- A receipt that was issued stays as it was: it can be voided, once, and keeps its number.
CREATE FUNCTION receipt_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'receipt % stays: void it', OLD.number USING ERRCODE = 'check_violation';
    END IF;
    IF to_jsonb(NEW) - ARRAY['voided_at', 'void_reason'] IS DISTINCT FROM to_jsonb(OLD) - ARRAY['voided_at', 'void_reason']
       OR OLD.voided_at IS NOT NULL THEN
        RAISE EXCEPTION 'receipt % stays as it was issued', OLD.number USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON receipts FOR EACH ROW EXECUTE FUNCTION receipt_stays();

-- Numbers only go up, by one.
CREATE FUNCTION series_goes_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.last <> OLD.last + 1 THEN
        RAISE EXCEPTION 'the series % % goes up by one', OLD.prefix, OLD.year USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER goes_up BEFORE UPDATE ON receipt_series FOR EACH ROW EXECUTE FUNCTION series_goes_up();

-- The outbox holds deliveries of receipts too: by which channel, and who asked for them where somebody did. A try that has
-- no answer may have arrived; an SMS is then not sent again by itself.
ALTER TABLE mails
    ADD COLUMN channel  text NOT NULL DEFAULT 'email' CHECK (channel IN ('email', 'sms', 'in_app')),
    ADD COLUMN asked_by text,
    ADD COLUMN answers  integer NOT NULL DEFAULT 0,  -- tries whose outcome is known
    DROP CONSTRAINT mails_outcome_check,
    ADD CONSTRAINT mails_outcome_check CHECK (outcome IN ('sent', 'bounced', 'failed', 'withdrawn', 'unknown'));

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN
        GRANT SELECT, INSERT, UPDATE ON receipt_series, receipts TO app;
    END IF;
END $$;
