"""A sandbox whose faults and clock belong to these tests alone."""

from collections.abc import Iterator

import pytest

from service import Service


@pytest.fixture(autouse=True)
def no_faults_left(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "service" in request.fixturenames:
        service: Service = request.getfixturevalue("service")
        service.sandbox.control("DELETE", "faults")
