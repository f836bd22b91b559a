//! `POST …/plan`: which files a scan has to read, found by the server: the live files of a snapshot that may hold rows that
//! pass the filter, each with the files that delete rows of it. The answer is complete at once; clients still filter rows.

use std::collections::HashMap;

use iceberg::spec::{DataContentType, DataFile, Literal, PartitionSpec, Schema, Struct, TableMetadata, Type};
use serde::Deserialize;
use serde_json::{Value, json};
use tarn_catalog::access::Privilege;
use tarn_catalog::iceberg::{FileKey, LiveFile, SnapshotFiles, file_key, snapshot_files};

use super::answer::Answer;
use super::error::{Error, Result};
use super::plan_filter::Filter;
use super::request::Request;
use super::visitor::Visitor;

/// Files of one answer; a client plans more by itself.
const FILES_MAX: usize = 200_000;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PlanScan {
    snapshot_id: Option<i64>,
    select: Option<Vec<String>>,
    filter: Option<Value>,
    case_sensitive: Option<bool>,
    use_snapshot_schema: Option<bool>,
    start_snapshot_id: Option<i64>,
    end_snapshot_id: Option<i64>,
}

pub async fn plan(visitor: &Visitor, request: &Request) -> Result<Answer> {
    let found = visitor.table(&request.identifier())?;
    visitor.may(&found, Privilege::Select)?;
    let wanted: PlanScan = request.json()?;
    if wanted.start_snapshot_id.is_some() || wanted.end_snapshot_id.is_some() {
        return Err(Error::bad_request("incremental scans are not planned here: plan them in the client"));
    }
    let version = visitor.reader.table(found.relation.id).await?;
    let metadata = &version.metadata;
    let snapshot = match wanted.snapshot_id {
        None => metadata.current_snapshot(),
        Some(id) => {
            let missing = || Error::bad_request(format!("the table has no snapshot {id}"));
            Some(metadata.snapshot_by_id(id).ok_or_else(missing)?)
        }
    };
    let of_snapshot = snapshot.and_then(|snapshot| metadata.schema_by_id(snapshot.schema_id()?));
    let schema = match wanted.use_snapshot_schema {
        Some(true) => of_snapshot.unwrap_or_else(|| metadata.current_schema()),
        _ => metadata.current_schema(),
    };
    let is_exact = wanted.case_sensitive.unwrap_or(true);
    check_columns(wanted.select.as_deref().unwrap_or_default(), schema, is_exact)?;
    let given = wanted.filter.filter(|filter| !filter.is_null());
    let filter = given.as_ref().map(|filter| Filter::read(filter, schema, is_exact)).transpose()?;
    let files = match snapshot {
        Some(snapshot) => snapshot_files(visitor.catalog.storage(), metadata, snapshot.snapshot_id()).await?,
        None => SnapshotFiles::default(),
    };
    let mut scan = tasks(metadata, &files, filter.as_ref(), given.as_ref())?;
    scan["status"] = json!("completed");
    scan["plan-id"] = json!(visitor.catalog.env().uuid());
    Ok(Answer::json(&scan))
}

fn check_columns(names: &[String], schema: &Schema, is_exact: bool) -> Result<()> {
    let is_there = |name: &&String| match is_exact {
        true => schema.field_by_name(name).is_some(),
        false => schema.field_by_name_case_insensitive(name).is_some(),
    };
    match names.iter().find(|name| !is_there(name)) {
        Some(name) => Err(Error::bad_request(format!("the table has no column {name:?}"))),
        None => Ok(()),
    }
}

/// The files to read, and the files that delete rows of them, which they name by their places.
fn tasks(
    metadata: &TableMetadata,
    files: &SnapshotFiles,
    filter: Option<&Filter>,
    given: Option<&Value>,
) -> Result<Value> {
    let mut places: HashMap<FileKey, usize> = HashMap::new();
    let (mut deletes, mut tasks) = (Vec::new(), Vec::new());
    for live in &files.data {
        if filter.is_some_and(|filter| !filter.may_match(&live.file)) {
            continue;
        }
        if tasks.len() == FILES_MAX {
            return Err(Error::bad_request(format!(
                "the scan has more than {FILES_MAX} files: plan it in the client"
            )));
        }
        let of = files.deletes.of(live);
        let positions = of.positions.iter().flat_map(|positions| &positions.files);
        let mut references = Vec::new();
        for delete in positions.chain(&of.equality) {
            let place = places.entry(file_key(&delete.file)).or_insert(deletes.len());
            if *place == deletes.len() {
                deletes.push(content_file(metadata, delete)?);
            }
            references.push(*place);
        }
        let mut task = json!({ "data-file": content_file(metadata, live)? });
        if !references.is_empty() {
            task["delete-file-references"] = json!(references);
        }
        if let Some(given) = given {
            task["residual-filter"] = given.clone();
        }
        tasks.push(task);
    }
    Ok(json!({ "delete-files": deletes, "file-scan-tasks": tasks }))
}

/// A file as the protocol describes it.
fn content_file(metadata: &TableMetadata, live: &LiveFile) -> Result<Value> {
    let file: &DataFile = &live.file;
    let content = match file.content_type() {
        DataContentType::Data => "data",
        DataContentType::PositionDeletes => "position-deletes",
        DataContentType::EqualityDeletes => "equality-deletes",
    };
    let mut described = json!({
        "content": content,
        "file-path": file.file_path(),
        "file-format": file.file_format().to_string().to_ascii_lowercase(),
        "spec-id": live.spec_id,
        "partition": partition(metadata, live.spec_id, file.partition())?,
        "file-size-in-bytes": file.file_size_in_bytes(),
        "record-count": file.record_count(),
    });
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            described[name] = value;
        }
    };
    set("split-offsets", file.split_offsets().filter(|_| content == "data").map(|offsets| json!(offsets)));
    set("sort-order-id", file.sort_order_id().map(|id| json!(id)));
    set("first-row-id", live.first_row_id.filter(|_| content == "data").map(|id| json!(id)));
    set("content-offset", file.content_offset().map(|offset| json!(offset)));
    set("content-size-in-bytes", file.content_size_in_bytes().map(|size| json!(size)));
    set("equality-ids", file.equality_ids().filter(|_| content == "equality-deletes").map(|ids| json!(ids)));
    Ok(described)
}

/// The values of a partition, in the order of the fields of its spec.
fn partition(metadata: &TableMetadata, spec_id: i32, values: &Struct) -> Result<Vec<Value>> {
    let spec: &PartitionSpec = metadata
        .partition_spec_by_id(spec_id)
        .ok_or_else(|| Error::internal(format!("the table has no partition spec {spec_id}")))?;
    let types = partition_types(metadata, spec)?;
    let value = |(value, kind): (&Option<Literal>, &Type)| match value {
        None => Ok(Value::Null),
        Some(literal) => literal
            .clone()
            .try_into_json(kind)
            .map_err(|error| Error::internal(format!("a partition value cannot be written: {error}"))),
    };
    values.fields().iter().zip(&types).map(value).collect()
}

/// Of an old spec a source column may have been dropped since: then a schema of its time tells.
fn partition_types(metadata: &TableMetadata, spec: &PartitionSpec) -> Result<Vec<Type>> {
    let current = std::iter::once(metadata.current_schema());
    let known = current.chain(metadata.schemas_iter()).find_map(|schema| spec.partition_type(schema).ok());
    let known = known.ok_or_else(|| Error::internal("no schema has the columns of a partition spec"))?;
    Ok(known.fields().iter().map(|field| field.field_type.as_ref().clone()).collect())
}
