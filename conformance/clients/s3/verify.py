"""Runs `tarn serve --warehouse s3://...` against a real S3 HTTP server on loopback and looks at the result from outside.

The server is moto's, and not s3s-fs: moto comes from PyPI like our other clients (s3s-fs would be some two hundred
more crates to compile), it knows conditional writes (If-None-Match), which our commits rest on, and because its
objects live in this process the test can look at them without asking the server under test.

PyIceberg then reads every table from the bucket with credentials of its own, and writes to one with Tarn as its catalog. Bare
requests without credentials have themselves signed.
"""

import json
import logging
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import boto3
import psycopg
import pyarrow
import requests
from moto.server import ThreadedMotoServer
from pyiceberg.catalog import load_catalog
from pyiceberg.table import StaticTable

KEY, SECRET = "test-key", "test-secret"
passed = failed = 0


def check(name, condition, got=None):
    global passed, failed
    passed += bool(condition)
    failed += not condition
    if not condition:
        print(f"  {name}: got {got!r}")


class Server:
    """The process under test, restarted on the same folder."""

    def __init__(self, binary, folder, endpoint, warehouse):
        self.command = [
            binary, "serve", "--data-dir", str(folder / "data"), "--warehouse", warehouse,
            "--postgres", "127.0.0.1:0", "--flight", "127.0.0.1:0", "--http", "127.0.0.1:0",
        ]
        self.environment = os.environ | {
            "TARN_S3_ENDPOINT": endpoint,
            "TARN_S3_REGION": "us-east-1",
            "TARN_S3_ACCESS_KEY_ID": KEY,
            "TARN_S3_SECRET_ACCESS_KEY": SECRET,
            "TARN_S3_ALLOW_HTTP": "true",
            "TARN_S3_PATH_STYLE": "true",
        }
        self.log = folder / "tarn.log"
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            self.command, env=self.environment, stdout=subprocess.PIPE, stderr=self.log.open("a"), text=True
        )
        for line in self.process.stdout:
            if line.startswith("{") and json.loads(line).get("event") == "ready":
                self.host, self.port = json.loads(line)["postgres"].rsplit(":", 1)
                self.http = json.loads(line)["http"]
                return
        raise SystemExit(f"tarn did not start:\n{self.log.read_text()[-3000:]}\n0 passed, 1 failed")

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.wait(timeout=60)

    def connect(self):
        return psycopg.connect(host=self.host, port=self.port, user="tarn", dbname="lake", autocommit=True)


def keys(s3, prefix=""):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="lake", Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def refused(connection, sql):
    """The SQLSTATE and message of a statement that must fail."""
    try:
        connection.execute(sql)
    except psycopg.Error as error:
        return error.sqlstate, str(error)
    return None, "it succeeded"


def load(connection):
    connection.execute("CREATE SCHEMA shop")
    connection.execute(
        "CREATE TABLE shop.numbers PARTITIONED BY (bucket(4, id)) AS "
        "SELECT value AS id, 'name ' || value::text AS name FROM generate_series(1, 1000) AS g(value)"
    )
    connection.execute("INSERT INTO shop.numbers VALUES (1001, 'late')")
    connection.execute("CREATE TABLE shop.plain (a bigint, b date)")
    connection.execute("INSERT INTO shop.plain VALUES (1, '2026-01-01'), (2, NULL)")
    connection.execute("INSERT OVERWRITE shop.plain VALUES (3, '2026-02-02')")


def check_contents(connection, when):
    row = connection.execute("SELECT count(*), sum(id), max(name) FROM shop.numbers").fetchone()
    check(f"numbers {when}", row[0] == 1001 and int(row[1]) == 501501, row)
    rows = connection.execute("SELECT a, b::text FROM shop.plain").fetchall()
    check(f"plain {when}", rows == [(3, "2026-02-02")], rows)


def check_failed_write(connection, s3):
    before = keys(s3)
    state, message = refused(
        connection, "CREATE TABLE shop.broken AS SELECT 1 / (value - 100000) AS x FROM generate_series(1, 100000) AS g(value)"
    )
    check("a CTAS that fails", state == "22012", message)
    leftover = sorted(set(keys(s3)) - set(before))
    check("it leaves no object", not leftover, leftover)


def check_crawl(connection, s3):
    s3.put_object(Bucket="lake", Key="landing/people.csv", Body=b"id,name,zip\n1,Anna,00172\n2,Berta,01234\n")
    s3.put_object(Bucket="lake", Key="landing/events/1.json", Body=b'{"id": 1}\n{"id": 2}\n')
    s3.put_object(Bucket="lake", Key="landing/events/2.json", Body=b'{"id": 3}\n')
    connection.execute("CALL system.crawl(location => 's3://lake/landing', schema => 'raw')")
    rows = connection.execute("SELECT id, name, zip FROM raw.people ORDER BY id").fetchall()
    check("a crawled CSV file", rows == [(1, "Anna", "00172"), (2, "Berta", "01234")], rows)
    rows = connection.execute("SELECT id FROM raw.events ORDER BY id").fetchall()
    check("a crawled folder", rows == [(1,), (2,), (3,)], rows)
    rows = connection.execute("SELECT count(*) FROM read_csv('s3://lake/landing/*.csv')").fetchall()
    check("read_csv of a pattern", rows == [(2,)], rows)
    state, message = refused(connection, "SELECT * FROM read_csv('s3://lake/landing/missing.csv')")
    check("a missing object", state == "58P01" and "s3://" in message, message)
    state, message = refused(connection, "SELECT * FROM read_csv('s3://no-such-bucket/x.csv')")
    check("a missing bucket", state == "58P01" and "s3://" in message, message)


