//! Functions of arrays that PostgreSQL has and the engine lacks, or that answer otherwise there: all places where an
//! element is replaced or removed, no length of what is empty, NULL where it is unknown whether an element is there.
//! Lists of lists are arrays of more dimensions.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result as EngineResult, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Expr, ExprSchemable};

use super::datum::Datum;
use super::overload::Type::{
    Any, Bigints, Bool, ElementOf, Float, Floats, Int, Ints, Like, List, ListOf, Text,
};
use super::overload::{Call, Function, Overload};
use super::{decimal, fault, shown};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

/// What `x = ANY (list)` is planned as where the list may have NULLs.
const ANY_EQUAL: &str = "any_equal";
/// What `&&` of lists is planned as.
pub const OVERLAP: &str = "array_overlap";
/// What `mode()` and the percentiles are computed of: the list of all values in order.
pub const MODE: &str = "mode_of_list";
pub const PERCENTILE_DISC: &str = "percentile_disc_of_list";
pub const PERCENTILE_CONT: &str = "percentile_cont_of_list";
/// The most elements that a function may make.
const ELEMENTS_MAX: i64 = 10_000_000;

pub const FUNCTIONS: &[Function] = &[
    Function::new(
        "array_position",
        &[
            Overload::new(&[List, ElementOf(0)], Int, |_, v| position(&v[0], &v[1], 1)),
            Overload::new(&[List, ElementOf(0), Int], Int, |_, v| position(&v[0], &v[1], v[2].as_int())),
        ],
    )
    .with_nulls(),
    Function::new("array_positions", &[Overload::new(&[List, ElementOf(0)], Ints, positions)]).with_nulls(),
    Function::new(
        "array_remove",
        &[Overload::new(&[List, ElementOf(0)], Like(0), |_, v| {
            map_elements(&v[0], |element| (!same(element, &v[1])).then(|| element.clone()))
        })],
    )
    .with_nulls(),
    Function::new(
        "array_replace",
        &[Overload::new(&[List, ElementOf(0), ElementOf(0)], Like(0), |_, v| {
            map_elements(&v[0], |element| {
                Some(if same(element, &v[1]) { v[2].clone() } else { element.clone() })
            })
        })],
    )
    .with_nulls(),
    Function::new(
        "array_cat",
        &[
            Overload::new(&[List, Like(0)], Like(0), array_cat),
            Overload::new(&[Like(1), List], Like(1), array_cat),
        ],
    )
    .with_nulls(),
    Function::new(
        "array_length",
        &[Overload::new(&[List, Int], Int, |_, v| Ok(extent(&v[0], v[1].as_int()).into()))],
    ),
    Function::new(
        "array_ndims",
        &[Overload::new(&[List], Int, |_, v| {
            let dimensions = dimensions(&v[0]).len();
            Ok((dimensions > 0).then_some(dimensions).into())
        })],
    ),
    Function::new(
        "array_dims",
        &[Overload::new(&[List], Text, |_, v| {
            let dimensions: String = dimensions(&v[0]).iter().map(|length| format!("[1:{length}]")).collect();
            Ok((!dimensions.is_empty()).then_some(dimensions).into())
        })],
    ),
    Function::new(
        "array_lower",
        &[Overload::new(&[List, Int], Int, |_, v| Ok(extent(&v[0], v[1].as_int()).map(|_| 1usize).into()))],
    ),
    Function::new(
        "array_upper",
        &[Overload::new(&[List, Int], Int, |_, v| Ok(extent(&v[0], v[1].as_int()).into()))],
    ),
    Function::new("cardinality", &[Overload::new(&[List], Int, |_, v| Ok(flattened(&v[0]).len().into()))]),
    Function::new(
        "array_to_string",
        &[
            Overload::new(&[List, Text], Text, array_to_string),
            Overload::new(&[List, Text, Text], Text, array_to_string),
        ],
    )
    .with_nulls()
    .of_zone(),
    Function::new("trim_array", &[Overload::new(&[List, Int], Like(0), trim_array)]),
    Function::new("array_fill", &[Overload::new(&[Any, Bigints], ListOf(0), array_fill)]).with_nulls(),
    Function::new(
        OVERLAP,
        &[Overload::new(&[List, Like(0)], Bool, |_, v| {
            let known = |element: &&Datum| !element.is_null();
            let both = v[0]
                .elements()
                .iter()
                .filter(known)
                .any(|left| v[1].elements().iter().any(|right| same(left, right)));
            Ok(both.into())
        })],
    ),
    Function::new(
        ANY_EQUAL,
        &[Overload::new(&[List, ElementOf(0)], Bool, |_, v| {
            let elements = v[0].elements();
            Ok(match elements.iter().any(|element| same(element, &v[1])) {
                true => true.into(),
                false if elements.iter().any(Datum::is_null) => Datum::Null,
                false => false.into(),
            })
        })],
    ),
    Function::new(
        "num_nulls",
        &[Overload::variadic(&[Any], Any, Int, |_, v| {
            Ok(v.iter().filter(|value| value.is_null()).count().into())
        })],
    )
    .with_nulls(),
    Function::new(
        "num_nonnulls",
        &[Overload::variadic(&[Any], Any, Int, |_, v| {
            Ok(v.iter().filter(|value| !value.is_null()).count().into())
        })],
    )
    .with_nulls(),
    Function::new(MODE, &[Overload::new(&[List], ElementOf(0), mode)]),
    Function::new(
        PERCENTILE_DISC,
        &[
            Overload::new(&[List, Float], ElementOf(0), |_, v| discrete(&known(&v[0]), v[1].as_float())),
            Overload::new(&[List, Floats], Like(0), |_, v| {
                let values = known(&v[0]);
                each(&v[1], |fraction| discrete(&values, fraction))
            }),
        ],
    ),
    Function::new(
        PERCENTILE_CONT,
        &[
            Overload::new(&[Floats, Float], Float, |_, v| continuous(&known(&v[0]), v[1].as_float())),
            Overload::new(&[Floats, Floats], Floats, |_, v| {
                let values = known(&v[0]);
                each(&v[1], |fraction| continuous(&values, fraction))
            }),
        ],
    ),
];

