"""The receiver of tests/receiver.py in a thread of its own, beside a service that runs in another."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from receiver import Got, Receiver, answering, receiving


class Backend:
    """A merchant's backend: `answer` is the status and body it gives; `got` is what came."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    @property
    def url(self) -> str:
        return self._receiver.url

    @property
    def got(self) -> list[Got]:
        return self._receiver.got

    @property
    def answer(self) -> None:
        raise AttributeError("set only")

    @answer.setter
    def answer(self, said: tuple[int, bytes]) -> None:
        self._receiver.say = answering(*said)

    def versions(self, object_id: str) -> list[int]:
        return self._receiver.of(object_id)


@contextmanager
def running_backend() -> Iterator[Backend]:
    ready, loop = threading.Event(), asyncio.new_event_loop()
    made: list[Receiver] = []
    stop = asyncio.Event()

    async def serve() -> None:
        async with receiving() as receiver:
            made.append(receiver)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield Backend(made[0])
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
