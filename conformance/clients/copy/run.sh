#!/usr/bin/env bash
# COPY through psql (\copy both ways in every format), psycopg (blocks and rows, text and binary) and asyncpg (records in
# and queries out, binary), inside transactions, with bad data, and with clients that are killed halfway.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/../venv.sh" "$here/requirements.txt")
exec "$python" "$here/verify.py"
