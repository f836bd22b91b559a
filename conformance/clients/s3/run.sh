#!/usr/bin/env bash
# A warehouse on an S3 server: the whole round of load, query, restart and crawl against moto on loopback.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/../venv.sh" "$here/requirements.txt")
exec "$python" "$here/verify.py" "$(realpath "$1")"
