"""Calls that move money or make objects at a gateway, and how each may be repeated when its outcome is not known."""

from enum import StrEnum


class Verb(StrEnum):
    OPEN = "open"
    CONFIRM = "confirm"
    CAPTURE = "capture"
    CANCEL = "cancel"
    REFUND = "refund"


class Repeat(StrEnum):
    """The repeat class a gateway declares for each call."""

    KEYED = "keyed"  # one resend with the same key within 23 h, for lost connections
    SINGLE_SHOT = "single_shot"  # does nothing the second time: resend, then fetch
    LOOKUP = "lookup"  # list by parent and our id; absence counts only after waiting and two empty reads
    HARMLESS = "harmless"  # nothing was disclosed: abandon it and open another


class Settled(StrEnum):
    """What became of a call. A row without one is on its way, or its process died: unknown either way."""

    ACCEPTED = "accepted"
    DECLINED = "declined"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    ABANDONED = "abandoned"
