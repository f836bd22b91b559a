"""SQLAlchemy over psycopg, psycopg2, asyncpg and pg8000: the inspector, reflection, Core, the ORM. Then psycopg2 by
itself and pandas. Tables here have no keys, so the ORM is told which column identifies a row."""

import asyncio
import datetime
import decimal

import pandas
import psycopg2
import psycopg2.extras
import sqlalchemy
from sqlalchemy import MetaData, Table, delete, func, insert, inspect, select, text, update
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session, registry

from checks import HOST, PORT, Checks

checks = Checks()
DRIVERS = ["psycopg", "psycopg2", "asyncpg", "pg8000"]

TABLES = """
CREATE SCHEMA {schema};
COMMENT ON SCHEMA {schema} IS 'what was sold';
CREATE TABLE {schema}.orders (
  id bigint NOT NULL, small smallint, number integer, customer text, price numeric(12,2), ratio double precision,
  exact real, paid boolean DEFAULT false, ordered_on date, at timestamp, seen timestamptz, raw bytea, key uuid,
  tags text[], code varchar
) WITH (format_version = 3);
COMMENT ON TABLE {schema}.orders IS 'every order';
COMMENT ON COLUMN {schema}.orders.price IS 'in euro';
CREATE SCHEMA {schema}_keyed;
CREATE TABLE {schema}_keyed.parent (id bigint PRIMARY KEY, code varchar(8) UNIQUE, country char(2));
CREATE TABLE {schema}_keyed.line (
  number integer CHECK (number > 0), parent bigint REFERENCES {schema}_keyed.parent ON DELETE CASCADE,
  CONSTRAINT line_key PRIMARY KEY (parent, number)
);
CREATE VIEW {schema}.big AS SELECT id, price FROM {schema}.orders WHERE price > 10;
"""


def url(driver):
    return f"postgresql+{driver}://tarn@{HOST}:{PORT}/lake"


def inspector_answers(inspector, schema):
    """Everything the inspector can be asked, on one table."""
    check = checks.equal
    check("schemas", {"public", schema} <= set(inspector.get_schema_names()), True)
    check("tables", inspector.get_table_names(schema=schema), ["orders"])
    check("views", inspector.get_view_names(schema=schema), ["big"])
    check("materialized views", inspector.get_materialized_view_names(schema=schema), [])
    check("temporary tables", inspector.get_temp_table_names(), [])
    check("sequences", inspector.get_sequence_names(schema=schema), [])
    checks.true("view definition", "price > 10" in inspector.get_view_definition("big", schema=schema))
    check("has_table", [inspector.has_table(name, schema=schema) for name in ("orders", "big", "none")], [True, True, False])
    check("has_schema", [inspector.has_schema(name) for name in (schema, "none")], [True, False])
    columns = inspector.get_columns("orders", schema=schema)
    check("columns", [column["name"] for column in columns][:5], ["id", "small", "number", "customer", "price"])
    check("types", [str(column["type"]) for column in columns], [
        "BIGINT", "INTEGER", "INTEGER", "TEXT", "NUMERIC(12, 2)", "DOUBLE PRECISION", "REAL", "BOOLEAN", "DATE",
        "TIMESTAMP", "TIMESTAMP", "BYTEA", "UUID", "ARRAY", "VARCHAR"])
    check("nullable", [column["nullable"] for column in columns][:2], [False, True])
    check("default", columns[7]["default"], "false")
    check("column comment", columns[4]["comment"], "in euro")
    check("table comment", inspector.get_table_comment("orders", schema=schema), {"text": "every order"})
    check("primary key", inspector.get_pk_constraint("orders", schema=schema)["constrained_columns"], [])
    check("foreign keys", inspector.get_foreign_keys("orders", schema=schema), [])
    check("indexes", inspector.get_indexes("orders", schema=schema), [])
    check("unique constraints", inspector.get_unique_constraints("orders", schema=schema), [])
    check("check constraints", inspector.get_check_constraints("orders", schema=schema), [])
    key = inspector.get_pk_constraint("line", schema=f"{schema}_keyed")
    check("a primary key", (key["name"], key["constrained_columns"]), ("line_key", ["parent", "number"]))
    [foreign] = inspector.get_foreign_keys("line", schema=f"{schema}_keyed")
    check("a foreign key", [foreign[part] for part in ("name", "constrained_columns", "referred_table", "referred_columns", "options")],
          ["line_parent_fkey", ["parent"], "parent", ["id"], {"ondelete": "CASCADE"}])
    [unique] = inspector.get_unique_constraints("parent", schema=f"{schema}_keyed")
    check("a unique constraint", (unique["name"], unique["column_names"]), ("parent_code_key", ["code"]))
    [checked] = inspector.get_check_constraints("line", schema=f"{schema}_keyed")
    check("a check constraint", (checked["name"], checked["sqltext"]), ("line_number_check", "number > 0"))
    lengths = inspector.get_columns("parent", schema=f"{schema}_keyed")[1:]
    check("lengths", [str(column["type"]) for column in lengths], ["VARCHAR(8)", "CHAR(2)"])
    check("enums", inspector.get_enums(), [])
    check("domains", inspector.get_domains(), [])
    check("options", inspector.get_table_options("orders", schema=schema), {})
    check("multi columns", len(inspector.get_multi_columns(schema=schema)[(schema, "orders")]), 15)


