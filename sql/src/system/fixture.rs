//! A small catalog for tests, and queries against the system tables as two users see them: `tarn`, a superuser, and
//! `alice`, who may use `public`, read `orders` through her group, and see nothing of `raw`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::physical_plan::ExecutionPlan;
use futures::TryStreamExt;
use iceberg::spec::{
    FormatVersion, ListType, NestedField, PrimitiveType, Schema, StructType, Type, UnboundPartitionSpec,
};
use tarn_catalog::access::{Privilege, Privileges};
use tarn_catalog::env::{Env, SeededEnv};
use tarn_catalog::iceberg::{NewTable, Operation, TableWrite, Target, new_table};
use tarn_catalog::object::{
    CsvFormat, ExternalTable, FileFormat, Grant, Namespace, Relation, RelationKind, Role, Securable, View,
    ViewColumn,
};
use tarn_catalog::storage::{S3Options, Storage, StorageOptions};
use tarn_catalog::{
    Catalog, Change, LAKE, NamespaceId, PUBLIC_NAMESPACE, RelationId, RoleId, SUPERUSER, Transaction,
};

use super::exec::SystemTableExec;
use crate::advisory::LockOwner;
use crate::authorize::authorize;
use crate::notify::Outbox;
use crate::parse::parse;
use crate::plan::{Context, PlanKind, plan};
use crate::resolve::{Scope, resolve};
use crate::settings::Settings;
use crate::types::oid;
use crate::{Engine, EngineOptions, Login, Outcome};

/// The fixture's catalog and the OIDs that its queries name.
pub struct Fixture {
    engine: Arc<Engine>,
    pub oids: HashMap<&'static str, u32>,
    _folder: tempfile::TempDir,
}

impl Fixture {
    pub async fn new() -> Fixture {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let warehouse = format!("file://{}", folder.path().display());
        let storage = Storage::new(StorageOptions {
            s3: S3Options::default(),
            forbidden: Vec::new(),
            warehouse: warehouse.clone(),
            local_roots: None,
        })
        .expect("storage of a temporary folder");
        let env: Arc<dyn Env> = Arc::new(SeededEnv::new(7));
        let catalog = Catalog::in_memory(storage, warehouse.clone(), env.clone()).expect("a new catalog");
        let mut transaction = catalog.begin(SUPERUSER);
        let oids = fill(&mut transaction, &catalog, &warehouse).await;
        catalog.commit(transaction).await.expect("the fixture fits a new catalog");
        let engine = Engine::open(EngineOptions {
            catalog,
            memory_limit_bytes: 1 << 28,
            column_cache_bytes: 1 << 27,
            spill_dir: folder.path().join("spill"),
            target_partitions: 2,
            version: "0.0.0".into(),
        });
        Fixture { engine: engine.await.expect("an engine"), oids, _folder: folder }
    }

    /// The rows of a query, columns separated by `|`; or the error.
    pub async fn run(&self, user: &str, sql: &str) -> String {
        let mut sql = sql.to_string();
        for (name, oid) in &self.oids {
            sql = sql.replace(&format!(":{name}'"), &format!("{oid}'"));
        }
        match self.rows(user, &sql).await {
            Ok(rows) => self.with_names(&rows),
            Err(error) => format!("ERROR {error}\n"),
        }
    }

    /// OIDs of the fixture's objects by name, so that scripts do not depend on the order of creation.
    fn with_names(&self, rows: &[String]) -> String {
        let replace = |cell: &str| {
            let found = self.oids.iter().find(|(_, oid)| cell == oid.to_string());
            found.map_or_else(|| cell.to_string(), |(name, _)| format!(":{name}"))
        };
        let line = |row: &String| row.split('|').map(replace).collect::<Vec<_>>().join("|") + "\n";
        rows.iter().map(line).collect()
    }

    async fn rows(&self, user: &str, sql: &str) -> crate::Result<Vec<String>> {
        let login = Login { user: user.into(), database: "lake".into(), backend_pid: 42, ..Login::default() };
        let mut session = self.engine.session(&login)?;
        let mut lines = Vec::new();
        for parsed in session.parse(sql)? {
            let Outcome::Rows { rows, .. } = session.run(parsed).await? else { continue };
            let batches: Vec<RecordBatch> = rows.try_collect().await?;
            batches.iter().for_each(|batch| lines.extend(lines_of(batch)));
        }
        Ok(lines)
    }

