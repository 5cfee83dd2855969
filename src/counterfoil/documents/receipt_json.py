"""A receipt as plain values: what the API shows, what stands in the PDF, what templates see. Amounts are minor units."""

import json
from itertools import chain
from typing import Any

import msgspec

from counterfoil.domain.receipt import Receipt

MEDIA_TYPE = "application/json"


def document(receipt: Receipt) -> dict[str, Any]:
    """Every field of the model by its name, and the sums that follow from it. Times are RFC 3339 in UTC.

    `half` of a tax is said only where its rate has half a basis point: other receipts are the bytes that they were.
    """
    values: dict[str, Any] = msgspec.to_builtins(receipt)
    for tax in chain(values["taxes"], *(line["taxes"] for line in values["lines"])):
        if not tax["half"]:
            del tax["half"]
    return values | {
        "object": "receipt",
        "taxable": receipt.taxable,
        "refunded": receipt.refunded,
        "net": receipt.net,
    }


def render(receipt: Receipt) -> bytes:
    """The same as canonical JSON in UTF-8: sorted names and no spaces, so that one receipt is one run of bytes."""
    return json.dumps(document(receipt), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
