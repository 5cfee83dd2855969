"""The command line as a whole: what there is, and how it says that something is wrong."""

import pytest

from counterfoil.cli.main import COMMANDS
from service import Service


def test_help_names_every_command_with_what_it_does(run):
    helped = run("--help")
    assert helped.status == 0
    lines = {line.split()[0]: line.split()[1:] for line in helped.out.splitlines() if line.startswith("  ")}
    assert all(len(lines[command]) > 2 for command in COMMANDS)


def test_the_version_is_told(spawn):
    assert spawn("--version").out.startswith("counterfoil, version ")


@pytest.mark.parametrize("command", ["nothing", "key", ""])
def test_an_unknown_command_is_refused(run, command):
    ran = run(command)
    assert ran.status == 2
    assert "No such command" in ran.err


def test_a_configuration_that_cannot_be_is_one_sentence_and_no_traceback(spawn):
    ran = spawn("keys", "list", mode="prod")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == "counterfoil: COUNTERFOIL_MODE is 'prod'; it must be sandbox or live.\n"


def test_a_misspelt_variable_is_named(run):
    ran = run("keys", "list", stripe_secretkey="sk_test_counterfoil_hidden")
    assert ran.status == 0
    assert ran.err == "counterfoil: COUNTERFOIL_STRIPE_SECRETKEY is set, but there is no such variable; is it misspelt?\n"  # fmt: skip


@pytest.mark.parametrize(
    "url", ["postgresql://app:hidden@127.0.0.1:1/x", "mysql://app:hidden@127.0.0.1/x", "nonsense hidden"]
)
@pytest.mark.parametrize("command", [("payments", "list"), ("migrate",)])
def test_a_database_that_is_away_is_one_sentence_without_its_password(run, url, command):
    ran = run(*command, database_url=url)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("counterfoil: ")
    assert ran.err.count("\n") == 1
    assert "hidden" not in ran.err


def test_another_key_file_is_one_sentence(run, tmp_path):
    ran = run("payments", "list", key_file=tmp_path / "other")
    assert ran.status == 1
    assert "COUNTERFOIL_KEY_FILE is not the key it was sealed with" in ran.err


def test_a_log_line_may_be_json(spawn, service: Service):
    ran = spawn("keys", "list", "--json", log="json", stripe_secret_key="sk_test_counterfoil_differs")
    assert ran.status == 0
    assert '"variable": "COUNTERFOIL_STRIPE_SECRET_KEY"' in ran.err
