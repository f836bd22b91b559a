#!/usr/bin/env bash
# The clients of Node.js: pg with cursors and copy streams, postgres.js, knex, sequelize, typeorm, Cube's driver. Their packages are
# pinned in package.json and installed once into the target folder.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
command -v npm >/dev/null || { echo "npm is not installed: the clients of Node.js are not tried here"; exit 77; }
cd "$here/../../.."
modules=${CARGO_TARGET_DIR:-$PWD/target}/node/$(sha256sum "$here/package.json" | cut -c1-16)
if [ ! -e "$modules/complete" ]; then
  rm -rf "$modules"
  mkdir -p "$modules"
  cp "$here/package.json" "$modules"
  (cd "$modules" && npm install --silent --no-audit --no-fund --ignore-scripts >&2)
  touch "$modules/complete"
fi
cp "$here"/*.js "$modules"
cd "$modules"
exec node verify.js
