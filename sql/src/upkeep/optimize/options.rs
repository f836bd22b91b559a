//! What `optimize` is asked to do. It must never look at a file.

use super::choose::Thresholds;
use crate::error::{Error, Result};
use crate::procedure::{Arguments, Kind, Parameter};
use crate::sqlstate::SqlState;

/// Files smaller than this are worth joining, bytes; Trino's default.
const FILE_BYTES_MIN: u64 = 100 << 20;
/// Bytes of a file when the table does not say otherwise.
pub(super) const TARGET_BYTES: u64 = 512 << 20;

pub(crate) const PARAMETERS: &[Parameter] = &[
    Parameter::optional("file_size_threshold", Kind::Bytes),
    Parameter::optional("target_file_size", Kind::Bytes).or(&["target"]),
    Parameter::optional("min_input_files", Kind::Integer),
    Parameter::optional("delete_file_threshold", Kind::Integer),
    Parameter::optional("strategy", Kind::Text),
    Parameter::optional("columns", Kind::Texts),
    Parameter::optional("sort_order", Kind::Text),
    Parameter::optional("max_bytes", Kind::Bytes),
    Parameter::optional("options", Kind::Map),
    Parameter::optional("dry_run", Kind::Boolean),
];

/// How the rows of a group are ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// As they come, or as the table's own order asks.
    BinPack,
    Sort(Vec<SortTerm>),
    ZOrder(Vec<String>),
}

/// One column of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SortTerm {
    pub column: String,
    pub ascending: bool,
    pub nulls_first: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub thresholds: Thresholds,
    pub strategy: Strategy,
    pub target_bytes: Option<u64>,
    /// Bytes to read at most, whole groups.
    pub budget_bytes: Option<u64>,
    pub dry_run: bool,
}

impl Options {
    /// What nobody asked for otherwise.
    pub fn standard() -> Options {
        Options {
            thresholds: Thresholds {
                file_bytes_min: FILE_BYTES_MIN,
                files_min: 2,
                deletes_min: 1,
                group_bytes_max: 0,
                everything: false,
            }
            .for_target(TARGET_BYTES),
            strategy: Strategy::BinPack,
            target_bytes: None,
            budget_bytes: None,
            dry_run: false,
        }
    }

    /// From the arguments; `table_target` is the table's own size of a file.
    pub fn new(arguments: &Arguments, table_target: Option<u64>) -> Result<Options> {
        let mut options = Options::standard();
        let number = |name: &str| -> Result<Option<u64>> {
            let spark = arguments.map("options").and_then(|map| map.get(spark_name(name)));
            let given = match spark {
                Some(text) => Some(text.parse::<i64>().map_err(|_| wrong(name))?),
                None => arguments.integer(name),
            };
            given.map(|number| u64::try_from(number).map_err(|_| wrong(name))).transpose()
        };
        options.target_bytes = number("target_file_size")?;
        let target = options.target_bytes.or(table_target).unwrap_or(TARGET_BYTES).max(1);
        let thresholds = &mut options.thresholds;
        // A file of three quarters of the target is good enough.
        thresholds.file_bytes_min =
            number("file_size_threshold")?.unwrap_or((target / 4 * 3).min(FILE_BYTES_MIN));
        thresholds.files_min = usize_of(number("min_input_files")?).unwrap_or(2).max(1);
        thresholds.deletes_min = usize_of(number("delete_file_threshold")?).unwrap_or(1).max(1);
        *thresholds = thresholds.clone().for_target(target);
        options.budget_bytes = number("max_bytes")?;
        options.dry_run = arguments.boolean("dry_run").unwrap_or(false);
        options.strategy = strategy(arguments)?;
        let rewrite_all = arguments.map("options").and_then(|map| map.get("rewrite-all"));
        options.thresholds.everything =
            options.strategy != Strategy::BinPack || rewrite_all.is_some_and(|text| text == "true");
        Ok(options)
    }
}

