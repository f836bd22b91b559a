//! Many rows of values for one `INSERT`: a statement that inserts its parameters as they are is a `COPY` whose rows are the
//! values, so that a driver's `executemany` writes a file and not one for each row.

use datafusion::sql::sqlparser::ast::{Expr, Query, SetExpr, Value};

use super::{CopyFormat, CopyIn, CopyOptions};
use crate::error::Result;
use crate::outcome::Outcome;
use crate::parse::{Parsed, fold};
use crate::prepared::Prepared;
use crate::session::Session;
use crate::statement::{CopyFrom, Insert, Statement};

impl Session {
    /// Begins to write rows of values for a statement that inserts one row of its parameters and does nothing else. Tells for
    /// each column that comes the place of its parameter. None for any other statement, which is to be executed for each
    /// row.
    ///
    /// # Errors
    ///
    /// Whatever executing the statement would say about its names and rights.
    pub async fn insert_many(&mut self, prepared: &Prepared) -> Result<Option<(CopyIn, Vec<usize>)>> {
        let Statement::Insert(insert) = &prepared.parsed.statement else { return Ok(None) };
        let Some(places) = places(insert).filter(|places| places.len() == prepared.parameters.len()) else {
            return Ok(None);
        };
        let columns: Vec<String> = insert.columns.iter().map(fold).collect();
        let table = insert.target.name.clone();
        let options = CopyOptions::of_format(CopyFormat::Text);
        let statement = Statement::CopyFrom(CopyFrom { table, columns, options, filter: None, file: None });
        let Outcome::CopyIn(copy) = self.run(Parsed { statement, ..prepared.parsed.clone() }).await? else {
            return Ok(None);
        };
        if copy.columns().fields().len() == places.len() {
            return Ok(Some((*copy, places)));
        }
        // The statement gives fewer values than the table has columns, and names none.
        copy.abandon().await;
        Ok(None)
    }
}

/// The parameters of `INSERT INTO t [(columns)] VALUES ($1, …)` in the order of the columns, counted from 0.
fn places(insert: &Insert) -> Option<Vec<usize>> {
    let Insert { source, conflict: None, overwrite: None, returning, .. } = insert else { return None };
    let query = source.as_ref().filter(|_| returning.is_empty())?;
    let values = plain_values(query)?;
    let places: Vec<usize> = values.iter().map(place).collect::<Option<_>>()?;
    let mut sorted = places.clone();
    sorted.sort_unstable();
    sorted.into_iter().eq(0..places.len()).then_some(places)
}

/// The one row of a `VALUES` with nothing around it.
fn plain_values(query: &Query) -> Option<&[Expr]> {
    let plain = query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none();
    match query.body.as_ref() {
        SetExpr::Values(values) if plain => match values.rows.as_slice() {
            [row] => Some(row.content.as_slice()),
            _ => None,
        },
        _ => None,
    }
}

fn place(value: &Expr) -> Option<usize> {
    match value {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => name.trim_start_matches('$').parse::<usize>().ok()?.checked_sub(1),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    #[test]
    fn only_parameters_as_they_are_can_be_copied() {
        let check = |sql: &str, expect: Option<&[usize]>| {
            let parsed = parse(sql).expect("it is SQL").remove(0);
            let Statement::Insert(insert) = parsed.statement else { panic!("{sql} is no INSERT") };
            assert_eq!(places(&insert).as_deref(), expect, "{sql}");
        };
        check("INSERT INTO t VALUES ($1, $2)", Some(&[0, 1]));
        check("INSERT INTO t (b, a) VALUES ($2, $1)", Some(&[1, 0]));
        check("INSERT INTO t VALUES ($1, $1)", None);
        check("INSERT INTO t VALUES ($2)", None);
        check("INSERT INTO t VALUES ($1), ($2)", None);
        check("INSERT INTO t VALUES ($1 + 1)", None);
        check("INSERT INTO t VALUES ($1, 2)", None);
        check("INSERT INTO t VALUES ($1, DEFAULT)", None);
        check("INSERT INTO t VALUES ($1) RETURNING a", None);
        check("INSERT INTO t VALUES ($1) ON CONFLICT (a) DO NOTHING", None);
        check("INSERT INTO t SELECT $1", None);
        check("INSERT INTO t DEFAULT VALUES", None);
        check("INSERT OVERWRITE t VALUES ($1)", None);
    }
}
