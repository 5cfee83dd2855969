import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def run(root, *arguments):
    tool = root / "tools" / "events_page.py"
    return subprocess.run([sys.executable, tool, *arguments], capture_output=True, check=False).returncode


@pytest.fixture
def elsewhere(tmp_path):
    """A copy of the tool, which writes beside itself."""
    (tmp_path / "tools").mkdir()
    for name in ("events_page.py", "page.py"):
        shutil.copy(ROOT / "tools" / name, tmp_path / "tools")
    return tmp_path


def test_the_page_in_the_repository_is_up_to_date():
    assert run(ROOT, "--check") == 0


def test_the_page_names_every_event_with_its_facts_or_its_reason(elsewhere):
    assert run(elsewhere) == 0
    page = (elsewhere / "docs" / "generated" / "events.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) == 275 + 68
    assert "| `charge.captured` | `charge.captured` |" in rows
    assert any(row.startswith("| `payout.paid` | ignored because: ") for row in rows)


def test_a_stale_page_is_told_by_the_exit_code(elsewhere):
    assert run(elsewhere, "--check") == 1
    run(elsewhere)
    assert run(elsewhere, "--check") == 0
    page = elsewhere / "docs" / "generated" / "events.md"
    page.write_text(page.read_text("utf-8") + "x", "utf-8")
    assert run(elsewhere, "--check") == 1
