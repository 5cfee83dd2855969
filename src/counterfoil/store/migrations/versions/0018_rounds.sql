-- A dispute that has ended may go into another round: how far it was asked, and how far it is decided.
ALTER TABLE disputes
    ADD COLUMN asked_round   integer NOT NULL DEFAULT 0,
    ADD COLUMN decided_round integer NOT NULL DEFAULT 0;
