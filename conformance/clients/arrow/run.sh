#!/usr/bin/env bash
# Clients that read into Arrow by binary COPY: polars through connectorx and ADBC, and ADBC's own catalog calls and ingest.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/../venv.sh" "$here/requirements.txt")
PYTHONPATH=$here/.. exec "$python" "$here/verify.py"
