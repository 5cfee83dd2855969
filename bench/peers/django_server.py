"""Django as fast as it plainly goes: no middleware, kept database connections, uvicorn with uvloop and httptools."""

# Django carries no types.
# mypy: disable-error-code="import-untyped,import-not-found"

from typing import Any, Final
from urllib.parse import urlsplit

import django
import uvicorn
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

THREADS: Final = 10  # as many as uvicorn gives a WSGI application


def configure(url: str, **more: Any) -> None:
    """Set Django up for the database of an address; the URLs are those of the program that runs."""
    parts = urlsplit(url)
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path[1:],
        "USER": parts.username,
        "PASSWORD": parts.password,
        "HOST": parts.hostname,
        "PORT": parts.port,
        "OPTIONS": {"pool": {"min_size": THREADS, "max_size": THREADS}},
    }
    settings.configure(
        DATABASES={"default": database},
        ROOT_URLCONF="__main__",
        ALLOWED_HOSTS=["127.0.0.1"],
        USE_TZ=True,
        SECRET_KEY="counterfoil-bench",
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        **more,
    )
    django.setup()


def serve(interface: str, port: int) -> None:
    """Serve "asgi" or "wsgi" until interrupted."""
    app: Any = get_asgi_application() if interface == "asgi" else get_wsgi_application()
    uvicorn.run(
        app,
        port=port,
        interface="asgi3" if interface == "asgi" else "wsgi",
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
