#!/usr/bin/env bash
# pgbench, which comes with the PostgreSQL server: its tables made and filled in both ways, and its scripts run in every
# protocol. Each check is one call whose output must match; what the tables hold afterwards is asked in psql. Where there is
# no pgbench the step is skipped.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export PGHOST=$TARN_HOST PGPORT=$TARN_PORT PGUSER=tarn PGDATABASE=lake PSQLRC=/dev/null PAGER=cat
passed=0
failed=0

pgbench=$(command -v pgbench || ls -1 /usr/lib/postgresql/*/bin/pgbench 2>/dev/null | tail -1)
if [ -z "$pgbench" ]; then
  echo "pgbench is not installed: nothing is checked here (package postgresql)"
  exit 77
fi

# check <name> <extended regular expression> <command...>: the output holds a line that matches.
check() {
  local name=$1 pattern=$2 output
  shift 2
  output=$("$@" 2>&1)
  if grep -qE -- "$pattern" <<<"$output"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf '  %s: expected /%s/, got:\n%s\n' "$name" "$pattern" "$output" | head -20
  fi
}

ask() { psql -X -At -F ' ' -c "$1"; }
counts='SELECT count(*) FROM pgbench_branches UNION ALL SELECT count(*) FROM pgbench_tellers UNION ALL SELECT count(*) FROM pgbench_accounts ORDER BY 1'

check 'rows by COPY' 'done in [0-9.]+ s' "$pgbench" -i -q
check 'what was copied' '^1 10 100000$' bash -c "psql -X -At -c '$counts' | paste -sd' '"
check 'the filler is padded' '^84$' bash -c "psql -X -At -c 'SELECT filler FROM pgbench_accounts LIMIT 1' | awk '{ print length(\$0) }'"
check 'rows by generate_series' 'done in [0-9.]+ s' "$pgbench" -i -q -I dtGvp
check 'what was generated' '^1 10 100000$' bash -c "psql -X -At -c '$counts' | paste -sd' '"
check 'the primary key' '^aid$' ask "SELECT column_name FROM information_schema.key_column_usage WHERE constraint_name = 'pgbench_accounts_pkey'"
check 'foreign keys' 'done in [0-9.]+ s' "$pgbench" -i -q -I dtgvpf
check 'five of them' '^5$' ask "SELECT count(*) FROM pg_constraint WHERE contype = 'f'"

# run <protocol> <script...>: 20 transactions without a failed one.
run() {
  local name=$1
  shift
  check "$name" 'number of transactions actually processed: 20/20' "$pgbench" -n -c 2 -t 10 "$@"
}

for protocol in simple extended prepared; do
  run "$protocol: select-only" -M "$protocol" -S
  run "$protocol: a script of its own" -M "$protocol" -f "$here/totals.sql"
  # One client: those of several would meet in one row of a branch, which is a conflict (40001).
  check "$protocol: tpcb-like" 'number of transactions actually processed: 10/10' "$pgbench" -n -c 1 -t 10 -M "$protocol"
  check "$protocol: simple-update" 'number of transactions actually processed: 10/10' "$pgbench" -n -c 1 -t 10 -M "$protocol" -N
done
check 'money is where it was put' '^t$' ask 'SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history)'
check 'every transaction left its row' '^60$' ask 'SELECT count(*) FROM pgbench_history'
check 'conflicts are tried again' 'number of transactions actually processed: 20/20' "$pgbench" -n -c 2 -t 10 -M prepared --max-tries=100 -b tpcb-like
check 'vacuum before a run' 'number of transactions actually processed: 5/5' "$pgbench" -c 1 -t 5 -S

version=$("$pgbench" --version | grep -oE '[0-9]+\.[0-9]+' | head -1)
exercised='tables by COPY and by generate_series, keys, select-only, tpcb-like, simple-update and scripts in all three protocols'
echo "client | pgbench | $version | $exercised | $passed passed, $failed failed"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
