//! Functions of values of any type as table entries: a name, and overloads that say what they take and give. Which
//! overload is meant is decided as in PostgreSQL: types that fit as they are win, then those that need a cast, and a text
//! may be read as any type. Called once per row.
//! Next: `datum.rs` for the values.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::array::timezone::Tz;
use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};
use datafusion::common::{DataFusionError, Result as EngineResult, ScalarValue};
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::datum::{self, Datum};
use super::{fault, shown};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::system::array_elements;
use crate::types;

/// What an argument or a result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Bool,
    /// A whole number that is an integer as a result.
    Int,
    Bigint,
    Float,
    Numeric,
    Text,
    /// JSON text, also one that is not marked.
    Json,
    Bytes,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Interval,
    Texts,
    /// A list of lists of texts, only as a result.
    TextRows,
    Ints,
    Bigints,
    Floats,
    /// Only as results.
    Numerics,
    Jsons,
    /// Anything, as it is.
    Any,
    /// Any list.
    List,
    /// As a result: of the type of that argument, of its elements, or a list of it.
    Like(usize),
    ElementOf(usize),
    ListOf(usize),
}

/// Numbers after the point of a numeric that could have any.
const OPEN_SCALE: i8 = 10;
const DIGITS: u8 = 38;

/// What a call knows beside its values.
#[derive(Debug)]
pub struct Call<'a> {
    /// The session's time zone.
    pub zone: Tz,
    /// By its setting.
    pub zone_name: &'a str,
    pub returns: &'a DataType,
}

pub type Run = for<'a> fn(&Call, &[Datum<'a>]) -> Result<Datum<'a>>;

/// The digits of a numeric result by the types and constants of the arguments.
pub type Scale = fn(&[FieldRef], &[Option<&ScalarValue>]) -> (u8, i8);

/// One way of calling a function.
#[derive(Debug)]
pub struct Overload {
    pub takes: &'static [Type],
    /// What more may follow, as often as one likes.
    pub rest: Option<Type>,
    pub gives: Type,
    /// Of a numeric result.
    pub scale: Option<Scale>,
    pub run: Run,
}

impl Overload {
    pub const fn new(takes: &'static [Type], gives: Type, run: Run) -> Overload {
        Overload { takes, rest: None, gives, scale: None, run }
    }

    pub const fn variadic(takes: &'static [Type], rest: Type, gives: Type, run: Run) -> Overload {
        Overload { takes, rest: Some(rest), gives, scale: None, run }
    }

    pub const fn scaled(mut self, scale: Scale) -> Overload {
        self.scale = Some(scale);
        self
    }

    fn kinds(&self, count: usize) -> Option<impl Iterator<Item = Type>> {
        let more = count.checked_sub(self.takes.len())?;
        let rest = match (more, self.rest) {
            (0, _) => None,
            (_, None) => return None,
            (_, rest) => rest,
        };
        Some(self.takes.iter().copied().chain(std::iter::repeat_n(rest, more).flatten()))
    }
}

/// A function as a table entry.
#[derive(Debug)]
pub struct Function {
    pub name: &'static str,
    pub overloads: &'static [Overload],
    /// NULL for any NULL argument, without a call.
    pub strict: bool,
    pub volatility: Volatility,
}

impl Function {
    /// A strict function of its arguments alone.
    pub const fn new(name: &'static str, overloads: &'static [Overload]) -> Function {
        Function { name, overloads, strict: true, volatility: Volatility::Immutable }
    }

    /// The same, but called with NULLs, too.
    pub const fn with_nulls(mut self) -> Function {
        self.strict = false;
        self
    }

    /// The same, but what it gives depends on the session's time zone.
    pub const fn of_zone(mut self) -> Function {
        self.volatility = Volatility::Stable;
        self
    }
}

pub fn register(registry: &mut dyn FunctionRegistry, functions: &'static [Function]) -> EngineResult<()> {
    for function in functions {
        registry.register_udf(Arc::new(udf(function)))?;
    }
    Ok(())
}

