#!/usr/bin/env bash
# Makes sure that what the build and the tests need is installed: a C++ compiler, make, pkg-config and libclang for
# RocksDB, psql as the first client and PostgreSQL as the server to compare with, the JDBC, ODBC and Perl drivers, and
# Python's venv for the other clients. On Debian and Ubuntu the missing packages are installed through apt when we are
# root or sudo asks for no password; elsewhere one line names them. With everything there it is silent and takes a moment.
set -euo pipefail

missing=()
need() { # need <apt package> <command that succeeds when it is there>
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}

# libclang-cpp, which comes with LLVM's runtime, is another library.
has_libclang() {
  [ -n "${LIBCLANG_PATH:-}" ] && return 0
  local folder
  for folder in '/usr/lib/llvm-*/lib' '/usr/lib/*' /usr/lib64 /usr/lib; do
    compgen -G "$folder/libclang.so*" >/dev/null && return 0
    compgen -G "$folder/libclang-[0-9]*.so*" >/dev/null && return 0
  done
  [ -e /Library/Developer/CommandLineTools/usr/lib/libclang.dylib ]
}

# libclang needs the compiler's own headers (stddef.h and so on) beside it; Debian's libclang-dev brings both.
need libclang-dev has_libclang
need g++ command -v g++
need make command -v make
need pkg-config command -v pkg-config
need postgresql-client command -v psql
need postgresql compgen -G '/usr/lib/postgresql/*/bin/initdb'
need default-jdk-headless command -v javac
need libpostgresql-jdbc-java test -e "${JDBC_JAR:-/usr/share/java/postgresql.jar}"
need odbc-postgresql compgen -G '/usr/lib/*/odbc/psqlodbcw.so'
need unixodbc command -v odbcinst
need libdbd-pg-perl perl -MDBD::Pg -e 1
need python3-venv python3 -c 'import ensurepip, venv'

if ! command -v cargo >/dev/null 2>&1; then
  echo "bootstrap: cargo is missing; install Rust from https://rustup.rs and run this again" >&2
  exit 1
fi
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then as_root=(sudo -n); else as_root=(false); fi
fi
if ! command -v apt-get >/dev/null 2>&1 || [ "${as_root[*]:-}" = false ]; then
  echo "bootstrap: missing on this machine (Debian package names): ${missing[*]}; please install them and run this again" >&2
  exit 1
fi

echo "bootstrap: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
install() { "${as_root[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null; }
install 2>/dev/null || { "${as_root[@]}" apt-get update -q >/dev/null && install; }
