"""A plain Django view that verifies Stripe's signature and stores the event.

`python -m bench.peers.django_view asgi|wsgi PORT DATABASE_URL SECRET`. One INSERT, with no transaction block around it;
the signature check is the service's own, which is faster than the SDK's. `asgi` is an asynchronous view, `wsgi` a
synchronous one in ten threads.
"""

# Django carries no types.
# mypy: disable-error-code="import-untyped,misc"

import sys
from datetime import UTC, datetime

from django.db import IntegrityError, connection, models
from django.http import HttpRequest, HttpResponse
from django.urls import path

from bench.peers import django_server
from counterfoil.domain.errors import SignatureRefusedError
from counterfoil.gateways.stripe.signature import verify
from counterfoil.gateways.stripe.speak import dedupe_key

INTERFACE, PORT, URL, SECRET = sys.argv[1:]
django_server.configure(URL)  # before the first model


class Event(models.Model):
    event_id = models.CharField(max_length=255, unique=True)
    received_at = models.DateTimeField()
    body = models.BinaryField()

    class Meta:
        app_label = "bench"

    def __str__(self) -> str:
        return str(self.event_id)


def _checked(request: HttpRequest) -> Event:
    """The event of the request. Raises SignatureRefusedError."""
    now, body = datetime.now(UTC), request.body
    headers = [(b"stripe-signature", request.headers.get("Stripe-Signature", "").encode())]
    verify(headers, body, secret=SECRET.encode(), now=now)
    return Event(event_id=dedupe_key(body), received_at=now, body=body)


async def asynchronous(request: HttpRequest) -> HttpResponse:
    try:
        await _checked(request).asave(force_insert=True)
    except SignatureRefusedError:
        return HttpResponse(status=400)
    except IntegrityError:  # here already
        return HttpResponse()
    return HttpResponse()


def synchronous(request: HttpRequest) -> HttpResponse:
    try:
        _checked(request).save(force_insert=True)
    except SignatureRefusedError:
        return HttpResponse(status=400)
    except IntegrityError:  # here already
        return HttpResponse()
    return HttpResponse()


urlpatterns = [path("webhooks/stripe", asynchronous if INTERFACE == "asgi" else synchronous)]

if __name__ == "__main__":
    with connection.schema_editor() as editor:
        editor.create_model(Event)
    connection.close()  # the pool has one for each thread that serves, and no more
    django_server.serve(INTERFACE, int(PORT))
