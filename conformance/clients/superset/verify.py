"""Superset through its Python models. Its own state is in a SQLite file."""

import contextlib
import importlib.metadata
import os
import pathlib
import sys
import tempfile
import warnings

from checks import HOST, PORT, Checks

# The folders of the other clients beside checks.py are no packages.
sys.path = [path for path in sys.path if not (pathlib.Path(path) / "checks.py").exists()]
warnings.simplefilter("ignore")
folder = tempfile.TemporaryDirectory(prefix="tarn-superset")
CONFIG = f"""
SECRET_KEY = "{'x' * 42}"
SQLALCHEMY_DATABASE_URI = "sqlite:///{folder.name}/superset.db"
CACHE_CONFIG = DATA_CACHE_CONFIG = {{"CACHE_TYPE": "NullCache"}}
FILTER_STATE_CACHE_CONFIG = EXPLORE_FORM_DATA_CACHE_CONFIG = {{"CACHE_TYPE": "SimpleCache"}}
FEATURE_FLAGS = {{"ESTIMATE_QUERY_COST": True}}
TALISMAN_ENABLED = False
LOG_LEVEL = "CRITICAL"
"""
pathlib.Path(folder.name, "superset_config.py").write_text(CONFIG)
os.environ["SUPERSET_CONFIG_PATH"] = f"{folder.name}/superset_config.py"
os.environ["SUPERSET_HOME"] = folder.name

from superset.app import create_app  # noqa: E402

app = create_app()
app.app_context().push()

from flask_appbuilder import Model  # noqa: E402
from superset.connectors.sqla.models import SqlaTable, SqlMetric  # noqa: E402
from superset.extensions import db  # noqa: E402
from superset.models.core import Database  # noqa: E402
from superset.sql.parse import Table  # noqa: E402

Model.metadata.create_all(db.engine)
checks = Checks()
lake = Database(database_name="lake", sqlalchemy_uri=f"postgresql+psycopg2://tarn@{HOST}:{PORT}/lake", allow_dml=True)
SALES = """
CREATE TABLE bi.sales AS SELECT x::bigint AS id, 'city ' || (x % 4) AS city, (x / 2.0)::numeric(10,2) AS amount,
 timestamp '2026-01-01 00:00:00' + x * interval '6 hours' AS at, date '2026-01-01' + (x / 4)::int AS on_day, x % 2 = 0 AS paid
FROM generate_series(1, 400) AS g(x)"""


def connect():
    db.session.add(lake)
    db.session.commit()
    with lake.get_raw_connection() as connection:
        cursor = connection.cursor()
        for sql in ("CREATE SCHEMA bi", SALES.replace("x * interval '6 hours'", "(x || ' days')::interval"), "CREATE VIEW bi.seen AS SELECT city, amount FROM bi.sales"):
            cursor.execute(sql)
        connection.commit()
    checks.equal("dialect", lake.backend, "postgresql")
    with lake.get_sqla_engine() as engine, contextlib.closing(engine.raw_connection()) as connection:
        checks.true("ping", engine.dialect.do_ping(connection))


def explore():
    checks.true("schemas", {"bi", "public"} <= set(lake.get_all_schema_names(catalog=None)))
    checks.true("catalogs", "lake" in lake.get_all_catalog_names())
    checks.equal("tables", {name for name, *_ in lake.get_all_table_names_in_schema("lake", "bi")}, {"sales"})
    checks.equal("views", {name for name, *_ in lake.get_all_view_names_in_schema("lake", "bi")}, {"seen"})
    columns = {column["column_name"]: str(column["type"]) for column in lake.get_columns(Table("sales", "bi"))}
    checks.equal("columns", columns, {"id": "BIGINT", "city": "TEXT", "amount": "NUMERIC(10, 2)", "at": "TIMESTAMP", "on_day": "DATE", "paid": "BOOLEAN"})
    checks.equal("indexes", lake.get_indexes(Table("sales", "bi")), [])
    checks.equal("primary key", lake.get_pk_constraint(Table("sales", "bi")).get("constrained_columns") or [], [])
    checks.equal("foreign keys", lake.get_foreign_keys(Table("sales", "bi")), [])
    frame = lake.get_df(lake.select_star(Table("sales", "bi"), limit=5))
    checks.equal("select star", frame.shape, (5, 6))


