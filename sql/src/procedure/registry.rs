//! The table of procedures. Names are those of Trino's `ALTER TABLE … EXECUTE`; the names that Spark's `CALL system.…`
//! has for the same are aliases, and either statement takes either name.

use std::fmt;

use arrow::datatypes::SchemaRef;
use futures::future::BoxFuture;

use super::arguments::{Arguments, Kind, Parameter};
use super::{ancestors, history};
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::plan::Context;
use crate::resolve::{Found, ResolvedQuery, TableTarget, nearest};
use crate::sqlstate::SqlState;
use crate::{crawl, upkeep};

/// The first parameter of every procedure on a table, when it is called with `CALL`.
pub(crate) const TABLE_PARAMETER: &str = "table";

/// Every list of procedures, one per file that has some.
const LISTS: [&[Procedure]; 4] =
    [crawl::PROCEDURES, history::PROCEDURES, ancestors::PROCEDURES, upkeep::PROCEDURES];

/// One procedure.
pub(crate) struct Procedure {
    pub name: &'static str,
    /// What other engines call it.
    pub aliases: &'static [&'static str],
    pub on: On,
    /// Takes `WHERE` after the arguments of `EXECUTE`, or with `CALL` the text argument `where`.
    pub filter: bool,
    /// In the order in which they are given by place.
    pub parameters: &'static [Parameter],
    pub right: Right,
    /// May run inside a transaction block, as one change among others.
    pub in_transaction: bool,
    /// The columns of the answer.
    pub columns: fn() -> SchemaRef,
    pub run: Run,
}

/// Does it; whatever it changes is committed when it is done.
pub(crate) type Run = for<'a> fn(ProcedureCall, &'a Context) -> BoxFuture<'a, Result<Outcome>>;

/// What a procedure works on: a table is the one that is altered, or with `CALL` the one of the argument `table`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    Nothing,
    /// What the catalog has of a table, whether its metadata can be read or not.
    Entry,
    Table,
}

/// What a role needs to run a procedure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// To own the table.
    Owner,
    Superuser,
    /// What the arguments name decides; the procedure asks for itself.
    Asked,
}

impl fmt::Debug for Procedure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "procedure {}", self.name)
    }
}

/// A procedure with all that running it needs.
#[derive(Debug)]
pub(crate) struct ProcedureCall {
    pub procedure: &'static Procedure,
    /// There for every procedure on a table.
    pub target: Option<TableTarget>,
    /// There for every procedure on a table or its entry.
    pub found: Option<Found>,
    pub arguments: Arguments,
    /// All columns of the rows that `WHERE` lets through, for procedures that take it.
    pub filter: Option<ResolvedQuery>,
    /// The statement, for the command tag.
    pub tag: &'static str,
    /// It ends with its tag alone.
    pub quiet: bool,
}

impl ProcedureCall {
    /// The table of a procedure on a table.
    pub fn table(&self) -> Result<&TableTarget> {
        let missing = || Error::internal(format!("{:?} came without its table", self.procedure));
        self.target.as_ref().ok_or_else(missing)
    }

    /// The relation of a procedure on a table or its entry.
    pub fn entry(&self) -> Result<&Found> {
        let missing = || Error::internal(format!("{:?} came without its table", self.procedure));
        self.found.as_ref().ok_or_else(missing)
    }
}

/// The procedure of a name or alias.
///
/// # Errors
///
/// 42883 with the nearest name, or all of them.
pub(crate) fn find(name: &str) -> Result<&'static Procedure> {
    let all = || LISTS.into_iter().flatten();
    if let Some(found) = all().find(|procedure| procedure.name == name || procedure.aliases.contains(&name)) {
        return Ok(found);
    }
    let error = Error::new(SqlState::UNDEFINED_FUNCTION, format!("procedure \"{name}\" does not exist"));
    let known = || all().flat_map(|procedure| procedure.aliases.iter().copied().chain([procedure.name]));
    match nearest(name, known()) {
        Some(near) => Err(error.with_hint(format!("Did you mean \"{near}\"?"))),
        None => {
            let names: Vec<&str> =
                all().map(|procedure| procedure.name).chain(["create_changelog_view"]).collect();
            Err(error.with_hint(format!("The procedures are: {}.", names.join(", "))))
        }
    }
}

/// How a procedure is called with `CALL`, for listings.
pub(crate) struct Signature {
    pub name: &'static str,
    pub parameters: Vec<SignatureParameter>,
}

/// One parameter of a procedure, as a listing shows it.
pub(crate) struct SignatureParameter {
    pub name: &'static str,
    pub kind: Kind,
    pub required: bool,
}

/// Every procedure under its own name.
pub(crate) fn signatures() -> impl Iterator<Item = Signature> {
    let text = |name, required| SignatureParameter { name, kind: Kind::Text, required };
    LISTS.into_iter().flatten().map(move |procedure| {
        let table = (procedure.on != On::Nothing).then(|| text(TABLE_PARAMETER, true));
        let given = procedure.parameters.iter().map(|parameter| SignatureParameter {
            name: parameter.name,
            kind: parameter.kind,
            required: parameter.required,
        });
        let filter = procedure.filter.then(|| text("where", false));
        Signature { name: procedure.name, parameters: table.into_iter().chain(given).chain(filter).collect() }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_name_means_one_procedure_and_every_parameter_has_one_name() {
        let mut names = HashSet::new();
        for procedure in LISTS.into_iter().flatten() {
            for name in procedure.aliases.iter().chain([&procedure.name]) {
                assert!(names.insert(*name), "two procedures are called {name}");
            }
            let mut parameters = HashSet::from([TABLE_PARAMETER, "where"]);
            for parameter in procedure.parameters {
                for name in parameter.aliases.iter().chain([&parameter.name]) {
                    assert!(parameters.insert(*name), "{procedure:?} has two parameters called {name}");
                }
            }
        }
    }

    #[test]
    fn a_misspelt_procedure_is_told_the_right_name() {
        let hint = |name: &str| find(name).expect_err(name).hint.unwrap_or_default();
        assert_eq!(hint("rollback_to_snapshto"), "Did you mean \"rollback_to_snapshot\"?");
        assert!(hint("abracadabra").contains("fast_forward"), "{}", hint("abracadabra"));
        assert!(find("fast_forward").is_ok());
    }
}
