//! `add_files`: Parquet files become part of a table without being written again. Files in the table's own folder are
//! taken where they lie; others are copied into it first, byte for byte, because a table owns its files: its upkeep
//! deletes them one day. Partition values come from a file's bounds, and those of columns that it lacks
//! from folder names such as `day=2026-01-31`.

use std::collections::HashSet;
use std::sync::Arc;

use futures::TryStreamExt;
use iceberg::TableUpdate;
use iceberg::spec::{
    DEFAULT_SCHEMA_NAME_MAPPING, DataFile, Datum, Literal, NestedFieldRef, Struct, TableMetadata, Transform,
    Type,
};
use iceberg::transform::create_transform_function;
use object_store::ObjectStoreExt;
use object_store::buffered::BufWriter;
use tarn_catalog::WriteId;
use tarn_catalog::iceberg::{FileFacts, Operation, data_file_location, describe_file, snapshot_files};
use tarn_catalog::storage::Checked;
use tokio::io::AsyncWriteExt;

use super::adopt::{Adopted, adopt, name_mapping};
use super::report::Report;
use crate::error::{Error, Result};
use crate::files::listing::{FoundFile, list};
use crate::outcome::Outcome;
use crate::plan::Context;
use crate::procedure::ProcedureCall;
use crate::resolve::TableTarget;
use crate::sqlstate::SqlState;
use crate::upkeep::commit::commit_files;

/// What Hive calls a partition of NULL.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// A file on its way into the table.
struct Coming {
    found: FoundFile,
    checked: Checked,
    adopted: Adopted,
    partition: Struct,
    /// It lies in the table's folder already.
    inside: bool,
}

/// The procedure.
pub(super) async fn run(call: ProcedureCall, context: &Context) -> Result<Outcome> {
    let target = call.table()?;
    let location = call.arguments.text("location").unwrap_or_default();
    // Spark writes `parquet`.`/path`.
    let location = location.trim_start_matches("`parquet`.").trim_matches('`');
    let coming = context.stop.or(coming(target, location, context)).await?;
    let mut report = Report::default();
    if call.arguments.boolean("dry_run").unwrap_or(false) {
        for file in &coming {
            report.path("data file", i64::try_from(file.found.meta.size).ok(), file.found.url.as_str());
        }
        return report.into_outcome(call.tag);
    }
    report.figure("added_data_files", coming.len());
    report.figure("added_rows", coming.iter().map(|file| file.adopted.rows).sum::<u64>());
    report.figure("copied_data_files", coming.iter().filter(|file| !file.inside).count());
    if !coming.is_empty() {
        add(target, &coming, context).await?;
    }
    report.into_outcome(call.tag)
}

/// Finds the files and looks into each; one that does not fit refuses them all.
async fn coming(target: &TableTarget, location: &str, context: &Context) -> Result<Vec<Coming>> {
    let catalog = context.catalog();
    let (storage, metadata) = (catalog.storage(), &target.version.metadata);
    let guard = storage.guard();
    let table = metadata.location();
    // The table's own folder lies in the warehouse, which users cannot name otherwise.
    let inside = guard.table_file(table, location.trim_end_matches('/')).ok();
    let checked = match inside {
        Some(inside) if context.scope.principal.superuser => inside,
        _ => guard.user_path(&context.scope.principal, location)?,
    };
    let known = known(target, context).await?;
    let mut coming = Vec::new();
    for found in list(storage, &checked).await?.files {
        let hidden = found.relative.split('/').any(|part| part.starts_with(['_', '.']));
        if hidden || found.meta.size == 0 {
            continue;
        }
        let own = guard.table_file(table, &found.url).ok();
        let inside = own.is_some();
        let file = match own {
            Some(own) => own,
            None => guard.external_location(&found.url)?,
        };
        if known.contains(&found.url) {
            let message = format!("\"{}\" is a file of the table already", found.shown());
            return Err(Error::new(SqlState::DUPLICATE_FILE, message));
        }
        let adopted = adopt(storage, &file, found.meta.size, metadata.current_schema()).await?;
        let partition = partition(metadata, &found, &adopted)?;
        check_required(metadata, &found, &adopted)?;
        coming.push(Coming { found, checked: file, adopted, partition, inside });
    }
    Ok(coming)
}

async fn known(target: &TableTarget, context: &Context) -> Result<HashSet<String>> {
    let metadata = &target.version.metadata;
    let Some(snapshot) = target.state()?.snapshot_id else { return Ok(HashSet::new()) };
    let files = snapshot_files(context.catalog().storage(), metadata, snapshot).await?;
    Ok(files.data.iter().map(|live| live.file.file_path().to_owned()).collect())
}

