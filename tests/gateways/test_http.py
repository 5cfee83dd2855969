import asyncio
import gzip

import aiohttp
import pytest

from counterfoil.domain.boundary import NetworkInsideTransactionError, transaction_open
from counterfoil.domain.call import Repeat
from counterfoil.domain.failure import FailureCode
from counterfoil.gateways import http as module
from counterfoil.gateways.base import Accepted, Declined, Refused, Unknown
from counterfoil.gateways.http import Answer, Http, Lost, Request, Unsent, retry_after_s
from gateways.scripted import (
    answers,
    client,
    closes,
    garbage,
    hangs,
    resets,
    scripted,
    self_signed,
    truncated,
    unused_port,
)

SECRET = "sk_test_counterfoil_never_shown"


def request(url, *, method="POST", body=b"amount=100", **headers):
    return Request(
        gateway="stripe",
        call="payment_intents.create",
        method=method,
        url=url,
        headers={"Authorization": f"Bearer {SECRET}", **headers},
        body=body if method == "POST" else None,
    )


def accepts(answer):
    return Accepted(ref=answer.body.decode())


def refuses(*, already=False, status=400):
    def judge(answer):
        return (
            Refused(code=FailureCode.OTHER, gateway_code="no", message="No.", status=status, already=already)
            if answer.status == status
            else accepts(answer)
        )

    return judge


async def test_an_answer_comes_back_whole_with_its_headers_in_lower_case():
    async with scripted(answers(b'{"id": 1}', status=402, Request_Id="req_1")) as server, client() as http:
        came = await http.send(request(server.url))
    assert (came.status, came.body, came.headers["request-id"]) == (402, b'{"id": 1}', "req_1")
    assert server.sent[0].body == b"amount=100"
    assert server.sent[0].headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("act", [closes, resets, garbage], ids=["closed", "reset", "garbage"])
async def test_a_request_that_left_and_met_no_answer_is_lost(act):
    async with scripted(act) as server, client() as http:
        came = await http.send(request(server.url))
    assert isinstance(came, Lost)
    assert came.status is None
    assert len(server.sent) == 1


async def test_a_truncated_answer_is_lost_but_its_status_is_known():
    async with scripted(truncated) as server, client() as http:
        assert await http.send(request(server.url)) == Lost(why="the answer broke off", status=200)


@pytest.mark.parametrize(
    ("limits", "why"),
    [({"read_s": 0.2}, "it did not answer in time"), ({"total_s": 0.2}, "it did not answer in time")],
    ids=["silence", "too long in all"],
)
async def test_a_timeout_after_the_request_left_is_lost(limits, why):
    async with scripted(hangs) as server, client(**limits) as http:
        assert await http.send(request(server.url)) == Lost(why=why)
    assert len(server.sent) == 1


async def test_a_refused_connection_is_unsent():
    async with client() as http:
        came = await http.send(request(f"http://127.0.0.1:{unused_port()}"))
    assert came == Unsent(why="it refuses connections")


async def test_a_certificate_that_nobody_vouches_for_is_unsent(tmp_path):
    async with scripted(answers(b"{}"), tls=self_signed(tmp_path)) as server, client() as http:
        assert await http.send(request(server.url)) == Unsent(why="no trusted TLS connection can be made")
    assert server.sent == []


async def test_a_timeout_while_the_connection_is_being_made_is_unsent():
    async with scripted(hangs) as server, client(total_s=0.3) as http:
        came = await http.send(request(f"https://127.0.0.1:{server.port}"))
    assert isinstance(came, Unsent)


async def test_waiting_in_vain_for_a_free_connection_is_unsent(monkeypatch):
    monkeypatch.setattr(module, "CONNECTIONS", 1)
    async with scripted(hangs) as server, client(read_s=3.0) as http:
        first = asyncio.create_task(http.send(request(server.url)))
        while not server.sent:
            await asyncio.sleep(0.01)
        assert await http.send(request(server.url)) == Unsent(why="no connection was made in time")
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    assert len(server.sent) == 1


