//! `pg_get_keywords()`: the words of PostgreSQL's grammar, which clients quote names by.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, StringArray};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{MemTable, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, plan_err};

/// The function's name.
pub const NAME: &str = "pg_get_keywords";

/// The function.
#[derive(Debug)]
pub struct Keywords;

impl TableFunctionImpl for Keywords {
    fn call_with_args(&self, arguments: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        if !arguments.exprs().is_empty() {
            return plan_err!("{NAME} takes no arguments");
        }
        let batch = keywords()?;
        Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
    }
}

fn keywords() -> Result<RecordBatch> {
    let lines = include_str!("../system/declared/keywords.txt").lines().filter(|line| !line.starts_with('#'));
    let (mut words, mut codes, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines {
        let mut parts = line.split(' ');
        words.push(parts.next());
        codes.push(parts.next());
        bare.push(parts.next() == Some("1"));
    }
    let categories: Vec<&str> = codes.iter().map(|code| category(code.unwrap_or_default())).collect();
    let label = |bare: &bool| if *bare { "can be bare label" } else { "requires AS" };
    let labels: Vec<&str> = bare.iter().map(label).collect();
    let text = |values: Vec<&str>| Arc::new(StringArray::from(values)) as ArrayRef;
    Ok(RecordBatch::try_from_iter([
        ("word", Arc::new(StringArray::from(words)) as ArrayRef),
        ("catcode", Arc::new(StringArray::from(codes)) as ArrayRef),
        ("barelabel", Arc::new(BooleanArray::from(bare)) as ArrayRef),
        ("catdesc", text(categories)),
        ("baredesc", text(labels)),
    ])?)
}

fn category(code: &str) -> &'static str {
    match code {
        "R" => "reserved",
        "T" => "reserved (can be function or type name)",
        "C" => "unreserved (cannot be function or type name)",
        _ => "unreserved",
    }
}