def core(connection, orders):
    rows = [{"id": n, "customer": f"c{n % 2}", "price": decimal.Decimal(n), "tags": ["a", "b"]} for n in range(1, 21)]
    connection.execute(insert(orders), rows)
    checks.equal("insert and count", connection.scalar(select(func.count()).select_from(orders)), 20)
    total = select(orders.c.customer, func.sum(orders.c.price)).group_by(orders.c.customer).order_by(orders.c.customer)
    checks.equal("group by", [tuple(row) for row in connection.execute(total)], [("c0", decimal.Decimal(110)), ("c1", decimal.Decimal(100))])
    checks.equal("in", connection.scalars(select(orders.c.id).where(orders.c.id.in_([3, 4, 99])).order_by(orders.c.id)).all(), [3, 4])
    checks.equal("update", connection.execute(update(orders).where(orders.c.id <= 5).values(customer="first")).rowcount, 5)
    checks.equal("delete", connection.execute(delete(orders).where(orders.c.id == 20)).rowcount, 1)
    limited = select(orders.c.id).order_by(orders.c.id.desc()).limit(2).offset(1)
    checks.equal("limit and offset", connection.scalars(limited).all(), [18, 17])
    moment = datetime.datetime(2026, 2, 3, 4, 5, 6, 789000)
    values = {
        "id": 100, "small": -3, "number": 7, "ratio": 2.5, "exact": 1.5, "paid": True, "ordered_on": moment.date(), "at": moment,
        "seen": moment.replace(tzinfo=datetime.timezone.utc), "raw": b"\x00\xff", "tags": ["x", None], "code": "zwölf",
    }
    connection.execute(insert(orders).values(values))
    names = [orders.c[name] for name in values]
    checks.equal("types", dict(connection.execute(select(*names).where(orders.c.id == 100)).one()._mapping), values)
    returned = connection.execute(insert(orders).values(id=101, customer="r").returning(orders.c.id, orders.c.paid)).one()
    checks.equal("returning", tuple(returned), (101, False))


