#!/usr/bin/env bash
# psqlODBC under unixODBC, driven by pyodbc: what Excel and BI tools do. The driver is Debian's odbc-postgresql.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/../venv.sh" "$here/requirements.txt")
ODBC_VERSION=$(dpkg-query -W -f '${Version}' odbc-postgresql 2>/dev/null || echo unknown)
export ODBC_VERSION
PYTHONPATH=$here/.. exec "$python" "$here/verify.py"
