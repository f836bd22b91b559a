//! The query engine's errors in PostgreSQL's words: one exhaustive match, so that a new kind of error cannot be
//! forgotten.

use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError};

use crate::error::Error;
use crate::resolve::nearest;
use crate::sqlstate::SqlState;

/// What the user should see of an error of the query engine.
pub(crate) fn engine_error(error: DataFusionError) -> Error {
    match error {
        DataFusionError::External(source) => external(source),
        DataFusionError::Context(_, inner) => engine_error(*inner),
        DataFusionError::Shared(shared) => shared_error(&shared),
        DataFusionError::Collection(mut errors) if !errors.is_empty() => engine_error(errors.swap_remove(0)),
        DataFusionError::Diagnostic(diagnostic, inner) => {
            let mut error = engine_error(*inner);
            let start = diagnostic.span.map(|span| span.start).filter(|start| start.line > 0);
            error.location = start.map(|start| (start.line, start.column));
            error
        }
        DataFusionError::ArrowError(error, _) => arrow_error(&error),
        DataFusionError::ParquetError(error) => match *error {
            datafusion::parquet::errors::ParquetError::External(source) => external(source),
            other => Error::new(SqlState::DATA_CORRUPTED, format!("cannot read parquet data: {other}")),
        },
        DataFusionError::ObjectStore(error) => tarn_catalog::Error::from(*error).into(),
        DataFusionError::IoError(error) => Error::new(SqlState::IO_ERROR, error.to_string()),
        DataFusionError::SchemaError(error, _) => schema_error(&error),
        DataFusionError::ResourcesExhausted(text) => Error::new(SqlState::OUT_OF_MEMORY, "out of memory")
            .with_detail(first_line(&text))
            .with_hint("Raise memory.limit in the settings, or let the statement do less at a time."),
        DataFusionError::NotImplemented(text) => {
            Error::new(SqlState::FEATURE_NOT_SUPPORTED, first_line(&text))
        }
        DataFusionError::Plan(text) => plan_error(&text),
        DataFusionError::SQL(error, _) => Error::new(SqlState::SYNTAX_ERROR, error.to_string()),
        DataFusionError::Execution(text) => execution_error(&text),
        DataFusionError::ExecutionJoin(error) => {
            Error::internal(format!("a part of the statement failed: {error}"))
        }
        DataFusionError::Configuration(text) => {
            Error::new(SqlState::INVALID_PARAMETER_VALUE, first_line(&text))
        }
        DataFusionError::Internal(text) | DataFusionError::Substrait(text) | DataFusionError::Ffi(text) => {
            Error::internal(first_line(&text))
        }
        DataFusionError::Collection(_) => Error::internal("the statement failed without saying why"),
    }
}

/// Our own errors travel through the engine in a box.
fn external(source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    let source = match source.downcast::<Error>() {
        Ok(error) => return *error,
        Err(source) => source,
    };
    let source = match source.downcast::<tarn_catalog::Error>() {
        Ok(error) => return Error::from(*error),
        Err(source) => source,
    };
    match source.downcast::<DataFusionError>() {
        Ok(error) => engine_error(*error),
        Err(source) => Error::new(SqlState::IO_ERROR, source.to_string()),
    }
}

/// An error that several readers share cannot be taken apart; what it says can.
fn shared_error(error: &DataFusionError) -> Error {
    match error {
        DataFusionError::External(source) => match source.downcast_ref::<Error>() {
            Some(error) => error.clone(),
            None => Error::new(SqlState::IO_ERROR, source.to_string()),
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => shared_error(inner),
        DataFusionError::Shared(inner) => shared_error(inner),
        DataFusionError::ArrowError(error, _) => arrow_error(error),
        DataFusionError::Execution(text) => execution_error(text),
        DataFusionError::Plan(text) => plan_error(text),
        DataFusionError::ResourcesExhausted(text) => {
            engine_error(DataFusionError::ResourcesExhausted(text.clone()))
        }
        other => Error::internal(first_line(&other.strip_backtrace())),
    }
}

fn arrow_error(error: &ArrowError) -> Error {
    let text = match error {
        ArrowError::DivideByZero => return Error::new(SqlState::DIVISION_BY_ZERO, "division by zero"),
        ArrowError::ArithmeticOverflow(text) => {
            return Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("value out of range: {text}"));
        }
        ArrowError::CastError(text) | ArrowError::ParseError(text) => {
            return Error::new(SqlState::INVALID_TEXT_REPRESENTATION, cast_message(text));
        }
        ArrowError::ExternalError(source) => match source.downcast_ref::<Error>() {
            Some(error) => return error.clone(),
            None => return Error::new(SqlState::IO_ERROR, source.to_string()),
        },
        ArrowError::CsvError(text) | ArrowError::JsonError(text) => {
            return Error::new(SqlState::BAD_COPY_FILE_FORMAT, first_line(text));
        }
        other => other.to_string(),
    };
    execution_error(&text)
}

