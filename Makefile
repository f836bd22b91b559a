# The commands of Tarn. Each one first installs what a bare Debian or Ubuntu machine with only Rust and git
# lacks (conformance/bootstrap.sh), and on other systems says in one line what is missing.
#
#   make demo    build, start a server on an empty folder, crawl files, build tables, query them
#   make test    everything CI runs
#   make clients try the real clients, the heavy ones too, and write the table of docs/clients.md
#   make test-all what `make test` and `make clients` do, Superset, the REST door against its description, and a minute of fuzzing for each thing that clients send
#   make bench   the figures, each as a ratio to a peer on the same files in the same run
#
# PROFILE=dev builds without optimisation (quicker to build, slower to run); ARGUMENTS is passed on, as in
# `make demo ARGUMENTS=--exit`.

PROFILE ?= release
ARGUMENTS ?=
TARGET := $(or $(CARGO_TARGET_DIR),target)
BINARIES := $(TARGET)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))

CLIENTS := psql pgbench drivers flight rest sqlalchemy jdbc odbc node dbt tools arrow duckdb sqlmesh

.PHONY: demo test test-all clients bench build bootstrap format

demo: build
	@$(BINARIES)/conformance demo $(ARGUMENTS)

test: bootstrap
	@conformance/test.sh

test-all: bootstrap
	@STEPS=all CLIENT_TABLE=1 conformance/test.sh

clients: bootstrap
	@STEPS="build $(CLIENTS)" CLIENT_TABLE=1 conformance/test.sh

bench: build
	@$(BINARIES)/conformance with-server conformance/crawl/run.sh --compare
	@$(BINARIES)/conformance bench $(ARGUMENTS)

build: bootstrap
	cargo build --profile $(PROFILE) --workspace --bins

bootstrap:
	@conformance/bootstrap.sh

format:
	cargo fmt --all
