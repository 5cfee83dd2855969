"""Bytes that nobody should send: for whatever reads what comes from outside."""

from typing import Any

from hypothesis import strategies as st

DEEP = 200_000
WRECKS: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"<html>bad gateway</html>",
    "not UTF-8": b'{"id": "\xff\xfe"}',
    "half": b'{"id": "evt_1", "type": "charge.succ',
    "a list": b"[]",
    "null": b"null",
    "a number": b"7",
    "NaN": b'{"id": NaN}',
    "Infinity": b'{"created": -Infinity}',
    "a number of a million digits": b'{"created": ' + b"9" * 1_000_000 + b"}",
    "a deep list": b'{"data": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep maps": b'{"data": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    "a lone surrogate": b'{"id": "\\ud800"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "two documents": b"{} {}",
}

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
PIECES = [
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"1e400",
    b"-1",
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"\x00",
]


def mutated(data: Any, body: bytes) -> bytes:
    """The body with a few pieces cut out or put in; `data` is Hypothesis's."""
    changed = bytearray(body)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed)))
        until = min(len(changed), at + data.draw(st.integers(0, 12)))
        changed[at:until] = data.draw(st.sampled_from(PIECES) | st.binary(max_size=4))
    return bytes(changed)
