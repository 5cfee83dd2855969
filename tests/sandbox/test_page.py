"""docs/sandbox.md names every control call, and none that is not there."""

import re
from pathlib import Path

from starlette.routing import Mount, Route

from counterfoil.sandbox.app import create_app
from counterfoil.sandbox.config import Config
from counterfoil.sandbox.razorpay.account import REFUND_COURSES, Switches
from counterfoil.sandbox.stripe.refunding import COURSES, REFUSED

PAGE = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text("utf-8")


def control_paths():
    [mount] = [
        route
        for route in create_app(Config()).routes
        if isinstance(route, Mount) and route.path == "/_sandbox"
    ]
    assert all(isinstance(route, Route) for route in mount.routes)
    return {f"/_sandbox{route.path}".replace("{id:int}", "{id}") for route in mount.routes}


def test_the_page_names_every_control_call_and_no_other():
    assert set(re.findall(r"`(/_sandbox/[^`]*)`", PAGE)) == control_paths()


def test_the_page_names_every_switch_and_every_course_of_a_refund():
    for name in (*Switches.__dataclass_fields__, *REFUND_COURSES, *COURSES, REFUSED):
        assert f'"{name}"' in PAGE or f"`{name}`" in PAGE, name