/// `Cannot cast string 'x' to value of Int32 type` in PostgreSQL's words.
fn cast_message(text: &str) -> String {
    let parts = text
        .strip_prefix("Cannot cast string '")
        .and_then(|rest| rest.rsplit_once("' to value of "))
        .and_then(|(value, rest)| Some((value, rest.strip_suffix(" type")?)));
    match parts {
        Some((value, engine_type)) => {
            let name = match engine_type {
                "Int8" | "Int16" => "smallint",
                "Int32" => "integer",
                "Int64" => "bigint",
                "Float32" => "real",
                "Float64" => "double precision",
                "Boolean" => "boolean",
                "Date32" | "Date64" => "date",
                other if other.starts_with("Timestamp") => "timestamp",
                other if other.starts_with("Decimal") => "numeric",
                other => other,
            };
            format!("invalid input syntax for type {name}: \"{value}\"")
        }
        None => first_line(text),
    }
}

fn schema_error(error: &SchemaError) -> Error {
    match error {
        SchemaError::AmbiguousReference { field } => Error::new(
            SqlState::AMBIGUOUS_COLUMN,
            format!("column reference \"{}\" is ambiguous", field.name),
        ),
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => {
            Error::new(SqlState::DUPLICATE_COLUMN, format!("column \"{name}\" specified more than once"))
        }
        SchemaError::FieldNotFound { field, valid_fields } => {
            let error = Error::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{}\" does not exist", field.flat_name()),
            );
            match nearest(&field.name, valid_fields.iter().map(|field| field.name.as_str())) {
                Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
                None => error,
            }
        }
    }
}

fn plan_error(text: &str) -> Error {
    let text = first_line(text);
    if let Some(column) = text.split("column \"").nth(1).filter(|_| text.contains("must be in GROUP BY")) {
        let column = column.split('"').next().unwrap_or_default();
        let message = format!(
            "column \"{column}\" must appear in the GROUP BY clause or be used in an aggregate function"
        );
        return Error::new(SqlState::GROUPING_ERROR, message);
    }
    let state = [
        ("relation \"", SqlState::UNDEFINED_TABLE),
        ("Invalid function", SqlState::UNDEFINED_FUNCTION),
        ("table function", SqlState::UNDEFINED_FUNCTION),
        ("Column in SELECT must be in GROUP BY", SqlState::GROUPING_ERROR),
        ("Column in HAVING must be in GROUP BY", SqlState::GROUPING_ERROR),
        ("Column in ORDER BY must be in GROUP BY", SqlState::GROUPING_ERROR),
        ("Cannot coerce", SqlState::DATATYPE_MISMATCH),
        ("Cannot infer common argument type", SqlState::UNDEFINED_FUNCTION),
        ("No function matches", SqlState::UNDEFINED_FUNCTION),
        ("Projections require unique expression names", SqlState::DUPLICATE_COLUMN),
        ("WITH query name", SqlState::DUPLICATE_ALIAS),
        ("Unsupported SQL type", SqlState::UNDEFINED_OBJECT),
    ]
    .iter()
    .find(|(sign, _)| text.contains(sign))
    .map_or(SqlState::SYNTAX_OR_ACCESS_RULE, |(_, state)| *state);
    Error::new(state, text.trim_start_matches("Error during planning: ").to_owned())
}

fn execution_error(text: &str) -> Error {
    let text = first_line(text);
    if let Some(name) = text.strip_prefix("Placeholder '").and_then(|rest| rest.split('\'').next()) {
        return Error::new(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter {name}"));
    }
    let text = text.trim_start_matches("Arrow error: ").to_owned();
    let lower = text.to_lowercase();
    let state = if lower.contains("divide by zero") || lower.contains("division by zero") {
        return Error::new(SqlState::DIVISION_BY_ZERO, "division by zero");
    } else if lower.contains("overflow") || lower.contains("out of range") {
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE
    } else if lower.contains("more than one row") {
        SqlState::CARDINALITY_VIOLATION
    } else if lower.contains("parse") || lower.contains("cast") || lower.contains("invalid") {
        SqlState::INVALID_TEXT_REPRESENTATION
    } else {
        SqlState::DATA_EXCEPTION
    };
    Error::new(state, text)
}

/// The engine adds backtraces and advice for its own developers after the first line.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}
