//! Crawls of real folders, with the tables read back: what a crawl registers must be what a query then finds.
mod bad;
mod folders;
mod formats;
mod legislators;
mod read;
mod undo;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::SessionContext;
use tarn_catalog::access::Principal;
use tarn_catalog::env::SeededEnv;
use tarn_catalog::object::RelationKind;
use tarn_catalog::storage::{Storage, StorageOptions};
use tarn_catalog::{Catalog, CommitSequence, LAKE, SUPERUSER};

use super::{CrawlReport, CrawlRequest, crawl};
use crate::error::{Error, Result};
use crate::files::external_table;

/// A catalog in memory and a folder to crawl.
struct Lake {
    folder: tempfile::TempDir,
    catalog: Arc<Catalog>,
    context: SessionContext,
}

impl Lake {
    fn new() -> Lake {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let warehouse = format!("file://{}", folder.path().join("server/warehouse").display());
        let options = StorageOptions {
            forbidden: vec![folder.path().join("server")],
            warehouse: warehouse.clone(),
            ..StorageOptions::default()
        };
        let storage = Storage::new(options).expect("the storage options are good");
        let env = Arc::new(SeededEnv::new(1));
        let catalog = Catalog::in_memory(storage, warehouse, env).expect("an empty catalog opens");
        Lake { folder, catalog, context: SessionContext::new() }
    }

    /// The folder that tests crawl.
    fn landing(&self) -> PathBuf {
        self.folder.path().join("landing")
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.landing().join(path);
        std::fs::create_dir_all(path.parent().expect("the path has a folder")).expect("a folder can be made");
        std::fs::write(path, content).expect("a file can be written");
    }

    fn write_parquet(&self, path: &str, batch: &RecordBatch) {
        let mut bytes = Vec::new();
        let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None)
            .expect("the schema can be written");
        writer.write(batch).expect("the batch can be written");
        writer.close().expect("the file can be closed");
        self.write(path, bytes);
    }

    fn principal(&self) -> Principal {
        let principal = self.catalog.reader().principal(SUPERUSER).expect("the catalog can be read");
        principal.expect("the first superuser exists")
    }

    async fn crawl_folder(&self, folder: &Path) -> Result<CrawlReport> {
        let location = folder.display().to_string();
        let request =
            CrawlRequest { locations: vec![location], schema: "raw".to_owned(), ..Default::default() };
        crawl(request, &self.principal(), &self.catalog, &self.context.state()).await
    }

    /// Crawls the landing folder.
    async fn crawl(&self) -> Vec<Line> {
        let report = self.crawl_folder(&self.landing()).await.expect("the crawl runs");
        lines(&report)
    }

    fn sequence(&self) -> CommitSequence {
        self.catalog.reader().sequence()
    }

    /// Makes the tables of schema `raw` known to queries.
    async fn refresh(&self) -> Result<()> {
        let reader = self.catalog.reader();
        let namespace =
            reader.namespace(LAKE, "raw")?.ok_or_else(|| Error::internal("there is no schema raw"))?;
        for relation in reader.relations(namespace.id)? {
            let RelationKind::External(table) = &relation.kind else { continue };
            let provider = external_table(table, &[], self.catalog.storage(), &self.context.state()).await?;
            let _ = self.context.deregister_table(&relation.name);
            self.context
                .register_table(&relation.name, provider)
                .map_err(|e| Error::internal(e.to_string()))?;
        }
        Ok(())
    }

    /// The rows of a query as text, columns parted by `|`.
    async fn query(&self, sql: &str) -> Result<Vec<String>> {
        self.refresh().await?;
        run(&self.context, sql).await
    }

    async fn count(&self, table: &str) -> i64 {
        self.refresh().await.expect("the tables can be listed");
        count(&self.context, table).await
    }

    /// Columns of a table with their types, as a report shows them.
    async fn columns(&self, table: &str) -> String {
        let lines = self.crawl().await;
        let name = format!("raw.{table}");
        let line = lines.iter().find(|line| line.table.as_deref() == Some(&name));
        line.and_then(|line| line.columns.clone()).unwrap_or_else(|| panic!("no table {table} in {lines:?}"))
    }
}

async fn count(context: &SessionContext, table: &str) -> i64 {
    let frame = context.sql(&format!("SELECT count(*) FROM {table}")).await.expect("the query is planned");
    let batches = frame.collect().await.expect("the query runs");
    batches[0].column(0).as_primitive::<Int64Type>().value(0)
}

async fn run(context: &SessionContext, sql: &str) -> Result<Vec<String>> {
    let outcome = async { context.sql(sql).await?.collect().await };
    let batches = outcome.await.map_err(taken_out)?;
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in &batches {
        let columns: Vec<ArrayFormatter<'_>> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).expect("the type can be shown"))
            .collect();
        for row in 0..batch.num_rows() {
            rows.push(
                columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|"),
            );
        }
    }
    Ok(rows)
}

/// Our error as the engine carried it.
fn taken_out(error: datafusion::error::DataFusionError) -> Error {
    match error.find_root() {
        datafusion::error::DataFusionError::External(source) => {
            source.downcast_ref::<Error>().cloned().unwrap_or_else(|| Error::internal(source.to_string()))
        }
        other => Error::internal(other.to_string()),
    }
}

/// One row of a report.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    action: String,
    table: Option<String>,
    format: Option<String>,
    files: i64,
    rows_sampled: i64,
    columns: Option<String>,
    location: String,
    reason: Option<String>,
}

fn lines(report: &CrawlReport) -> Vec<Line> {
    let batch = report.to_batch().expect("a report is rows");
    let text = |column: usize, row: usize| {
        let column = batch.column(column).as_string::<i32>();
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let number = |column: usize, row: usize| batch.column(column).as_primitive::<Int64Type>().value(row);
    (0..batch.num_rows())
        .map(|row| Line {
            action: text(0, row).unwrap_or_default(),
            table: text(1, row),
            format: text(2, row),
            files: number(3, row),
            rows_sampled: number(4, row),
            columns: text(5, row),
            location: text(6, row).unwrap_or_default(),
            reason: text(7, row),
        })
        .collect()
}

/// Action and table of each line, such as `created raw.orders`; the file's name where there is no table.
fn summary(lines: &[Line]) -> Vec<String> {
    let what = |line: &Line| match &line.table {
        Some(table) => format!("{} {table}", line.action),
        None => format!("{} {}", line.action, line.location.rsplit('/').next().unwrap_or_default()),
    };
    lines.iter().map(what).collect()
}
