"""Lists: Razorpay's collections, newest first, in windows of `count` and `skip`."""

from collections.abc import Callable, Mapping
from typing import Any

from counterfoil.sandbox.calls import Answer, Incoming
from counterfoil.sandbox.razorpay.account import Account
from counterfoil.sandbox.razorpay.dialect import GATEWAY, expands, query_of
from counterfoil.sandbox.razorpay.errors import refused
from counterfoil.sandbox.razorpay.fields import Page
from counterfoil.sandbox.truth import Json


def collection(items: list[Json]) -> Answer:
    return Answer.json({"entity": "collection", "count": len(items), "items": items})


def listed(
    account: Account,
    kind: str,
    call: Incoming,
    *,
    parent: str | None = None,
    extra: str = "1",
    where: Mapping[str, Any] | None = None,
) -> list[Json]:
    """The bodies of this kind on the page that the query asks for."""
    page = Page.of(query_of(call))
    return account.world.truth.page(
        GATEWAY,
        kind,
        limit=page.count,
        skip=page.skip,
        since=page.start,
        until=page.end,
        parent=parent,
        extra=extra,
        where=where,
    ).data


def expanded(call: Incoming, body: Json, parts: Mapping[str, Callable[[], Any]]) -> Json:
    """The entity with every part that `expand[]` names. Raises RefusedError for one it does not have."""
    found = dict(body)
    for place, name in enumerate(expands(call)):
        if name not in parts:
            raise refused(f"The selected expand.{place} is invalid.", field=f"expand.{place}")
        found[name] = parts[name]()
    return found