/// A column that must have values and is neither in the file nor in its folders.
fn check_required(metadata: &TableMetadata, found: &FoundFile, adopted: &Adopted) -> Result<()> {
    let spec = metadata.default_partition_spec();
    let of_folder = |id: i32| {
        spec.fields().iter().any(|field| field.source_id == id && field.transform == Transform::Identity)
    };
    for field in metadata.current_schema().as_struct().fields() {
        let there =
            adopted.present.contains(&field.id) || of_folder(field.id) || field.initial_default.is_some();
        let nulls = adopted.metrics.get(&field.id).is_some_and(|metrics| metrics.null_count > 0);
        if field.required && (!there || nulls) {
            let message = format!(
                "null value in column \"{}\" of \"{}\" violates not-null constraint",
                field.name,
                found.shown()
            );
            return Err(Error::new(SqlState::NOT_NULL_VIOLATION, message));
        }
    }
    Ok(())
}

/// The partition that all rows of a file are in.
fn partition(metadata: &TableMetadata, found: &FoundFile, adopted: &Adopted) -> Result<Struct> {
    let spec = metadata.default_partition_spec();
    let mut values: Vec<Option<Literal>> = Vec::new();
    for field in spec.fields() {
        let source = metadata.current_schema().as_struct().field_by_id(field.source_id);
        let unknown = || {
            let message = format!("the partition \"{}\" of \"{}\" is not known", field.name, found.shown());
            Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
                .with_detail("Neither a folder name nor the bounds in its footer say which one it is.")
                .with_hint("Load the file with INSERT INTO … SELECT … FROM read_parquet(…) instead.")
        };
        let source = source.ok_or_else(unknown)?;
        // Where the file has the column, its values count: folder names are often only for the eye.
        let absent = !adopted.present.contains(&source.id);
        let of_folder = hive_value(found, &source.name).filter(|_| absent);
        let value = match (field.transform, of_folder) {
            (Transform::Identity, Some(text)) => Some(folder_literal(source, &text, found)?),
            _ => None,
        };
        values.push(match value {
            Some(value) => value,
            None => of_bounds(field.transform, source, adopted).ok_or_else(unknown)?,
        });
    }
    Ok(Struct::from_iter(values))
}

/// The value that a folder `name=value` gives a column.
fn hive_value(found: &FoundFile, column: &str) -> Option<String> {
    let of = |folder: &str| {
        let (name, value) = folder.split_once('=')?;
        (name == column).then(|| percent_decoded(value))
    };
    let folders = found.url.rsplit_once('/').map_or("", |(folders, _)| folders);
    folders.split('/').filter_map(of).next_back()
}

/// Hive escapes characters of folder names as `%41`.
fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut decoded, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let escape = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn folder_literal(field: &NestedFieldRef, text: &str, found: &FoundFile) -> Result<Option<Literal>> {
    if text == HIVE_NULL {
        return Ok(None);
    }
    let wrong = || {
        let message = format!(
            "\"{text}\" in the path of \"{}\" is not a value of column \"{}\"",
            found.shown(),
            field.name
        );
        Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
    };
    let Type::Primitive(kind) = field.field_type.as_ref() else { return Err(wrong()) };
    use iceberg::spec::PrimitiveType as P;
    let datum = match kind {
        P::Boolean => text.parse::<bool>().ok().map(Datum::bool),
        P::Int => text.parse::<i32>().ok().map(Datum::int),
        P::Long => text.parse::<i64>().ok().map(Datum::long),
        P::Date => Datum::date_from_str(text).ok(),
        P::String => Some(Datum::string(text)),
        P::Decimal { .. } => Datum::decimal_from_str(text).ok(),
        _ => None,
    };
    Ok(Some(Literal::from(datum.ok_or_else(wrong)?)))
}

/// The value of a transform that all values between a column's bounds share; the outer None where there is none.
fn of_bounds(transform: Transform, source: &NestedFieldRef, adopted: &Adopted) -> Option<Option<Literal>> {
    if transform == Transform::Void {
        return Some(None);
    }
    if !adopted.present.contains(&source.id) {
        return Some(None);
    }
    let metrics = adopted.metrics.get(&source.id)?;
    if metrics.null_count == metrics.value_count {
        return Some(None);
    }
    let (lower, upper) = (metrics.lower.as_ref()?, metrics.upper.as_ref()?);
    let function = create_transform_function(&transform).ok()?;
    // Values between two of one bucket may be of others, so there the bounds must be equal.
    let ordered = transform.preserves_order() || lower == upper;
    let (one, other) = (function.transform_literal(lower).ok()??, function.transform_literal(upper).ok()??);
    (ordered && one == other && metrics.null_count == 0).then(|| Some(Literal::from(one)))
}

