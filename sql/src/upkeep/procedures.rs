//! The entries of upkeep in the table of procedures: Trino's names, with Spark's as aliases.

use futures::FutureExt;

use super::check::problem_schema;
use super::report::report_schema;
use super::{add_files, analyze, check, deletes, expire, manifests, optimize, orphans, register, vacuum};
use crate::procedure::{Kind, On, Parameter, Procedure, Right, Run};

const DRY_RUN: Parameter = Parameter::optional("dry_run", Kind::Boolean);

pub(crate) const PROCEDURES: &[Procedure] = &[
    Procedure {
        filter: true,
        ..on_table("optimize", &["rewrite_data_files"], optimize::PARAMETERS, |call, context| {
            optimize::run(call, context).boxed()
        })
    },
    on_table("optimize_manifests", &["rewrite_manifests"], &[], |call, context| {
        manifests::run(call, context).boxed()
    }),
    on_table(
        "rewrite_position_deletes",
        &["rewrite_position_delete_files"],
        &[Parameter::optional("min_input_files", Kind::Integer), DRY_RUN],
        |call, context| deletes::run(call, context).boxed(),
    ),
    on_table(
        "expire_snapshots",
        &[],
        &[
            Parameter::optional("retention_threshold", Kind::Duration),
            Parameter::optional("retain_last", Kind::Integer),
            Parameter::optional("snapshot_ids", Kind::Texts),
            Parameter::optional("older_than", Kind::Time),
            DRY_RUN,
        ],
        |call, context| expire::run(call, context).boxed(),
    ),
    on_table(
        "remove_orphan_files",
        &[],
        &[
            Parameter::optional("retention_threshold", Kind::Duration),
            Parameter::optional("older_than", Kind::Time),
            DRY_RUN,
        ],
        |call, context| orphans::run(call, context).boxed(),
    ),
    on_table(
        "analyze",
        &["compute_table_stats"],
        &[Parameter::optional("columns", Kind::Texts)],
        |call, context| analyze::run(call, context).boxed(),
    ),
    Procedure {
        columns: problem_schema,
        ..on_table("check_table", &[], &[Parameter::optional("deep", Kind::Boolean)], |call, context| {
            check::run(call, context).boxed()
        })
    },
    Procedure {
        on: On::Nothing,
        right: Right::Superuser,
        ..on_table(
            "register_table",
            &[],
            &[
                Parameter::required("schema_name", Kind::Text).or(&["schema"]),
                Parameter::required("table_name", Kind::Text),
                Parameter::required("metadata_file", Kind::Text).or(&["metadata_location"]),
            ],
            |call, context| register::register(call, context).boxed(),
        )
    },
    on_table("vacuum", &[], &[Parameter::optional("analyze", Kind::Boolean), DRY_RUN], |call, context| {
        vacuum::run(call, context).boxed()
    }),
    on_table(
        "add_files",
        &[],
        &[Parameter::required("location", Kind::Text).or(&["source_table"]), DRY_RUN],
        |call, context| add_files::run(call, context).boxed(),
    ),
    Procedure {
        on: On::Entry,
        ..on_table("unregister_table", &[], &[], |call, context| register::unregister(call, context).boxed())
    },
];

const fn on_table(
    name: &'static str,
    aliases: &'static [&'static str],
    parameters: &'static [Parameter],
    run: Run,
) -> Procedure {
    Procedure {
        name,
        aliases,
        on: On::Table,
        filter: false,
        parameters,
        right: Right::Owner,
        in_transaction: false,
        columns: report_schema,
        run,
    }
}
