#!/usr/bin/env bash
# `make test`: everything CI runs, in the order in which a mistake is cheapest to find. Every step runs even when an
# earlier one failed, except that nothing runs on a server that could not be built. The last line is the sum over the
# steps, `N passed, N failed`; the exit status is 0 only when nothing failed.
#
# STEPS="slt faults" runs only those steps, STEPS=all those that take long or download much, too; KILLS=500 makes the
# fault run longer, OPERATIONS=100000 the random SQL of each of SEEDS, STATEMENTS=100000 that which PostgreSQL answers too,
# SECONDS_TOGETHER=120 the concurrent writers, FUZZ_SECONDS=600 each target of the fuzzer. The heavy clients, which download
# hundreds of megabytes, run when STEPS names them (`make clients`), and so does the fuzzer (`make test-all`).
set -uo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
conformance=$target/debug/conformance
logs=$(mktemp -d "${TMPDIR:-/tmp}/tarn-test.XXXXXX")
kills=${KILLS:-50}
operations=${OPERATIONS:-1000}
seeds=${SEEDS:-1 2 3 4 5 6}
statements=${STATEMENTS:-10000}
seconds=${SECONDS_TOGETHER:-30}
ordinary="format dependencies licences lint unit build slt crawl differential parity operate psql pgbench drivers copy flight rest hostile sqlalchemy jdbc odbc pyiceberg interop s3 damage faults concurrency demo"
heavy="node dbt tools arrow duckdb sqlmesh superset described fuzz"
steps=${STEPS:-$ordinary}
[ "$steps" != all ] || steps="$ordinary $heavy"
passed=0
failed=0
failures=()
skipped=77 # the exit status of a step that had nothing to run

# Runs one step and adds what its last `N passed, N failed` lines count; a step that prints none counts as one.
step() {
  local name=$1 status counted_passed counted_failed
  shift
  case " $steps " in *" $name "*) ;; *) return 0 ;; esac
  echo "== $name: $*"
  local started=$SECONDS
  "$@" 2>&1 | tee "$logs/$name.log"
  status=${PIPESTATUS[0]}
  if [ "$status" -eq "$skipped" ]; then
    echo "== $name: skipped"
    echo
    return 0
  fi
  counted_passed=$(sum_of passed "$logs/$name.log")
  counted_failed=$(sum_of failed "$logs/$name.log")
  if [ $((counted_passed + counted_failed)) -eq 0 ]; then
    if [ "$status" -eq 0 ]; then counted_passed=1; else counted_failed=1; fi
  elif [ "$status" -ne 0 ] && [ "$counted_failed" -eq 0 ]; then
    counted_failed=1
  fi
  passed=$((passed + counted_passed))
  failed=$((failed + counted_failed))
  [ "$counted_failed" -eq 0 ] && [ "$status" -eq 0 ] || failures+=("$name")
  echo "== $name: $counted_passed passed, $counted_failed failed, $((SECONDS - started)) s"
  echo
}

# The steps print `12 passed, 0 failed`, cargo test prints `test result: ok. 12 passed; 0 failed; ...` per binary.
sum_of() {
  grep -E '^([0-9]+ passed, [0-9]+ failed$|test result: )' "$2" |
    grep -oE "[0-9]+ $1" | awk '{ sum += $1 } END { print sum + 0 }'
}

one_version_each() {
  local tree crate versions wrong=0
  tree=$(cargo tree --workspace --prefix none --format '{p}') || return 1
  for crate in arrow parquet datafusion object_store sqlparser iceberg rocksdb tonic; do
    versions=$(awk -v crate="$crate" '$1 == crate { print $2 }' <<<"$tree" | sort -u | wc -l)
    if [ "$versions" -gt 1 ]; then
      echo "there are $versions versions of $crate in the tree; see cargo tree -i $crate"
      wrong=1
    fi
  done
  return $wrong
}

licences() {
  if command -v cargo-deny >/dev/null 2>&1; then
    cargo deny check
  else
    echo "cargo-deny is not installed: licences and advisories are not checked here (cargo install cargo-deny)"
    return "$skipped"
  fi
}

finish() {
  [ -z "${CLIENT_TABLE:-}" ] || python3 conformance/clients/table.py "$logs"/*.log
  rm -rf "$logs"
  [ ${#failures[@]} -eq 0 ] || echo "failed steps: ${failures[*]}"
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ] && [ ${#failures[@]} -eq 0 ]
  exit
}

step format cargo fmt --all --check
step dependencies one_version_each
step licences licences
step lint cargo clippy --quiet --workspace --all-targets -- -D warnings
step unit cargo test --workspace --no-fail-fast
step build cargo build --workspace --bins
case " ${failures[*]:-} " in *" build "*) finish ;; esac

step slt "$conformance" slt
step slt "$conformance" slt --protocol flight
step crawl "$conformance" with-server conformance/crawl/run.sh
for seed in $seeds; do
  step differential "$conformance" differential --seed "$seed" --operations "$operations"
done
step parity "$conformance" parity --statements "$statements"
step operate "$conformance" operate
step psql "$conformance" with-server conformance/clients/psql/run.sh
step pgbench "$conformance" with-server conformance/clients/pgbench/run.sh
step drivers "$conformance" with-server conformance/clients/drivers/run.sh
step copy "$conformance" with-server conformance/clients/copy/run.sh
step flight env TARN_TLS_SELF_SIGNED=true "$conformance" with-server conformance/clients/flight/run.sh
step rest "$conformance" with-server conformance/clients/rest/run.sh
step hostile conformance/clients/hostile/run.sh "$target/debug/tarn"
step fuzz conformance/clients/hostile/fuzz.sh "$target/debug/tarn"
for client in sqlalchemy jdbc odbc node dbt tools arrow duckdb sqlmesh superset described; do
  step "$client" "$conformance" with-server "conformance/clients/$client/run.sh"
done
step pyiceberg "$conformance" with-server conformance/clients/pyiceberg/run.sh
step interop "$conformance" with-server conformance/clients/interop/run.sh
step s3 conformance/clients/s3/run.sh "$target/debug/tarn"
step damage "$conformance" damage
step faults "$conformance" faults --kills "$kills"
step concurrency "$conformance" concurrency --seconds "$seconds"
step demo "$conformance" demo --exit --folder "$logs/demo"
finish