/// A definition as an engine function.
pub fn udf(function: &'static Function) -> ScalarUDF {
    let signature = Signature::user_defined(function.volatility);
    ScalarUDF::new_from_impl(Overloaded { function, signature })
}

#[derive(Debug)]
pub(super) struct Overloaded {
    function: &'static Function,
    signature: Signature,
}

impl PartialEq for Overloaded {
    fn eq(&self, other: &Overloaded) -> bool {
        self.function.name == other.function.name
    }
}

impl Eq for Overloaded {}

impl Hash for Overloaded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

/// How well a type fits, and what it is cast to.
fn fit(kind: Type, given: &DataType) -> Option<(u8, DataType)> {
    let text = given.is_string();
    let wanted = held(kind);
    let score = match (kind, given) {
        (Type::Any, _) => return Some((1, given.clone())),
        (Type::List, DataType::List(_) | DataType::LargeList(_)) => return Some((4, given.clone())),
        (Type::List | Type::Like(_) | Type::ElementOf(_) | Type::ListOf(_), _) => {
            return given.is_null().then(|| (1, given.clone()));
        }
        (_, DataType::Null) => 1,
        (Type::Numeric, DataType::Decimal128(..)) => return Some((4, given.clone())),
        (Type::Numeric, whole) if whole.is_integer() => return Some((2, whole.clone())),
        (Type::Int | Type::Bigint, whole) if whole.is_integer() => 4,
        (Type::Float, DataType::Float64 | DataType::Float32) => 4,
        (Type::Float, number) if number.is_numeric() => 1,
        (Type::Text | Type::Json, _) if text => 3,
        (Type::Bool, DataType::Boolean) | (Type::Date, DataType::Date32) => 4,
        (Type::Bytes, DataType::Binary | DataType::LargeBinary | DataType::BinaryView) => 4,
        (Type::Time, DataType::Time64(_) | DataType::Time32(_)) => 4,
        (Type::Timestamp, DataType::Timestamp(_, None)) => 4,
        (Type::Timestamptz, DataType::Timestamp(_, Some(_))) => 4,
        (Type::Timestamp, DataType::Date32) => 1,
        (Type::Timestamptz, DataType::Date32 | DataType::Timestamp(_, None)) => 2,
        (Type::Interval, DataType::Interval(_) | DataType::Duration(_)) => return Some((4, given.clone())),
        (Type::Texts | Type::Ints | Type::Bigints | Type::Floats, DataType::List(_)) => 4,
        // These are read value by value.
        (Type::Texts | Type::Bigints | Type::Floats | Type::Bytes, _) if text => {
            return Some((1, DataType::Utf8));
        }
        // A literal may be anything.
        (_, _) if text => 1,
        _ => return None,
    };
    Some((score, wanted.unwrap_or_else(|| given.clone())))
}

/// The same, for kinds that depend on another argument.
fn fit_with(kind: Type, own: &DataType, given: &[DataType]) -> Option<(u8, DataType)> {
    let other = match kind {
        Type::Like(place) => given.get(place).filter(|other| !other.is_null()).cloned(),
        Type::ElementOf(place) => match given.get(place) {
            Some(DataType::List(item) | DataType::LargeList(item)) => Some(item.data_type().clone()),
            _ => None,
        },
        _ => return fit(kind, own),
    };
    let Some(other) = other else { return Some((1, own.clone())) };
    if other == *own || (other.is_numeric() && own.is_numeric()) {
        return Some((4, own.clone()));
    }
    let lists = matches!((&other, own), (DataType::List(_), DataType::List(_)));
    let read = own.is_null() || own.is_string() || other.is_null() || lists;
    read.then_some((1, other))
}

