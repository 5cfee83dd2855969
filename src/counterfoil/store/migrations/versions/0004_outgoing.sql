-- Outgoing events: who is told, of what, and how it went.
SELECT 1;
