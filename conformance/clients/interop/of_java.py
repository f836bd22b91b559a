"""Metadata files that Java engines wrote, out of the Iceberg crate's own tests: each is registered as a table of its own,
and either it can be asked for its rows, or it says why not. The crate lies where cargo has unpacked it; where it does not,
nothing is checked."""

import json
import os
import pathlib

import psycopg

# What the server may say of a table that it cannot read: it does not know it, a file is missing, or lies elsewhere.
HONEST = ("0A000", "58P01", "XX001", "42501")


def testdata():
    home = pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo"))
    return next(iter(sorted(home.glob("registry/src/*/iceberg-0.*/testdata"))), None)


def moved(text, place):
    """The same metadata at another place."""
    for number in (1, 2):
        text = text.replace("{{ manifest_list_%d_location }}" % number, f"file://{place}/metadata/list-{number}.avro")
    old = json.loads(text)["location"]
    return text.replace(old, f"file://{place}")


def said(server, sql):
    """The first value, or the error's code and message."""
    try:
        return server.execute(sql).fetchone()[0], None, None
    except psycopg.Error as error:
        return None, error.sqlstate, str(error)


def check_file(server, path, place):
    (place / "metadata").mkdir(parents=True)
    copy = place / "metadata" / "v1.metadata.json"
    copy.write_text(moved(path.read_text(), place))
    name = path.stem.lower()
    _, state, message = said(server, f"CALL system.register_table('of_java', '{name}', '{copy}')")
    if state is not None:
        return [] if state == "0A000" and copy.name in message else [f"{state} {message}"]
    kind = said(server, f"SELECT kind FROM system.tables WHERE schema = 'of_java' AND table_name = '{name}'")[0]
    problem = said(server, f"SELECT problem FROM system.tables WHERE schema = 'of_java' AND table_name = '{name}'")[0]
    count, state, message = said(server, f"SELECT count(*) FROM of_java.{name}")
    findings = []
    if (kind == "unsupported") != (problem is not None):
        findings.append(f"it is a {kind}, and the problem is {problem}")
    if problem is not None and (state != "0A000" or problem not in message or copy.name not in message):
        findings.append(f"the problem is {problem}, and reading it says {state} {message}")
    if problem is None and count is None and state not in HONEST:
        findings.append(f"{state} {message}")
    state = said(server, f"CALL system.unregister_table('of_java.{name}')")[1]
    findings += [f"it does not go: {state}"] if state else []
    return findings + (dropped(server, copy, name) if problem is not None else [])


def dropped(server, copy, name):
    """A table that cannot be read leaves its files behind when it is dropped, and the server says where."""
    notices = []
    handler = lambda diagnostic: notices.append(diagnostic.message_primary)
    server.execute(f"CALL system.register_table('of_java', '{name}', '{copy}')")
    server.add_notice_handler(handler)
    server.execute(f"DROP TABLE of_java.{name}")
    server.remove_notice_handler(handler)
    told = any("cannot be read" in notice and str(copy.parent.parent) in notice for notice in notices)
    return [] if told and copy.exists() else [f"dropping it says {notices}"]


def check_java(server, tally, folder):
    data = testdata()
    if data is None:
        print("the Iceberg crate is not on this machine: no files of Java engines are read")
        return
    server.execute("CREATE SCHEMA of_java")
    paths = sorted(data.glob("*table_metadata*.json")) + sorted((data / "table_metadata").glob("*.json"))
    for path in paths:
        tally.judge(f"of Java: {path.name}", check_file(server, path, pathlib.Path(folder) / path.stem))
    server.execute("DROP SCHEMA of_java")