    /// What each scan of a system table asked for, in the order of the plan, after the query has run.
    pub async fn keys_used(&self, sql: &str) -> crate::Result<Vec<String>> {
        let reader = self.engine.catalog().reader();
        let principal = reader.principal(SUPERUSER)?.expect("the first superuser is there");
        let scope = Scope { reader, principal, search_path: vec!["public".into()], temporary: None };
        let locks = LockOwner::new(self.engine.advisory_locks().clone(), 42);
        let (engine, settings, outbox) = (self.engine.clone(), Settings::default(), Outbox::default());
        let context = Context::new(engine, scope, &settings, 42, outbox, locks)?;
        let statement = parse(sql)?.remove(0).statement;
        let authorized = authorize(resolve(statement, &context.scope).await?, &context.scope)?;
        let PlanKind::Query(query) = plan(authorized, &context, &[]).await?.kind else {
            panic!("not a query: {sql}")
        };
        let plan = context.state.create_physical_plan(&query.logical).await.expect(sql);
        datafusion::physical_plan::collect(plan.clone(), context.state.task_ctx()).await.expect(sql);
        let mut used = Vec::new();
        collect_keys(&plan, &mut used);
        Ok(used)
    }
}

/// The rows of a batch as text.
fn lines_of(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("∅");
    let formatter = |column| ArrayFormatter::try_new(column, &options).expect("every type can be shown");
    let columns: Vec<ArrayFormatter> =
        batch.columns().iter().map(|column| formatter(column.as_ref())).collect();
    let cell = |column: &ArrayFormatter, row| column.value(row).to_string().replace('\n', "\\n");
    let line = |row| columns.iter().map(|column| cell(column, row)).collect::<Vec<_>>().join("|");
    (0..batch.num_rows()).map(line).collect()
}

fn collect_keys(plan: &Arc<dyn ExecutionPlan>, used: &mut Vec<String>) {
    if let Some(exec) = plan.downcast_ref::<SystemTableExec>() {
        let scan = exec.scan_now().expect("a plan that has run");
        used.push(format!("{}: {}", scan.declared.name, scan.keys));
    }
    plan.children().into_iter().for_each(|child| collect_keys(child, used));
}

async fn fill(
    transaction: &mut Transaction,
    catalog: &Catalog,
    warehouse: &str,
) -> HashMap<&'static str, u32> {
    let (analysts, alice) = roles(transaction);
    let raw = transaction.new_namespace_id().expect("ids are left");
    transaction.push(Change::CreateNamespace(Namespace {
        id: raw,
        catalog: LAKE,
        name: "raw".into(),
        owner: SUPERUSER,
        comment: None,
        properties: Default::default(),
        created_at_ms: 1_700_000_000_000,
    }));
    let orders = relation(transaction, PUBLIC_NAMESPACE, "orders", Some("the orders"), RelationKind::Table);
    transaction.write_table(TableWrite {
        relation: orders,
        name: "orders".into(),
        target: Target::New(Box::new(orders_metadata(catalog, warehouse))),
        write: catalog.begin_write(&format!("{warehouse}/public/orders")).await.expect("an intent"),
        branch: "main".into(),
        operation: Operation::CreateEmpty,
        added: Vec::new(),
    });
    let big = relation(transaction, PUBLIC_NAMESPACE, "big", None, RelationKind::View(big_view()));
    let events = relation(transaction, raw, "events", None, RelationKind::External(events_table()));
    let hidden =
        relation(transaction, PUBLIC_NAMESPACE, "Secret plans", None, RelationKind::External(events_table()));
    let grant = |on, privileges: &[Privilege], grantable: &[Privilege]| Change::SetGrant {
        before: None,
        after: Grant {
            on,
            to: analysts,
            privileges: Privileges::of(privileges.iter().copied()),
            grantable: Privileges::of(grantable.iter().copied()),
        },
    };
    transaction.push(grant(
        Securable::Relation(orders),
        &[Privilege::Select, Privilege::Insert],
        &[Privilege::Select],
    ));
    // Without a privilege on the schema this one leads nowhere.
    transaction.push(grant(Securable::Relation(events), &[Privilege::Select], &[]));
    HashMap::from([
        ("analysts", analysts.oid()),
        ("alice", alice.oid()),
        ("raw", raw.oid()),
        ("orders", orders.oid()),
        ("big", big.oid()),
        ("events", events.oid()),
        ("hidden", hidden.oid()),
    ])
}

