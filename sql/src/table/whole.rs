//! Data files all of whose rows satisfy a condition, as manifests alone can prove it: no row of the file can make the
//! condition false, by its bounds and its partition, and none can make it NULL, because no column that the condition
//! compares has a NULL. Everything that is not proven is no such file. It must never open a data file.
//! Next: `prune.rs`, which is asked about the opposite of the condition.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::execution::SessionState;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, Operator};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CastExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, Literal, NotExpr,
};
use iceberg::spec::Transform;
use tarn_catalog::iceberg::{FileDeletes, deleted_positions};

use super::bounds::BoundColumn;
use super::prune::{SpecifiedFile, may_match};
use super::read_set::unqualified;
use super::scan::{IcebergTable, without_views};
use super::statistics::{LiveRows, WantedColumn};
use crate::error::Result;

/// A file that a condition is true for as a whole.
pub(crate) struct WholeFile {
    pub url: String,
    /// Rows of it that are not deleted yet.
    pub rows: u64,
}

impl IcebergTable {
    /// The same table as if it had not these data files.
    pub fn without_files(mut self, urls: impl IntoIterator<Item = String>) -> IcebergTable {
        self.except = urls.into_iter().collect();
        self
    }

    /// The data files in which `condition`, which is about this table's columns alone, is true for every row.
    pub(crate) async fn whole_files(&self, state: &SessionState, condition: &Expr) -> Result<Vec<WholeFile>> {
        let (schema, columns) = self.pruning();
        let names = DFSchema::try_from(Arc::clone(schema)).map_err(crate::plan::engine_error)?;
        let Ok((condition, negated)) = with_opposite(condition, state, names) else { return Ok(Vec::new()) };
        let mut compared = BTreeSet::new();
        if !is_null_only_by_columns(&condition, &mut compared) {
            return Ok(Vec::new());
        }
        let wanted = datafusion::physical_expr::utils::collect_columns(&condition);
        let wanted: Vec<WantedColumn> =
            wanted.iter().filter_map(|column| self.described(column.index())).collect();
        let (files, deletes) = self.matching(condition, &wanted).await?;
        let may_be_false = may_match(&negated, schema, columns, &files);
        let mut whole = Vec::new();
        for (file, _) in files.iter().zip(may_be_false).filter(|(_, may_be_false)| !may_be_false) {
            let known = compared
                .iter()
                .all(|name| columns.get(name).is_some_and(|column| is_without_null(file, column)));
            if known && let Some(rows) = self.live_rows(file, deletes.of(&file.live)).await? {
                whole.push(WholeFile { url: file.file().file_path().to_owned(), rows });
            }
        }
        Ok(whole)
    }

    /// How many rows of a file are live; nothing where only reading it would tell.
    async fn live_rows(&self, file: &SpecifiedFile, deletes: FileDeletes) -> Result<Option<u64>> {
        if !deletes.equality.is_empty() {
            return Ok(None);
        }
        let (all, url) = (file.file().record_count(), file.file().file_path());
        Ok(Some(match LiveRows::of(file.file(), &deletes) {
            LiveRows::All => all,
            LiveRows::Exactly(rows) => rows,
            LiveRows::AtMost => {
                let deleted = deleted_positions(self.storage(), self.metadata(), &deletes, url).await?;
                all.saturating_sub(deleted.len())
            }
        }))
    }
}

/// A condition and its opposite, which says NOT of nothing but columns: pruning understands no other.
fn with_opposite(
    condition: &Expr,
    state: &SessionState,
    names: DFSchema,
) -> datafusion::common::Result<(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)> {
    let names = Arc::new(names);
    let context = SimplifyContext::builder()
        .with_schema(Arc::clone(&names))
        .with_config_options(Arc::clone(state.config_options()))
        .with_query_execution_start_time(state.execution_props().query_execution_start_time)
        .build();
    let simplifier = ExprSimplifier::new(context);
    let condition = simplifier.coerce(without_views(unqualified(condition.clone())?)?, &names)?;
    let condition = simplifier.simplify(condition)?;
    let opposite = simplifier.simplify(Expr::Not(Box::new(condition.clone())))?;
    let physical = |expression| state.create_physical_expr(expression, &names);
    Ok((physical(condition)?, physical(opposite)?))
}

/// Whether an expression is NULL only where one of the columns is that are put into `compared`. What is not known to be
/// so is not.
fn is_null_only_by_columns(expression: &Arc<dyn PhysicalExpr>, compared: &mut BTreeSet<String>) -> bool {
    let mut all =
        |parts: &[&Arc<dyn PhysicalExpr>]| parts.iter().all(|part| is_null_only_by_columns(part, compared));
    if let Some(column) = expression.downcast_ref::<Column>() {
        compared.insert(column.name().to_owned());
        return true;
    }
    if let Some(literal) = expression.downcast_ref::<Literal>() {
        return !literal.value().is_null();
    }
    if let Some(binary) = expression.downcast_ref::<BinaryExpr>() {
        use Operator::{And, Eq, Gt, GtEq, Lt, LtEq, NotEq, Or};
        let known = matches!(binary.op(), And | Or | Eq | NotEq | Lt | LtEq | Gt | GtEq);
        return known && all(&[binary.left(), binary.right()]);
    }
    if let Some(not) = expression.downcast_ref::<NotExpr>() {
        return all(&[not.arg()]);
    }
    if let Some(list) = expression.downcast_ref::<InListExpr>() {
        return all(&[list.expr()]) && all(&list.list().iter().collect::<Vec<_>>());
    }
    if let Some(cast) = expression.downcast_ref::<CastExpr>() {
        return !cast.cast_options().safe && all(&[cast.expr()]);
    }
    // True or false whatever the column is.
    let tested = match (expression.downcast_ref::<IsNullExpr>(), expression.downcast_ref::<IsNotNullExpr>()) {
        (Some(test), _) => Some(test.arg()),
        (None, Some(test)) => Some(test.arg()),
        (None, None) => None,
    };
    tested.is_some_and(|tested| tested.downcast_ref::<Column>().is_some())
}

/// Whether no row of a file is NULL in a column: the file says so, or its partition has a value, which NULL has none of.
fn is_without_null(file: &SpecifiedFile, column: &BoundColumn) -> bool {
    if file.file().null_value_counts().get(&column.id) == Some(&0) {
        return true;
    }
    let fields = file.spec.fields().iter().zip(file.file().partition().iter());
    fields
        .filter(|(field, _)| field.source_id == column.id && field.transform != Transform::Void)
        .any(|(_, value)| value.is_some())
}
