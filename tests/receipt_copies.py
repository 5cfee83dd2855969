"""Many receipts at once: copies of one that was issued."""

from datetime import datetime

from service import Service

# One of the receipts many times over, void, a second after the one before, in a series of their own.
MANY = """
    INSERT INTO receipts
    SELECT copy.* FROM receipts one, generate_series($3::int, $3 + $1::int - 1) n,
        LATERAL jsonb_populate_record(one, jsonb_build_object(
            'id', left(one.id, -8) || lpad(n::text, 8, '0'), 'prefix', 'OLD', 'sequence', n, 'number', 'OLD-' || n,
            'document', one.document || jsonb_build_object('number', 'OLD-' || n),
            'issued_at', $2::timestamptz + (n - $3 + 1) * interval '1 second',
            'voided_at', one.issued_at, 'void_reason', 'a copy')) copy
    WHERE one.id = (SELECT min(id) FROM receipts)
"""


def copy(service: Service, many: int, at: datetime, *, first: int = 1) -> None:
    """Make so many, the first a second after this moment; their numbers are OLD-1 and so on, or from another `first`."""

    async def insert() -> None:
        async with service.context.db.transaction() as conn:
            await conn.execute(MANY, many, at, first)

    service.run(insert())
