"""Where things may stand, as far as imports alone cannot say it: .importlinter holds the rest."""

import ast
import configparser
import re
import sys
from pathlib import Path

import pytest

import counterfoil

SOURCE = Path(counterfoil.__file__).parent
SQL = re.compile(
    r"\s*(SELECT\s.*\sFROM|INSERT\s+INTO|UPDATE\s.*\sSET|DELETE\s+FROM|CREATE\s+(TABLE|INDEX|ROLE|DATABASE|FUNCTION)"
    r"|ALTER\s+TABLE|DROP\s+(TABLE|DATABASE)|TRUNCATE\s|LISTEN\s|NOTIFY\s|GRANT\s.*\sTO|WITH\s.*\sAS\s*\()",
    re.DOTALL,
)


def modules(folder=SOURCE):
    return {
        path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text("utf-8"))
        for path in folder.rglob("*.py")
    }


def texts(tree):
    """Every string of a module that is not a docstring; an f-string as a whole, its expressions as x."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr):
            yield (
                node.lineno,
                "".join(part.value if isinstance(part, ast.Constant) else "x" for part in node.values),
            )


def statements(name, tree):
    return [f"{name}:{line}: {text.strip()[:40]}" for line, text in texts(tree) if SQL.match(text)]


def test_there_is_no_sql_outside_the_store():
    """The sandbox is another world: its truth is an SQLite file of its own, and it cannot import the driver of ours."""
    elsewhere = {
        name: tree for name, tree in modules().items() if not name.startswith(("store/", "sandbox/"))
    }
    assert [found for name, tree in elsewhere.items() for found in statements(name, tree)] == []


def test_that_would_be_seen():
    written = (
        "SELECT id FROM x",
        "\n  UPDATE x SET a = 1",
        "insert into x".upper(),
        "DELETE FROM x",
        "WITH a AS (SELECT 1)",
    )
    for statement in written:
        assert statements("x", ast.parse(f"query = {statement!r}"))
    assert statements("x", ast.parse('query = f"SELECT {columns} FROM {table}"'))
    for sentence in ("Select a method", "UPDATE", "WITH care", '"""SELECT a FROM b"""'):
        assert not statements("x", ast.parse(f"said = {sentence!r}"))


def test_the_store_is_where_it_was_looked_for():
    assert sum(bool(statements(name, tree)) for name, tree in modules(SOURCE / "store").items()) > 5


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def test_the_domain_stands_on_the_standard_library_alone():
    for name, tree in modules(SOURCE / "domain").items():
        for module in imported(tree):
            assert (
                module.startswith("counterfoil.domain.") or module.split(".")[0] in sys.stdlib_module_names
            ), name


def test_the_domain_asks_nobody_for_the_time_and_nothing_of_the_outside():
    outside = {
        "asyncio",
        "io",
        "os",
        "pathlib",
        "random",
        "secrets",
        "socket",
        "sqlite3",
        "subprocess",
        "threading",
        "time",
        "urllib.request",
    }
    for name, tree in modules(SOURCE / "domain").items():
        assert not outside & set(imported(tree)), name
        calls = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
        assert not {"now", "utcnow", "today"} & set(calls), name


@pytest.mark.parametrize(
    ("contract", "names", "but"),
    [
        ("gateways-unnamed", "source_modules", {"wiring", "gateways"}),
        ("gateways-unnamed", "source_modules", {"gateways.stripe", "gateways.razorpay"}),
        ("sandbox", "forbidden_modules", {"sandbox"}),
    ],
)
def test_a_contract_that_lists_modules_lists_them_all(contract, names, but):
    contracts = configparser.ConfigParser()
    contracts.read(SOURCE.parents[1] / ".importlinter")
    listed = {
        name.removeprefix("counterfoil.")
        for name in contracts[f"importlinter:contract:{contract}"][names].split()
    }
    folder, prefix = (SOURCE / "gateways", "gateways.") if "gateways.stripe" in but else (SOURCE, "")
    there = {prefix + path.stem for path in folder.iterdir() if not path.stem.startswith("_")}
    assert there - but <= listed