def orm(engine, orders):
    class Order:
        def __init__(self, **values):
            for name, value in values.items():
                setattr(self, name, value)

    registry().map_imperatively(Order, orders, primary_key=[orders.c.id])
    with Session(engine) as session:
        session.add_all([Order(id=n, customer="orm", price=decimal.Decimal("1.50")) for n in (201, 202, 203)])
        session.flush()
        found = session.get(Order, 202)
        found.customer = "changed"
        session.commit()
        checks.equal("ORM commit", session.scalars(select(Order.customer).where(Order.id == 202)).one(), "changed")
        session.delete(session.get(Order, 203))
        session.commit()
        session.add(Order(id=204))
        session.flush()
        session.rollback()
        identities = session.scalars(select(Order.id).where(Order.id > 200).order_by(Order.id)).all()
        checks.equal("ORM delete and rollback", identities, [201, 202])
        with session.begin_nested():
            session.add(Order(id=205))
        session.commit()
        checks.equal("ORM savepoint", session.get(Order, 205).id, 205)


def created_tables(engine, schema):
    made = MetaData(schema=schema)
    Table("made", made, sqlalchemy.Column("id", sqlalchemy.BigInteger, nullable=False),
          sqlalchemy.Column("name", sqlalchemy.String, comment="what it is called"), comment="made by SQLAlchemy")
    made.create_all(engine)
    checks.equal("create_all", inspect(engine).get_table_comment("made", schema=schema), {"text": "made by SQLAlchemy"})
    made.drop_all(engine)
    checks.equal("drop_all", inspect(engine).has_table("made", schema=schema), False)


def sqlalchemy_sync(driver):
    schema = f"alchemy_{driver}"
    engine = sqlalchemy.create_engine(url(driver))
    with engine.begin() as connection:
        for statement in filter(str.strip, TABLES.format(schema=schema).split(";")):
            connection.execute(text(statement))
        checks.equal("version", connection.dialect.server_version_info[0], 15)
    inspector_answers(inspect(engine), schema)
    metadata = MetaData()
    metadata.reflect(engine, schema=schema, views=True)
    checks.equal("reflect", sorted(metadata.tables), [f"{schema}.big", f"{schema}.orders"])
    orders = metadata.tables[f"{schema}.orders"]
    checks.run(lambda: engine.begin().__enter__().close())
    with engine.begin() as connection:
        core(connection, orders)
    orm(engine, orders)
    created_tables(engine, schema)
    with engine.connect() as connection:
        failed = checks.raises("wrong column", sqlalchemy.exc.ProgrammingError, lambda: connection.execute(text("SELECT nothing")))
        checks.true("SQLSTATE", "nothing" in str(failed))
        connection.rollback()
        checks.equal("after an error", connection.scalar(text("SELECT 1")), 1)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        checks.equal("autocommit", connection.scalar(text("SELECT :x + 1"), {"x": 41}), 42)
    engine.dispose()


async def sqlalchemy_async():
    schema = "alchemy_asyncpg"
    engine = create_async_engine(url("asyncpg"))
    async with engine.begin() as connection:
        for statement in filter(str.strip, TABLES.format(schema=schema).split(";")):
            await connection.execute(text(statement))
        await connection.run_sync(lambda sync: inspector_answers(inspect(sync), schema))
        metadata = MetaData()
        await connection.run_sync(lambda sync: metadata.reflect(sync, schema=schema, views=True))
        orders = metadata.tables[f"{schema}.orders"]
        await connection.run_sync(lambda sync: core(sync, orders))
    async with engine.connect() as connection:
        await connection.run_sync(lambda sync: orm(sync, orders))
    await engine.dispose()


