"""SMS go out by a carrier: one sending, and what came of it.

Neither carrier takes a key by which a second sending would be known for the first, so that an SMS whose answer was lost
is Fate.UNKNOWN and never sent again by itself.

    Twilio  POST /2010-04-01/Accounts/{account}/Messages.json   201: queued
    MSG91   POST /api/v5/flow                                   200 {"type": "success" | "error", "message": …}

MSG91 sends what is registered with it and with the Indian operators (DLT): a template, whose variables are the text's parts.
"""

import base64
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from counterfoil.domain.delivery import ERROR_CHARS, Came, Fate, Provider, Sms, Text
from counterfoil.gateways.http import Answer, Http, Lost, Request, Unsent
from counterfoil.log import scrub

HOSTS: Final[Mapping[Provider, str]] = {
    Provider.TWILIO: "https://api.twilio.com",
    Provider.MSG91: "https://control.msg91.com",
}
# Refused for now: the credentials are wrong or blocked, or it was too much at once. An operator mends the first.
_LATER: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})
# Refused, and may have been taken all the same: it waited for the rest of the request, or was cut off.
_UNSURE: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT})
# Twilio's: no number, opted out, no mobile.
_BOUNCES: Final = frozenset({21211, 21610, 21614})
_SERVICE: Final = "MG"  # what the id of a messaging service begins with, Twilio's pool of senders


class Texting:
    """Sends by either carrier. `hosts` are theirs, or those of whoever stands in for them."""

    def __init__(self, http: Http, hosts: Mapping[Provider, str] = HOSTS) -> None:
        self._http = http
        self.hosts = dict(hosts)

    async def send(self, sms: Sms, secret: str, to: str, text: Text) -> Came:
        """Send once to a number in E.164. Raises NetworkInsideTransactionError where a transaction is open, and nothing else."""
        write = _twilio if sms.provider is Provider.TWILIO else _msg91
        came = await self._http.send(write(self.hosts[sms.provider], sms, secret, to, text))
        match came:
            case Unsent(why=why):
                return Came(Fate.LATER, f"{sms.provider} could not be reached: {why}")
            case Lost(why=why):
                return Came(
                    Fate.UNKNOWN, f"{sms.provider} gave no whole answer: {why}; it may have been sent"
                )
            case answer:
                return _judge(sms.provider, answer)


def _twilio(host: str, sms: Sms, secret: str, to: str, text: Text) -> Request:
    sender = str(sms.sender)
    named = "MessagingServiceSid" if sender.startswith(_SERVICE) else "From"
    login = base64.b64encode(f"{sms.account}:{secret}".encode()).decode()
    return Request(
        gateway=sms.provider,
        call="messages.create",
        method="POST",
        url=f"{host}/2010-04-01/Accounts/{sms.account}/Messages.json",
        headers={"Authorization": f"Basic {login}", "Content-Type": "application/x-www-form-urlencoded"},
        body=urlencode({"To": to, named: sender, "Body": text.body}).encode(),
    )


def _msg91(host: str, sms: Sms, secret: str, to: str, text: Text) -> Request:
    asked: dict[str, Any] = {
        "template_id": sms.template,
        "recipients": [{"mobiles": to.removeprefix("+"), **text.parts}],
    }
    if sms.sender:
        asked["sender"] = sms.sender
    return Request(
        gateway=sms.provider,
        call="flow.send",
        method="POST",
        url=f"{host}/api/v5/flow",
        headers={"authkey": secret, "Content-Type": "application/json"},
        body=msgspec.json.encode(asked),
    )


def _judge(provider: Provider, answer: Answer) -> Came:
    said = _read(answer.body)
    fate = _fate(provider, answer.status, said)
    if fate is Fate.SENT:
        return Came(fate)
    words = " ".join(str(said.get(name)) for name in ("code", "message") if said.get(name) is not None)
    text = scrub("".join(c for c in f"{provider} answers {answer.status}: {words}" if c.isprintable()))
    return Came(fate, text.rstrip(": ")[:ERROR_CHARS])


def _fate(provider: Provider, status: int, said: Mapping[str, Any]) -> Fate:
    if status in _LATER:
        return Fate.LATER
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _UNSURE:
        return Fate.BOUNCED if said.get("code") in _BOUNCES and provider is Provider.TWILIO else Fate.REFUSED
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Fate.UNKNOWN
    if provider is Provider.MSG91 and said.get("type") == "error":
        return Fate.REFUSED
    taken = said.get("sid") if provider is Provider.TWILIO else said.get("type") == "success"
    return Fate.SENT if taken else Fate.UNKNOWN


def _read(body: bytes) -> Mapping[str, Any]:
    """What the carrier says; nothing where that is no JSON object."""
    try:
        said = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    return said if isinstance(said, dict) else {}
