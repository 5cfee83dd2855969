-- The model: what is owed, what was tried, what came of it; what was heard; what it means in the books.
-- Constraints bind what we decide. What a gateway reports is always recordable.

CREATE TABLE merchants (
    id          text PRIMARY KEY,
    name        text NOT NULL,
    created_at  timestamptz NOT NULL
);

-- Credentials hang on the account. Keys of another account make a new row, and the old one drains.
CREATE TABLE gateway_accounts (
    id                  text PRIMARY KEY,
    merchant_id         text NOT NULL REFERENCES merchants,
    gateway             text NOT NULL CHECK (gateway ~ '^[a-z][a-z0-9_]*$'),
    mode                text NOT NULL CHECK (mode IN ('sandbox', 'live')),
    external_id         text,
    public_key          text NOT NULL,
    secret_key          bytea NOT NULL,             -- sealed
    secret_last4        text NOT NULL,
    secret_updated_at   timestamptz NOT NULL,
    captures_by_itself  boolean NOT NULL DEFAULT false,
    draining_since      timestamptz,
    created_at          timestamptz NOT NULL,
    UNIQUE (id, mode)
);
CREATE UNIQUE INDEX one_account_takes_new_payments
    ON gateway_accounts (merchant_id, gateway, mode) WHERE draining_since IS NULL;

-- A replaced secret stays valid until it expires; what still uses it is counted.
CREATE TABLE webhook_secrets (
    id            text PRIMARY KEY,
    account_id    text NOT NULL REFERENCES gateway_accounts,
    secret        bytea NOT NULL,                   -- sealed
    last4         text NOT NULL,
    created_at    timestamptz NOT NULL,
    expires_at    timestamptz,
    CHECK (octet_length(secret) > 0)
);
CREATE UNIQUE INDEX one_current_webhook_secret ON webhook_secrets (account_id) WHERE expires_at IS NULL;

CREATE TABLE settings (
    merchant_id  text PRIMARY KEY REFERENCES merchants,
    version      bigint NOT NULL CHECK (version > 0),
    document     jsonb NOT NULL,
    updated_at   timestamptz NOT NULL
);

CREATE TABLE api_keys (
    id            text PRIMARY KEY,
    merchant_id   text NOT NULL REFERENCES merchants,
    mode          text NOT NULL CHECK (mode IN ('sandbox', 'live')),
    name          text NOT NULL CHECK (name <> ''),
    role          text NOT NULL CHECK (role IN ('admin', 'approver', 'support', 'viewer', 'auditor')),
    digest        bytea NOT NULL UNIQUE,
    last4         text NOT NULL,
    created_by    text NOT NULL,
    created_at    timestamptz NOT NULL,
    revoked_at    timestamptz
);

CREATE TABLE payments (
    id                   text PRIMARY KEY,
    merchant_id          text NOT NULL REFERENCES merchants,
    mode                 text NOT NULL CHECK (mode IN ('sandbox', 'live')),
    amount               bigint NOT NULL CHECK (amount > 0),
    currency             text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    reference            text,
    description          text,
    customer             jsonb NOT NULL DEFAULT '{}',
    metadata             jsonb NOT NULL DEFAULT '{}',
    line_items           jsonb NOT NULL DEFAULT '[]',
    capture              text NOT NULL CHECK (capture IN ('automatic', 'manual')),
    gateway              text,                      -- named by the caller; NULL leaves it to routing
    return_url           text,
    status               text NOT NULL
                         CHECK (status IN ('created', 'pending', 'authorized', 'captured', 'failed', 'cancelled')),
    amount_captured      bigint NOT NULL DEFAULT 0,
    amount_refunded      bigint NOT NULL DEFAULT 0,
    winner_attempt_id    text,
    cancel_requested_at  timestamptz,
    capture_requested    bigint,                    -- minor units asked for by a caller of a manual capture
    expires_at           timestamptz NOT NULL,
    next_check_at        timestamptz,
    checks               integer NOT NULL DEFAULT 0,
    version              bigint NOT NULL DEFAULT 1,
    created_at           timestamptz NOT NULL,
    updated_at           timestamptz NOT NULL,
    CHECK (capture_requested IS NULL OR (capture_requested > 0 AND capture_requested <= amount)),
    UNIQUE (id, mode, amount, currency)
);
CREATE INDEX payments_newest ON payments (merchant_id, mode, id DESC);
CREATE INDEX payments_reference ON payments (merchant_id, mode, reference) WHERE reference IS NOT NULL;
CREATE INDEX payments_due ON payments (next_check_at) WHERE next_check_at IS NOT NULL;

