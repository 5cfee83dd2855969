-- Retries: what is tried again and when, and who was told.
SELECT 1;
