-- No row of a receipt goes, nor that of its series: neither one by one nor all at once.
CREATE FUNCTION numbers_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% stays whole: a number that was given is never given again', TG_TABLE_NAME
        USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON receipts EXECUTE FUNCTION numbers_stay();
CREATE TRIGGER never_emptied BEFORE DELETE OR TRUNCATE ON receipt_series EXECUTE FUNCTION numbers_stay();
