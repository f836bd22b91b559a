#!/usr/bin/env bash
# Other engines on the tables of the server named by TARN_HOST and TARN_PORT: PyIceberg and DuckDB read what Tarn wrote.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/../venv.sh" "$here/requirements.txt")
for script in "$here/../pyiceberg/tables.sql" "$here/tables.sql"; do
  psql -X -q -v ON_ERROR_STOP=1 -h "$TARN_HOST" -p "$TARN_PORT" -U tarn -d lake -f "$script" >/dev/null
done
exec "$python" "$here/verify.py" --host "$TARN_HOST" --port "$TARN_PORT"