-- One PaymentIntent or order at one account. Amount, currency and mode cannot differ from the payment's or account's.
CREATE TABLE attempts (
    id            text PRIMARY KEY,
    payment_id    text NOT NULL,
    number        integer NOT NULL CHECK (number > 0),
    account_id    text NOT NULL,
    gateway       text NOT NULL,
    mode          text NOT NULL,
    amount        bigint NOT NULL,
    currency      text NOT NULL,
    capture       text NOT NULL CHECK (capture IN ('automatic', 'manual')),   -- what the gateway was told
    reason        text NOT NULL,                    -- why this gateway
    ref           text,                             -- pi_ or order_, once known
    state         text NOT NULL CHECK (state IN ('open', 'unknown', 'fenced', 'won', 'dead')),
    failure       jsonb,
    disclosed_at  timestamptz,
    fenced_at     timestamptz,
    dead_at       timestamptz,
    created_at    timestamptz NOT NULL,
    UNIQUE (payment_id, number),
    UNIQUE (id, payment_id),
    UNIQUE (account_id, ref),
    FOREIGN KEY (payment_id, mode, amount, currency) REFERENCES payments (id, mode, amount, currency),
    FOREIGN KEY (account_id, mode) REFERENCES gateway_accounts (id, mode),
    CHECK (dead_at IS NULL OR disclosed_at IS NULL)  -- what a browser has seen can be fenced, not forgotten
);

ALTER TABLE payments ADD CONSTRAINT winner_is_an_attempt_of_this_payment
    FOREIGN KEY (winner_attempt_id, id) REFERENCES attempts (id, payment_id);

-- Our intents: a row is committed before its call leaves, with the key the gateway will know it by.
CREATE TABLE calls (
    id          text PRIMARY KEY,
    payment_id  text NOT NULL,
    attempt_id  text NOT NULL,
    verb        text NOT NULL CHECK (verb IN ('open', 'confirm', 'capture', 'cancel')),
    key         text NOT NULL UNIQUE,
    charge_ref  text,
    amount      bigint,
    started_at  timestamptz NOT NULL,
    settled     text CHECK (settled IN ('accepted', 'declined', 'refused', 'unknown', 'abandoned')),
    settled_at  timestamptz,
    reads       integer NOT NULL DEFAULT 0,         -- how often an unknown outcome was asked about in vain
    message     text,
    answer      bytea,                              -- the gateway's word, raw, without client secrets
    FOREIGN KEY (attempt_id, payment_id) REFERENCES attempts (id, payment_id),
    CHECK ((settled IS NULL) = (settled_at IS NULL))
);
CREATE UNIQUE INDEX one_call_at_a_time ON calls (attempt_id) WHERE settled IS NULL OR settled = 'unknown';
CREATE INDEX calls_of_payment ON calls (payment_id);

-- A ch_ or pay_, made from facts. The four columns are what refunds and disputes reckon with.
CREATE TABLE charges (
    id             text PRIMARY KEY,
    payment_id     text NOT NULL,
    attempt_id     text NOT NULL,
    account_id     text NOT NULL REFERENCES gateway_accounts,
    ref            text NOT NULL,
    state          text NOT NULL CHECK (state IN ('created', 'failed', 'authorized', 'voided', 'captured')),
    amount         bigint NOT NULL,
    currency       text NOT NULL,
    captured       bigint NOT NULL DEFAULT 0,
    refunded_seen  bigint NOT NULL DEFAULT 0,
    disputed_held  bigint NOT NULL DEFAULT 0,
    reserved       bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    surplus        boolean NOT NULL DEFAULT false,  -- captured although the payment was paid already
    detail         jsonb NOT NULL DEFAULT '{}',
    made_at        timestamptz NOT NULL,            -- the gateway's time
    created_at     timestamptz NOT NULL,
    UNIQUE (account_id, ref),
    FOREIGN KEY (attempt_id, payment_id) REFERENCES attempts (id, payment_id)
);
CREATE INDEX charges_of_payment ON charges (payment_id);

