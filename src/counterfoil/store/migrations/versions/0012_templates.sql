-- The merchant's own templates of receipts: each change is a new version, and one version of each may be published.

CREATE TABLE receipt_templates (
    merchant_id  text NOT NULL REFERENCES merchants,
    name         text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
    last         integer NOT NULL CHECK (last > 0),              -- the newest version
    published    integer CHECK (published BETWEEN 1 AND last),   -- the one that new receipts are drawn by
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, name)
);

CREATE TABLE receipt_template_versions (
    merchant_id  text NOT NULL,
    name         text NOT NULL,
    version      integer NOT NULL CHECK (version > 0),
    note         text,
    created_by   text NOT NULL,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, name, version),
    FOREIGN KEY (merchant_id, name) REFERENCES receipt_templates
);

CREATE TABLE receipt_template_files (
    merchant_id  text NOT NULL,
    name         text NOT NULL,
    version      integer NOT NULL,
    path         text NOT NULL CHECK (path <> ''),
    body         bytea NOT NULL,
    PRIMARY KEY (merchant_id, name, version, path),
    FOREIGN KEY (merchant_id, name, version) REFERENCES receipt_template_versions
);

-- A receipt names the version it was drawn by, and is drawn by it again for as long as books are kept.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON receipt_template_versions
    EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON receipt_template_files
    EXECUTE FUNCTION refuse_change();

-- Until now the settings named templates that nobody could bring.
UPDATE settings SET document = jsonb_set(document, '{receiptGeneration,customTemplates}', '[]')
    WHERE jsonb_typeof(document #> '{receiptGeneration,customTemplates}') = 'object';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN
        GRANT SELECT, INSERT, UPDATE ON receipt_templates TO app;
        GRANT SELECT, INSERT ON receipt_template_versions, receipt_template_files TO app;
    END IF;
END $$;