/// Whether two values are the same, NULL being the same as NULL; numbers are compared by what they are.
fn same(left: &Datum, right: &Datum) -> bool {
    match (left, right) {
        (Datum::Int(int), Datum::Numeric(value, scale)) | (Datum::Numeric(value, scale), Datum::Int(int)) => {
            decimal::trimmed(*value, *scale) == (i128::from(*int), 0)
        }
        (Datum::Numeric(left, from), Datum::Numeric(right, to)) => {
            decimal::trimmed(*left, *from) == decimal::trimmed(*right, *to)
        }
        (Datum::Int(int), float @ (Datum::Float(_) | Datum::Real(_)))
        | (float @ (Datum::Float(_) | Datum::Real(_)), Datum::Int(int)) => {
            float.as_float() == super::span::micros_as_float(*int)
        }
        (Datum::Float(left), Datum::Float(right)) => left == right || (left.is_nan() && right.is_nan()),
        (Datum::Float(_) | Datum::Real(_), Datum::Float(_) | Datum::Real(_)) => {
            left.as_float() == right.as_float()
        }
        (left, right) => left == right,
    }
}

fn map_elements<'a>(list: &Datum<'a>, map: impl Fn(&Datum<'a>) -> Option<Datum<'a>>) -> Result<Datum<'a>> {
    Ok(match list {
        Datum::List(elements) => Datum::List(elements.iter().filter_map(map).collect()),
        _ => Datum::Null,
    })
}

fn position<'a>(list: &Datum, element: &Datum, start: i64) -> Result<Datum<'a>> {
    let Datum::List(elements) = list else { return Ok(Datum::Null) };
    let start = usize::try_from(start - 1).unwrap_or(0);
    let found = elements.iter().enumerate().skip(start).find(|(_, candidate)| same(candidate, element));
    Ok(found.map(|(place, _)| place + 1).into())
}

fn positions<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let Datum::List(elements) = &values[0] else { return Ok(Datum::Null) };
    let found = elements.iter().enumerate().filter(|(_, candidate)| same(candidate, &values[1]));
    Ok(Datum::List(found.map(|(place, _)| (place + 1).into()).collect()))
}

fn array_cat<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    Ok(match (&values[0], &values[1]) {
        (Datum::List(left), Datum::List(right)) => Datum::List(left.iter().chain(right).cloned().collect()),
        (Datum::Null, other) | (other, _) => other.clone(),
    })
}

/// The lengths of a list and of the lists in it; none of an empty one.
fn dimensions(list: &Datum) -> Vec<usize> {
    let mut lengths = Vec::new();
    let mut inner = Some(list);
    while let Some(Datum::List(elements)) = inner {
        if elements.is_empty() {
            return Vec::new();
        }
        lengths.push(elements.len());
        inner = elements.first();
    }
    lengths
}

fn extent(list: &Datum, dimension: i64) -> Option<usize> {
    let place = usize::try_from(dimension.checked_sub(1)?).ok()?;
    dimensions(list).get(place).copied()
}

/// The elements of all dimensions.
fn flattened<'d, 'a>(list: &'d Datum<'a>) -> Vec<&'d Datum<'a>> {
    let inner = |element: &'d Datum<'a>| match element {
        Datum::List(_) => flattened(element),
        other => vec![other],
    };
    list.elements().iter().flat_map(inner).collect()
}

fn array_to_string<'a>(call: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    if values[0].is_null() || values[1].is_null() {
        return Ok(Datum::Null);
    }
    let instead = values.get(2).filter(|instead| !instead.is_null());
    let mut texts = Vec::new();
    for element in flattened(&values[0]) {
        match (element, instead) {
            (Datum::Null, None) => {}
            (Datum::Null, Some(instead)) => texts.push(instead.as_str().to_owned()),
            (element, _) => texts.push(shown::text(element, call.zone)?),
        }
    }
    Ok(texts.join(values[1].as_str()).into())
}

