-- A batch that nobody decides in time ends, after one reminder. One that waits already has its time from its next look on.
ALTER TABLE refund_batches
    ADD COLUMN expires_at   timestamptz,
    ADD COLUMN reminded_at  timestamptz;
UPDATE refund_batches SET next_check_at = requested_at WHERE state = 'pending_approval';
