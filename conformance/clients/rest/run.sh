#!/usr/bin/env bash
# Clients of the Iceberg REST door: PyIceberg with polars and daft on top of it, DuckDB with its iceberg extension, and bare
# requests for what no client shows. The server tells its address in TARN_HTTP.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/../venv.sh" "$here/requirements.txt")
POLARS_ICEBERG_PLANNER=pyiceberg PYTHONPATH=$here/.. exec "$python" "$here/verify.py"
