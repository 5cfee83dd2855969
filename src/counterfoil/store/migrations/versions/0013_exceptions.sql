-- Who settled what waited for a person, and how. Those that end by themselves have nobody.
ALTER TABLE exceptions
    ADD COLUMN resolved_by text,
    ADD COLUMN note        text,
    ADD CONSTRAINT who_resolves_says_how CHECK ((resolved_by IS NULL) = (note IS NULL)),
    ADD CONSTRAINT resolved_has_its_time CHECK (resolved_by IS NULL OR resolved_at IS NOT NULL);
CREATE INDEX exceptions_of_mode ON exceptions (merchant_id, mode, id);