def sql_lab():
    frame = lake.get_df("SELECT city, sum(amount) AS total FROM bi.sales GROUP BY city ORDER BY city", schema="bi")
    checks.equal("a query", (list(frame["city"]), float(frame["total"].sum())), ([f"city {n}" for n in range(4)], 40100.0))
    checks.equal("a schema of its own", int(lake.get_df("SELECT count(*) AS n FROM sales", schema="bi")["n"][0]), 400)
    limited = lake.apply_limit_to_sql("SELECT id FROM bi.sales", limit=7)
    checks.equal("a limit", len(lake.get_df(limited)), 7)
    cost = lake.db_engine_spec.estimate_query_cost(lake, "lake", "bi", "SELECT * FROM bi.sales")
    checks.true("a cost", len(cost) == 1)
    error = checks.raises("an error", Exception, lambda: lake.get_df("SELECT nothing FROM bi.sales"))
    checks.true("its text", 'column "nothing" does not exist' in str(error))


def charts():
    table = SqlaTable(table_name="sales", schema="bi", catalog="lake", database=lake)
    db.session.add(table)
    db.session.commit()
    table.fetch_metadata()
    checks.equal("a dataset's columns", len(table.columns), 6)
    checks.equal("its times", sorted(column.column_name for column in table.columns if column.is_dttm), ["at", "on_day"])
    table.metrics.append(SqlMetric(metric_name="total", expression="SUM(amount)"))
    db.session.commit()
    common = {"granularity": "at", "from_dttm": None, "to_dttm": None, "filter": [], "is_timeseries": True, "row_limit": 1000, "extras": {}}
    for grain in ("PT1H", "P1D", "P1W", "P1M", "P3M", "P1Y"):
        result = table.query({**common, "metrics": ["total"], "groupby": [], "extras": {"time_grain_sqla": grain}})
        checks.equal(f"by {grain}", (str(result.error_message), float(result.df["total"].astype(float).sum())), ("None", 40100.0))
    top = table.query({**common, "metrics": ["total"], "columns": ["city"], "timeseries_limit": 2, "timeseries_limit_metric": "total", "extras": {"time_grain_sqla": "P1Y"}})
    checks.equal("the top two in time", (str(top.error_message), len(set(top.df["city"]))), ("None", 2))
    filters = [{"col": "city", "op": "IN", "val": ["city 1", "city 2"]}, {"col": "amount", "op": ">", "val": 10}, {"col": "city", "op": "ILIKE", "val": "CITY%"}]
    plain = table.query({**common, "is_timeseries": False, "granularity": None, "metrics": ["total"], "columns": ["city", "paid"], "filter": filters, "orderby": [("total", False)]})
    checks.equal("a table with filters", (str(plain.error_message), len(plain.df)), ("None", 2))
    raw = table.query({**common, "is_timeseries": False, "granularity": None, "columns": ["id", "at", "paid"], "metrics": [], "orderby": [("id", True)], "row_limit": 3, "row_offset": 2})
    checks.equal("rows", (str(raw.error_message), list(raw.df["id"])), ("None", [3, 4, 5]))
    checks.equal("values for a filter", sorted(table.values_for_column("city")), [f"city {n}" for n in range(4)])
    virtual = SqlaTable(table_name="virtual", sql="SELECT city, count(*) AS n FROM bi.sales GROUP BY city", schema="bi", catalog="lake", database=lake)
    db.session.add(virtual)
    db.session.commit()
    virtual.fetch_metadata()
    checks.equal("a virtual dataset", sorted((column.column_name, column.type) for column in virtual.columns), [("city", "STRING"), ("n", "LONGINTEGER")])


checks.start("Superset", importlib.metadata.version("apache-superset"), "schemas, tables, columns, datasets, SQL Lab, cost, charts by time, top n, filters, virtual datasets")
checks.run(connect, explore, sql_lab, charts)
checks.finish()
