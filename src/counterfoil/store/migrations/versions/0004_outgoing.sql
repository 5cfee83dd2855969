-- Outgoing events: who is told, of what, and how it went.

-- What happened, written in the transaction in which it did. A number of an identity or the time in an id is drawn
-- before its commit, so that a reader who pages by either can pass over what commits later. So the worker gives each
-- row its sequence after its commit, one worker at a time: numbers are seen in their order, without gaps. (To page by
-- the oldest running transaction instead would stand still behind any long one, and break when a dump is restored.)
CREATE TABLE events (
    id           text PRIMARY KEY,
    arrived      bigint GENERATED ALWAYS AS IDENTITY,   -- for versions of one object in their order: its row is locked
    sequence     bigint,
    merchant_id  text NOT NULL REFERENCES merchants,
    mode         text NOT NULL CHECK (mode IN ('sandbox', 'live')),
    type         text NOT NULL,
    object_id    text NOT NULL,
    version      bigint NOT NULL CHECK (version > 0),
    object       jsonb NOT NULL,
    created_at   timestamptz NOT NULL
);
CREATE INDEX events_unnumbered ON events (arrived) WHERE sequence IS NULL;
CREATE UNIQUE INDEX events_in_order ON events (merchant_id, mode, sequence) WHERE sequence IS NOT NULL;

-- The last number given. Whoever gives numbers holds this row; nobody adds another.
CREATE TABLE event_sequence (last bigint NOT NULL);
INSERT INTO event_sequence VALUES (0);

CREATE TABLE endpoints (
    id                text PRIMARY KEY,
    merchant_id       text NOT NULL REFERENCES merchants,
    mode              text NOT NULL CHECK (mode IN ('sandbox', 'live')),
    url               text NOT NULL,
    description       text NOT NULL,
    types             text[] NOT NULL,                  -- empty: all
    disabled_at       timestamptz,
    disabled_because  text,
    failing_since     timestamptz,                      -- nothing has been delivered since
    noticed_at        timestamptz,                      -- a person was told so
    deleted_at        timestamptz,                      -- its log stays until it is pruned
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    CHECK ((disabled_at IS NULL) = (disabled_because IS NULL))
);
CREATE INDEX endpoints_of_merchant ON endpoints (merchant_id, mode) WHERE deleted_at IS NULL;

CREATE TABLE endpoint_secrets (
    id           text PRIMARY KEY,
    endpoint_id  text NOT NULL REFERENCES endpoints ON DELETE CASCADE,
    secret       bytea NOT NULL,                        -- sealed
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz                            -- replaced: it signs until then
);
CREATE UNIQUE INDEX one_current_endpoint_secret ON endpoint_secrets (endpoint_id) WHERE expires_at IS NULL;
CREATE INDEX secrets_of_endpoint ON endpoint_secrets (endpoint_id);

-- One event on its way to one endpoint. Those of one object go one after the other, by sequence.
CREATE TABLE deliveries (
    event_id       text NOT NULL REFERENCES events ON DELETE CASCADE,
    endpoint_id    text NOT NULL REFERENCES endpoints ON DELETE CASCADE,
    object_id      text NOT NULL,
    sequence       bigint NOT NULL,
    tries          integer NOT NULL DEFAULT 0,
    next_check_at  timestamptz,                         -- NULL: ended
    outcome        text CHECK (outcome IN ('delivered', 'failed')),
    ended_at       timestamptz,
    PRIMARY KEY (event_id, endpoint_id),
    CHECK ((outcome IS NULL) = (next_check_at IS NOT NULL)),
    CHECK ((outcome IS NULL) = (ended_at IS NULL))
);
CREATE INDEX deliveries_due ON deliveries (endpoint_id, next_check_at) WHERE next_check_at IS NOT NULL;
CREATE INDEX deliveries_waiting ON deliveries (endpoint_id, object_id, sequence) WHERE next_check_at IS NOT NULL;
CREATE INDEX deliveries_newest ON deliveries (endpoint_id, sequence DESC);

-- Every try, with how it went.
CREATE TABLE delivery_log (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id     text NOT NULL,
    endpoint_id  text NOT NULL,
    number       integer NOT NULL,
    at           timestamptz NOT NULL,
    duration_ms  integer NOT NULL,
    status       integer,                               -- NULL: no answer
    answer       text NOT NULL,
    error        text,
    FOREIGN KEY (event_id, endpoint_id) REFERENCES deliveries ON DELETE CASCADE
);
CREATE INDEX log_of_delivery ON delivery_log (event_id, endpoint_id, id);

-- How far a callback in the process of whoever embeds the service has heard.
CREATE TABLE listeners (
    name           text NOT NULL,
    merchant_id    text NOT NULL REFERENCES merchants,
    mode           text NOT NULL CHECK (mode IN ('sandbox', 'live')),
    sequence       bigint NOT NULL,                     -- the last event that was heard
    tries          integer NOT NULL DEFAULT 0,          -- of the next one
    next_check_at  timestamptz NOT NULL,
    error          text,
    PRIMARY KEY (name, merchant_id, mode)
);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON events, endpoints, endpoint_secrets, deliveries, listeners TO app;
        GRANT SELECT, INSERT, DELETE ON delivery_log TO app;
        GRANT SELECT, UPDATE ON event_sequence TO app;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO app;
    END IF;
END $$;
