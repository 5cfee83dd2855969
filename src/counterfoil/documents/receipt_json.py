"""A receipt as plain values: what the API shows, what stands in the PDF, what templates see. Amounts are minor units."""

import json
from typing import Any

import msgspec

from counterfoil.domain.receipt import Receipt

MEDIA_TYPE = "application/json"


def document(receipt: Receipt) -> dict[str, Any]:
    """Every field of the model by its name, and the sums that follow from it. Times are RFC 3339 in UTC.

    What is said in words of ours is in English, as data is: by which word people read it is left out.
    """
    values: dict[str, Any] = msgspec.to_builtins(receipt)
    for worded, word in ((values, "method_word"), *((line, "word") for line in values["lines"])):
        del worded[word]
    return values | {
        "object": "receipt",
        "taxable": receipt.taxable,
        "refunded": receipt.refunded,
        "net": receipt.net,
    }


def render(receipt: Receipt) -> bytes:
    """The same as canonical JSON in UTF-8: sorted names and no spaces, so that one receipt is one run of bytes."""
    return json.dumps(document(receipt), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
