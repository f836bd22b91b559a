//! A warehouse in a temporary folder with one table of two columns, partitioned by the second. Its data files are
//! descriptions only: what is tested here never opens one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use iceberg::spec::{
    FormatVersion, Literal, MAIN_BRANCH, NestedField, PrimitiveType, Schema, Struct, Transform, Type,
    UnboundPartitionSpec,
};
use roaring::RoaringTreemap;
use tarn_catalog::env::{Env, SeededEnv};
use tarn_catalog::iceberg::{
    Basis, FileFacts, LiveFile, NewTable, Operation, Produced, RowDelta, SnapshotFiles, TableWrite, Target,
    data_file_location, default_location, deleted_positions, describe_file, new_table, parse_metadata,
    produce, snapshot_files,
};
use tarn_catalog::storage::{Checked, Storage, StorageOptions};
use tarn_catalog::{RelationId, Result, TableVersion, WriteId};

pub struct World {
    _folder: tempfile::TempDir,
    pub storage: Arc<Storage>,
    pub env: SeededEnv,
    pub table: Arc<TableVersion>,
}

/// Live rows of each data file, by its URL.
pub type Rows = BTreeMap<String, BTreeSet<u64>>;

impl World {
    pub async fn new(format_version: FormatVersion, seed: u64) -> World {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let warehouse = format!("file://{}/warehouse", folder.path().display());
        let options = StorageOptions { warehouse: warehouse.clone(), ..StorageOptions::default() };
        let env = SeededEnv::new(seed);
        let schema = Schema::builder()
            .with_fields([
                NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into(),
                NestedField::optional(2, "region", Type::Primitive(PrimitiveType::String)).into(),
            ])
            .build();
        let partition = UnboundPartitionSpec::builder().add_partition_field(2, "region", Transform::Identity);
        let table = NewTable {
            schema: schema.expect("a schema"),
            partition: partition.expect("a field").build(),
            order: Vec::new(),
            properties: HashMap::from([("commit.manifest.min-count-to-merge".to_string(), "5".to_string())]),
            location: default_location(&warehouse, "public", "t", env.uuid()),
            format_version,
        };
        let storage = Storage::new(options).expect("storage");
        let metadata = new_table(table, env.uuid(), env.now_ms()).expect("a table");
        let target = Target::New(Box::new(metadata));
        let write = write(&env, target, Operation::CreateEmpty);
        let made = produce(&storage, &env, &write, Basis::head(None)).await.expect("a table");
        World { _folder: folder, storage, env, table: version(made) }
    }

    pub fn write(&self, base: &Arc<TableVersion>, operation: Operation) -> TableWrite {
        write(&self.env, Target::Existing { base: base.clone() }, operation)
    }

    /// The write with data files of these numbers of rows, each in a partition.
    pub fn adding(&self, mut write: TableWrite, files: &[(u64, &str)]) -> TableWrite {
        let Target::Existing { base } = &write.target else { return write };
        for (number, (rows, region)) in files.iter().enumerate() {
            let facts = FileFacts {
                location: data_file_location(&base.metadata, write.write, number),
                bytes: rows * 100,
                rows: *rows,
                partition: Struct::from_iter([Some(Literal::string(*region))]),
                metrics: HashMap::new(),
                column_bytes: HashMap::new(),
                split_offsets: vec![4],
                sort_order_id: None,
            };
            write.added.push(describe_file(&base.metadata, facts).expect("a description"));
        }
        write
    }

    pub async fn produce(&self, write: &TableWrite) -> Result<Produced> {
        let head = Some((self.table.metadata.as_ref(), &self.table.pointer));
        produce(&self.storage, &self.env, write, Basis::head(head)).await
    }

    /// Produces a version and makes it the head, as a commit would.
    pub async fn try_commit(&mut self, write: &TableWrite) -> Result<()> {
        let produced = self.produce(write).await?;
        assert_eq!(parse_metadata(&produced.json).expect("the JSON is read again"), produced.metadata);
        self.table = version(produced);
        Ok(())
    }

    pub async fn commit(&mut self, write: &TableWrite) {
        self.try_commit(write).await.expect("the write succeeds");
    }

    pub async fn append(&mut self, files: &[(u64, &str)]) {
        let write = self.adding(self.write(&self.table, Operation::Append), files);
        self.commit(&write).await;
    }

    pub async fn delete(&mut self, rows: &[(&str, &[u64])]) {
        let write = self.write(&self.table, delta(rows, &[]));
        self.commit(&write).await;
    }

    pub async fn files(&self) -> SnapshotFiles {
        self.files_of(&self.table).await
    }

    pub async fn files_of(&self, table: &TableVersion) -> SnapshotFiles {
        match table.metadata.current_snapshot_id() {
            Some(snapshot) => {
                let files = snapshot_files(&self.storage, &table.metadata, snapshot).await;
                files.expect("the files are listed")
            }
            None => SnapshotFiles::default(),
        }
    }

    /// URLs of the data files, by their number of rows.
    pub async fn paths(&self) -> BTreeMap<u64, String> {
        let path = |live: &LiveFile| (live.file.record_count(), live.file.file_path().to_string());
        self.files().await.data.iter().map(path).collect()
    }

    pub async fn rows(&self) -> Rows {
        self.rows_of(&self.table).await.expect("the deletes are read")
    }

    pub async fn rows_of(&self, table: &TableVersion) -> Result<Rows> {
        let files = self.files_of(table).await;
        let mut rows = Rows::new();
        for live in &files.data {
            let path = live.file.file_path();
            let deletes = files.deletes.of(live);
            let deleted = deleted_positions(&self.storage, &table.metadata, &deletes, path).await?;
            let left = (0..live.file.record_count()).filter(|row| !deleted.contains(*row)).collect();
            rows.insert(path.to_string(), left);
        }
        Ok(rows)
    }

    /// A figure of the newest snapshot's summary; 0 when it does not say.
    pub fn figure(&self, name: &str) -> u64 {
        let snapshot = self.table.metadata.current_snapshot().expect("a snapshot");
        let text = snapshot.summary().additional_properties.get(name);
        text.map_or(0, |text| text.parse().expect("a number"))
    }

    pub fn checked(&self, url: &str) -> Checked {
        self.storage.guard().table_file(self.table.metadata.location(), url).expect("a file of the table")
    }
}

pub fn delta(deleted: &[(&str, &[u64])], removed: &[&str]) -> Operation {
    let rows = |(path, rows): &(&str, &[u64])| (path.to_string(), rows.iter().copied().collect());
    Operation::RowDelta(RowDelta {
        deleted: deleted.iter().map(rows).collect::<BTreeMap<String, RoaringTreemap>>(),
        removed: removed.iter().map(|path| path.to_string()).collect(),
        read: None,
    })
}

fn write(env: &SeededEnv, target: Target, operation: Operation) -> TableWrite {
    TableWrite {
        relation: RelationId(1),
        name: "t".to_string(),
        target,
        write: WriteId(env.uuid()),
        branch: MAIN_BRANCH.to_string(),
        operation,
        added: Vec::new(),
    }
}

fn version(made: Produced) -> Arc<TableVersion> {
    let metadata = Arc::new(made.metadata);
    Arc::new(TableVersion { relation: RelationId(1), pointer: made.pointer, metadata })
}
