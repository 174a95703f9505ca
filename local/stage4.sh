#!/bin/sh
# The command `stage4` of this checkout; `make setup` links it into .venv/bin.
set -eu
repo=$(dirname "$(dirname "$(readlink -f "$0")")")
# -P: a folder named `stage4` or `rich` where the command is called must not be imported.
PYTHONPATH="$repo:$repo/plugins${PYTHONPATH:+:$PYTHONPATH}" exec "$repo/.venv/bin/python" -P \
    -m stage4.cli "$@"
