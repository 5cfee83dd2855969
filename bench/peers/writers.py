"""The service's own web side with another way of storing: `python -m bench.peers.writers NAME PORT`.

nothing     verifies, stores nothing, answers: what HTTP alone can do
one_by_one  a transaction a delivery: what group commit saves
"""

import sys
from typing import Final

from counterfoil.cli.main import app
from counterfoil.services.inbox import Writer
from counterfoil.store.inbox import Delivery
from counterfoil.web import app as application


class Nothing(Writer):
    async def store(self, item: Delivery) -> None:
        pass


class OneByOne(Writer):
    async def store(self, item: Delivery) -> None:
        await self._commit([item])


WRITERS: Final = {"nothing": Nothing, "one_by_one": OneByOne}


if __name__ == "__main__":
    vars(application)["Writer"] = WRITERS[sys.argv[1]]  # the one thing that differs
    app(["web", "--port", sys.argv[2]])
