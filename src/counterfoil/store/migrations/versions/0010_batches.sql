-- Batches: many refunds that are checked and approved together.

ALTER TABLE refund_batches
    ADD COLUMN name           text NOT NULL,
    ADD COLUMN digest         text NOT NULL,            -- SHA-256 of the file
    ADD COLUMN state          text NOT NULL
                              CHECK (state IN ('pending_approval', 'running', 'done', 'rejected', 'cancelled')),
    ADD COLUMN because        text,
    ADD COLUMN needed         smallint NOT NULL CHECK (needed BETWEEN 1 AND 2),
    ADD COLUMN requested_by   text NOT NULL,
    ADD COLUMN person         text NOT NULL CHECK (person <> ''),
    ADD COLUMN role           text NOT NULL,
    ADD COLUMN rows           integer NOT NULL CHECK (rows > 0),
    ADD COLUMN totals         jsonb NOT NULL,
    ADD COLUMN requested_at   timestamptz NOT NULL,
    ADD COLUMN approved_at    timestamptz,
    ADD COLUMN ended_at       timestamptz,
    ADD COLUMN next_check_at  timestamptz,
    ADD CONSTRAINT batch_of_its_file UNIQUE (id, digest, person),
    ADD CONSTRAINT batch_says_why CHECK (state NOT IN ('rejected', 'cancelled') OR because IS NOT NULL);
CREATE INDEX batches_due ON refund_batches (next_check_at) WHERE next_check_at IS NOT NULL;
-- The same file twice is a mistake, while the first has not been turned down.
CREATE UNIQUE INDEX one_batch_a_file ON refund_batches (merchant_id, mode, digest)
    WHERE state NOT IN ('rejected', 'cancelled');

CREATE TABLE refund_batch_rows (
    batch_id    text NOT NULL REFERENCES refund_batches,
    number      integer NOT NULL,                       -- the line of the file
    payment_id  text NOT NULL,
    amount      bigint CHECK (amount > 0),              -- NULL: all that is left
    reason      text NOT NULL,
    note        text,
    refund_id   text REFERENCES refunds,
    because     text,                                   -- why no refund came of it
    PRIMARY KEY (batch_id, number),
    CHECK (refund_id IS NULL OR because IS NULL)
);
CREATE INDEX batch_rows_waiting ON refund_batch_rows (batch_id, number) WHERE refund_id IS NULL AND because IS NULL;

-- An approval is of exactly this file and requester. Append-only.
CREATE TABLE refund_batch_approvals (
    batch_id   text NOT NULL,
    digest     text NOT NULL,
    requester  text NOT NULL,
    person     text NOT NULL CHECK (person <> ''),
    actor      text NOT NULL,
    role       text NOT NULL CHECK (role IN ('approver', 'admin')),
    at         timestamptz NOT NULL,
    PRIMARY KEY (batch_id, person),
    FOREIGN KEY (batch_id, digest, requester) REFERENCES refund_batches (id, digest, person),
    CONSTRAINT nobody_approves_their_own_batch CHECK (person <> requester)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON refund_batch_approvals EXECUTE FUNCTION refuse_change();

CREATE FUNCTION batch_needs_its_approvals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state = 'running'
       AND NEW.needed > (SELECT count(*) FROM refund_batch_approvals WHERE batch_id = NEW.id) THEN
        RAISE EXCEPTION 'batch % needs % approvals', NEW.id, NEW.needed USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals BEFORE INSERT OR UPDATE ON refund_batches FOR EACH ROW EXECUTE FUNCTION batch_needs_its_approvals();

CREATE FUNCTION batch_keeps_its_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.needed < OLD.needed
       OR (NEW.digest, NEW.rows, NEW.totals, NEW.person) IS DISTINCT FROM (OLD.digest, OLD.rows, OLD.totals, OLD.person) THEN
        RAISE EXCEPTION 'batch % keeps its terms: another file is another batch', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER terms BEFORE UPDATE ON refund_batches FOR EACH ROW EXECUTE FUNCTION batch_keeps_its_terms();

-- A row says what its file says, and what became of it is said once.
CREATE FUNCTION batch_row_keeps_its_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.batch_id, NEW.number, NEW.payment_id, NEW.amount, NEW.reason, NEW.note)
       IS DISTINCT FROM (OLD.batch_id, OLD.number, OLD.payment_id, OLD.amount, OLD.reason, OLD.note)
       OR OLD.refund_id IS DISTINCT FROM NEW.refund_id AND OLD.refund_id IS NOT NULL THEN
        RAISE EXCEPTION 'row % of batch % keeps its terms', OLD.number, OLD.batch_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER terms BEFORE UPDATE ON refund_batch_rows FOR EACH ROW EXECUTE FUNCTION batch_row_keeps_its_terms();

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN
        GRANT SELECT, INSERT, UPDATE ON refund_batch_rows TO app;
        GRANT SELECT, INSERT ON refund_batch_approvals TO app;
    END IF;
END $$;
