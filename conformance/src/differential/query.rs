//! The queries of a program and how they read in SQL. What they must give is in `answer.rs`.

use super::expression::{Field, Names, Predicate};
use super::statement::Printer;
use super::table::{Applied, Inapplicable, MAIN, State};

/// Which rows of a table a query reads.
#[derive(Clone, Debug, PartialEq)]
pub enum Version {
    Current,
    /// The snapshot that a step made, by its id.
    After(usize),
    /// The same, by the time it was made.
    At(usize),
    Reference(String),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    pub table: String,
    pub version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    Inner,
    Left,
    Full,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    pub kind: JoinKind,
    pub source: Source,
    pub on: (Field, Field),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The place in the SELECT list.
    pub column: usize,
    pub descending: bool,
    pub nulls_first: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    CountRows,
    Count(Field),
    CountDistinct(Field),
    Min(Field),
    Max(Field),
    Sum(Field),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// `*` of one table.
    Star,
    /// Columns of the rows.
    Rows { fields: Vec<Field>, distinct: bool },
    /// One row for each group, or one for all when there are no keys.
    Groups { keys: Vec<Field>, calls: Vec<Call> },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub source: Source,
    pub join: Option<Join>,
    pub filter: Option<Predicate>,
    pub shape: Shape,
    pub order: Vec<Key>,
    pub limit: Option<usize>,
    pub offset: usize,
}

impl Call {
    pub fn field(&self) -> Option<&Field> {
        match self {
            Call::CountRows => None,
            Call::Count(field)
            | Call::CountDistinct(field)
            | Call::Min(field)
            | Call::Max(field)
            | Call::Sum(field) => Some(field),
        }
    }

    fn sql(&self, names: &Names<'_>) -> String {
        match self {
            Call::CountRows => "count(*)".into(),
            Call::Count(field) => format!("count({})", field.sql(names)),
            Call::CountDistinct(field) => format!("count(DISTINCT {})", field.sql(names)),
            Call::Min(field) => format!("min({})", field.sql(names)),
            Call::Max(field) => format!("max({})", field.sql(names)),
            Call::Sum(field) => format!("sum({})", field.sql(names)),
        }
    }
}

impl Source {
    pub fn current(table: &str) -> Source {
        Source { table: table.to_string(), version: Version::Current }
    }
}

impl Query {
    /// All rows of a table.
    pub fn everything(source: Source) -> Query {
        Query {
            source,
            join: None,
            filter: None,
            shape: Shape::Star,
            order: Vec::new(),
            limit: None,
            offset: 0,
        }
    }

    /// The query with a part less, for a shorter program that still fails.
    pub fn simpler(&self) -> Vec<Query> {
        let mut simpler = Vec::new();
        let mut add = |change: &dyn Fn(&mut Query)| {
            let mut query = self.clone();
            change(&mut query);
            if query != *self {
                simpler.push(query);
            }
        };
        add(&|query| query.filter = None);
        add(&|query| query.offset = 0);
        add(&|query| query.limit = None);
        if self.limit.is_none() {
            add(&|query| query.order.clear());
        }
        for filter in self.filter.iter().flat_map(Predicate::simpler) {
            add(&|query| query.filter = Some(filter.clone()));
        }
        match &self.shape {
            Shape::Rows { fields, .. } if fields.len() > 1 && self.order.is_empty() => {
                for at in 0..fields.len() {
                    add(&|query| {
                        if let Shape::Rows { fields, .. } = &mut query.shape {
                            fields.remove(at);
                        }
                    });
                }
            }
            Shape::Groups { calls, .. } if calls.len() > 1 && self.order.is_empty() => {
                for at in 0..calls.len() {
                    add(&|query| {
                        if let Shape::Groups { calls, .. } = &mut query.shape {
                            calls.remove(at);
                        }
                    });
                }
            }
            _ => {}
        }
        simpler
    }
}

