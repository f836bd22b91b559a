//! A program: numbered steps, each a statement or a query. Its steps keep their numbers when others are dropped,
//! because a snapshot is named after the step that made it.

use super::expression::Predicate;
use super::query::{Query, Source};
use super::statement::Statement;

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Statement(Statement),
    Query(Query),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub number: usize,
    pub action: Action,
}

impl Statement {
    /// The table that it changes.
    pub fn table(&self) -> Option<&str> {
        match self {
            Statement::Create { table, .. }
            | Statement::CreateAs { table, .. }
            | Statement::Drop { table }
            | Statement::Insert { table, .. }
            | Statement::InsertFrom { table, .. }
            | Statement::InsertSeries { table, .. }
            | Statement::Truncate { table }
            | Statement::Delete { table, .. }
            | Statement::Update { table, .. }
            | Statement::Merge { table, .. }
            | Statement::Alter { table, .. }
            | Statement::Upkeep { table, .. }
            | Statement::Reference { table, .. } => Some(table),
            Statement::Block(_) => None,
        }
    }

    /// The statement with a part less, for a shorter program that still fails.
    fn simpler(&self) -> Vec<Statement> {
        let filters =
            |filter: &Option<Predicate>| filter.iter().flat_map(Predicate::simpler).collect::<Vec<_>>();
        let mut simpler = Vec::new();
        match self {
            Statement::Insert { rows, .. } if rows.len() > 1 => {
                let half = rows.len() / 2;
                for part in [&rows[..half], &rows[half..], &rows[1..]] {
                    let mut statement = self.clone();
                    if let Statement::Insert { rows, .. } = &mut statement {
                        *rows = part.to_vec();
                    }
                    simpler.push(statement);
                }
            }
            Statement::InsertSeries { table, from, to } if from < to => {
                let middle = from + (to - from) / 2;
                let part = |from, to| Statement::InsertSeries { table: table.clone(), from, to };
                simpler.extend([part(*from, middle), part(middle + 1, *to)]);
            }
            Statement::Delete { filter, .. } => {
                for part in filters(filter) {
                    let mut statement = self.clone();
                    if let Statement::Delete { filter, .. } = &mut statement {
                        *filter = Some(part);
                    }
                    simpler.push(statement);
                }
            }
            Statement::Update { filter, set, .. } => {
                for part in filters(filter) {
                    let mut statement = self.clone();
                    if let Statement::Update { filter, .. } = &mut statement {
                        *filter = Some(part);
                    }
                    simpler.push(statement);
                }
                for at in 0..if set.len() > 1 { set.len() } else { 0 } {
                    let mut statement = self.clone();
                    if let Statement::Update { set, .. } = &mut statement {
                        set.remove(at);
                    }
                    simpler.push(statement);
                }
            }
            Statement::Merge { clauses, .. } if clauses.len() > 1 => {
                for at in 0..clauses.len() {
                    let mut statement = self.clone();
                    if let Statement::Merge { clauses, .. } = &mut statement {
                        clauses.remove(at);
                    }
                    simpler.push(statement);
                }
            }
            _ => simpler.extend(self.plainer()),
        }
        simpler
    }

    /// A table with less to it.
    fn plainer(&self) -> Vec<Statement> {
        let (Statement::Create { definition, .. } | Statement::CreateAs { definition, .. }) = self else {
            return Vec::new();
        };
        let mut plainer = Vec::new();
        let mut add = |partition: usize, properties: usize| {
            let mut statement = self.clone();
            if let Statement::Create { definition, .. } | Statement::CreateAs { definition, .. } =
                &mut statement
            {
                definition.partition.truncate(partition);
                definition.properties.truncate(properties);
            }
            plainer.push(statement);
        };
        let (fields, properties) = (definition.partition.len(), definition.properties.len());
        if fields > 0 {
            add(fields - 1, properties);
        }
        if properties > 0 {
            add(fields, properties - 1);
        }
        if let Statement::Create { columns, .. } = self {
            for at in 0..if columns.len() > 1 { columns.len() } else { 0 } {
                let mut statement = self.clone();
                if let Statement::Create { columns, .. } = &mut statement {
                    columns.remove(at);
                }
                plainer.push(statement);
            }
        }
        plainer
    }

    /// An INSERT that leaves the column out, for programs whose table has lost it.
    fn without_column(&self, at: usize) -> Option<Statement> {
        let mut statement = self.clone();
        match &mut statement {
            Statement::Insert { columns, rows, .. } if columns.len() > 1 && at < columns.len() => {
                columns.remove(at);
                rows.iter_mut().for_each(|row| drop(row.remove(at)));
                Some(statement)
            }
            _ => None,
        }
    }
}

impl Action {
    pub fn simpler(&self) -> Vec<Action> {
        match self {
            Action::Statement(statement) => {
                let columns =
                    if let Statement::Insert { columns, .. } = statement { columns.len() } else { 0 };
                let narrower = (0..columns).filter_map(|at| statement.without_column(at));
                statement.simpler().into_iter().chain(narrower).map(Action::Statement).collect()
            }
            Action::Query(query) => query.simpler().into_iter().map(Action::Query).collect(),
        }
    }

    pub fn everything(table: &str) -> Action {
        Action::Query(Query::everything(Source::current(table)))
    }
}
