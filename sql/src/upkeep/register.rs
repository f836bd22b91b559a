//! Tables that exist already, by their metadata file: taken into the catalog where they lie, and out of it with all their
//! files left behind. The location must be one that a table may have, and nobody else's.

use tarn_catalog::Change;
use tarn_catalog::iceberg::{parse_metadata, pointer_to, pointer_to_unreadable};
use tarn_catalog::object::{Relation, RelationKind, TablePointer};

use super::report::Report;
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::plan::Context;
use crate::procedure::ProcedureCall;
use crate::sqlstate::SqlState;

/// `CALL system.register_table(schema, table, metadata_file)`.
pub(super) async fn register(call: ProcedureCall, context: &Context) -> Result<Outcome> {
    let text = |name: &str| call.arguments.text(name).unwrap_or_default().to_owned();
    let (schema, name, file) = (text("schema_name"), text("table_name"), text("metadata_file"));
    tarn_catalog::name::check_identifier(&name)?;
    let namespace = context.scope.namespace(&schema)?;
    if context.scope.reader.relation(namespace.id, &name)?.is_some() {
        let message = format!("relation \"{name}\" already exists");
        return Err(Error::new(SqlState::DUPLICATE_TABLE, message));
    }
    let catalog = context.catalog();
    let storage = catalog.storage();
    let checked = storage.guard().user_path(&context.scope.principal, &file)?;
    let json = context.stop.or(async { Ok(storage.get(&checked).await?) }).await?;
    let pointer = match parse_metadata(&json) {
        Ok(metadata) => pointer_to(&metadata, checked.to_string()),
        // It is listed, and says on being read why that does not work.
        Err(_) => pointer_to_unreadable(&json, checked.to_string())?,
    };
    let location = pointer.location.trim_end_matches('/').to_owned();
    storage.guard().table_location(&context.scope.principal, &location)?;
    let inside = storage.guard().table_file(&location, checked.as_str());
    inside.map_err(|error| {
        Error::from(error).with_hint("The metadata file must lie in the table's own folder.")
    })?;
    check_free(&location, pointer.uuid, context)?;
    let report = report(&json, &pointer);
    let mut transaction = catalog.begin_at(context.scope.reader.clone(), context.scope.principal.role);
    let id = transaction.new_relation_id()?;
    transaction.push(Change::CreateRelation(Relation {
        id,
        namespace: namespace.id,
        name,
        owner: context.scope.principal.role,
        comment: None,
        created_at_ms: catalog.env().now_ms(),
        kind: RelationKind::Table,
    }));
    transaction.push(Change::register(id, pointer, &json)?);
    catalog.commit(transaction).await?;
    report.into_outcome(call.tag)
}

/// What the metadata says of the table; of one that cannot be read, why.
fn report(json: &[u8], pointer: &TablePointer) -> Report {
    let mut report = Report::default();
    report.figure("current_snapshot_id", pointer.snapshot_id.unwrap_or(0));
    if let Ok(metadata) = parse_metadata(json) {
        report.figure("total_records", summary(&metadata, "total-records"));
        report.figure("total_data_files", summary(&metadata, "total-data-files"));
    }
    if let Some(reason) = &pointer.unsupported {
        report.path("unsupported", None, reason.as_str());
    }
    report
}

fn summary(metadata: &iceberg::spec::TableMetadata, name: &str) -> i64 {
    let snapshot = metadata.current_snapshot();
    let stated =
        snapshot.and_then(|snapshot| snapshot.summary().additional_properties.get(name)?.parse().ok());
    stated.unwrap_or(0)
}

/// No other table may be there: expiring snapshots of one would delete files of the other.
fn check_free(location: &str, uuid: uuid::Uuid, context: &Context) -> Result<()> {
    let Some((namespace, relation)) = context.scope.reader.table_at(location, Some(uuid))? else {
        return Ok(());
    };
    let message =
        format!("the files of \"{location}\" belong to table \"{}.{}\"", namespace.name, relation.name);
    Err(Error::new(SqlState::DUPLICATE_TABLE, message)
        .with_hint("Take that table out of the catalog first, with system.unregister_table."))
}

/// `CALL system.unregister_table(table)`: the files stay, all of them.
pub(super) async fn unregister(call: ProcedureCall, context: &Context) -> Result<Outcome> {
    let relation = call.entry()?.relation.clone();
    let pointer = context.scope.reader.pointer(relation.id)?;
    let catalog = context.catalog();
    let mut transaction = catalog.begin_at(context.scope.reader.clone(), context.scope.principal.role);
    transaction.push(Change::DropRelation(relation));
    catalog.commit(transaction).await?;
    let mut report = Report::default();
    if let Some(pointer) = pointer {
        report.path("metadata file", None, pointer.metadata_location.as_str());
    }
    report.into_outcome(call.tag)
}
