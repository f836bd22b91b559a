//! One consistent view of the catalog: every question to a reader is answered as of one commit, however long it lives.
//! It must never check rights. Next: `transaction.rs` for changing what is read here.

use std::collections::BTreeSet;
use std::sync::Arc;

use iceberg::spec::TableMetadata;
use serde::de::DeserializeOwned;

use crate::access::Principal;
use crate::commit::{Answer, UpkeepRecord};
use crate::crawler::{CrawlRun, Crawler};
use crate::error::{Error, ErrorKind, Result};
use crate::iceberg::parse_metadata;
use crate::id::{CatalogId, CommitSequence, NamespaceId, PUBLIC_ROLE, RelationId, RoleId};
use crate::object::{
    Database, Grant, MaintenancePolicy, Namespace, PolicyTarget, Relation, Role, Securable, TablePointer,
};
use crate::pins::Pin;
use crate::storage::Storage;
use crate::store::{LogEntry, LogRow, Row, Space, Store, keys, values};

/// Rows asked of the store at a time.
const PAGE_ROWS: usize = 1024;

/// Parsed metadata takes about this many times the bytes of its JSON.
const PARSED_PER_JSON_BYTE: usize = 4;

/// A table at one version: everything that is needed to read it.
#[derive(Debug, Clone)]
pub struct TableVersion {
    pub relation: RelationId,
    pub pointer: TablePointer,
    pub metadata: Arc<TableMetadata>,
}

/// The catalog at one version. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    store: Arc<dyn Store>,
    storage: Arc<Storage>,
    at: CommitSequence,
    /// Keeps the files of this version from being deleted as long as this reader or a clone of it lives.
    _pin: Arc<Pin>,
}

impl Reader {
    pub(crate) fn new(store: Arc<dyn Store>, storage: Arc<Storage>, pin: Pin) -> Reader {
        Reader { store, storage, at: pin.at(), _pin: Arc::new(pin) }
    }

