#!/usr/bin/env bash
# What a person does in psql on a first day: the \d family, listing, Tab completion (as the queries that psql sends
# for it), variables, output formats, files, cancelling. Each check is one psql call whose output must match.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export PGHOST=$TARN_HOST PGPORT=$TARN_PORT PGUSER=tarn PGDATABASE=lake PSQLRC=/dev/null PAGER=cat
passed=0
failed=0

# check <name> <extended regular expression> <psql arguments...>: the output holds a line that matches.
check() {
  local name=$1 pattern=$2 output
  shift 2
  output=$(psql -X "$@" 2>&1)
  if grep -qE -- "$pattern" <<<"$output"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf '  %s: expected /%s/, got:\n%s\n' "$name" "$pattern" "$output" | head -15
  fi
}

# complete <name> <expected> <query>: a query that psql sends when Tab is pressed gives the expected name.
complete() { check "Tab: $1" "^$2\$" -At -c "$3"; }

psql -X -q -v ON_ERROR_STOP=1 -f "$here/tables.sql" || failed=$((failed + 1))

check 'connection' 'You are connected to database "lake" as user "tarn"' -c '\conninfo'
check '\l' '^ lake +\| tarn' -c '\l'
check '\dn' '^ +sales +\| tarn' -c '\dn'
check '\dn+' 'what was sold' -c '\dn+'
check '\dt' '^ public +\| plain +\| table +\| tarn' -c '\dt'
check '\dt schema' '^ sales +\| orders +\| table +\| tarn' -c '\dt sales.*'
check '\dt+ comment' 'every order' -c '\dt+ sales.*'
check '\dv' '^ sales +\| big +\| view +\| tarn' -c '\dv sales.*'
check '\d lists' '^ public +\| plain' -c '\d'
check '\d table heading' 'Table "sales.orders"' -c '\d sales.orders'
check '\d table column' '^ id +\| bigint +\| +\| not null' -c '\d sales.orders'
check '\d table numeric' '^ price +\| numeric\(12,2\)' -c '\d sales.orders'
check '\d table timestamptz' '^ at +\| timestamp with time zone' -c '\d sales.orders'
check '\d table array' '^ tags +\| text\[\]' -c '\d sales.orders'
check '\d+ column comment' 'in euro' -c '\d+ sales.orders'
check '\d view heading' 'View "sales.big"' -c '\d sales.big'
check '\d+ view definition' 'SELECT' -c '\d+ sales.big'
check '\d quoted' '^ Mixed +\| text' -c '\d sales."Odd Name"'
check '\d wildcard' 'Table "sales.orders"' -c '\d sales.ord*'
check '\d unknown' 'Did not find any relation named "nothing"' -c '\d nothing'
check '\du' '^ analyst +\| Cannot login' -c '\du'
check '\dp' 'analyst=r' -c '\dp sales.orders'
check '\df' '\(0 rows\)|List of functions' -c '\df no_such_function'
check '\di' 'Did not find any relation' -c '\di no*'
check '\dT' 'List of data types' -c '\dT'
check '\d of a key' '"keyed_pkey" PRIMARY KEY, declared \(id\) NOT ENFORCED' -c '\d keyed'
check '\d of a foreign key' '"keyed_parent_fkey" FOREIGN KEY \(parent\) REFERENCES keyed\(id\) NOT ENFORCED' -c '\d keyed'
check '\d of who references it' 'TABLE "keyed" CONSTRAINT "keyed_parent_fkey" FOREIGN KEY' -c '\d keyed'
check '\d of a CHECK' '"keyed_id_check" CHECK \(\(?id > 0\)?\)' -c '\d keyed'
check '\d of lengths' '^ code +\| character varying\(5\)' -c '\d keyed'
check '\di of a key' '^ public +\| keyed_pkey +\| index +\| tarn +\| keyed' -c '\di keyed*'
check '\d of an index' 'primary key, declared, for table "public.keyed"' -c '\d keyed_pkey'
check '\dd' 'Object descriptions' -c '\dd'
check '\dL' 'internal' -c '\dLS'
check '\dy' 'List of event triggers' -c '\dy'
check '\df of a function' '^ pg_catalog +\| initcap +\| text +\| text +\| func' -c '\df initcap'
check '\df of a procedure' '^ system +\| crawl' -c '\df system.*'
check '\da' 'string_agg' -c '\da string_agg'
check 'tableoid' '^sales.orders$' -At -c 'SELECT DISTINCT tableoid::regclass FROM sales.orders'
check 'temporary table' '^2$' -At -c 'CREATE TEMP TABLE short AS SELECT * FROM sales.orders; SELECT count(*) FROM short'
check 'a temporary table goes with its session' 'relation "short" does not exist' -c 'SELECT * FROM short'
check '\sv' 'CREATE OR REPLACE VIEW sales.big' -c '\sv sales.big'
check '\x' 'id +\| 1' -x -c 'SELECT id FROM sales.orders WHERE id = 1'
check 'csv' '^1,10.50$' --csv -c 'SELECT id, price FROM sales.orders WHERE id = 1'
check '\gset and \gdesc' '^large 3$' -Atq -f "$here/session.sql"
check '\gdesc' '^price\|numeric\(12,2\)$' -Atq -f "$here/session.sql"
check 'several statements' '^b$' -At -c "SELECT 'a'; SELECT 'b'"
check 'command tag of CTAS' '^SELECT 2$' -c 'CREATE TABLE tagged AS SELECT * FROM sales.orders'
check 'command tag of INSERT' '^INSERT 0 2$' -c 'INSERT INTO tagged SELECT * FROM sales.orders'
check 'command tag of DROP' '^DROP TABLE$' -c 'DROP TABLE tagged'
check 'error position' '^ +\^' -c 'SELECT nothing FROM sales.orders'
check 'error state' '^ERROR:  42P01' -v VERBOSITY=verbose -c 'SELECT * FROM nothing'
check 'hint' '^HINT:' -c 'SELECT * FROM sales.ordres'
check 'the session goes on after an error' '^1$' -At -c 'SELECT * FROM nothing' -c 'SELECT 1'
# psql fetches in portions through DECLARE CURSOR.
check 'FETCH_COUNT' '^200 200$' -At -F ' ' -v FETCH_COUNT=100 -c 'SELECT count(*), max(x) FROM generate_series(1, 200) AS g(x)'
check '\copy' '^COPY 2$' -c "\\copy sales.orders TO '/dev/null'"

