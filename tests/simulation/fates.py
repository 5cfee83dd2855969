"""What may happen to a call on its way to a gateway and back, and to a webhook on its way here."""

from enum import Enum
from typing import Final


class Fate(Enum):
    """Of a call."""

    FINE = "arrives and is answered"
    UNSENT = "cannot connect"
    LOST_BEFORE = "is lost before it arrives"
    LOST_AFTER = "is carried out, the answer is lost"
    LATE = "is given up by us, and arrives later"
    FAILS_BEFORE = "is answered 500, nothing done"
    FAILS_AFTER = "is answered 500, and was carried out"
    LIMITED = "is answered 429"
    GARBAGE = "is carried out and answered with garbage"


CALLS: Final = {
    Fate.FINE: 80,
    Fate.UNSENT: 3,
    Fate.LOST_BEFORE: 3,
    Fate.LOST_AFTER: 4,
    Fate.LATE: 3,
    Fate.FAILS_BEFORE: 2,
    Fate.FAILS_AFTER: 2,
    Fate.LIMITED: 1,
    Fate.GARBAGE: 2,
}
# The sandbox's own name of what it does to a call that arrives.
AT_THE_GATEWAY: Final = {
    Fate.FAILS_BEFORE: "error_5xx_before",
    Fate.FAILS_AFTER: "error_5xx_after",
    Fate.LIMITED: "rate_limit",
    Fate.GARBAGE: "garbage",
}


class Post(Enum):
    """Of a webhook that is due. Which one goes next is drawn too, so that they come in any order."""

    COMES = "comes"
    TWICE = "comes, and comes again"
    NEVER = "never comes"


POSTS: Final = {Post.COMES: 80, Post.TWICE: 12, Post.NEVER: 8}