/// The type that values of a kind are held in.
fn held(kind: Type) -> Option<DataType> {
    let list = |item| DataType::List(Arc::new(Field::new_list_field(item, true)));
    Some(match kind {
        Type::Bool => DataType::Boolean,
        Type::Int | Type::Bigint => DataType::Int64,
        Type::Float => DataType::Float64,
        Type::Numeric => DataType::Decimal128(DIGITS, OPEN_SCALE),
        Type::Text | Type::Json => DataType::Utf8,
        Type::Bytes => DataType::Binary,
        Type::Date => DataType::Date32,
        Type::Time => DataType::Time64(TimeUnit::Microsecond),
        Type::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::Timestamptz => types::arrow_type(types::oid::TIMESTAMPTZ, -1)?,
        Type::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
        Type::Texts => list(DataType::Utf8),
        Type::TextRows => list(list(DataType::Utf8)),
        Type::Ints | Type::Bigints => list(DataType::Int64),
        Type::Floats => list(DataType::Float64),
        Type::Numerics => list(DataType::Decimal128(DIGITS, OPEN_SCALE)),
        Type::Jsons => {
            let item = Field::new_list_field(DataType::Utf8, true).with_metadata(types::json_marks());
            DataType::List(Arc::new(item))
        }
        Type::Any | Type::List | Type::Like(_) | Type::ElementOf(_) | Type::ListOf(_) => return None,
    })
}

impl Overloaded {
    /// The overload that is meant, and the types that its arguments are cast to.
    fn choose(&self, given: &[DataType]) -> Option<(&'static Overload, Vec<DataType>)> {
        let mut best: Option<(u32, &'static Overload, Vec<DataType>)> = None;
        for overload in self.function.overloads {
            let Some(kinds) = overload.kinds(given.len()) else { continue };
            let fits: Option<Vec<(u8, DataType)>> =
                kinds.zip(given).map(|(kind, own)| fit_with(kind, own, given)).collect();
            let Some(fits) = fits else { continue };
            let score = fits.iter().map(|(score, _)| u32::from(*score)).sum();
            if best.as_ref().is_none_or(|(most, ..)| score > *most) {
                best = Some((score, overload, fits.into_iter().map(|(_, cast)| cast).collect()));
            }
        }
        best.map(|(_, overload, casts)| (overload, casts))
    }

    fn missing(&self, given: &[DataType]) -> DataFusionError {
        let named = given.iter().map(|given| match given {
            DataType::Null => "unknown".to_owned(),
            other => types::sql_name(&Field::new("", other.clone(), true)),
        });
        let named = named.collect::<Vec<_>>().join(", ");
        let message = format!("function {}({named}) does not exist", self.function.name);
        let error = Error::new(SqlState::UNDEFINED_FUNCTION, message);
        DataFusionError::External(Box::new(error.with_hint(
            "No function matches the given argument types. You might need to add explicit casts.",
        )))
    }
}

fn result_type(overload: &Overload, fields: &[FieldRef], scalars: &[Option<&ScalarValue>]) -> DataType {
    let argument = |place: usize| fields.get(place).map_or(DataType::Null, |field| field.data_type().clone());
    match (overload.gives, overload.scale) {
        (Type::Int, _) => DataType::Int32,
        (Type::Ints, _) => DataType::List(Arc::new(Field::new_list_field(DataType::Int32, true))),
        (Type::Numeric, Some(scale)) => {
            let (precision, scale) = scale(fields, scalars);
            DataType::Decimal128(precision, scale)
        }
        (Type::Numerics, Some(scale)) => {
            let (precision, scale) = scale(fields, scalars);
            DataType::List(Arc::new(Field::new_list_field(DataType::Decimal128(precision, scale), true)))
        }
        (Type::Like(place), _) => argument(place),
        (Type::ElementOf(place), _) => match argument(place) {
            DataType::List(item) | DataType::LargeList(item) => item.data_type().clone(),
            other => other,
        },
        (Type::ListOf(place), _) => DataType::List(Arc::new(Field::new_list_field(argument(place), true))),
        (kind, _) => held(kind).unwrap_or(DataType::Utf8),
    }
}

impl ScalarUDFImpl for Overloaded {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> EngineResult<Vec<DataType>> {
        self.choose(given).map(|(_, casts)| casts).ok_or_else(|| self.missing(given))
    }