async def test_a_url_that_is_none_is_unsent():
    async with client() as http:
        assert isinstance(await http.send(request("http://:0:0/")), Unsent)


async def test_a_header_that_cannot_be_written_tells_no_secret():
    async with scripted(answers(b"{}")) as server, client() as http:
        came = await http.send(request(server.url, Bad=f"{SECRET}\r\nX: 1"))
    assert isinstance(came, Lost | Unsent)
    assert SECRET not in repr(came)
    assert server.sent == []


async def test_a_redirect_is_an_answer_and_is_not_followed():
    async with scripted(answers(b"{}")) as other:
        away = answers(b"", status=302, Location=f"{other.url}/elsewhere")
        async with scripted(away) as server, client() as http:
            came = await http.send(request(server.url))
        assert came.status == 302
        assert other.sent == []


async def test_an_answer_beyond_the_cap_is_lost(monkeypatch):
    monkeypatch.setattr(module, "ANSWER_BYTES", 1000)
    async with scripted(answers(b"x" * 1000), answers(b"x" * 1001)) as server, client() as http:
        assert isinstance(await http.send(request(server.url)), Answer)
        assert await http.send(request(server.url)) == Lost(why="the answer is too long", status=200)


async def test_a_compressed_answer_is_asked_for_by_nobody_and_not_unpacked():
    bomb = gzip.compress(b"0" * 100_000)
    async with scripted(answers(bomb, Content_Encoding="gzip")) as server, client() as http:
        came = await http.send(request(server.url))
    assert came.body == bomb
    assert server.sent[0].headers["accept-encoding"] == "identity"


async def test_connections_are_kept_for_posts_and_a_put_or_delete_always_has_its_own():
    async with scripted(answers(b"{}")) as server, client() as http:
        for method in ("POST", "PUT", "POST", "DELETE", "POST", "PUT"):
            assert isinstance(await http.send(request(server.url, method=method)), Answer)
    by_method = [(sent.method, sent.connection) for sent in server.sent]
    assert {connection for method, connection in by_method if method == "POST"} == {1}
    assert [connection for method, connection in by_method if method != "POST"] == [2, 3, 4]


async def test_cookies_are_not_kept():
    async with scripted(answers(b"{}", Set_Cookie="who=me; Path=/")) as server, client() as http:
        by_name = f"http://localhost:{server.port}"  # a cookie jar keeps none of an address
        await http.send(request(by_name))
        await http.send(request(by_name))
    assert "cookie" not in server.sent[1].headers


async def test_proxies_of_the_environment_are_ignored(monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{unused_port()}")
    async with scripted(answers(b"{}")) as server, client() as http:
        assert isinstance(await http.send(request(server.url)), Answer)


async def test_nothing_is_sent_while_a_transaction_is_open():
    async with scripted(answers(b"{}")) as server, client() as http:
        with transaction_open(), pytest.raises(NetworkInsideTransactionError):
            await http.send(request(server.url))
    assert server.sent == []


async def test_a_session_without_the_trace_is_refused():
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ValueError, match="open_session"):
            Http(session)


async def test_every_sending_is_observed_and_may_be_watched():
    seen = []
    watchers = {
        "observe": lambda *told: seen.append(told),
        "before_send": lambda *told: seen.append(("before", *told)),
        "after_answer": lambda *told: seen.append(("after", *told)),
    }
    async with scripted(resets, answers(b"done")) as server, client(**watchers) as http:
        await http.ask(request(server.url), accepts, repeat=Repeat.KEYED)
    call = ("stripe", "payment_intents.create")
    assert [told[:3] for told in seen] == [
        ("before", *call),
        ("after", *call),
        (*call, "unknown"),
        ("before", *call),
        ("after", *call),
        (*call, "accepted"),
    ]
    assert all(0 <= told[3] < 5 for told in seen if told[0] == "stripe")


