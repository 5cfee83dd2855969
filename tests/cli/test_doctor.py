"""counterfoil doctor, as an operator runs it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from counterfoil.cli.main import app
from database import Database
from sandbox_server import run_sandbox
from service import environment


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "key"


def test_all_is_well(database: Database, key_file: Path, monkeypatch: pytest.MonkeyPatch):
    with run_sandbox() as sandbox:
        for name, value in environment(sandbox, database.owner_url, key_file).items():
            monkeypatch.setenv(name, value)
        ran = CliRunner().invoke(app, ["doctor"])
        assert ran.exit_code == 0, ran.output
        assert "gateway stripe" in ran.output
        assert "FAIL" not in ran.output


def test_what_fails_is_told_with_its_mend_and_by_the_exit_status(
    database: Database, key_file: Path, monkeypatch: pytest.MonkeyPatch
):
    with run_sandbox() as sandbox:
        for name, value in environment(sandbox, database.owner_url, key_file).items():
            monkeypatch.setenv(name, value)
        sandbox.fault("razorpay", "*", "error_4xx", status=401, times=None)
        told = CliRunner().invoke(app, ["doctor"])
        as_json = CliRunner().invoke(app, ["doctor", "--json"])
    assert told.exit_code == as_json.exit_code == 1
    assert "→ Check the key of razorpay" in told.output
    failing = [found["name"] for found in json.loads(as_json.stdout) if found["state"] == "fail"]
    assert failing == ["gateway razorpay"]
