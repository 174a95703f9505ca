#!/bin/sh
# Builds .venv from the lock file; does nothing when that was done already. Used by `make setup`.
#   PYTHON=/path/to/python   the interpreter to use, instead of the newest fitting one
set -eu
cd "$(dirname "$0")/.."

LOCK=requirements-dev.txt
STAMP=.venv/.stamp
FITS='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
HAS_VENV='import ensurepip, venv'
# What .venv depends on: the lock, this script, and the interpreter.
KEY='import hashlib, pathlib, sys
digest = hashlib.sha256(sys.version.encode())
for name in sys.argv[1:]: digest.update(pathlib.Path(name).read_bytes())
print(digest.hexdigest())'

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

fits() {
    "$1" -c "$FITS" 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        fits "$PYTHON" || fail "PYTHON=$PYTHON is not a Python from 3.11 to 3.13"
        echo "$PYTHON"
        return
    fi
    for candidate in python3.13 python3.12 python3.11 python3; do
        if fits "$candidate" && "$candidate" -c "$HAS_VENV" 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    for candidate in python3.13 python3.12 python3.11 python3; do
        fits "$candidate" && fail "$candidate has no venv or no pip: install them (on Debian and" \
            "Ubuntu: apt-get install python3-venv), or name another one: make setup PYTHON=..."
    done
    fail "found no Python from 3.11 to 3.13: install one, or name it: make setup PYTHON=..."
}

is_done() {
    [ -f "$STAMP" ] && [ "$(cat "$STAMP")" = "$(key 2>&1)" ]
}

key() {
    .venv/bin/python -c "$KEY" "$LOCK" local/setup.sh
}

usable() {
    fits .venv/bin/python && { [ -x .venv/bin/uv ] || .venv/bin/python -c 'import pip'; } &&
        { [ -z "${PYTHON:-}" ] || [ "$(version "$PYTHON")" = "$(version .venv/bin/python)" ]; }
}

version() {
    "$1" -c 'import sys; print(sys.version)'
}

create_venv() {
    python=$(find_python)
    "$python" -c "$HAS_VENV" 2>/dev/null || fail "$python has no venv or no pip"
    echo "Building .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
}

install_uv() {
    # The lock's own entry, with its hashes; uv then installs all the rest.
    awk '/^uv==/ {found = 1} found {print} found && !/\\$/ {exit}' "$LOCK" >.venv/uv.txt
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        --no-deps --require-hashes --requirement .venv/uv.txt
}

if usable 2>/dev/null && is_done; then
    exit 0
fi
usable 2>/dev/null || create_venv
rm -f "$STAMP"
[ -x .venv/bin/uv ] || install_uv
# Compiled now, once: where PYTHONDONTWRITEBYTECODE is set, every process would compile Airflow anew,
# which takes two to three times as long as to import it.
UV_PYTHON_DOWNLOADS=never .venv/bin/uv pip sync --python .venv/bin/python --require-hashes \
    --compile-bytecode "$LOCK"
ln -sf ../../local/stage4.sh .venv/bin/stage4
# The engine's kernels, compiled ahead: else the first task of each kind would do it.
.venv/bin/python -m clustering_tasks warm-up
key >"$STAMP"
