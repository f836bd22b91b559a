"""Crawls generated files and compares every table with the truth: columns, kinds of types, rows, and every value. With
`--compare`, says how many of the files DuckDB and pandas read with the same rows and columns, by their own guessing.
With `--folder`, crawls real files instead, and shows where the numbers of rows and columns are not DuckDB's."""

import argparse
import collections
import pathlib
import sys
import tempfile
import warnings

import psycopg

from checks import HOST, PORT
from generate import make

KINDS = {"text": "text", "bigint": "number", "double precision": "number", "date": "day", "boolean": "boolean",
         "timestamp without time zone": "moment", "timestamp with time zone": "moment"}


def crawl(connection, folder, schema):
    """The tables of a crawl: for each file its table; what is wrong with the others."""
    report = connection.execute(f"CALL system.crawl(location => '{folder}', schema => '{schema}')").fetchall()
    tables, errors = {}, {}
    for action, table, _format, _files, _rows, _columns, location, reason, *_rest in report:
        name = location.rsplit("/", 1)[-1]
        if table:
            tables[name] = table
        else:
            errors[name] = f"{action}: {reason}"
    return tables, errors


def difference(connection, table, file):
    """What is wrong with a table, or None."""
    schema, name = table.replace('"', "").split(".", 1)
    columns = connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = %s AND table_name = %s "
        "ORDER BY ordinal_position", [schema, name]).fetchall()
    if [column for column, _ in columns] != file.names:
        return f"columns are {[column for column, _ in columns]}, not {file.names}"
    kinds = [KINDS.get(kind, kind) for _, kind in columns]
    if kinds != file.kinds:
        return f"kinds are {kinds}, not {file.kinds}"
    listed = ", ".join(f'"{column}"::text' for column, _ in columns)
    rows = connection.execute(f"SELECT {listed}, _rescued FROM {table}").fetchall()
    if len(rows) != len(file.truth):
        return f"{len(rows)} rows, not {len(file.truth)}"
    for place, (row, truth) in enumerate(zip(rows, file.truth)):
        *values, rescued = row
        for column, kind, value, expected in zip(file.names, kinds, values, truth):
            if not equal(kind, value, expected):
                return f"row {place + 1}, {column} is {value!r:.60}, not {expected!r:.60}"
        for surplus in file.rescued.get(place, []):
            if surplus not in (rescued or ""):
                return f"row {place + 1} has lost {surplus!r}"
    return None


def equal(kind, value, expected):
    if value is None or expected is None:
        return value is None and expected is None
    return float(value) == float(expected) if kind == "number" else value == expected


def shape_of_duckdb(path):
    import duckdb
    connection = duckdb.connect()
    columns = len(connection.execute("DESCRIBE SELECT * FROM read_csv(?)", [str(path)]).fetchall())
    return connection.execute("SELECT count(*) FROM read_csv(?)", [str(path)]).fetchall()[0][0], columns


def shape_of_pandas(path):
    import pandas
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = pandas.read_csv(path, sep=None, engine="python")
    return len(frame), len(frame.columns)


def compare(folder, files):
    """How many files each peer reads with as many rows and columns as there are."""
    for name, shape_of in (("DuckDB", shape_of_duckdb), ("pandas", shape_of_pandas)):
        right, failed = 0, 0
        for file_name, file in files.items():
            try:
                right += shape_of(folder / file_name) == (len(file.truth), len(file.names))
            except Exception:
                failed += 1
        print(f"{name}: rows and columns of {right} of {len(files)} files are right, {failed} fail")


def generated(connection, options):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        files = make(folder, range(1, options.seeds + 1))
        tables, errors = crawl(connection, folder, "dirt")
        wrong = collections.Counter()
        passed = 0
        for name, file in files.items():
            if name not in tables:
                found = errors.get(name, "no table")
            else:
                try:
                    found = difference(connection, tables[name], file)
                except psycopg.Error as error:
                    found = str(error).splitlines()[0]
            passed += found is None
            if found is not None:
                wrong[name.rsplit("_", 1)[0]] += 1
                print(f"  {name}: {found}")
        print(f"tarn: {passed} of {len(files)} files are right to every value")
        if options.compare:
            compare(folder, files)
    print(f"{passed} passed, {len(files) - passed} failed")
    return passed == len(files)


def real(connection, folder):
    tables, errors = crawl(connection, folder, "found")
    for name, error in sorted(errors.items()):
        print(f"  {name}: {error}")
    paths = {path.name: path for path in pathlib.Path(folder).iterdir()}
    same = 0
    for name, table in sorted(tables.items()):
        if paths.get(name) is None or paths[name].suffix not in (".csv", ".tsv", ".tab"):
            continue
        cursor = connection.execute(f"SELECT * FROM {table}")
        ours = (len(cursor.fetchall()), len(cursor.description))
        try:
            theirs = shape_of_duckdb(paths[name])
        except Exception as error:
            theirs = f"fails: {str(error).splitlines()[0]:.60}"
        same += ours == theirs
        if ours != theirs:
            print(f"  {name}: {ours}, DuckDB {theirs}")
    print(f"{len(tables)} tables, {same} as DuckDB, {len(errors)} files left out")
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--folder")
    options = parser.parse_args()
    with psycopg.connect(host=HOST, port=PORT, user="tarn", dbname="lake", autocommit=True) as connection:
        good = real(connection, options.folder) if options.folder else generated(connection, options)
    sys.exit(0 if good else 1)


main()