fn trim_array<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let elements = values[0].elements();
    let kept = usize::try_from(values[1].as_int()).ok().and_then(|count| elements.len().checked_sub(count));
    match kept {
        Some(kept) => Ok(Datum::List(elements[..kept].to_vec())),
        None => {
            let message = format!("number of elements to trim must be between 0 and {}", elements.len());
            Err(Error::new(SqlState::ARRAY_ELEMENT_ERROR, message))
        }
    }
}

fn array_fill<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    if values[1].is_null() {
        return Err(fault::null_value("dimension array or low bound array cannot be null"));
    }
    match values[1].elements() {
        [] => Ok(Datum::List(Vec::new())),
        [Datum::Int(length)] if (0..=ELEMENTS_MAX).contains(length) => {
            Ok(Datum::List(vec![values[0].clone(); usize::try_from(*length).unwrap_or(0)]))
        }
        [Datum::Null] => Err(fault::null_value("dimension values cannot be null")),
        [_] => {
            let message = format!("array size exceeds the maximum allowed ({ELEMENTS_MAX})");
            Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message))
        }
        _ => Err(Error::unsupported("array_fill with more than one dimension")),
    }
}

fn known<'a>(list: &Datum<'a>) -> Vec<Datum<'a>> {
    list.elements().iter().filter(|element| !element.is_null()).cloned().collect()
}

/// The value that is there most often; of several the first.
fn mode<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let known = known(&values[0]);
    let mut best: Option<(usize, &Datum)> = None;
    for run in known.chunk_by(same) {
        if best.is_none_or(|(most, _)| run.len() > most) {
            best = Some((run.len(), &run[0]));
        }
    }
    Ok(best.map_or(Datum::Null, |(_, value)| value.clone()))
}

fn each<'a>(fractions: &Datum, value: impl Fn(f64) -> Result<Datum<'a>>) -> Result<Datum<'a>> {
    let values = fractions.elements().iter().map(|fraction| match fraction {
        Datum::Null => Ok(Datum::Null),
        fraction => value(fraction.as_float()),
    });
    Ok(Datum::List(values.collect::<Result<Vec<_>>>()?))
}

fn check_fraction(fraction: f64) -> Result<()> {
    if (0.0..=1.0).contains(&fraction) {
        return Ok(());
    }
    let message = format!("percentile value {} is not between 0 and 1", shown::float8(fraction));
    Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message))
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places in a list"
)]
fn discrete<'a>(values: &[Datum<'a>], fraction: f64) -> Result<Datum<'a>> {
    check_fraction(fraction)?;
    let place = (fraction * values.len() as f64).ceil() as usize;
    Ok(values.get(place.max(1) - 1).cloned().unwrap_or(Datum::Null))
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places in a list"
)]
fn continuous<'a>(values: &[Datum<'a>], fraction: f64) -> Result<Datum<'a>> {
    check_fraction(fraction)?;
    let Some(last) = values.len().checked_sub(1) else { return Ok(Datum::Null) };
    let place = fraction * last as f64;
    let (low, high) = (values[place.floor() as usize].as_float(), values[place.ceil() as usize].as_float());
    Ok(Datum::Float(low + (high - low) * (place - place.floor())))
}

/// Has `x = ANY (list)` be NULL where it must be: a list without NULLs is left to the engine.
#[derive(Debug)]
pub struct UnknownMembers;

impl FunctionRewrite for UnknownMembers {
    fn name(&self) -> &str {
        "unknown_members"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _: &ConfigOptions) -> EngineResult<Transformed<Expr>> {
        let Expr::ScalarFunction(call) = &expr else { return Ok(Transformed::no(expr)) };
        let ("array_has", [list, _]) = (call.func.name(), call.args.as_slice()) else {
            return Ok(Transformed::no(expr));
        };
        let shown = list.get_type(schema)?;
        let simple = match &shown {
            arrow::datatypes::DataType::List(item) => !item.data_type().is_nested(),
            _ => false,
        };
        if !simple || has_no_nulls(list) {
            return Ok(Transformed::no(expr));
        }
        let function = FUNCTIONS.iter().find(|function| function.name == ANY_EQUAL);
        let Some(function) = function else { return Ok(Transformed::no(expr)) };
        let any_equal = std::sync::Arc::new(super::overload::udf(function));
        Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(any_equal, call.args.clone()))))
    }
}

fn has_no_nulls(list: &Expr) -> bool {
    match list {
        Expr::Literal(ScalarValue::List(list), _) => list.values().null_count() == 0,
        Expr::ScalarFunction(call) if call.func.name() == "make_array" => {
            call.args.iter().all(|element| match element {
                Expr::Literal(value, _) => !value.is_null(),
                Expr::Cast(cast) => matches!(cast.expr.as_ref(), Expr::Literal(value, _) if !value.is_null()),
                _ => false,
            })
        }
        Expr::Cast(cast) => has_no_nulls(&cast.expr),
        _ => false,
    }
}
