//! `system.crawlers`, `system.crawler_runs`, `system.crawler_changes` and `system.inference`: who looks for tables where,
//! what the runs did, and why tables are read as they are. A role sees the crawlers and runs that are its own, and of
//! inference what belongs to tables that it may see.

use tarn_catalog::crawler::{CrawlRun, OnDelete, OnUpdate, Recrawl};
use tarn_catalog::object::RelationKind;

use super::rows::Scan;
use super::tables::TABLE_KEYS;
use super::value::{Rows, Value};
use crate::error::Result;

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub fn crawlers(scan: &Scan) -> Result<Rows> {
    let names = scan.context.role_names()?;
    let runs = scan.context.reader.crawl_runs()?;
    let mut rows = scan.rows();
    for crawler in scan.context.reader.crawlers()? {
        if !scan.context.principal.acts_as(crawler.owner) {
            continue;
        }
        let last = runs.iter().rev().find(|run| run.crawler.as_deref() == Some(&crawler.name));
        let role = |id| names.get(&id).cloned().unwrap_or_default();
        let options = &crawler.options;
        rows.push([
            ("crawler", crawler.name.as_str().into()),
            ("owner", role(crawler.owner).into()),
            ("run_as", role(crawler.run_as).into()),
            ("schema", crawler.schema.as_str().into()),
            ("locations", crawler.locations.join(", ").into()),
            ("exclude", options.exclude.join(", ").into()),
            ("table_prefix", options.table_prefix.as_str().into()),
            ("max_depth", options.max_depth.map(number).into()),
            ("max_tables", options.max_tables.map(number).into()),
            ("sample_files", options.sample_files.map(number).into()),
            ("grouping", if options.separate { "separate" } else { "combine_compatible" }.into()),
            ("on_update", on_update(options.on_update).into()),
            ("on_delete", on_delete(options.on_delete).into()),
            ("recrawl", recrawl(options.recrawl).into()),
            ("created_at", (crawler.created_at_ms * 1000).into()),
            ("last_run_at", last.map(|run| run.finished_at_ms * 1000).into()),
            ("last_run_id", last.map(|run| number(run.number)).into()),
        ])?;
    }
    Ok(rows)
}

fn on_update(policy: OnUpdate) -> &'static str {
    match policy {
        OnUpdate::MergeNewColumns => "merge_new_columns",
        OnUpdate::Log => "log",
    }
}

fn on_delete(policy: OnDelete) -> &'static str {
    match policy {
        OnDelete::Log => "log",
        OnDelete::Deprecate => "deprecate",
        OnDelete::Drop => "drop",
    }
}

fn recrawl(policy: Recrawl) -> &'static str {
    match policy {
        Recrawl::Everything => "everything",
        Recrawl::NewFiles => "new_files",
    }
}

/// The runs that the asking role may see.
fn runs(scan: &Scan) -> Result<Vec<CrawlRun>> {
    let mut runs = scan.context.reader.crawl_runs()?;
    runs.retain(|run| scan.context.principal.acts_as(run.role));
    Ok(runs)
}

pub fn crawler_runs(scan: &Scan) -> Result<Rows> {
    let names = scan.context.role_names()?;
    let mut rows = scan.rows();
    for run in runs(scan)? {
        let count = |action: &str| {
            let changes = run.changes.iter().filter(|change| change.action == action).count();
            Value::from(number(changes as u64))
        };
        rows.push([
            ("run_id", number(run.number).into()),
            ("crawler", run.crawler.as_deref().into()),
            ("role", names.get(&run.role).cloned().unwrap_or_default().into()),
            ("schema", run.schema.as_str().into()),
            ("locations", run.locations.join(", ").into()),
            ("state", run.state.name().into()),
            ("started_at", (run.started_at_ms * 1000).into()),
            ("finished_at", (run.finished_at_ms * 1000).into()),
            ("created", count("create")),
            ("updated", count("update")),
            ("deprecated", count("deprecate")),
            ("dropped", count("drop")),
        ])?;
    }
    Ok(rows)
}

pub fn crawler_changes(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    for run in runs(scan)? {
        for (ordinal, change) in (1_i64..).zip(&run.changes) {
            rows.push([
                ("run_id", number(run.number).into()),
                ("ordinal", ordinal.into()),
                ("state", run.state.name().into()),
                ("action", change.action.as_str().into()),
                ("schema", run.schema.as_str().into()),
                ("table_name", change.name.as_str().into()),
                ("ddl", change.ddl.as_str().into()),
                ("reason", change.reason.as_str().into()),
                ("evidence", change.evidence.as_str().into()),
                ("confidence", Value::Float(change.confidence)),
            ])?;
        }
    }
    Ok(rows)
}

pub fn inference(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    for found in scan.context.relations(&scan.keys, TABLE_KEYS)? {
        let RelationKind::External(table) = &found.relation.kind else { continue };
        for (ordinal, line) in (1_i64..).zip(&table.inference) {
            rows.push([
                ("schema", found.namespace.name.as_str().into()),
                ("table_name", found.relation.name.as_str().into()),
                ("ordinal", ordinal.into()),
                ("column_name", line.column.as_deref().into()),
                ("subject", line.subject.as_str().into()),
                ("decision", line.decision.as_str().into()),
                ("before", line.before.as_deref().into()),
                ("reason", line.reason.as_str().into()),
                ("file", line.file.as_str().into()),
                ("line", line.line.map(number).into()),
                ("value", line.value.as_deref().into()),
            ])?;
        }
    }
    Ok(rows)
}