impl Printer<'_> {
    pub fn source_state(&self, source: &Source) -> Applied<State> {
        let table = self.lake.table(&source.table)?;
        match &source.version {
            Version::Current => Ok(table.state()),
            Version::After(step) => Ok(table.snapshot(*step)?.state.clone()),
            Version::At(step) => {
                let at_ms = table.snapshot(*step)?.at_ms;
                let last = table.history.iter().rev().find(|one| one.branch == MAIN && one.at_ms <= at_ms);
                Ok(last.ok_or(Inapplicable)?.state.clone())
            }
            Version::Reference(name) => match table.tags.get(name) {
                Some(state) => Ok(state.clone()),
                None => table.branch(name).ok_or(Inapplicable),
            },
        }
    }

    fn source(&self, source: &Source) -> Applied<String> {
        let table = self.lake.table(&source.table)?;
        let name = format!("{}.{}", self.schema, source.table);
        Ok(match &source.version {
            Version::Current => name,
            Version::After(step) => format!("{name} FOR VERSION AS OF {}", table.snapshot(*step)?.id),
            Version::At(step) => {
                let at = crate::calendar::timestamp_text(table.snapshot(*step)?.at_ms * 1000);
                format!("{name} FOR TIMESTAMP AS OF TIMESTAMPTZ '{at}+00'")
            }
            Version::Reference(reference) => format!("{name} FOR VERSION AS OF '{reference}'"),
        })
    }

    pub fn query(&self, query: &Query) -> Applied<String> {
        let has_subquery = query.filter.as_ref().is_some_and(Predicate::has_subquery);
        let aliases: &[&str] = match (&query.join, has_subquery) {
            (Some(_), _) => &["t", "u"],
            (None, true) => &["t"],
            (None, false) => &[],
        };
        let names = Names { schema: self.schema, aliases };
        let mut states = vec![self.source_state(&query.source)?];
        let mut from = self.source(&query.source)?;
        if query.join.is_none() && has_subquery {
            from += " AS t";
        }
        if let Some(join) = &query.join {
            states.push(self.source_state(&join.source)?);
            let word = match join.kind {
                JoinKind::Inner => "JOIN",
                JoinKind::Left => "LEFT JOIN",
                JoinKind::Full => "FULL JOIN",
            };
            let (left, right) = (join.on.0.sql(&names), join.on.1.sql(&names));
            from = format!("{from} AS t {word} {} AS u ON {left} = {right}", self.source(&join.source)?);
        }
        let filter = self.where_sql(query.filter.as_ref(), &states, aliases);
        let fields = |fields: &[Field]| fields.iter().map(|field| field.sql(&names)).collect::<Vec<_>>();
        let mut text = match &query.shape {
            Shape::Star => format!("SELECT * FROM {from}{filter}"),
            Shape::Rows { fields: selected, distinct } => {
                let word = if *distinct { "DISTINCT " } else { "" };
                format!("SELECT {word}{} FROM {from}{filter}", fields(selected).join(", "))
            }
            Shape::Groups { keys, calls } => {
                let keys = fields(keys);
                let calls = calls.iter().map(|call| call.sql(&names));
                let selected: Vec<String> = keys.iter().cloned().chain(calls).collect();
                let group =
                    if keys.is_empty() { String::new() } else { format!(" GROUP BY {}", keys.join(", ")) };
                format!("SELECT {} FROM {from}{filter}{group}", selected.join(", "))
            }
        };
        text += &order_sql(&query.order);
        if let Some(limit) = query.limit {
            text += &format!(" LIMIT {limit}");
        }
        if query.offset > 0 {
            text += &format!(" OFFSET {}", query.offset);
        }
        Ok(text)
    }
}

fn order_sql(keys: &[Key]) -> String {
    let key = |key: &Key| {
        let direction = if key.descending { "DESC" } else { "ASC" };
        let nulls = if key.nulls_first { "FIRST" } else { "LAST" };
        format!("{} {direction} NULLS {nulls}", key.column + 1)
    };
    if keys.is_empty() {
        return String::new();
    }
    format!(" ORDER BY {}", keys.iter().map(key).collect::<Vec<_>>().join(", "))
}
