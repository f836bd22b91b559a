#!/usr/bin/env bash
# Random changes of good input for FUZZ_SECONDS at each reader of what clients send: start-up packets, messages, SCRAM, SQL,
# parameters, and the data of copies. Python's standard library alone.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
exec python3 "$here/fuzz.py" "$(realpath "$1")"
