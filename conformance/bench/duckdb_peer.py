"""DuckDB as a peer of the benchmark: reads one JSON request per line, answers with one line.

It runs with its defaults on views over the same Parquet files. The time of a query includes fetching its result, so
that nothing is left undone; no query of TPC-H has more than some ten thousand rows.
"""

import json
import pathlib
import sys
import time

import duckdb


def text(value):
    if value is None:
        return None
    if isinstance(value, bool):
        return "t" if value else "f"
    return str(value)


def answer(connection, request, sql):
    if request == "version":
        return {"version": duckdb.__version__}
    if request == "time":
        started = time.perf_counter()
        result = connection.execute(sql)
        while result.fetchmany(65536):
            pass
        return {"seconds": time.perf_counter() - started}
    return {"rows": [[text(cell) for cell in row] for row in connection.execute(sql).fetchall()]}


def main():
    connection = duckdb.connect()
    for folder in sorted(pathlib.Path(sys.argv[1]).iterdir()):
        if folder.is_dir():
            connection.execute(f"CREATE VIEW {folder.name} AS SELECT * FROM read_parquet('{folder}/*.parquet')")
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = answer(connection, request["request"], request["sql"])
        except Exception as error:  # the asker decides what a failed query means
            reply = {"error": str(error)}
        print(json.dumps(reply), flush=True)


main()
