#!/bin/sh
# Makes the locks in requirements/ anew from pyproject.toml: every version with its hashes, for every platform, and no
# host's name. Versions that are locked stay; `tools/lock.sh --upgrade` moves them all, `--upgrade-package NAME` one.
set -eu
cd "$(dirname "$0")/.."

lock() {
    .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url -p 3.11 "$@" >/dev/null
}

lock "$@" pyproject.toml --output-file requirements/run.lock
lock "$@" pyproject.toml --extra dev --constraint requirements/run.lock --output-file requirements/dev.lock
lock "$@" pyproject.toml --extra dev --extra bench --constraint requirements/dev.lock --output-file requirements/bench.lock
lock "$@" requirements/uv.in --output-file requirements/uv.lock

if grep -nE '://|^--(index|extra-index|find-links)' requirements/*.lock; then
    echo "A lock names a host, as above: that must not be committed." >&2
    exit 1
fi