    /// The same version with rows laid over it.
    pub(crate) fn over(&self, store: Arc<dyn Store>) -> Reader {
        Reader { store, ..self.clone() }
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The commit that this reader sees, with all before it.
    pub fn sequence(&self) -> CommitSequence {
        self.at
    }

    pub fn database(&self, name: &str) -> Result<Option<Database>> {
        self.read_named(Space::Name, &keys::database_name(name), |id| self.database_by_id(CatalogId(id)))
    }

    pub fn database_by_id(&self, id: CatalogId) -> Result<Option<Database>> {
        self.read(Space::Object, &keys::database(id))
    }

    /// All databases, by name.
    pub fn databases(&self) -> Result<Vec<Database>> {
        self.read_all_named(Space::Name, keys::DATABASE_NAMES, |id| self.database_by_id(CatalogId(id)))
    }

    pub fn namespace(&self, catalog: CatalogId, name: &str) -> Result<Option<Namespace>> {
        let key = keys::namespace_name(catalog, name);
        self.read_named(Space::Name, &key, |id| self.namespace_by_id(NamespaceId(id)))
    }

    pub fn namespace_by_id(&self, id: NamespaceId) -> Result<Option<Namespace>> {
        self.read(Space::Object, &keys::namespace(id))
    }

    /// The namespaces of a catalog, by name.
    pub fn namespaces(&self, catalog: CatalogId) -> Result<Vec<Namespace>> {
        let prefix = keys::namespace_names(catalog);
        self.read_all_named(Space::Name, &prefix, |id| self.namespace_by_id(NamespaceId(id)))
    }

    pub fn relation(&self, namespace: NamespaceId, name: &str) -> Result<Option<Relation>> {
        let key = keys::relation_name(namespace, name);
        self.read_named(Space::Name, &key, |id| self.relation_by_id(RelationId(id)))
    }

    pub fn relation_by_id(&self, id: RelationId) -> Result<Option<Relation>> {
        self.read(Space::Object, &keys::relation(id))
    }

    /// The relations of a namespace, by name.
    pub fn relations(&self, namespace: NamespaceId) -> Result<Vec<Relation>> {
        self.relations_with_prefix(namespace, "")
    }

    /// The relations of a namespace whose name starts with `prefix`, by name.
    pub fn relations_with_prefix(&self, namespace: NamespaceId, prefix: &str) -> Result<Vec<Relation>> {
        let prefix = keys::relation_names(namespace, prefix);
        self.read_all_named(Space::Name, &prefix, |id| self.relation_by_id(RelationId(id)))
    }

    /// The first relations of a namespace whose names come after `after`, by name.
    pub fn relations_after(
        &self,
        namespace: NamespaceId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Relation>> {
        let prefix = keys::relation_names(namespace, "");
        let after = after.map(|name| keys::relation_name(namespace, name));
        let rows = self.store.scan(Space::Name, &prefix, after.as_deref(), limit, self.at)?;
        let relation = |id: u64| self.relation_by_id(RelationId(id))?.ok_or_else(missing);
        rows.iter().map(|(_, row)| relation(values::decode(&row.value)?)).collect()
    }

    /// What was answered to a request that carried this key.
    pub fn answer(&self, key: uuid::Uuid) -> Result<Option<Answer>> {
        self.read(Space::Upkeep, &keys::answer(key))
    }

    /// Where a table's metadata is; None for other relations.
    pub fn pointer(&self, relation: RelationId) -> Result<Option<TablePointer>> {
        self.read(Space::Pointer, &keys::pointer(relation))
    }

    /// Where the files of tables are.
    pub fn storage(&self) -> &Arc<Storage> {
        &self.storage
    }

    /// What the server did to a table: the newest word on it, whatever version is read.
    pub fn upkeep_record(&self, relation: RelationId) -> Result<UpkeepRecord> {
        Ok(self.read(Space::Upkeep, &keys::upkeep_record(relation))?.unwrap_or_default())
    }

    /// The policy that was set on an object itself.
    pub fn policy(&self, on: PolicyTarget) -> Result<Option<MaintenancePolicy>> {
        self.read(Space::Object, &keys::policy(on))
    }

    /// Whether there is any policy at all.
    pub fn any_policy(&self) -> Result<bool> {
        Ok(!self.store.scan(Space::Object, keys::POLICIES, None, 1, self.at)?.is_empty())
    }

    /// The policy that a table follows: its own, with what that does not say from its namespace and catalog.
    pub fn effective_policy(&self, relation: &Relation) -> Result<MaintenancePolicy> {
        let mut policy = self.policy(PolicyTarget::Relation(relation.id))?.unwrap_or_default();
        if let Some(above) = self.policy(PolicyTarget::Namespace(relation.namespace))? {
            policy = policy.or(&above);
        }
        if let Some(namespace) = self.namespace_by_id(relation.namespace)?
            && let Some(above) = self.policy(PolicyTarget::Database(namespace.catalog))?
        {
            policy = policy.or(&above);
        }
        Ok(policy)
    }

    pub fn crawler(&self, name: &str) -> Result<Option<Crawler>> {
        self.read(Space::Object, &keys::crawler(name))
    }

    /// All crawlers, by name.
    pub fn crawlers(&self) -> Result<Vec<Crawler>> {
        self.read_all(Space::Object, keys::CRAWLERS)
    }

    pub fn crawl_run(&self, number: u64) -> Result<Option<CrawlRun>> {
        self.read(Space::Object, &keys::crawl_run(number))
    }

    /// All runs of crawls that changed something, and plans, oldest first.
    pub fn crawl_runs(&self) -> Result<Vec<CrawlRun>> {
        self.read_all(Space::Object, keys::CRAWL_RUNS)
    }

    /// The pointers of all tables.
    pub(crate) fn pointers(&self) -> Result<Vec<TablePointer>> {
        self.rows(Space::Pointer, b"")?.iter().map(|(_, row)| values::decode(&row.value)).collect()
    }

    /// A table with its metadata.
    pub async fn table(&self, relation: RelationId) -> Result<Arc<TableVersion>> {
        let (pointer, at_hand) = self.pointed(relation)?;
        let metadata = match at_hand {
            Some(metadata) => metadata,
            None => {
                let file = self.storage.guard().table_file(&pointer.location, &pointer.metadata_location)?;
                let json = self.storage.get(&file).await;
                let json = json.map_err(|error| at(&pointer.metadata_location, error))?.to_vec();
                self.read_metadata(&pointer, &json)?
            }
        };
        Ok(Arc::new(TableVersion { relation, pointer, metadata }))
    }

    /// The same, if it can be had without asking the object store: the catalog has a copy of what it has written.
    pub fn table_at_hand(&self, relation: RelationId) -> Result<Option<Arc<TableVersion>>> {
        let (pointer, at_hand) = self.pointed(relation)?;
        Ok(at_hand.map(|metadata| Arc::new(TableVersion { relation, pointer, metadata })))
    }

    /// A table's pointer, and its metadata if that is at hand.
    fn pointed(&self, relation: RelationId) -> Result<(TablePointer, Option<Arc<TableMetadata>>)> {
        let Some(row) = self.store.get(Space::Pointer, &keys::pointer(relation), self.at)? else {
            return Err(Error::internal(format!("relation {relation} has no table metadata")));
        };
        let pointer: TablePointer = values::decode(&row.value)?;
        if let Some(metadata) = self.storage.decoded().get::<TableMetadata>(&pointer.metadata_location) {
            return Ok((pointer, Some(metadata)));
        }
        let copy = self.metadata_copy(relation, row.written_at)?;
        let metadata = copy.map(|json| self.read_metadata(&pointer, &json)).transpose()?;
        Ok((pointer, metadata))
    }

    fn read_metadata(&self, pointer: &TablePointer, json: &[u8]) -> Result<Arc<TableMetadata>> {
        let metadata = parse_metadata(json).map_err(|error| at(&pointer.metadata_location, error))?;
        let metadata = Arc::new(metadata);
        remember(&self.storage, &pointer.metadata_location, metadata.clone(), json.len());
        Ok(metadata)
    }

    /// Why a table cannot be read that could not be read when it was registered. Of all others it is taken that they
    /// can, because a listing does not open every table.
    pub fn unsupported(&self, relation: RelationId) -> Result<Option<String>> {
        let Some(row) = self.store.get(Space::Pointer, &keys::pointer(relation), self.at)? else {
            return Ok(None);
        };
        let pointer: TablePointer = values::decode(&row.value)?;
        let Some(reason) = pointer.unsupported else { return Ok(None) };
        // This version may know what the one that registered it did not.
        let copy = self.metadata_copy(relation, row.written_at)?;
        Ok(copy.is_none_or(|json| parse_metadata(&json).is_err()).then_some(reason))
    }

    /// The catalog's own copy of a table's metadata. One that is damaged is no copy: the file has the same.
    fn metadata_copy(&self, relation: RelationId, written_at: CommitSequence) -> Result<Option<Vec<u8>>> {
        let copy = self.store.get(Space::Metadata, &keys::metadata(relation, written_at), self.at)?;
        Ok(copy.and_then(|copy| values::decompress(&copy.value).ok()))
    }

    pub fn role(&self, name: &str) -> Result<Option<Role>> {
        self.read_named(Space::Role, &keys::role_name(name), |id| self.role_by_id(RoleId(id)))
    }

    pub fn role_by_id(&self, id: RoleId) -> Result<Option<Role>> {
        self.read(Space::Role, &keys::role(id))
    }

    /// All roles, oldest first.
    pub fn roles(&self) -> Result<Vec<Role>> {
        self.rows(Space::Role, keys::ROLES)?.iter().map(|(_, row)| values::decode(&row.value)).collect()
    }

    /// The role with everything it is a member of. Attributes such as superuser are its own; they are not inherited.
    pub fn principal(&self, id: RoleId) -> Result<Option<Principal>> {
        let Some(role) = self.role_by_id(id)? else { return Ok(None) };
        let mut roles = BTreeSet::from([id, PUBLIC_ROLE]);
        let mut open = role.member_of.clone();
        while let Some(next) = open.pop() {
            if let Some(role) = self.role_by_id(next)?
                && roles.insert(next)
            {
                open.extend(role.member_of);
            }
        }
        Ok(Some(Principal {
            role: id,
            name: role.name,
            superuser: role.superuser,
            create_role: role.create_role,
            create_schema: role.create_schema,
            roles,
        }))
    }

    pub fn grants_on(&self, object: Securable) -> Result<Vec<Grant>> {
        self.rows(Space::Grant, &keys::grants_on(object))?
            .iter()
            .map(|(_, row)| values::decode(&row.value))
            .collect()
    }

    /// What a role holds itself, not through others.
    pub fn grants_to(&self, role: RoleId) -> Result<Vec<Grant>> {
        let rows = self.rows(Space::Grant, &keys::grants_to(role))?;
        let grant = |key: &[u8]| -> Result<Option<Grant>> {
            self.read(Space::Grant, &keys::grant(keys::securable_at_end(key)?, role))
        };
        rows.iter().filter_map(|(key, _)| grant(key).transpose()).collect()
    }

    /// The schemas and relations that a role owns.
    pub fn owned_by(&self, role: RoleId) -> Result<Vec<Securable>> {
        self.rows(Space::Role, &keys::owned_by(role))?
            .iter()
            .map(|(key, _)| keys::securable_at_end(key))
            .collect()
    }

    /// The commit log after `after` up to this reader's version, oldest first, at most `limit` entries.
    pub fn log(&self, after: CommitSequence, limit: usize) -> Result<Vec<LogEntry>> {
        let rows = self.store.scan(Space::Log, b"", Some(&keys::log(after)), limit, self.at)?;
        let entries = rows.iter().map(|(_, row)| Ok(LogRow::read(&row.value)?.entry));
        entries.take_while(|entry| entry.as_ref().map_or(true, |entry| entry.sequence <= self.at)).collect()
    }

    fn read_all<T: DeserializeOwned>(&self, space: Space, prefix: &[u8]) -> Result<Vec<T>> {
        self.rows(space, prefix)?.iter().map(|(_, row)| values::decode(&row.value)).collect()
    }

    fn read<T: DeserializeOwned>(&self, space: Space, key: &[u8]) -> Result<Option<T>> {
        self.store.get(space, key, self.at)?.map(|row| values::decode(&row.value)).transpose()
    }

    /// The object whose id is under this name.
    fn read_named<T>(
        &self,
        space: Space,
        key: &[u8],
        by_id: impl Fn(u64) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let Some(id) = self.read::<u64>(space, key)? else { return Ok(None) };
        by_id(id)?.ok_or_else(missing).map(Some)
    }

    fn read_all_named<T>(
        &self,
        space: Space,
        prefix: &[u8],
        by_id: impl Fn(u64) -> Result<Option<T>>,
    ) -> Result<Vec<T>> {
        let rows = self.rows(space, prefix)?;
        rows.iter().map(|(_, row)| by_id(values::decode(&row.value)?)?.ok_or_else(missing)).collect()
    }

    fn rows(&self, space: Space, prefix: &[u8]) -> Result<Vec<Row>> {
        let mut rows: Vec<Row> = Vec::new();
        loop {
            let after = rows.last().map(|(key, _)| key.as_slice());
            let page = self.store.scan(space, prefix, after, PAGE_ROWS, self.at)?;
            let is_last = page.len() < PAGE_ROWS;
            rows.extend(page);
            if is_last {
                return Ok(rows);
            }
        }
    }
}

/// Keeps parsed metadata for the readers that come next.
pub(crate) fn remember(storage: &Storage, location: &str, metadata: Arc<TableMetadata>, json_bytes: usize) {
    storage.decoded().insert(location.to_owned(), metadata, json_bytes * PARSED_PER_JSON_BYTE);
}

/// The error with the file it is about.
fn at(location: &str, error: Error) -> Error {
    let detail = error.detail.as_deref().unwrap_or_default();
    let detail = format!("{detail} The file is {location}.");
    error.with_detail(detail.trim_start())
}

fn missing() -> Error {
    Error::new(ErrorKind::Corrupt, "a name in the catalog leads to an object that is not there")
}
