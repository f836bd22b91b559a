"""Reads all rows of lineitem with psycopg in the binary form and prints the seconds: host, port, database, schema."""

import sys
import time

import psycopg

host, port, database, schema = sys.argv[1:]
with psycopg.connect(host=host, port=port, dbname=database, user="tarn") as connection:
    with connection.cursor(binary=True) as cursor:
        started = time.perf_counter()
        cursor.execute(f"SELECT * FROM {schema}.lineitem")
        count = 0
        while rows := cursor.fetchmany(10_000):
            count += len(rows)
        seconds = time.perf_counter() - started
assert count > 0
print(seconds)
