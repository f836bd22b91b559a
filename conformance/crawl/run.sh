#!/usr/bin/env bash
# Crawls delimited files with every kind of dirt and compares the tables with what is in them: `generate.py` makes the
# files and the truth, `verify.py` crawls and compares. `--compare` shows what DuckDB and pandas make of the same files.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/../clients/venv.sh" "$here/requirements.txt")
PYTHONPATH=$here/../clients exec "$python" "$here/verify.py" "$@"
