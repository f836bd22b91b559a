"""pgcli and ibis through their own classes, and every function that pg_proc lists, called once with NULLs."""

import importlib.metadata

import ibis
import pgcli.pgexecute
import psycopg
from pgspecial.main import PGSpecial

from checks import HOST, PORT, Checks

checks = Checks()
# In pg_proc's words for any type, one that does.
ANY_TYPE = {"any": "int4", "anyelement": "int4", "anynonarray": "int4", "anycompatible": "int4", "anycompatiblenonarray": "int4"}
ANY_ARRAY = {"anyarray": "int4[]", "anycompatiblearray": "int4[]"}
# What cannot be called with NULLs: the values that do instead.
CALLS = {
    "current_user": "current_user", "session_user": "session_user", "user": "user",
    "ntile": "ntile(2) OVER ()", "nth_value": "nth_value(1, 2) OVER ()",
    "percentile_cont": "percentile_cont(0.5) WITHIN GROUP (ORDER BY 1.5)", "mode": "mode() WITHIN GROUP (ORDER BY 1.5)",
    "percentile_disc": "percentile_disc(0.5) WITHIN GROUP (ORDER BY 1.5)", "format": "format('%s', 1)",
    "json_object_agg": "json_object_agg('a', 1)", "jsonb_object_agg": "jsonb_object_agg('a', 1)",
    "array_fill": "array_fill(1, ARRAY[2])",
    "json_build_object": "json_build_object('a', 1)", "jsonb_build_object": "jsonb_build_object('a', 1)",
    "json_build_array": "json_build_array(1)", "jsonb_build_array": "jsonb_build_array(1)",
    "json_extract_path": "json_extract_path('{}', 'a')", "jsonb_extract_path": "jsonb_extract_path('{}', 'a')",
    "json_extract_path_text": "json_extract_path_text('{}', 'a')", "jsonb_extract_path_text": "jsonb_extract_path_text('{}', 'a')",
    "encode": "encode('\\x00'::bytea, 'hex')", "decode": "decode('00', 'hex')", "make_time": "make_time(1, 2, 3)",
    "to_date": "to_date('2026-01-02', 'YYYY-MM-DD')", "to_timestamp": "to_timestamp('2026-01-02', 'YYYY-MM-DD')",
    "set_config": "set_config('application_name', 'x', false)",
    "row_to_json": "row_to_json(named_struct('a', 1))", "date_part": "date_part('day', now())", "date_trunc": "date_trunc('day', now())",
}
TABLES = """
CREATE SCHEMA tools;
CREATE TABLE tools.orders (id bigint NOT NULL, name text, price numeric(10,2), at timestamptz, tags text[]);
COMMENT ON TABLE tools.orders IS 'every order';
CREATE VIEW tools.big AS SELECT id, price FROM tools.orders WHERE price > 10;
INSERT INTO tools.orders VALUES (1, 'a', 5, '2026-01-02', ARRAY['x']), (2, 'b', 50, NULL, NULL);
"""


def pgcli_all():
    execute = pgcli.pgexecute.PGExecute("lake", "tarn", "", HOST, PORT)
    check = checks.equal
    check("schemata", {"tools", "public", "pg_catalog"} <= set(execute.schemata()), True)
    check("tables", ("tools", "orders") in list(execute.tables()), True)
    check("views", ("tools", "big") in list(execute.views()), True)
    columns = [column[2:4] for column in execute.table_columns() if column[:2] == ("tools", "orders")]
    check("columns", columns, [("id", "bigint"), ("name", "text"), ("price", "numeric"), ("at", "timestamp with time zone"), ("tags", "text[]")])
    check("view columns", [column[2] for column in execute.view_columns() if column[1] == "big"], ["id", "price"])
    check("databases", list(execute.databases()), ["lake"])
    check("foreign keys", list(execute.foreignkeys()), [])
    functions = list(execute.functions())
    checks.true("functions", any(function.func_name == "initcap" for function in functions))
    checks.run(lambda: list(execute.datatypes()), lambda: list(execute.search_path()), execute.full_databases)
    check("view definition", "price > 10" in execute.view_definition("tools.big"), True)
    special = PGSpecial()
    for command in (r"\dt tools.*", r"\d tools.orders", r"\d tools.big", r"\dv tools.*", r"\dn", r"\du", r"\df initcap", r"\dT", r"\l", r"\di"):
        def describe():
            with execute.conn.cursor() as cursor:
                results = [list(rows or []) for _, rows, _, _ in special.execute(cursor, command)]
                # There are no indexes, and no types that users made.
                check(command, any(results), command not in (r"\di", r"\dT"))
        checks.run(describe)


