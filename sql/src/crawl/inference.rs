//! Why a table is read as it is: for each column its type and the values that decided, and what was decided about the
//! files as a whole. `SHOW INFERENCE FOR t` shows it. Pure.

use arrow::datatypes::{Field, Schema};
use tarn_catalog::object::Inference;

use super::group::Candidate;
use super::infer::Evidence;
use super::report::type_text;
use crate::files::listing::shown;

/// The most lines that are kept for one table, so that a table of very many columns stays small in the catalog.
const LINES_MAX: usize = 1000;

/// What is known of a table's columns and files; `schema` has the types that its columns get.
pub fn inference(candidate: &Candidate, schema: &Schema) -> Vec<Inference> {
    let about_files = candidate.decisions.iter().map(|(file, decision)| Inference {
        column: None,
        subject: decision.subject.to_owned(),
        decision: decision.decision.clone(),
        before: None,
        reason: decision.reason.clone(),
        file: file.clone(),
        line: None,
        value: None,
    });
    let columns = schema.fields().iter().flat_map(|field| column(candidate, field));
    about_files.chain(columns).take(LINES_MAX).collect()
}

/// A column's type, or each step by which it became wider.
fn column(candidate: &Candidate, field: &Field) -> Vec<Inference> {
    let member = format!("{}.", field.name());
    let of_column =
        |evidence: &Evidence| evidence.column == *field.name() || evidence.column.starts_with(&member);
    let decided = candidate.evidence.iter().filter(|(_, evidence)| of_column(evidence));
    let mut lines: Vec<Inference> = decided.map(|(file, evidence)| step(file, evidence)).collect();
    if lines.is_empty() {
        lines.push(Inference {
            column: Some(field.name().clone()),
            subject: "type".to_owned(),
            decision: type_text(field),
            before: None,
            reason: format!("every value of the {} rows looked at is one", candidate.rows),
            file: shown(&candidate.location).to_owned(),
            line: None,
            value: None,
        });
    }
    lines
}

fn step(file: &str, evidence: &Evidence) -> Inference {
    let named = |data_type: &arrow::datatypes::DataType| type_text(&Field::new("", data_type.clone(), true));
    let (before, after) = (named(&evidence.before), named(&evidence.after));
    Inference {
        column: Some(evidence.column.clone()),
        subject: "type".to_owned(),
        reason: format!("the value on this line is no {before}"),
        decision: after,
        before: Some(before),
        file: file.to_owned(),
        line: Some(evidence.line),
        value: Some(evidence.value.clone()),
    }
}

/// The evidence for a table in a few words: where its types became wider, or how much was looked at.
pub fn evidence_text(lines: &[Inference]) -> String {
    let steps = lines.iter().filter_map(|line| {
        let (column, number) = (line.column.as_ref()?, line.line?);
        let value = line.value.as_deref().unwrap_or_default();
        Some(format!("{}:{number}: {column} is {} because of \"{value}\"", line.file, line.decision))
    });
    let steps: Vec<String> = steps.take(5).collect();
    match (steps.as_slice(), lines.first()) {
        ([], Some(line)) => line.file.clone(),
        _ => steps.join("; "),
    }
}
