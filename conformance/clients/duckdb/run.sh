#!/usr/bin/env bash
# DuckDB's postgres extension: ATTACH, read, write. The extension comes as a Python package, with its binary inside.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/../venv.sh" "$here/requirements.txt")
PYTHONPATH=$here/.. exec "$python" "$here/verify.py"