-- What gateways have said, each thing once. Append-only.
CREATE TABLE facts (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id  text NOT NULL REFERENCES gateway_accounts,
    object_id   text NOT NULL,
    kind        text NOT NULL,
    amount      bigint NOT NULL,
    currency    text NOT NULL,
    payment_id  text NOT NULL REFERENCES payments,
    attempt_id  text NOT NULL,
    charge_ref  text,
    source      text NOT NULL CHECK (source IN ('api', 'webhook', 'sweep')),
    source_id   text NOT NULL,
    detail      jsonb NOT NULL DEFAULT '{}',
    said_at     timestamptz NOT NULL,
    learned_at  timestamptz NOT NULL,
    UNIQUE (account_id, object_id, kind, amount, currency)
);
CREATE INDEX facts_of_payment ON facts (payment_id);

-- Webhooks as they came: bytes first, understanding later.
CREATE TABLE inbox (
    id                text PRIMARY KEY,
    merchant_id       text NOT NULL REFERENCES merchants,
    account_id        text NOT NULL REFERENCES gateway_accounts,
    gateway           text NOT NULL,
    mode              text NOT NULL,
    dedupe_key        text NOT NULL,
    secret_id         text NOT NULL,
    headers           jsonb NOT NULL,
    body              bytea NOT NULL,
    type              text,
    status            text NOT NULL CHECK (status IN ('received', 'processed', 'parked', 'dead', 'ignored')),
    reason            text,
    payment_id        text,
    deliveries        integer NOT NULL DEFAULT 1 CHECK (deliveries > 0),
    tries             integer NOT NULL DEFAULT 0,
    next_check_at     timestamptz,
    received_at       timestamptz NOT NULL,
    last_delivery_at  timestamptz NOT NULL,
    processed_at      timestamptz,
    UNIQUE (account_id, dedupe_key)
);
CREATE INDEX inbox_due ON inbox (next_check_at) WHERE next_check_at IS NOT NULL;
CREATE INDEX inbox_newest ON inbox (merchant_id, mode, id DESC);

CREATE TABLE idempotency (
    merchant_id  text NOT NULL REFERENCES merchants,
    mode         text NOT NULL,
    method       text NOT NULL,
    path         text NOT NULL,
    key          text NOT NULL,
    body_digest  bytea NOT NULL,
    payment_id   text NOT NULL,
    leased_until timestamptz NOT NULL,              -- who holds it is at work; past it, a retry resumes the work
    status       integer,
    answer       jsonb,
    created_at   timestamptz NOT NULL,
    answered_at  timestamptz,
    PRIMARY KEY (merchant_id, mode, method, path, key),
    CHECK ((answer IS NULL) = (status IS NULL))
);
CREATE INDEX idempotency_age ON idempotency (created_at);

