"""Stripe's lists: newest first, paged by the ids of objects."""

from collections.abc import Mapping, Sequence
from typing import Any

from counterfoil.sandbox.stripe.errors import invalid, no_such
from counterfoil.sandbox.stripe.session import GATEWAY, Session
from counterfoil.sandbox.truth import Json, Page


def listed(
    session: Session,
    kind: str,
    url: str,
    params: Json,
    *,
    parent: str | None = None,
    where: Mapping[str, Any] | None = None,
    globs: tuple[str, Sequence[str]] | None = None,
    oldest: int = 0,
    extra: str = "1",
) -> Json:
    """The page that limit, starting_after, ending_before and created ask for, of objects as Truth.page() takes them.

    Nothing created before `oldest` (unix seconds) is shown.
    """
    span = params.get("created", {})
    page = session.world.truth.page(
        GATEWAY,
        kind,
        limit=params.get("limit", 10),
        parent=parent,
        where=where,
        globs=globs,
        since=max(span.get("since") or 0, oldest),
        until=span.get("until"),
        extra=extra,
        **_cursor(session, kind, params),
    )
    return as_list(page, url)


def as_list(page: Page, url: str) -> Json:
    return {"object": "list", "data": page.data, "has_more": page.has_more, "url": url}


def _cursor(session: Session, kind: str, params: Json) -> dict[str, int]:
    given = [name for name in ("starting_after", "ending_before") if name in params]
    if len(given) > 1:
        raise invalid("Give starting_after or ending_before, not both.", code="parameters_exclusive")
    for name in given:
        place = session.world.truth.place(GATEWAY, kind, params[name])
        if place is None:
            raise no_such(kind, params[name], name)
        return {"below" if name == "starting_after" else "above": place}
    return {}
