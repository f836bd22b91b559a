#!/usr/bin/env bash
# Clients of Arrow Flight SQL: ADBC with data frames on top of it, flightsql-dbapi with its SQLAlchemy dialect, and the bare calls of
# pyarrow. The server tells its address in TARN_FLIGHT.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/../venv.sh" "$here/requirements.txt")
PYTHONPATH=$here/.. exec "$python" "$here/verify.py"
