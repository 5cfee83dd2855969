#!/bin/sh
# Makes .venv from the locks, and does nothing when it is already made from them.
#
#   tools/setup.sh          all that the service and the checks need
#   tools/setup.sh test     also the browser that tests drive
#   tools/setup.sh bench    also the peers that benchmarks run against
#
# Every package is fetched by the hash that its lock names. As root on Debian, what the system lacks is installed by
# apt-get; elsewhere the command is printed, and nothing outside this folder is touched.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "$@"
    exit 1
}

# Whether apt-get may be used.
apt_is_ours() { [ "$(id -u)" -eq 0 ] && [ -e /etc/debian_version ] && command -v apt-get >/dev/null; }

apt_install() { DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null; }

# Install packages of Debian, or say how: $1 is why, the rest are packages.
install() {
    why=$1
    shift
    if apt_is_ours; then
        say "Installing $* ($why)"
        apt_install "$@" 2>/dev/null ||
            { apt-get update -qq && apt_install "$@"; } || # the lists at hand were too old, or none
            fail "apt-get could not install $*."
    elif [ -e /etc/debian_version ]; then
        fail "$why. Install it with: sudo apt-get install $*"
    else
        return 1
    fi
}

find_python() {
    for name in python3.13 python3.12 python3.11 python3; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    return 1
}

# The first Python that will do; the system's own is installed where there is none.
choose_python() {
    find_python && return
    install "Counterfoil needs Python 3.11 or newer" python3 python3-venv ||
        fail "Counterfoil needs Python 3.11 or newer. Install it with: brew install python@3.13"
    find_python || fail "Counterfoil needs Python 3.11 or newer; this system's is older."
}

make_venv() {
    python=$(choose_python)
    minor=$("$python" -c 'import sys; print(sys.version_info.minor)')
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        install "Python's module venv is missing" "python3.$minor-venv" ||
        fail "$python lacks the modules venv and ensurepip. Install a Python that has them."
    say "Making .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv
}

# Whether .venv was made here, by a Python that is still there.
usable_venv() {
    .venv/bin/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null &&
        grep -qF "$PWD/.venv/bin/python" .venv/bin/pip
}

fill_venv() {
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.lock
    uv pip sync --quiet --compile-bytecode --require-hashes requirements/dev.lock
    uv pip install --quiet --no-deps --no-build-isolation --editable .
}

uv() {
    VIRTUAL_ENV=$PWD/.venv .venv/bin/uv "$@"
}

# What .venv is made from; it moves with nothing, so its place is part of that.
origin() {
    printf '%s\n' "$PWD"
    cat requirements/uv.lock requirements/dev.lock pyproject.toml tools/setup.sh | cksum
}

find_browser() {
    tools/browser.sh >/dev/null ||
        install "The browser tests need Chromium" chromium fonts-liberation fonts-noto-core ||
        fail "The browser tests need Chromium or Chrome. Install it with: brew install --cask google-chrome"
}

add_peers() {
    wanted=$(cksum <requirements/bench.lock)
    [ "$wanted" = "$(cat .venv/peers 2>/dev/null)" ] && return
    uv pip install --quiet --require-hashes -r requirements/bench.lock
    printf '%s\n' "$wanted" >.venv/peers
}

if [ "$(cat .venv/origin 2>/dev/null)" != "$(origin)" ]; then
    usable_venv || make_venv
    fill_venv
    rm -f .venv/peers
    origin >.venv/origin
fi

case "${1:-}" in
'') ;;
test) find_browser ;;
bench) add_peers ;;
*) fail "tools/setup.sh takes nothing, test or bench" ;;
esac
