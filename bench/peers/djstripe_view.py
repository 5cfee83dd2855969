"""dj-stripe with its callback alone: each webhook is verified, stored, and given to a function that does nothing.

`python -m bench.peers.djstripe_view asgi|wsgi PORT DATABASE_URL SECRET`, on an interpreter of its own, which has
dj-stripe, psycopg with its pool, uvicorn, uvloop and httptools.
"""

# Django carries no types.
# mypy: disable-error-code="import-untyped,import-not-found"

import sys
from typing import Final

from django.core.management import call_command
from django.db import connection
from django.urls import include, path

from bench.peers import django_server

ENDPOINT: Final = "00000000-0000-4000-8000-000000000001"
urlpatterns: list[object] = []  # filled once Django is configured


def understand_nothing(_trigger: object, **_facts: object) -> None:
    """The callback."""


def main() -> None:
    interface, port, url, secret = sys.argv[1:]
    django_server.configure(
        url,
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "djstripe"],
        STRIPE_LIVE_MODE=False,
        STRIPE_TEST_SECRET_KEY="sk_test_counterfoil_bench",
        DJSTRIPE_FOREIGN_KEY_TO_FIELD="id",
        DJSTRIPE_WEBHOOK_EVENT_CALLBACK=understand_nothing,
    )
    urlpatterns.append(path("", include("djstripe.urls")))
    call_command("migrate", verbosity=0)
    from djstripe.models import WebhookEndpoint

    WebhookEndpoint.objects.create(
        id="we_bench",
        djstripe_uuid=ENDPOINT,
        secret=secret,
        livemode=False,
        enabled_events=["*"],
        url="http://127.0.0.1/",
    )
    connection.close()  # the pool has one for each thread that serves, and no more
    django_server.serve(interface, int(port))


if __name__ == "__main__":
    main()
