#!/usr/bin/env bash
# sqlmesh: plans of a small project with every kind of model, a changed model, a second environment, audits.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/../venv.sh" "$here/requirements.txt")
export SQLMESH__DISABLE_ANONYMIZED_ANALYTICS=true
PYTHONPATH=$here/.. exec "$python" "$here/verify.py"