def psycopg2_alone():
    connection = psycopg2.connect(host=HOST, port=PORT, user="tarn", dbname="lake")
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE psycopg2_rows (id bigint, name text, price numeric(10,2), at timestamptz)")
    moment = datetime.datetime(2026, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)
    with connection, connection.cursor() as cursor:
        cursor.executemany("INSERT INTO psycopg2_rows VALUES (%s, %s, %s, %s)",
                           [(n, f"it's {n}", decimal.Decimal(n) / 4, moment) for n in range(5)])
        psycopg2.extras.execute_values(cursor, "INSERT INTO psycopg2_rows (id, name) VALUES %s", [(n, "v") for n in range(5, 300)])
        psycopg2.extras.execute_batch(cursor, "INSERT INTO psycopg2_rows (id) VALUES (%s)", [(n,) for n in range(300, 310)])
        cursor.execute("SELECT count(*), min(price), max(at) FROM psycopg2_rows")
        checks.equal("executemany, execute_values, execute_batch", cursor.fetchone(), (310, decimal.Decimal("0.00"), moment))
    with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
        cursor.execute("SELECT id, name FROM psycopg2_rows WHERE id = ANY(%s) ORDER BY id", ([1, 2],))
        checks.equal("dictionary rows", [dict(row) for row in cursor], [{"id": 1, "name": "it's 1"}, {"id": 2, "name": "it's 2"}])
        failed = checks.raises("division", psycopg2.errors.DivisionByZero, lambda: cursor.execute("SELECT 1 / 0"))
        checks.equal("SQLSTATE", failed.pgcode, "22012")
        checks.raises("aborted", psycopg2.errors.InFailedSqlTransaction, lambda: cursor.execute("SELECT 1"))
    connection.rollback()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM psycopg2_rows WHERE id >= %(from)s", {"from": 100})
        checks.equal("rowcount", cursor.rowcount, 210)
    connection.rollback()
    connection.set_session(isolation_level="SERIALIZABLE", readonly=True)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM psycopg2_rows")
        checks.equal("after rollback, read only", cursor.fetchone(), (310,))
    checks.equal("encoding", connection.encoding, "UTF8")
    connection.close()


def pandas_frames():
    engine = sqlalchemy.create_engine(url("psycopg"))
    frame = pandas.DataFrame({
        "id": range(1000), "name": [f"n{n}" for n in range(1000)], "price": [n / 4 for n in range(1000)],
        "at": pandas.date_range("2026-01-01", periods=1000, freq="h"), "good": [n % 2 == 0 for n in range(1000)],
    })
    frame.to_sql("frames", engine, index=False)
    frame.to_sql("frames", engine, index=False, if_exists="append", method="multi", chunksize=500)
    frame.to_sql("replaced", engine, index=False)
    frame.head(10).to_sql("replaced", engine, index=False, if_exists="replace")
    read = pandas.read_sql("SELECT count(*) AS n, sum(price) AS total FROM frames", engine)
    checks.equal("read_sql", read.iloc[0].tolist(), [2000, float(2 * frame["price"].sum())])
    table = pandas.read_sql_table("replaced", engine)
    checks.equal("read_sql_table", sorted(table["name"]), [f"n{n}" for n in range(10)])
    checks.equal("dtypes", [str(table[name].dtype) for name in ("id", "price", "good")], ["int64", "float64", "bool"])
    parameters = pandas.read_sql(text("SELECT id FROM frames WHERE id < :top ORDER BY id"), engine, params={"top": 2})
    checks.equal("parameters", parameters["id"].tolist(), [0, 0, 1, 1])
    chunks = pandas.read_sql("SELECT id FROM frames", engine, chunksize=600)
    checks.equal("chunks", [len(chunk) for chunk in chunks], [600, 600, 600, 200])
    engine.dispose()


def main():
    exercised = "inspector, reflection, Core, ORM with flush, commit, rollback, savepoint, create_all"
    for driver in DRIVERS:
        version = f"{sqlalchemy.__version__}, {driver} {__import__(driver).__version__.split(' ')[0]}"
        checks.start(f"SQLAlchemy over {driver}", version, exercised)
        checks.run(lambda: asyncio.run(sqlalchemy_async()) if driver == "asyncpg" else sqlalchemy_sync(driver))
    exercised = "BEGIN before the first statement, executemany, execute_values, dictionary rows, SQLSTATEs, isolation"
    checks.start("psycopg2", psycopg2.__version__.split(" ")[0], exercised)
    checks.run(psycopg2_alone)
    checks.start("pandas", pandas.__version__, "read_sql, read_sql_table, to_sql row by row and multi, replace, chunks")
    checks.run(pandas_frames)
    checks.finish()


main()
