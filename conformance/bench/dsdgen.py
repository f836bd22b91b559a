"""The tables of TPC-DS as Parquet, one folder each, made by DuckDB's generator: `dsdgen.py FOLDER SCALE`.

The extension comes as a package from the registry, pinned in tpcds-requirements.txt, and is loaded by its path.
"""

import importlib.util
import pathlib
import sys

import duckdb


def main():
    folder, scale = pathlib.Path(sys.argv[1]), float(sys.argv[2])
    package = pathlib.Path(importlib.util.find_spec("duckdb_extension_tpcds").origin).parent
    (extension,) = package.glob("extensions/*/tpcds.duckdb_extension")
    connection = duckdb.connect()
    connection.execute(f"LOAD '{extension}'")
    connection.execute(f"CALL dsdgen(sf = {scale})")
    for (table,) in connection.execute("SHOW TABLES").fetchall():
        (folder / table).mkdir(parents=True, exist_ok=True)
        target = folder / table / "part-1.parquet"
        connection.execute(f"COPY {table} TO '{target}' (FORMAT parquet, COMPRESSION zstd)")


main()
