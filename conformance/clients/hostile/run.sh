#!/usr/bin/env bash
# Clients that mean harm, or are broken: slow, silent, malformed, far too many, wrong about their password. After each
# kind the server answers others and has given back what it took. Python's standard library alone.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
exec python3 "$here/verify.py" "$(realpath "$1")"
