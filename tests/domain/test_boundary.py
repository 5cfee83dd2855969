import asyncio

import pytest

from counterfoil.domain.boundary import (
    NetworkInsideTransactionError,
    refuse_inside_transaction,
    transaction_open,
)


def test_the_network_is_refused_inside_a_transaction_and_allowed_after_it():
    refuse_inside_transaction()
    with transaction_open():
        with pytest.raises(NetworkInsideTransactionError):
            refuse_inside_transaction()
        with transaction_open(), pytest.raises(NetworkInsideTransactionError):
            refuse_inside_transaction()
        with pytest.raises(NetworkInsideTransactionError):
            refuse_inside_transaction()
    refuse_inside_transaction()


def test_a_transaction_that_fails_is_over():
    with pytest.raises(KeyError), transaction_open():
        raise KeyError
    refuse_inside_transaction()


async def test_a_transaction_of_one_task_is_none_of_anothers():
    opened, done = asyncio.Event(), asyncio.Event()

    async def holds() -> None:
        with transaction_open():
            opened.set()
            await done.wait()

    holding = asyncio.create_task(holds())
    await opened.wait()
    refuse_inside_transaction()
    done.set()
    await holding


async def test_a_task_started_inside_a_transaction_may_not_call_either():
    async def calls() -> None:
        refuse_inside_transaction()

    with transaction_open():
        inside = asyncio.create_task(calls())
    with pytest.raises(NetworkInsideTransactionError):
        await inside
