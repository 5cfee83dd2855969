#!/bin/sh
# Runs the tests on every core, and tells how much of the code they saw. Arguments go to pytest.
set -eu
cd "$(dirname "$0")/.."

# The processes that tests start are measured too, wherever they run.
export COVERAGE_PROCESS_START="$PWD/pyproject.toml" COVERAGE_FILE="$PWD/.coverage"

CHROMIUM=$(tools/browser.sh)
export CHROMIUM

.venv/bin/coverage erase
status=0
.venv/bin/coverage run -m pytest --numprocesses auto --dist worksteal "$@" || status=$?
.venv/bin/coverage combine --quiet
rm -f .coverage.* # half a file of a process that a test killed
printf 'Coverage: %s %%\n' "$(.venv/bin/coverage report --format=total)"
exit $status
