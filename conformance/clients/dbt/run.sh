#!/usr/bin/env bash
# dbt with its PostgreSQL adapter on a small project: seed, tables, views, incremental models of each strategy, a
# snapshot, tests, docs; then everything once more on changed rows.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/../venv.sh" "$here/requirements.txt") || exit 1
work=$(mktemp -d "${TMPDIR:-/tmp}/tarn-dbt.XXXXXX")
trap 'rm -rf "$work"' EXIT
cp -r "$here/project/." "$work"
cd "$work"
export DBT_PROFILES_DIR=$work DBT_SEND_ANONYMOUS_USAGE_STATS=false DO_NOT_TRACK=1 NO_COLOR=1
export PGHOST=$TARN_HOST PGPORT=$TARN_PORT PGUSER=tarn PGDATABASE=lake
passed=0
failed=0

# dbt <name> <arguments...>: the command succeeds.
dbt() {
  local name=$1
  shift
  if "$(dirname "$python")/dbt" --no-use-colors "$@" --no-version-check >"$work/log" 2>&1; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "  dbt: $name:"
    grep -A3 -E 'Error in|Runtime Error' "$work/log" | head -12
  fi
}

# equal <name> <expected> <query>: what psql answers.
equal() {
  local got
  got=$(psql -X -At -c "$3" 2>&1)
  if [ "$got" = "$2" ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "  dbt: $1: got $got, expected $2"
  fi
}

dbt debug debug
dbt seed seed
equal 'seeded rows' 3 'SELECT count(*) FROM dbt.raw_orders'
dbt 'first run' run
for model in appended replaced merged; do
  equal "first run of $model" 3 "SELECT count(*) FROM dbt.$model"
done
dbt snapshot snapshot
dbt test test
dbt 'docs generate' docs generate
psql -X -q -c "UPDATE dbt.raw_orders SET amount = 99 WHERE id = 2" -c "INSERT INTO dbt.raw_orders VALUES (4, 'd', 40)"
dbt 'second run' run
equal 'table' 4 'SELECT count(*) FROM dbt.totals'
equal 'view' 4 'SELECT count(*) FROM dbt.staged'
equal 'incremental append' 7 'SELECT count(*) FROM dbt.appended'
equal 'incremental delete+insert' '4|99' 'SELECT count(*), max(amount) FROM dbt.replaced'
equal 'incremental merge' '4|99' 'SELECT count(*), max(amount) FROM dbt.merged'
dbt 'second snapshot' snapshot
equal 'snapshot' '5|1' 'SELECT count(*), count(dbt_valid_to) FROM dbt.history'
dbt 'tests again' test
dbt 'full refresh' run --full-refresh
equal 'appended anew' 4 'SELECT count(*) FROM dbt.appended'
dbt build build --full-refresh
version=$("$python" -c 'from importlib.metadata import version; print(version("dbt-core") + ", dbt-postgres " + version("dbt-postgres"))')
echo "client | dbt | $version | seed, table, view, incremental append, delete+insert and merge, snapshot, tests, docs generate | $passed passed, $failed failed"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
