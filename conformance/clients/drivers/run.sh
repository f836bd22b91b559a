#!/usr/bin/env bash
# Three drivers that speak the extended protocol each in its own way: psycopg (text and binary), asyncpg (binary only,
# named statements), pg8000 (text only, Sync between every step).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/../venv.sh" "$here/requirements.txt")
exec "$python" "$here/verify.py"