fn roles(transaction: &mut Transaction) -> (RoleId, RoleId) {
    let mut role = |name: &str, login, member_of| {
        let id = transaction.new_role_id().expect("ids are left");
        transaction.push(Change::CreateRole(Role {
            id,
            name: name.into(),
            superuser: false,
            login,
            create_role: false,
            create_schema: false,
            verifier: None,
            member_of,
            comment: (!login).then(|| "people who count".to_string()),
        }));
        id
    };
    let analysts = role("analysts", false, Vec::new());
    (analysts, role("alice", true, vec![analysts]))
}

fn relation(
    transaction: &mut Transaction,
    namespace: NamespaceId,
    name: &str,
    comment: Option<&str>,
    kind: RelationKind,
) -> RelationId {
    let id = transaction.new_relation_id().expect("ids are left");
    transaction.push(Change::CreateRelation(Relation {
        id,
        namespace,
        name: name.into(),
        owner: SUPERUSER,
        comment: comment.map(str::to_string),
        created_at_ms: 1_700_000_000_000,
        kind,
    }));
    id
}

fn orders_metadata(catalog: &Catalog, warehouse: &str) -> iceberg::spec::TableMetadata {
    let primitive = |id, name, required, kind| {
        let field = NestedField::new(id, name, Type::Primitive(kind), required);
        std::sync::Arc::new(if name == "customer" { field.with_doc("who") } else { field })
    };
    let tag = NestedField::list_element(8, Type::Primitive(PrimitiveType::String), false);
    let city = primitive(9, "city", false, PrimitiveType::String);
    let fields = vec![
        primitive(1, "id", true, PrimitiveType::Long),
        primitive(2, "customer", false, PrimitiveType::String),
        primitive(3, "total", false, PrimitiveType::Decimal { precision: 12, scale: 2 }),
        primitive(4, "placed", false, PrimitiveType::Timestamptz),
        primitive(5, "key", false, PrimitiveType::Uuid),
        NestedField::optional(6, "tags", Type::List(ListType::new(tag.into()))).into(),
        NestedField::optional(7, "address", Type::Struct(StructType::new(vec![city]))).into(),
    ];
    let table = NewTable {
        schema: Schema::builder().with_fields(fields).build().expect("a schema"),
        partition: UnboundPartitionSpec::default(),
        order: Vec::new(),
        properties: HashMap::new(),
        location: format!("{warehouse}/public/orders"),
        format_version: FormatVersion::V2,
    };
    new_table(table, catalog.env().uuid(), catalog.env().now_ms()).expect("a table")
}

fn big_view() -> View {
    let column = |name: &str, type_oid, type_modifier, comment: Option<&str>| ViewColumn {
        name: name.into(),
        type_oid,
        type_modifier,
        comment: comment.map(str::to_string),
    };
    View {
        sql: "SELECT id, total FROM orders WHERE total > 10".into(),
        search_path: vec!["public".into()],
        columns: vec![
            column("id", oid::INT8, -1, None),
            column("total", oid::NUMERIC, 786_438, Some("in euro")),
        ],
        iceberg: None,
    }
}

fn events_table() -> ExternalTable {
    let field = |id, name, kind| NestedField::optional(id, name, Type::Primitive(kind)).into();
    let fields = vec![field(1, "at", PrimitiveType::Date), field(2, "what", PrimitiveType::String)];
    ExternalTable {
        location: "file:///landing/events/".into(),
        pattern: Some("*.csv".into()),
        date_columns: Vec::new(),
        inference: Vec::new(),
        format: FileFormat::Csv(CsvFormat::default()),
        schema: Schema::builder().with_fields(fields).build().expect("a schema"),
        properties: [("bytes".to_string(), "20480".to_string())].into(),
    }
}