def check_second_engine(connection, endpoint):
    properties = {
        "s3.endpoint": endpoint, "s3.access-key-id": KEY, "s3.secret-access-key": SECRET, "s3.region": "us-east-1",
    }
    tables = connection.execute(
        "SELECT schema, table_name, metadata_location FROM system.tables WHERE metadata_location IS NOT NULL"
    ).fetchall()
    check("tables with metadata", len(tables) == 2, tables)
    for schema, name, location in tables:
        check(f"{name} lies in the bucket", location.startswith("s3://lake/warehouse/"), location)
        arrow = StaticTable.from_metadata(location, properties).scan().to_arrow()
        theirs = sorted(zip(*[column.to_pylist() for column in arrow.columns]))
        ours = sorted(connection.execute(f"SELECT * FROM {schema}.{name}").fetchall())
        check(f"{name} by PyIceberg", theirs == ours, (len(theirs), len(ours)))


def check_rest(connection, server, endpoint):
    """PyIceberg with Tarn as its catalog: with keys of its own, and without, its requests signed one by one."""
    rest = {"type": "rest", "uri": f"http://{server.http}", "credential": "tarn:"}
    keyed = load_catalog("lake", **rest, **{"s3.access-key-id": KEY, "s3.secret-access-key": SECRET})
    rows = pyarrow.table({"a": pyarrow.array([10, 11], pyarrow.int64()), "b": ["x", None]})
    table = keyed.create_table("shop.keyed", rows.schema)
    check("the endpoint is told", table.config.get("s3.endpoint") == endpoint, table.config)
    table.append(rows)
    check("rows with keys", connection.execute("SELECT count(*) FROM shop.keyed").fetchone() == (2,))

    asked = load_catalog("lake", **rest, **{"header.X-Iceberg-Access-Delegation": "remote-signing"})
    config = asked.load_table("shop.keyed").config
    check("no key is told", not any("access-key" in name for name in config), config)
    check("where requests are signed", config.get("s3.signer.endpoint", "").endswith("/tables/keyed/sign"), config)
    sign = f"http://{server.http}/v1/lake/namespaces/shop/tables/keyed/sign"

    def signed(method, key, query=""):
        headers = {"Content-Type": ["application/octet-stream"]}
        body = {"region": "us-east-1", "uri": f"{endpoint}/lake/{key}{query}", "method": method, "headers": headers}
        return requests.post(sign, json=body, auth=("tarn", ""))

    def status(*request):
        return signed(*request).status_code

    def sent(method, key, query="", data=None):
        """A request with the headers that were signed for it."""
        answer = signed(method, key, query).json()
        headers = {name: ", ".join(values) for name, values in answer["headers"].items() if name != "host"}
        return requests.request(method, answer["uri"], headers=headers, data=data)

    folder = table.location().removeprefix("s3://lake/")
    present = table.metadata_location.removeprefix("s3://lake/")
    check("a file of the table", sent("GET", present).json()["location"] == table.location())
    listing = sent("GET", "", f"?list-type=2&prefix={folder}/data/")
    check("a listing of it", listing.status_code == 200 and f"{folder}/data/" in listing.text, listing.text[:200])
    check("a new file", sent("PUT", f"{folder}/data/new.parquet", data=b"new").status_code == 200)
    check("it is there", sent("GET", f"{folder}/data/new.parquet").content == b"new")
    check("and is not written over", status("PUT", f"{folder}/data/new.parquet") == 403)
    refusals = [
        ("PUT", present, ""), ("GET", "landing/people.csv", ""), ("GET", f"{folder}/../x", ""), ("GET", f"{folder}x/y", ""),
        ("GET", "", ""), ("GET", "", "?list-type=2&prefix=warehouse/"), ("GET", present, "?acl"), ("POST", "", "?delete"),
        ("PUT", f"{folder}/data/newer.parquet", "?acl"), ("DELETE", "landing/people.csv", ""),
    ]
    for method, key, query in refusals:
        check(f"{method} {key}{query} is not signed", status(method, key, query) == 403, status(method, key, query))
    connection.execute("DROP TABLE shop.keyed")


def main():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # one line per request otherwise
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    s3 = boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1"
    )
    s3.create_bucket(Bucket="lake")
    with tempfile.TemporaryDirectory(prefix="tarn-s3") as folder:
        server = Server(sys.argv[1], pathlib.Path(folder), endpoint, "s3://lake/warehouse")
        try:
            connection = server.connect()
            load(connection)
            check_contents(connection, "after loading")
            check_failed_write(connection, s3)
            check_crawl(connection, s3)
            check("no data on the local disk", not list(pathlib.Path(folder).rglob("*.parquet")))
            check("SIGTERM ends it well", server.stop() == 0)
            server.start()
            check_contents(server.connect(), "after a restart")
            server.stop(signal.SIGKILL)
            server.start()
            check_contents(server.connect(), "after SIGKILL")
            check_second_engine(server.connect(), endpoint)
            connection = server.connect()
            check_rest(connection, server, endpoint)
            connection.execute("DROP TABLE shop.plain")
            check("a dropped table is gone", refused(connection, "SELECT * FROM shop.plain")[0] == "42P01")
            log = server.log.read_text()
            check("the log holds no secret", SECRET not in log)
        finally:
            if server.process.poll() is None:
                server.stop(signal.SIGKILL)
            moto.stop()
    print(f"{passed} passed, {failed} failed")
    raise SystemExit(0 if passed and not failed else 1)


main()