# The queries of psql 15's tab completion, as it sends them for these prefixes.
complete 'relations' 'plain' "SELECT pg_catalog.quote_ident(c.relname) FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'S', 'v', 'm', 'f', 'p') AND (c.relname) LIKE 'pla%' AND pg_catalog.pg_table_is_visible(c.oid) AND c.relnamespace <> (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'pg_catalog') LIMIT 1000"
complete 'schemas' 'sales' "SELECT n.nspname FROM pg_catalog.pg_namespace n WHERE (n.nspname) LIKE 'sal%' AND n.nspname NOT LIKE E'pg\\\\_%' LIMIT 1000"
complete 'relations of a schema' 'orders' "SELECT pg_catalog.quote_ident(c.relname) FROM pg_catalog.pg_class c, pg_catalog.pg_namespace n WHERE n.oid = c.relnamespace AND c.relkind IN ('r', 'v') AND (c.relname) LIKE 'ord%' AND n.nspname = 'sales' LIMIT 1000"
complete 'columns' 'price' "SELECT pg_catalog.quote_ident(attname) FROM pg_catalog.pg_attribute a, pg_catalog.pg_class c WHERE c.oid = a.attrelid AND a.attnum > 0 AND NOT a.attisdropped AND (attname) LIKE 'pri%' AND c.relname = 'orders' LIMIT 1000"
complete 'roles' 'analyst' "SELECT rolname FROM pg_catalog.pg_roles WHERE (rolname) LIKE 'ana%' LIMIT 1000"
complete 'databases' 'lake' "SELECT d.datname FROM pg_catalog.pg_database d WHERE (d.datname) LIKE 'la%' LIMIT 1000"
complete 'settings' 'search_path' "SELECT pg_catalog.lower(name) FROM pg_catalog.pg_settings WHERE pg_catalog.lower(name) LIKE 'search%' LIMIT 1000"

# Ctrl-C in psql: the statement ends with 57014 and the session goes on.
output=$(timeout -s INT 2 psql -X -At -v ON_ERROR_STOP=0 \
  -c 'SELECT count(*) FROM generate_series(1, 100000) AS a(x), generate_series(1, 10000000) AS b(y) WHERE x * y % 7 = 3' 2>&1)
if grep -q 'canceling statement due to user request' <<<"$output"; then
  passed=$((passed + 1))
else
  failed=$((failed + 1))
  printf '  cancel: got:\n%s\n' "$output"
fi

# Tab itself, in a terminal: the relation's name is completed from its first letters.
completed=$(printf 'SELECT count(*) FROM sales.ord\t;\n\\q\n' |
  TERM=dumb timeout 20 script -qec 'psql -X -At' /dev/null 2>&1)
if grep -q 'sales.orders' <<<"$completed" && grep -qE '^2' <<<"${completed//$'\r'/}"; then
  passed=$((passed + 1))
else
  failed=$((failed + 1))
  printf '  Tab in a terminal: got:\n%s\n' "$completed"
fi

version=$(psql --version | grep -oE '[0-9]+\.[0-9]+' | head -1)
echo "client | psql | $version | the \d family, Tab completion, variables, formats, errors, cancel | $passed passed, $failed failed"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
