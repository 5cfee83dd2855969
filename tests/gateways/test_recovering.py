"""What both gateways' lists have in common."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from counterfoil.gateways.base import Refused
from counterfoil.gateways.http import Http, open_session
from counterfoil.gateways.razorpay import gateway as razorpay
from counterfoil.gateways.stripe import gateway as stripe

NOBODY = "http://127.0.0.1:9"
KEYS: dict[Any, dict[str, str]] = {
    stripe: {"secret_key": "sk_test_counterfoil_tests", "publishable_key": "pk_test_counterfoil_tests"},
    razorpay: {"key_id": "rzp_test_counterfoil", "key_secret": "counterfoil_tests_secret"},
}


@pytest.mark.parametrize("of", KEYS, ids=["stripe", "razorpay"])
async def test_a_list_that_cannot_be_read_counts_against_the_account_whose_list_it_is(of):
    told = []
    async with open_session() as session:
        http = Http(session)
        http.told = lambda account_id, outcome: told.append((account_id, type(outcome)))
        gateway = of.connect(http, account_id="gwa_1", mode="sandbox", base_url=NOBODY, **KEYS[of])
        now = datetime.now(UTC)
        await gateway.recover.read(
            gateway.recover.listings[0].name, since=now - timedelta(hours=1), until=now
        )
    assert told == [("gwa_1", Refused)]
