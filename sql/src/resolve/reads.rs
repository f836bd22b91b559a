//! The tables whose rows a statement reads, for serializable transactions: what they held must still be so at the
//! commit. It must never read one.

use tarn_catalog::{Reading, RelationId};

use super::{Action, Change, ResolvedQuery, ResolvedRelation};

/// What a statement reads beside the rows that it changes, which the write itself looks after.
pub(crate) fn tables_read(action: &Action) -> Vec<(RelationId, Reading)> {
    let mut tables = Vec::new();
    collect(action, &mut tables);
    tables
}

/// What a statement that changes rows reads beside them.
pub(crate) fn tables_read_by(change: &Change) -> Vec<(RelationId, Reading)> {
    let mut tables = Vec::new();
    change.queries().into_iter().for_each(|query| of_query(query, &mut tables));
    tables
}

fn collect(action: &Action, tables: &mut Vec<(RelationId, Reading)>) {
    match action {
        Action::Query(query) | Action::Declare { query, .. } => of_query(query, tables),
        Action::Load { source, .. } => of_query(source, tables),
        Action::Insert { source, .. } => source.iter().for_each(|query| of_query(query, tables)),
        // The rows of its target are the write's own to look after.
        Action::Change(change) => tables.extend(tables_read_by(change)),
        Action::CreateTable { query: Some(query), .. } => of_query(query, tables),
        Action::Explain { analyze: true, action, .. } | Action::CopyTo { action, .. } => {
            collect(action, tables);
        }
        _ => {}
    }
}

fn of_query(query: &ResolvedQuery, tables: &mut Vec<(RelationId, Reading)>) {
    query.relations.values().for_each(|relation| of_relation(relation, tables));
}

fn of_relation(relation: &ResolvedRelation, tables: &mut Vec<(RelationId, Reading)>) {
    match relation {
        ResolvedRelation::Table { found, state } => {
            let current = state.snapshot_id == state.version.metadata.current_snapshot_id();
            let reading = if current { Reading::Current } else { Reading::Other };
            tables.push((found.relation.id, reading));
        }
        ResolvedRelation::Reading(reading) => tables.push((reading.found.relation.id, Reading::Other)),
        ResolvedRelation::Changes(changes) => {
            let reading = if changes.to.is_none() { Reading::Current } else { Reading::Other };
            tables.push((changes.found.relation.id, reading));
        }
        ResolvedRelation::Rows { relation, columns: _ } => of_relation(relation, tables),
        ResolvedRelation::View { query, .. } => of_query(query, tables),
        // Files are nobody's to lock, and what the catalog says is as of the transaction's beginning.
        ResolvedRelation::External { .. }
        | ResolvedRelation::System { .. }
        | ResolvedRelation::Files { .. } => {}
    }
}
