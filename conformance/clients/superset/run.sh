#!/usr/bin/env bash
# Superset through its models, without its web server: a database, schemas, datasets, charts, SQL Lab, cost estimates.
# Its packages take nearly a gigabyte.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/../venv.sh" "$here/requirements.txt")
PYTHONPATH=$here/.. exec "$python" "$here/verify.py"