async def test_no_repr_shows_a_secret():
    async with client() as http:
        sent = request("http://127.0.0.1:1/")
        assert SECRET not in f"{sent!r} {http!r} {vars(http)!r}"
    assert "amount" not in repr(sent)


# What a call comes to


async def test_what_was_not_sent_is_refused_and_what_was_lost_is_unknown():
    async with client() as http:
        unsent = await http.ask(request(f"http://127.0.0.1:{unused_port()}"), accepts)
        async with scripted(closes) as server:
            lost = await http.ask(request(server.url), accepts)
    assert isinstance(unsent, Refused)
    assert (unsent.code, unsent.status) == (FailureCode.GATEWAY_UNAVAILABLE, None)
    assert isinstance(lost, Unknown)


@pytest.mark.parametrize("repeat", [Repeat.KEYED, Repeat.SINGLE_SHOT])
async def test_a_lost_call_that_may_be_repeated_is_sent_once_more_the_same_to_the_byte(repeat):
    async with scripted(resets, answers(b"done")) as server, client() as http:
        outcome = await http.ask(request(server.url, Idempotency_Key="k"), accepts, repeat=repeat)
    assert outcome == Accepted(ref="done")
    first, second = server.sent
    assert (first.target, first.headers, first.body) == (second.target, second.headers, second.body)


async def test_a_call_lost_twice_is_unknown_and_not_sent_a_third_time():
    async with scripted(closes) as server, client() as http:
        assert isinstance(await http.ask(request(server.url), accepts, repeat=Repeat.KEYED), Unknown)
    assert len(server.sent) == 2


@pytest.mark.parametrize("repeat", [None, Repeat.HARMLESS, Repeat.LOOKUP])
async def test_a_call_that_might_happen_twice_is_never_sent_twice(repeat):
    async with scripted(closes) as server, client() as http:
        assert isinstance(await http.ask(request(server.url), accepts, repeat=repeat), Unknown)
    assert len(server.sent) == 1


async def test_an_unknown_with_a_status_is_not_sent_again():
    async with scripted(truncated) as server, client() as http:
        outcome = await http.ask(request(server.url), accepts, repeat=Repeat.KEYED)
    assert isinstance(outcome, Unknown)
    assert len(server.sent) == 1


async def test_a_refusal_of_the_second_sending_says_nothing_of_the_first():
    async with scripted(resets, answers(b"{}", status=400)) as server, client() as http:
        outcome = await http.ask(request(server.url), refuses(), repeat=Repeat.KEYED)
    assert isinstance(outcome, Unknown)
    assert "Sent again: No." in outcome.message
    assert len(server.sent) == 2


async def test_a_gateway_that_goes_away_between_the_two_sendings_leaves_the_first_unknown():
    async def leaves(_, __):
        server.stop()
        return False

    async with scripted(leaves) as server, client() as http:
        outcome = await http.ask(request(server.url), accepts, repeat=Repeat.KEYED)
    assert isinstance(outcome, Unknown)
    assert "could not be reached" in outcome.message
    assert len(server.sent) == 1


async def test_already_done_settles_a_call_that_was_lost():
    async with scripted(resets, answers(b"{}", status=400)) as server, client() as http:
        outcome = await http.ask(request(server.url), refuses(already=True), repeat=Repeat.SINGLE_SHOT)
    assert isinstance(outcome, Refused)
    assert outcome.already


async def test_a_decline_settles_a_call_that_was_lost():
    declined = Declined(code=FailureCode.OTHER, gateway_code="no", message="No.")
    async with scripted(resets, answers(b"{}", status=402)) as server, client() as http:
        assert await http.ask(request(server.url), lambda _: declined, repeat=Repeat.KEYED) == declined


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7), ("0", 0), ("99999", 3600), ("9" * 40, None), ("-1", None), ("٣", None), ("Wed, 21 Oct", None)],
)
def test_retry_after_is_read_where_it_is_a_number_of_seconds(text, seconds):
    assert retry_after_s(Answer(status=429, headers={"retry-after": text}, body=b"")) == seconds
