//! Commits of other engines, of one table or of several at once: requirements that must hold, and updates. They become one
//! transaction of the catalog, whose rules decide as they do for statements. Before, everything that the updates lead to is
//! looked at, and the caller must hold the rights for what they do to rows; what else they do only the owner may.
//!
//! ```text
//! body -> Change of a table -> examined, allowed -> Step -> Made: one Transaction -> 409, or done, or unknown
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use iceberg::spec::{MAIN_BRANCH, TableMetadata};
use iceberg::{TableRequirement, TableUpdate};
use serde::Deserialize;
use tarn_catalog::access::Privilege;
use tarn_catalog::iceberg::{
    Effect, Operation as TableOperation, TableWrite, Target, check_requirements, examine, references,
};
use tarn_catalog::object::{Namespace, Relation, RelationKind};
use tarn_catalog::{
    Answered, Change, CommitSequence, ErrorKind, RelationId, TableVersion, Transaction, WriteId,
};

use super::again::Slot;
use super::answer::Answer;
use super::create;
use super::error::{Error, Result};
use super::load;
use super::request::{Identifier, Request};
use super::visitor::{Found, Visitor};

/// Tables of one transaction.
const TABLES_MAX: usize = 1000;

#[derive(Deserialize)]
struct CommitTable {
    identifier: Option<Identifier>,
    requirements: Vec<TableRequirement>,
    updates: Vec<TableUpdate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct CommitTransaction {
    table_changes: Vec<CommitTable>,
}

/// What becomes of one table, after everything about it has been checked.
pub enum Step {
    Create {
        namespace: Namespace,
        name: String,
        metadata: Box<TableMetadata>,
    },
    Update {
        found: Found,
        base: Arc<TableVersion>,
        requirements: Vec<TableRequirement>,
        updates: Vec<TableUpdate>,
    },
}

/// `POST …/tables/{table}`.
pub async fn one(visitor: &Visitor, request: &Request, slot: &Slot) -> Result<Answer> {
    let body: CommitTable = request.json()?;
    let identifier = request.identifier();
    if body.identifier.as_ref().is_some_and(|named| *named != identifier) {
        return Err(Error::bad_request("the identifier of the body is not the table of the path"));
    }
    let step = step(visitor, &identifier, body).await?;
    let mut made = Made::new(visitor);
    let id = made.add(step)?;
    let sequence = made.commit(slot, Some(id)).await?;
    committed(visitor, id, sequence).await
}

/// The version that a commit has made. That it happened is known; whatever fails here must not say that it did not.
async fn committed(visitor: &Visitor, id: RelationId, sequence: CommitSequence) -> Result<Answer> {
    let unknown = |error: Error| Error::unknown_outcome(format!("committed, and then: {}", error.message));
    let version = visitor.catalog.reader_at(sequence).table(id).await;
    let version = version.map_err(|error| unknown(Error::from(error)))?;
    load::committed(&version).map_err(unknown)
}

/// `POST /v1/{prefix}/transactions/commit`.
pub async fn many(visitor: &Visitor, request: &Request, slot: &Slot) -> Result<Answer> {
    let body: CommitTransaction = request.json()?;
    if body.table_changes.len() > TABLES_MAX {
        return Err(Error::bad_request(format!("a transaction has at most {TABLES_MAX} tables")));
    }
    let mut seen = BTreeSet::new();
    let mut made = Made::new(visitor);
    for change in body.table_changes {
        let identifier = change.identifier.clone();
        let identifier =
            identifier.ok_or_else(|| Error::bad_request("a change of a transaction has no identifier"))?;
        if !seen.insert((identifier.namespace.clone(), identifier.name.clone())) {
            return Err(Error::bad_request(format!("table {:?} is changed twice", identifier.name)));
        }
        made.add(step(visitor, &identifier, change).await?)?;
    }
    made.commit(slot, None).await?;
    Ok(Answer::nothing())
}

async fn step(visitor: &Visitor, identifier: &Identifier, change: CommitTable) -> Result<Step> {
    let CommitTable { identifier: _, requirements, updates } = change;
    let creates = requirements.contains(&TableRequirement::NotExist);
    match (visitor.find_table(identifier)?, creates) {
        (Some(_), true) => Err(Error::commit_failed("Requirement failed: table already exists")),
        (None, true) if requirements.len() > 1 => {
            Err(Error::bad_request("a table that is created has no other requirement than assert-create"))
        }
        (None, true) => create::from_updates(visitor, identifier, &updates).await,
        (None, false) => Err(visitor.table(identifier).err().unwrap_or_else(Error::not_served)),
        (Some(found), false) => update(visitor, found, requirements, updates).await,
    }
}

async fn update(
    visitor: &Visitor,
    found: Found,
    mut requirements: Vec<TableRequirement>,
    mut updates: Vec<TableUpdate>,
) -> Result<Step> {
    // The answer tells all about the table.
    visitor.may(&found, Privilege::Select)?;
    let base = visitor.reader.table(found.relation.id).await?;
    check_requirements(&base.metadata, &requirements)?;
    let effect = examine(visitor.catalog.storage(), &base.metadata, &updates).await?;
    check_rights(visitor, &found, &base.metadata, &updates, effect)?;
    requirements.extend(missing_requirements(&base.metadata, &requirements, &updates));
    // What is so already would count as a change of what must not change.
    updates.retain(|update| match update {
        TableUpdate::SetLocation { location } => location.trim_end_matches('/') != base.metadata.location(),
        TableUpdate::AssignUuid { uuid } => *uuid != base.metadata.uuid(),
        _ => true,
    });
    Ok(Step::Update { found, base, requirements, updates })
}

/// A branch that moves must be where it was when all this was looked at, whether the client says so or not: otherwise
/// the commit of another would be lost.
fn missing_requirements(
    base: &TableMetadata,
    requirements: &[TableRequirement],
    updates: &[TableUpdate],
) -> Vec<TableRequirement> {
    let said = |name: &str| {
        requirements.iter().any(
            |requirement| matches!(requirement, TableRequirement::RefSnapshotIdMatch { r#ref, .. } if r#ref == name),
        )
    };
    let mut missing = vec![TableRequirement::UuidMatch { uuid: base.uuid() }];
    let moved: BTreeSet<&String> = updates
        .iter()
        .filter_map(|update| match update {
            TableUpdate::SetSnapshotRef { ref_name, .. } | TableUpdate::RemoveSnapshotRef { ref_name } => {
                Some(ref_name)
            }
            _ => None,
        })
        .filter(|name| !said(name))
        .collect();
    missing.extend(moved.into_iter().map(|name| TableRequirement::RefSnapshotIdMatch {
        r#ref: name.clone(),
        snapshot_id: base.snapshot_for_ref(name).map(|snapshot| snapshot.snapshot_id()),
    }));
    missing
}

/// Rows that come need INSERT, and rows that go need DELETE, as the files show it; everything else is the owner's.
fn check_rights(
    visitor: &Visitor,
    found: &Found,
    base: &TableMetadata,
    updates: &[TableUpdate],
    effect: Effect,
) -> Result<()> {
    if visitor.owns(found).is_ok() {
        return Ok(());
    }
    if updates.is_empty() || !only_moves_on(base, updates)? {
        return visitor.owns(found);
    }
    if effect.removes_rows {
        visitor.may(found, Privilege::Delete)?;
    }
    if effect.adds_rows || !effect.removes_rows {
        visitor.may(found, Privilege::Insert)?;
    }
    Ok(())
}

/// Whether all that happens is that branches which are there move to new snapshots made of what they are now.
fn only_moves_on(base: &TableMetadata, updates: &[TableUpdate]) -> Result<bool> {
    let parents: BTreeMap<i64, Option<i64>> = updates
        .iter()
        .filter_map(|update| match update {
            TableUpdate::AddSnapshot { snapshot } => {
                Some((snapshot.snapshot_id(), snapshot.parent_snapshot_id()))
            }
            _ => None,
        })
        .collect();
    let references = references(base)?;
    for update in updates {
        let (name, reference) = match update {
            TableUpdate::AddSnapshot { .. } => continue,
            TableUpdate::SetSnapshotRef { ref_name, reference } => (ref_name, reference),
            _ => return Ok(false),
        };
        let before = references.get(name);
        let (head, same) = match before {
            Some(before) => (Some(before.snapshot_id), before.retention == reference.retention),
            None => (None, name == MAIN_BRANCH),
        };
        let mut at = Some(reference.snapshot_id);
        while let Some(parent) = at.and_then(|id| parents.get(&id)) {
            at = *parent;
        }
        if at != head || !same || !parents.contains_key(&reference.snapshot_id) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The transaction that all steps become.
pub struct Made<'a> {
    visitor: &'a Visitor,
    transaction: Transaction,
    /// Writes that have not begun yet, each with the folder that it writes in.
    writes: Vec<(String, TableWrite)>,
}

impl<'a> Made<'a> {
    pub fn new(visitor: &'a Visitor) -> Made<'a> {
        let transaction = visitor.catalog.begin_at(visitor.reader.clone(), visitor.principal.role);
        Made { visitor, transaction, writes: Vec::new() }
    }

    fn add(&mut self, step: Step) -> Result<RelationId> {
        match step {
            Step::Create { namespace, name, metadata } => self.create(&namespace, &name, *metadata),
            Step::Update { found, base, requirements, updates } => {
                let name = format!("{}.{}", found.namespace.name, found.relation.name);
                let operation = TableOperation::Update { requirements, updates };
                let location = base.metadata.location().to_owned();
                let id = found.relation.id;
                self.write(location, write(id, name, Target::Existing { base }, operation));
                Ok(id)
            }
        }
    }

    /// Adds a table, whose metadata may have snapshots already.
    pub fn create(
        &mut self,
        namespace: &Namespace,
        name: &str,
        metadata: TableMetadata,
    ) -> Result<RelationId> {
        let id = self.transaction.new_relation_id()?;
        self.transaction.push(Change::CreateRelation(Relation {
            id,
            namespace: namespace.id,
            name: name.to_owned(),
            owner: self.visitor.principal.role,
            comment: None,
            created_at_ms: self.visitor.catalog.env().now_ms(),
            kind: RelationKind::Table,
        }));
        let location = metadata.location().to_owned();
        let full_name = format!("{}.{name}", namespace.name);
        let target = Target::New(Box::new(metadata));
        self.write(location, write(id, full_name, target, TableOperation::CreateEmpty));
        Ok(id)
    }

    fn write(&mut self, location: String, write: TableWrite) {
        self.writes.push((location, write));
    }

    /// Makes all of it true, or nothing. `answered` is the table that a request with a key is answered with.
    pub async fn commit(mut self, slot: &Slot, answered: Option<RelationId>) -> Result<CommitSequence> {
        let catalog = &self.visitor.catalog;
        slot.keep(&mut self.transaction, self.visitor, answered.map_or(Answered::Nothing, Answered::Table));
        let mut begun = Vec::new();
        for (location, mut write) in self.writes {
            match catalog.begin_write(&location).await {
                Ok(id) => {
                    begun.push(id);
                    write.write = id;
                    self.transaction.write_table(write);
                }
                Err(error) => {
                    abandon(catalog, begun).await;
                    return Err(error.into());
                }
            }
        }
        let committed = catalog.commit(self.transaction).await;
        if committed.as_ref().is_err_and(|error| error.kind != ErrorKind::OutcomeUnknown) {
            abandon(catalog, begun).await;
        }
        Ok(committed?)
    }
}

async fn abandon(catalog: &tarn_catalog::Catalog, writes: Vec<WriteId>) {
    for write in writes {
        catalog.abandon_write(write, &[]).await;
    }
}

/// A write whose id is given when it begins.
fn write(relation: RelationId, name: String, target: Target, operation: TableOperation) -> TableWrite {
    TableWrite {
        relation,
        name,
        target,
        write: WriteId(uuid::Uuid::nil()),
        branch: MAIN_BRANCH.to_owned(),
        operation,
        added: Vec::new(),
    }
}