/// The name of the same thing in the options of Spark's `rewrite_data_files`.
fn spark_name(name: &str) -> &str {
    match name {
        "target_file_size" => "target-file-size-bytes",
        "file_size_threshold" => "min-file-size-bytes",
        "min_input_files" => "min-input-files",
        "delete_file_threshold" => "delete-file-threshold",
        "max_bytes" => "max-file-group-size-bytes",
        other => other,
    }
}

fn usize_of(number: Option<u64>) -> Option<usize> {
    number.map(|number| usize::try_from(number).unwrap_or(usize::MAX))
}

fn wrong(name: &str) -> Error {
    let message = format!("argument \"{name}\" of optimize must be a whole number that is not negative");
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn strategy(arguments: &Arguments) -> Result<Strategy> {
    let refused = |message: String| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    let columns = arguments.texts("columns").map(<[String]>::to_vec).unwrap_or_default();
    let order = arguments.text("sort_order").unwrap_or_default();
    // Spark spells it sort_order => 'zorder(a, b)'.
    let lower = order.trim().to_lowercase();
    if let Some(inner) = lower.strip_prefix("zorder(").and_then(|rest| rest.strip_suffix(')')) {
        return Ok(Strategy::ZOrder(inner.split(',').map(|name| name.trim().to_owned()).collect()));
    }
    let named = arguments.text("strategy").map(str::to_lowercase);
    match named.as_deref() {
        None | Some("binpack" | "bin_pack") if order.is_empty() && columns.is_empty() => {
            Ok(Strategy::BinPack)
        }
        Some("zorder" | "z-order") if !columns.is_empty() => Ok(Strategy::ZOrder(columns)),
        Some("zorder" | "z-order") => {
            Err(refused("optimize by z-order needs the argument \"columns\"".into()))
        }
        None | Some("sort") => {
            let terms =
                if order.is_empty() { columns } else { order.split(',').map(str::to_owned).collect() };
            Ok(Strategy::Sort(terms.iter().map(|term| sort_term(term)).collect::<Result<_>>()?))
        }
        Some(other) => Err(refused(format!("optimize has no strategy \"{other}\""))
            .with_hint("The strategies are binpack, sort and zorder.")),
    }
}

/// `a`, `a DESC`, `a ASC NULLS LAST`.
fn sort_term(text: &str) -> Result<SortTerm> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [column, rest @ ..] = words.as_slice() else {
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "a sort order has an empty column"));
    };
    let rest = rest.join(" ").to_uppercase();
    let (direction, nulls) = match rest.split_once("NULLS") {
        Some((direction, nulls)) => (direction.trim(), Some(nulls.trim())),
        None => (rest.as_str(), None),
    };
    let ascending = match direction {
        "" | "ASC" => true,
        "DESC" => false,
        _ => return Err(bad_term(text)),
    };
    let nulls_first = match nulls {
        // As Iceberg and Spark have it.
        None => ascending,
        Some("FIRST") => true,
        Some("LAST") => false,
        Some(_) => return Err(bad_term(text)),
    };
    Ok(SortTerm { column: column.trim_matches('"').to_owned(), ascending, nulls_first })
}

fn bad_term(text: &str) -> Error {
    Error::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("\"{}\" is not a term of a sort order", text.trim()),
    )
    .with_hint("Write a column with ASC or DESC and NULLS FIRST or NULLS LAST.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_of_an_order() {
        let check = |text: &str, column: &str, ascending: bool, nulls_first: bool| {
            let expect = SortTerm { column: column.to_owned(), ascending, nulls_first };
            assert_eq!(sort_term(text).expect(text), expect);
        };
        check("a", "a", true, true);
        check(" a desc ", "a", false, false);
        check("a ASC NULLS LAST", "a", true, false);
        check("\"A\" desc nulls first", "A", false, true);
        for wrong in ["", "a up", "a nulls", "a asc nulls middle"] {
            assert!(sort_term(wrong).is_err(), "{wrong}");
        }
    }
}