    fn return_type(&self, given: &[DataType]) -> EngineResult<DataType> {
        let fields: Vec<FieldRef> =
            given.iter().map(|given| Arc::new(Field::new("", given.clone(), true))).collect();
        let (overload, _) = self.choose(given).ok_or_else(|| self.missing(given))?;
        Ok(result_type(overload, &fields, &[]))
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> EngineResult<FieldRef> {
        let given: Vec<DataType> =
            arguments.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let (overload, _) = self.choose(&given).ok_or_else(|| self.missing(&given))?;
        let data_type = result_type(overload, arguments.arg_fields, arguments.scalar_arguments);
        let field = Field::new(self.function.name, data_type, true);
        Ok(Arc::new(match overload.gives {
            Type::Json => field.with_metadata(types::json_marks()),
            Type::Like(place) => match arguments.arg_fields.get(place) {
                Some(argument) => field.with_metadata(argument.metadata().clone()),
                None => field,
            },
            _ => field,
        }))
    }

    /// Nothing is known of the result but its type, which what is computed of it asks for.
    fn evaluate_bounds(&self, arguments: &[&Interval]) -> EngineResult<Interval> {
        let given: Vec<DataType> = arguments.iter().map(|argument| argument.data_type()).collect();
        Interval::make_unbounded(&self.return_type(&given)?)
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let given: Vec<DataType> = call.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let (overload, _) = self.choose(&given).ok_or_else(|| self.missing(&given))?;
        // One value as a list would forget what its elements are marked with.
        let constant = overload.gives != Type::Jsons
            && call.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { call.number_rows };
        let arrays = call.args.iter().map(|argument| argument.to_array(rows));
        let arrays = arrays.collect::<EngineResult<Vec<ArrayRef>>>()?;
        let array = self.run(overload, &call, &arrays, rows);
        let array = array.map_err(|error| DataFusionError::External(Box::new(error)))?;
        match constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)),
            false => Ok(ColumnarValue::Array(array)),
        }
    }
}

impl Overloaded {
    fn run(
        &self,
        overload: &Overload,
        call: &ScalarFunctionArgs,
        arrays: &[ArrayRef],
        rows: usize,
    ) -> Result<ArrayRef> {
        let zone_name = call.config_options.execution.time_zone.as_deref().unwrap_or("UTC");
        let context =
            Call { zone: shown::zone(Some(zone_name))?, zone_name, returns: call.return_field.data_type() };
        let kinds: Vec<Type> = overload.kinds(arrays.len()).into_iter().flatten().collect();
        let mut results = Vec::with_capacity(rows);
        let mut values = Vec::with_capacity(arrays.len());
        for row in 0..rows {
            values.clear();
            for ((array, field), kind) in arrays.iter().zip(&call.arg_fields).zip(&kinds) {
                values.push(from_text(datum::read(array.as_ref(), field, row), *kind)?);
            }
            let null = self.function.strict && values.iter().any(Datum::is_null);
            results.push(if null { Datum::Null } else { (overload.run)(&context, &values)? });
        }
        datum::column(&results, context.returns)
    }
}

/// A text where a list or bytes are wanted, as what it spells.
fn from_text<'a>(datum: Datum<'a>, kind: Type) -> Result<Datum<'a>> {
    let Datum::Text(text) = &datum else { return Ok(datum) };
    let element: fn(String) -> Option<Datum<'a>> = match kind {
        Type::Bytes => {
            let bytes = super::bytea::decode(text);
            return bytes.map(|bytes| Datum::Bytes(bytes.into())).map_err(|_| fault::syntax("bytea", text));
        }
        Type::Texts => |element| Some(Datum::from(element)),
        Type::Bigints => |element| element.trim().parse().ok().map(Datum::Int),
        Type::Floats => |element| element.trim().parse().ok().map(Datum::Float),
        _ => return Ok(datum),
    };
    let malformed = || {
        let message = format!("malformed array literal: \"{text}\"");
        Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
    };
    let elements = array_elements(text).ok_or_else(malformed)?.into_iter();
    let elements = elements.map(|given| given.map_or(Some(Datum::Null), element).ok_or_else(malformed));
    Ok(Datum::List(elements.collect::<Result<Vec<_>>>()?))
}
