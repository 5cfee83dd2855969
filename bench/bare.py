"""The floor: nothing but the two calls of a payment, with aiohttp, in a process of their own.

`python -m bench.bare PORT COUNT IN_FLIGHT` pays at the stub and prints its result.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Final

import aiohttp
import msgspec
import uvloop

from bench import ROOT
from bench.client import Result, Sent

HEADERS: Final = {"Authorization": "Bearer sk_test_counterfoil_bench"}
CREATE: Final = {
    "amount": "10000",
    "currency": "usd",
    "automatic_payment_methods[enabled]": "true",
    "automatic_payment_methods[allow_redirects]": "always",
    "capture_method": "automatic_async",
    "description": "Two tickets",
    "metadata[counterfoil_attempt]": "att_bench",
    "metadata[counterfoil_payment]": "pmt_bench",
}
CONFIRM: Final = {
    "payment_method": "pm_card_visa",
    "return_url": "http://127.0.0.1/return",
    "expand[0]": "latest_charge",
}


def run(port: int, count: int, in_flight: int) -> Result:
    """Pay so often from a process of its own, and wait for its end."""
    arguments = [sys.executable, "-m", "bench.bare", *map(str, (port, count, in_flight))]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, check=True, cwd=ROOT)
    return msgspec.msgpack.decode(done.stdout, type=Result)


async def _pay_all(port: int, count: int, in_flight: int) -> Result:
    url = f"http://127.0.0.1:{port}/v1/payment_intents"
    connector = aiohttp.TCPConnector(limit=in_flight)
    async with aiohttp.ClientSession(connector=connector, headers=HEADERS) as session:
        await _share(session, url, in_flight, in_flight)  # every connection is open
        before = time.process_time()
        sent = await _share(session, url, count, in_flight)
        cpu_s = time.process_time() - before
    return Result(sent, cpu_s)


async def _share(session: aiohttp.ClientSession, url: str, count: int, in_flight: int) -> list[Sent]:
    """So many payments, taken from one pile by as many payers as may be under way at once."""
    pile, sent = iter(range(count)), list[Sent]()
    async with asyncio.TaskGroup() as payers:
        for _ in range(in_flight):
            payers.create_task(_payer(session, url, pile, sent))
    return sent


async def _payer(session: aiohttp.ClientSession, url: str, pile: Iterator[int], sent: list[Sent]) -> None:
    for number in pile:
        started = time.time()
        async with session.post(
            url, data=CREATE, headers={"Idempotency-Key": f"create-{number}"}
        ) as response:
            intent = await response.json()
        confirm = f"{url}/{intent['id']}/confirm"
        async with session.post(
            confirm, data=CONFIRM, headers={"Idempotency-Key": f"confirm-{number}"}
        ) as response:
            await response.json()
            sent.append(Sent(number, started, time.time(), response.status))


if __name__ == "__main__":
    result = uvloop.run(_pay_all(*map(int, sys.argv[1:])))
    sys.stdout.buffer.write(msgspec.msgpack.encode(result))
