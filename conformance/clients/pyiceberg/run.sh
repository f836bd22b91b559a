#!/usr/bin/env bash
# Reads every table of a running server with PyIceberg and compares it with what the server itself says. Without
# arguments it first makes tables of every type and shape on the server named by TARN_HOST and TARN_PORT.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/../venv.sh" "$here/requirements.txt")

if [ $# -eq 0 ]; then
  psql -X -q -v ON_ERROR_STOP=1 -h "$TARN_HOST" -p "$TARN_PORT" -U tarn -d lake -f "$here/tables.sql" >/dev/null
  set -- --host "$TARN_HOST" --port "$TARN_PORT" --no-orphans
fi
exec "$python" "$here/verify.py" "$@"