-- What people, keys and the service itself decided. Append-only.
CREATE TABLE audit (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    merchant_id  text NOT NULL,
    mode         text NOT NULL,
    at           timestamptz NOT NULL,
    actor        text NOT NULL,
    action       text NOT NULL,
    object_id    text NOT NULL,
    detail       jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_of_object ON audit (object_id);

-- What needs a person: once per kind and subject.
CREATE TABLE exceptions (
    id           text PRIMARY KEY,
    merchant_id  text NOT NULL REFERENCES merchants,
    mode         text NOT NULL,
    kind         text NOT NULL,
    subject      text NOT NULL,
    payment_id   text,
    sentence     text NOT NULL,
    opened_at    timestamptz NOT NULL,
    resolved_at  timestamptz,
    UNIQUE (kind, subject)
);
CREATE INDEX exceptions_open ON exceptions (merchant_id, mode, opened_at) WHERE resolved_at IS NULL;

-- The books. Debits are positive, credits negative, and every journal sums to zero in each currency.
CREATE TABLE ledger_accounts (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    merchant_id  text NOT NULL REFERENCES merchants,
    mode         text NOT NULL,
    name         text NOT NULL,
    account_id   text NOT NULL REFERENCES gateway_accounts,
    currency     text NOT NULL,
    UNIQUE (merchant_id, mode, name, account_id, currency),
    UNIQUE (id, currency)
);

CREATE TABLE journals (
    id           text PRIMARY KEY,
    merchant_id  text NOT NULL REFERENCES merchants,
    mode         text NOT NULL,
    payment_id   text NOT NULL REFERENCES payments,
    fact_id      bigint NOT NULL REFERENCES facts,
    rule         text NOT NULL,
    at           timestamptz NOT NULL,              -- when the gateway says it happened
    posted_at    timestamptz NOT NULL,
    UNIQUE (fact_id, rule)
);
CREATE INDEX journals_of_payment ON journals (payment_id);

CREATE TABLE entries (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    journal_id         text NOT NULL REFERENCES journals,
    ledger_account_id  bigint NOT NULL,
    amount             bigint NOT NULL CHECK (amount <> 0),
    currency           text NOT NULL,
    FOREIGN KEY (ledger_account_id, currency) REFERENCES ledger_accounts (id, currency)
);
CREATE INDEX entries_of_journal ON entries (journal_id);
CREATE INDEX entries_of_account ON entries (ledger_account_id);

CREATE FUNCTION journal_must_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    journal text := CASE TG_TABLE_NAME WHEN 'journals' THEN to_jsonb(NEW) ->> 'id' ELSE to_jsonb(NEW) ->> 'journal_id' END;
BEGIN
    IF NOT EXISTS (SELECT FROM entries WHERE journal_id = journal) THEN
        RAISE EXCEPTION 'journal % has no entries', journal USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (SELECT FROM entries WHERE journal_id = journal GROUP BY currency HAVING sum(amount) <> 0) THEN
        RAISE EXCEPTION 'journal % does not balance', journal USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER journal_balances AFTER INSERT ON journals
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION journal_must_balance();
CREATE CONSTRAINT TRIGGER entry_balances AFTER INSERT ON entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION journal_must_balance();

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: a correction is a new row', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON facts EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journals EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entries EXECUTE FUNCTION refuse_change();

-- The winner is claimed from nobody and given up only while nothing was captured on it.
CREATE FUNCTION winner_must_be_free() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.winner_attempt_id IS NOT NULL THEN
        RAISE EXCEPTION 'payment % is already won by %', OLD.id, OLD.winner_attempt_id USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (SELECT FROM charges WHERE attempt_id = OLD.winner_attempt_id AND state = 'captured') THEN
        RAISE EXCEPTION 'payment % has money captured on %', OLD.id, OLD.winner_attempt_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER one_winner BEFORE UPDATE OF winner_attempt_id ON payments FOR EACH ROW
    WHEN (OLD.winner_attempt_id IS NOT NULL AND NEW.winner_attempt_id IS DISTINCT FROM OLD.winner_attempt_id)
    EXECUTE FUNCTION winner_must_be_free();

-- A fence, once committed, stands.
CREATE FUNCTION fence_must_stand() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'attempt % stays fenced', OLD.id USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER fenced_for_good BEFORE UPDATE OF fenced_at ON attempts FOR EACH ROW
    WHEN (OLD.fenced_at IS NOT NULL AND NEW.fenced_at IS NULL)
    EXECUTE FUNCTION fence_must_stand();

-- The service's own role may add to the append-only tables, and no more.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON merchants, gateway_accounts, webhook_secrets, settings, api_keys, payments,
            attempts, calls, charges, inbox, idempotency, exceptions, ledger_accounts TO app;
        GRANT SELECT, INSERT ON facts, audit, journals, entries TO app;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO app;
    END IF;
END $$;
