"""Plain values become what people read. Pure: no clock, no network, no database."""
