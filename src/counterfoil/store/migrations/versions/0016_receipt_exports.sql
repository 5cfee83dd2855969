-- Exports of receipts: a row says what was asked for and how far it is, and the file stands in parts beside it, where
-- every process of the service can read it, on whichever machine it runs.

CREATE TABLE receipt_exports (
    id             text PRIMARY KEY,
    merchant_id    text NOT NULL REFERENCES merchants,
    mode           text NOT NULL CHECK (mode IN ('sandbox', 'live')),
    state          text NOT NULL CHECK (state IN ('waiting', 'running', 'ready', 'failed', 'cancelled', 'expired')),
    format         text NOT NULL CHECK (format <> ''),
    issued_from    timestamptz NOT NULL,
    issued_to      timestamptz NOT NULL,
    last_id        text NOT NULL,                           -- the last receipt there was when it was asked for; '': none
    total          bigint NOT NULL,
    done           bigint NOT NULL CHECK (done >= 0),
    done_id        text NOT NULL,                           -- the last receipt in it: whoever goes on goes on behind that
    size           bigint NOT NULL CHECK (size >= 0),       -- bytes of its files; of all of it, once it is ready
    listed         bigint NOT NULL CHECK (listed >= 0),     -- bytes of the list of its files, which goes behind them
    tries          integer NOT NULL CHECK (tries >= 0),     -- since it last got on
    error          text,                                    -- what the last try broke off over
    asked_by       text NOT NULL CHECK (asked_by <> ''),
    created_at     timestamptz NOT NULL,
    started_at     timestamptz,
    ended_at       timestamptz,
    expires_at     timestamptz,                             -- from when on its parts are no more
    next_check_at  timestamptz,                             -- when a worker may take it; pushed on while one is at it
    CONSTRAINT export_of_a_period CHECK (issued_from < issued_to),
    CONSTRAINT export_within_its_total CHECK (done <= total),
    CONSTRAINT export_due_while_open CHECK ((state IN ('waiting', 'running')) = (next_check_at IS NOT NULL)),
    CONSTRAINT export_ends CHECK ((state IN ('waiting', 'running')) = (ended_at IS NULL) AND (ended_at IS NULL) = (expires_at IS NULL)),
    CONSTRAINT failed_export_says_why CHECK (state <> 'failed' OR error IS NOT NULL)
);
CREATE INDEX receipt_exports_due ON receipt_exports (next_check_at) WHERE next_check_at IS NOT NULL;
CREATE INDEX receipt_exports_newest ON receipt_exports (merchant_id, mode, id DESC);

CREATE TABLE receipt_export_parts (
    export_id  text NOT NULL REFERENCES receipt_exports,
    listed     boolean NOT NULL,                            -- of the list of files, until that goes behind them
    at         bigint NOT NULL CHECK (at >= 0),             -- where it begins: in the file, or in the list
    bytes      bytea NOT NULL CHECK (octet_length(bytes) BETWEEN 1 AND 1048576),
    PRIMARY KEY (export_id, listed, at)
);
-- Zips and books are packed: PostgreSQL need not try to pack them again.
ALTER TABLE receipt_export_parts ALTER COLUMN bytes SET STORAGE EXTERNAL;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON receipt_exports, receipt_export_parts TO app;
    END IF;
END $$;