def ibis_all():
    connection = ibis.postgres.connect(host=HOST, port=PORT, user="tarn", database="lake", schema="tools")
    check = checks.equal
    check("tables", sorted(connection.list_tables(database="tools")), ["big", "orders"])
    check("databases", "tools" in connection.list_databases(), True)
    orders = connection.table("orders", database="tools")
    check("schema", [str(kind) for kind in orders.schema().types][:3], ["!int64", "string", "decimal(10, 2)"])
    check("aggregate", float(orders.price.sum().execute()), 55.0)
    check("filter", orders.filter(orders.price > 10).name.execute().tolist(), ["b"])
    grouped = orders.group_by(orders.name).agg(n=orders.count()).order_by("name").execute()
    check("group", grouped.values.tolist(), [["a", 1], ["b", 1]])
    connection.create_table("copied", orders.select("id", "name"), database="tools")
    check("create table", connection.table("copied", database="tools").count().execute(), 2)
    connection.create_view("seen", orders.select("id"), database="tools")
    # What it sends to drop a view or table has no name.
    check("create view", connection.table("seen", database="tools").count().execute(), 2)
    connection.con.execute("DROP VIEW tools.seen")
    connection.con.execute("DROP TABLE tools.copied")
    check("raw SQL", connection.raw_sql("SELECT max(id) FROM tools.orders").fetchone(), (2,))
    connection.disconnect()


def every_function():
    connection = psycopg.connect(host=HOST, port=PORT, user="tarn", dbname="lake", autocommit=True)
    listed = connection.execute("""
        SELECT p.oid, p.proname, p.prokind, array_to_string(p.proargtypes, ' ') FROM pg_catalog.pg_proc p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace ORDER BY p.oid""").fetchall()
    types = dict(connection.execute("SELECT oid, format_type(oid, NULL) FROM pg_catalog.pg_type").fetchall())
    names = dict(connection.execute("SELECT oid, typname FROM pg_catalog.pg_type").fetchall())
    checks.true("functions are listed", len(listed) > 300)
    for _, name, kind, arguments in listed:
        arguments = [int(oid) for oid in arguments.split()]
        if any(oid not in names for oid in arguments) or name.endswith(("in", "out", "recv", "send", "_in", "_out")) and not CALLS.get(name) and is_of_type(name):
            continue
        wanted = [ANY_TYPE.get(names[oid]) or ANY_ARRAY.get(names[oid]) or types[oid] for oid in arguments]
        call = f"{name}({', '.join(f'NULL::{kind}' for kind in wanted)})"
        call = "count(*)" if name == "count" and not arguments else CALLS.get(name, call)
        source = f"SELECT * FROM {call}" if name == "pg_get_keywords" or "_each" in name else f"SELECT {call}{' OVER ()' if kind == 'w' and 'OVER' not in call else ''}"
        try:
            connection.execute(source).fetchall()
            checks.count(True)
        except psycopg.Error as error:
            checks.count(False)
            print(f"  {checks.client}: {source}: {error}")


def is_of_type(name):
    """The functions of types take what has no name in SQL."""
    return name in FUNCTIONS_OF_TYPES


def functions_of_types():
    with psycopg.connect(host=HOST, port=PORT, user="tarn", dbname="lake") as connection:
        rows = connection.execute("SELECT typinput, typoutput, typreceive, typsend FROM pg_catalog.pg_type").fetchall()
    return {name for row in rows for name in row}


with psycopg.connect(host=HOST, port=PORT, user="tarn", dbname="lake", autocommit=True) as first:
    for statement in filter(str.strip, TABLES.split(";")):
        first.execute(statement)
FUNCTIONS_OF_TYPES = functions_of_types()
checks.start("pgcli", importlib.metadata.version("pgcli"), "completion of every kind of name, describing commands")
checks.run(pgcli_all)
checks.start("ibis", ibis.__version__, "tables, schemas, expressions, CREATE TABLE and VIEW from expressions")
checks.run(ibis_all)
checks.start("functions of pg_proc", "15", "every function that is listed, called once")
checks.run(every_function)
checks.finish()