/// Copies what lies elsewhere, and commits all of it.
async fn add(target: &TableTarget, coming: &[Coming], context: &Context) -> Result<()> {
    let catalog = Arc::clone(context.catalog());
    let metadata = &target.version.metadata;
    let write = catalog.begin_write(metadata.location()).await?;
    let described = context.stop.or(describe(target, coming, write, context)).await;
    let added = match described {
        Ok(added) => added,
        Err(error) => {
            catalog.abandon_write(write, &[]).await;
            return Err(error);
        }
    };
    let mut transaction = catalog.begin_at(context.scope.reader.clone(), context.scope.principal.role);
    let mut operations = Vec::new();
    let mapping = metadata.properties().contains_key(DEFAULT_SCHEMA_NAME_MAPPING);
    if !mapping && coming.iter().any(|file| !file.adopted.has_ids) {
        let names = serde_json::to_string(&name_mapping(metadata.current_schema()))
            .map_err(|error| Error::internal(error.to_string()))?;
        let updates = [(DEFAULT_SCHEMA_NAME_MAPPING.to_owned(), names)].into();
        let updates = vec![TableUpdate::SetProperties { updates }];
        operations.push((Operation::Update { requirements: Vec::new(), updates }, Vec::new()));
    }
    operations.push((Operation::Append, added));
    for (operation, added) in operations {
        transaction.write_table(target.write(write, operation, added));
    }
    commit_files(transaction, write, context).await
}

async fn describe(
    target: &TableTarget,
    coming: &[Coming],
    write: WriteId,
    context: &Context,
) -> Result<Vec<DataFile>> {
    let metadata = &target.version.metadata;
    let mut described = Vec::new();
    for (number, file) in coming.iter().enumerate() {
        let location = match file.inside {
            true => file.found.url.clone(),
            false => copy(file, data_file_location(metadata, write, number), metadata, context).await?,
        };
        let facts = FileFacts {
            location,
            bytes: file.found.meta.size,
            rows: file.adopted.rows,
            partition: file.partition.clone(),
            metrics: file.adopted.metrics.clone(),
            column_bytes: file.adopted.column_bytes.clone(),
            split_offsets: file.adopted.split_offsets.clone(),
            sort_order_id: None,
        };
        described.push(describe_file(metadata, facts)?);
    }
    Ok(described)
}

/// Copies a file into the table's folder.
async fn copy(file: &Coming, to: String, metadata: &TableMetadata, context: &Context) -> Result<String> {
    let storage = context.catalog().storage();
    let (from_store, from) = storage.resolve(&file.checked)?;
    let (to_store, path) = storage.resolve(&storage.guard().table_file(metadata.location(), &to)?)?;
    let failed = |error: object_store::Error| Error::from(tarn_catalog::Error::from(error));
    let mut content = from_store.get(&from).await.map_err(failed)?.into_stream();
    let mut upload = BufWriter::new(to_store, path);
    while let Some(part) = content.try_next().await.map_err(failed)? {
        upload.put(part).await.map_err(failed)?;
    }
    let broken = |error: std::io::Error| {
        Error::new(SqlState::IO_ERROR, format!("\"{}\" cannot be copied: {error}", file.found.shown()))
    };
    upload.shutdown().await.map_err(broken)?;
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_give_values() {
        let check = |url: &str, column: &str, expect: Option<&str>| {
            let meta = object_store::ObjectMeta {
                location: "x".into(),
                last_modified: chrono::DateTime::UNIX_EPOCH,
                size: 1,
                e_tag: None,
                version: None,
            };
            let found = FoundFile { url: url.to_owned(), relative: String::new(), meta };
            assert_eq!(hive_value(&found, column).as_deref(), expect, "{url}");
        };
        check("s3://b/t/day=2026-01-31/kind=a%2Fb%zz/x=1.parquet", "day", Some("2026-01-31"));
        check("s3://b/t/day=2026-01-31/kind=a%2Fb%zz/x=1.parquet", "kind", Some("a/b%zz"));
        check("s3://b/t/day=2026-01-31/kind=a%2Fb%zz/x=1.parquet", "x", None);
        check("s3://b/t/k=1/k=2/f.parquet", "k", Some("2"));
    }
}
