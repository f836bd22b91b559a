//! A text that stands where a condition is asked for is read as a boolean, as PostgreSQL reads a literal without a type:
//! `NOT '1'`, `'t' AND x`, `WHERE 'false'`. A parameter that stands there is one.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Ident, Select, UnaryOperator, Value,
};

/// Reads the texts among an operator's operands.
pub(super) fn operands(expression: &mut Expr) {
    match expression {
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => condition(expr),
        Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
            condition(left);
            condition(right);
        }
        _ => {}
    }
}

/// Reads the conditions of a SELECT if they are texts.
pub(super) fn conditions(select: &mut Select) {
    for clause in [&mut select.selection, &mut select.having].into_iter().flatten() {
        condition(clause);
    }
}

fn condition(expression: &mut Expr) {
    if let Expr::Nested(inner) = expression {
        return condition(inner);
    }
    let Expr::Value(value) = &*expression else { return };
    if !matches!(value.value, Value::SingleQuotedString(_) | Value::Placeholder(_)) {
        return;
    }
    let text = std::mem::replace(expression, Expr::Identifier(Ident::new("taken")));
    *expression = Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(text),
        data_type: DataType::Boolean,
        array: false,
        format: None,
    };
}
