"""sqlmesh on a small project: seeds, a table by time range, one by key, a full one with audits, a view. Its own state is kept
in a DuckDB file: the tables for it would need primary keys and indexes."""

import importlib.metadata
import logging
import pathlib
import shutil
import sys
import tempfile
import warnings

from checks import HOST, PORT, Checks

# The folders of the other clients beside checks.py are no packages, though pandas would take one for SQLAlchemy.
sys.path = [path for path in sys.path if not (pathlib.Path(path) / "checks.py").exists()]

import psycopg2
from sqlmesh import Context
from sqlmesh.core.config import Config, DuckDBConnectionConfig, GatewayConfig, ModelDefaultsConfig, PostgresConnectionConfig

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
checks = Checks()
folder = pathlib.Path(tempfile.mkdtemp(prefix="tarn-sqlmesh"))
project = folder / "project"


def open_project():
    lake = PostgresConnectionConfig(host=HOST, port=PORT, user="tarn", password="", database="lake")
    state = DuckDBConnectionConfig(database=str(folder / "state.db"), concurrent_tasks=1)
    gateways = {"lake": GatewayConfig(connection=lake, state_connection=state)}
    return Context(paths=str(project), config=Config(gateways=gateways, model_defaults=ModelDefaultsConfig(dialect="postgres", start="2026-01-01")))


def plan(environment=None):
    context = open_project()
    context.plan(environment, auto_apply=True, no_prompts=True, skip_tests=True)
    context.close()


def ask(sql):
    with psycopg2.connect(host=HOST, port=PORT, user="tarn", dbname="lake") as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def first_plan():
    plan()
    checks.equal("seeds", ask("SELECT count(*) FROM shop.raw_orders"), [(30,)])
    checks.equal("by time range", ask("SELECT count(*), sum(amount)::text FROM shop.orders"), [(30, "232.50")])
    checks.equal("full", ask("SELECT city, orders FROM shop.by_city ORDER BY city"), [("Izmir", 10), ("Lyon", 10), ("Zurich", 10)])
    checks.equal("by key", ask("SELECT count(*), count(DISTINCT customer) FROM shop.latest"), [(3, 3)])
    checks.equal("view", ask("SELECT count(*) FROM shop.seen"), [(3,)])


def audits_and_questions():
    context = open_project()
    checks.equal("audits", context.audit(start="2026-01-01", end="2026-02-01"), True)
    frame = context.fetchdf("SELECT city FROM shop.by_city ORDER BY city")
    checks.equal("fetchdf", list(frame["city"]), ["Izmir", "Lyon", "Zurich"])
    evaluated = context.evaluate("shop.by_city", "2026-01-01", "2026-02-01", "2026-02-01")
    checks.equal("evaluate", len(evaluated), 3)
    adapter = context.engine_adapter
    checks.equal("columns", {name: kind.sql("postgres") for name, kind in adapter.columns("shop.orders").items()},
                 {"id": "BIGINT", "customer": "BIGINT", "day": "DATE", "amount": "DECIMAL(10, 2)"})
    checks.equal("table_exists", (adapter.table_exists("shop.orders"), adapter.table_exists("shop.none")), (True, False))
    objects = {one.name: one.type.value for one in adapter._get_data_objects("shop")}
    checks.equal("data objects", (objects["seen"], len(objects)), ("view", 6))
    context.close()


def changed_model():
    """A second environment gets the changed model, and then everybody does."""
    model = project / "models" / "by_city.sql"
    model.write_text(model.read_text().replace("COUNT(*)::BIGINT AS orders", "COUNT(*)::BIGINT AS orders, MAX(o.day)::DATE AS last_day"))
    plan("dev")
    checks.equal("the new environment", ask("SELECT max(last_day)::text FROM shop__dev.by_city"), [("2026-01-10",)])
    checks.equal("the old one", len(ask("SELECT * FROM shop.by_city LIMIT 1")[0]), 3)
    plan()
    checks.equal("after the second plan", ask("SELECT max(last_day)::text FROM shop.by_city"), [("2026-01-10",)])
    context = open_project()
    context.invalidate_environment("dev", sync=True)
    context.close()
    checks.equal("the environment is gone", ask("SELECT count(*) FROM information_schema.schemata WHERE schema_name = 'shop__dev'"), [(0,)])


def changed_rows():
    """More rows in a seed, and a run over what follows from it."""
    seed = project / "seeds" / "orders.csv"
    seed.write_text(seed.read_text() + "31,1,2026-01-05,100.5\n")
    plan()
    checks.equal("by time range", ask("SELECT count(*), sum(amount)::text FROM shop.orders"), [(31, "333.00")])
    checks.equal("by key", ask("SELECT count(*) FROM shop.latest"), [(3,)])


def history():
    """Slowly changing dimensions: their statement fails in the optimizer, so the plan does."""
    shutil.copy(project / "history.sql", project / "models" / "history.sql")
    checks.raises("SCD_TYPE_2", Exception, plan)
    (project / "models" / "history.sql").unlink()


shutil.copytree(pathlib.Path(__file__).parent / "project", project)
checks.start("sqlmesh", importlib.metadata.version("sqlmesh"), "plans, seeds, incremental by time range and by key, full, views, audits, environments")
checks.run(first_plan, audits_and_questions, changed_model, changed_rows, history)
shutil.rmtree(folder)
checks.finish()
