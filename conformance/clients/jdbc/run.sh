#!/usr/bin/env bash
# pgjdbc, the driver of every JVM tool: metadata, prepared statements, portals, cancel, savepoints, batches, types.
# The driver is Debian's libpostgresql-jdbc-java; JDBC_JAR names another one.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
jar=${JDBC_JAR:-/usr/share/java/postgresql.jar}
classes=$(mktemp -d "${TMPDIR:-/tmp}/tarn-jdbc.XXXXXX")
trap 'rm -rf "$classes"' EXIT
javac -d "$classes" -cp "$jar" "$here"/*.java
java -XX:+UseSerialGC -Xmx256m -cp "$classes:$jar" Verify
