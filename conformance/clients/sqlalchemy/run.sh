#!/usr/bin/env bash
# SQLAlchemy over four drivers, psycopg2 by itself, and pandas on top of them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/../venv.sh" "$here/requirements.txt")
PYTHONPATH=$here/.. exec "$python" "$here/verify.py"
