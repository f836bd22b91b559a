#!/usr/bin/env bash
# Smaller tools: pgcli's completion and describing commands, ibis, Perl's DBD::Pg, and a call of every function in pg_proc.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/../venv.sh" "$here/requirements.txt") || exit 1
status=0
PYTHONPATH=$here/.. "$python" "$here/verify.py" || status=1
perl "$here/dbi.pl" || status=1
exit $status
