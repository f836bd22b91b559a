#!/usr/bin/env bash
# Makes the Python environment that a requirements file asks for, once, and prints the path of its python. It lives in
# the target folder under a name made of the file's content, so that a changed pin gives a new environment and an
# unchanged one costs nothing.
set -euo pipefail
requirements=$1
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-$PWD/target}
venv=$target/python/$(sha256sum "$requirements" | cut -c1-16)

if [ ! -e "$venv/complete" ]; then
  rm -rf "$venv"
  python3 -m venv "$venv" >&2
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements" >&2
  touch "$venv/complete"
fi
echo "$venv/bin/python"
