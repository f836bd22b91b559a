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
        DataFusionError::NotImplemented(text) => not_implemented(&text),
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
        Err(source) => other_error(&source.to_string()),
    }
}

/// Errors of libraries below the engine.
fn other_error(text: &str) -> Error {
    match text.contains("regex") {
        true => execution_error(text),
        false => Error::new(SqlState::IO_ERROR, first_line(text)),
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
            return cast_error(text);
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
fn cast_error(text: &str) -> Error {
    let line = first_line(text);
    if line.starts_with("Invalid input syntax for type interval") {
        return Error::new(SqlState::INVALID_DATETIME_FORMAT, line.replacen("Invalid", "invalid", 1));
    }
    if let Some((_, to)) = line.rsplit_once(" is out of range ") {
        return Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{} out of range", type_word(to)));
    }
    if let Some((value, to)) =
        line.strip_prefix("Can't cast value ").and_then(|rest| rest.rsplit_once(" to type "))
    {
        let message = format!("{} out of range", type_word(to));
        return Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
            .with_detail(format!("The value is {value}."));
    }
    let quoted = line.find('\'').and_then(|from| Some((from, line.rfind("' to value of ")?)));
    let Some((value, to)) = quoted.and_then(|(from, until)| {
        Some((
            line.get(from + 1..until)?,
            line[until..].trim_start_matches("' to value of ").trim_end_matches(" type"),
        ))
    }) else {
        return date_error(&line)
            .unwrap_or_else(|| Error::new(SqlState::INVALID_TEXT_REPRESENTATION, line.clone()));
    };
    let word = type_word(to);
    if ["smallint", "integer", "bigint"].contains(&word) && value.trim().parse::<i128>().is_ok() {
        let message = format!("value \"{value}\" is out of range for type {word}");
        return Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message);
    }
    match word {
        "date" | "timestamp" => moment_error(word, value),
        _ => Error::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("invalid input syntax for type {word}: \"{value}\""),
        ),
    }
}

/// `Error parsing timestamp from 'x': …`.
fn date_error(line: &str) -> Option<Error> {
    let value = line.strip_prefix("Error parsing timestamp from '")?.split('\'').next()?;
    Some(moment_error("timestamp", value))
}

/// Digits in the right places are a day that there is not; anything else is no date at all.
fn moment_error(word: &str, value: &str) -> Error {
    let shaped = value.len() >= 8 && value.chars().take(8).all(|c| c.is_ascii_digit() || c == '-');
    if shaped {
        let message = format!("date/time field value out of range: \"{value}\"");
        return Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message);
    }
    let message = format!("invalid input syntax for type {word}: \"{value}\"");
    Error::new(SqlState::INVALID_DATETIME_FORMAT, message)
}

fn schema_error(error: &SchemaError) -> Error {
    match error {
        SchemaError::AmbiguousReference { field } => Error::new(
            SqlState::AMBIGUOUS_COLUMN,
            format!("column reference \"{}\" is ambiguous", field.name),
        ),
        SchemaError::DuplicateQualifiedField { qualifier, .. } => {
            let message = format!("table name \"{}\" specified more than once", qualifier.table());
            Error::new(SqlState::DUPLICATE_ALIAS, message)
                .with_hint("Give one of the two another name with AS.")
        }
        SchemaError::DuplicateUnqualifiedField { name } => {
            Error::new(SqlState::DUPLICATE_COLUMN, format!("column \"{name}\" specified more than once"))
        }
        SchemaError::FieldNotFound { field, valid_fields } => {
            if let Some(table) = field.relation.as_ref().filter(|table| {
                !valid_fields
                    .iter()
                    .any(|valid| valid.relation.as_ref().is_some_and(|known| known.resolved_eq(table)))
            }) {
                let message = format!("missing FROM-clause entry for table \"{}\"", table.table());
                return Error::new(SqlState::UNDEFINED_TABLE, message);
            }
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

fn not_implemented(text: &str) -> Error {
    if text.starts_with("Physical plan does not support") && is_about_subquery(text) {
        return Error::unsupported(
            "a subquery that depends on the row around it in this way, or in this place",
        )
        .with_hint(
            "Join the tables instead, or compare with the row in the WHERE clause of the subquery alone.",
        );
    }
    if text.starts_with("Physical plan does not support") && text.contains("WindowFunction(") {
        return Error::new(SqlState::WINDOWING_ERROR, "window functions are not allowed in WHERE")
            .with_hint("Compute them in a subquery in FROM, and compare there.");
    }
    if text.starts_with("Physical plan does not support") && text.contains("AggregateFunction(") {
        return Error::new(SqlState::GROUPING_ERROR, "aggregate function calls cannot be nested")
            .with_hint("Aggregate in a subquery in FROM first.");
    }
    let text = first_line(text);
    match text.strip_prefix("Unsupported SQL type ") {
        Some(name) => Error::new(SqlState::UNDEFINED_OBJECT, format!("type \"{name}\" does not exist")),
        None => Error::new(SqlState::FEATURE_NOT_SUPPORTED, text),
    }
}

/// Whether what the engine has no operator for is a subquery that it did not make a join of.
fn is_about_subquery(text: &str) -> bool {
    let signs =
        ["Exists(", "InSubquery(", "ScalarSubquery(", "OuterReferenceColumn(", "undecorrelated Subquery"];
    signs.into_iter().any(|sign| text.contains(sign))
}

fn plan_error(text: &str) -> Error {
    let first = first_line(text);
    let first = first.trim_start_matches("Error during planning: ");
    spoken_plan_error(first, text).unwrap_or_else(|| {
        let states = [
            ("relation \"", SqlState::UNDEFINED_TABLE),
            ("Cannot coerce", SqlState::DATATYPE_MISMATCH),
            ("Cannot infer common argument type", SqlState::UNDEFINED_FUNCTION),
            ("No function matches", SqlState::UNDEFINED_FUNCTION),
            ("Projections require unique expression names", SqlState::DUPLICATE_COLUMN),
            ("WITH query name", SqlState::DUPLICATE_ALIAS),
        ];
        let found = states.iter().find(|(sign, _)| first.contains(sign));
        Error::new(found.map_or(SqlState::SYNTAX_OR_ACCESS_RULE, |(_, state)| *state), first)
    })
}

/// The mistakes that people make often, in PostgreSQL's words.
fn spoken_plan_error(first: &str, whole: &str) -> Option<Error> {
    if first.contains("must be in GROUP BY") {
        let column = first.split("column \"").nth(1).and_then(|rest| rest.split('"').next())?;
        let message = format!(
            "column \"{column}\" must appear in the GROUP BY clause or be used in an aggregate function"
        );
        return Some(Error::new(SqlState::GROUPING_ERROR, message));
    }
    let function =
        first.strip_prefix("Invalid function '").or_else(|| first.strip_prefix("table function '"));
    if let Some(name) = function.and_then(|rest| rest.split('\'').next()) {
        let error = Error::new(SqlState::UNDEFINED_FUNCTION, format!("function {name}(...) does not exist"));
        let near = whole.split("Did you mean '").nth(1).and_then(|rest| rest.split('\'').next());
        return Some(match near {
            Some(near) => error.with_hint(format!("Did you mean {near}?")),
            None => error.with_hint("\\df lists the functions."),
        });
    }
    if let Some(rest) = first.split("Cannot coerce arithmetic expression ").nth(1) {
        let types: Vec<&str> = rest.split(" to valid types").next()?.split(' ').collect();
        let [left, operator, right] = types.as_slice() else { return None };
        let message = format!("operator does not exist: {} {operator} {}", type_word(left), type_word(right));
        return Some(
            Error::new(SqlState::UNDEFINED_FUNCTION, message).with_hint("You might need to add a cast."),
        );
    }
    if let Some(types) = first.split("string concat operation ").nth(1) {
        let words: Vec<&str> = types.split(' ').map(type_word).collect();
        let message = format!("operator does not exist: {}", words.join(" "));
        return Some(
            Error::new(SqlState::UNDEFINED_FUNCTION, message).with_hint("You might need to add a cast."),
        );
    }
    if let Some(error) = misplaced(first) {
        return Some(error);
    }
    if let Some(rest) = first.split("non-boolean predicate").nth(1) {
        let found = rest.rsplit(' ').next().unwrap_or_default();
        let message = format!("argument of WHERE must be type boolean, not type {}", type_word(found));
        return Some(Error::new(SqlState::DATATYPE_MISMATCH, message));
    }
    if let Some(field) =
        first.strip_prefix("Field ").and_then(|rest| rest.split(" not found in struct").next())
        && first.ends_with("not found in struct")
    {
        let message = format!("column \"{field}\" not found in a struct");
        return Some(Error::new(SqlState::UNDEFINED_COLUMN, message));
    }
    if first.contains("different number of columns") {
        let message = "each UNION query must have the same number of columns";
        return Some(Error::new(SqlState::SYNTAX_ERROR, message));
    }
    if first.to_lowercase().contains("aggregate function") && first.contains("WHERE") {
        return Some(Error::new(SqlState::GROUPING_ERROR, "aggregate functions are not allowed in WHERE"));
    }
    if first.starts_with("LIMIT must be") || first.starts_with("OFFSET must be") {
        let clause = first.split(' ').next()?;
        let limit = clause == "LIMIT";
        return Some(Error::new(
            if limit { SqlState::INVALID_ROW_COUNT_IN_LIMIT } else { SqlState::INVALID_ROW_COUNT_IN_OFFSET },
            format!("{clause} must not be negative"),
        ));
    }
    None
}

/// Names, places and clauses that lead nowhere.
fn misplaced(first: &str) -> Option<Error> {
    if let Some(name) = first.strip_prefix("Invalid qualifier ") {
        let message = format!("missing FROM-clause entry for table \"{name}\"");
        return Some(Error::new(SqlState::UNDEFINED_TABLE, message));
    }
    let places = [
        ("Cannot find column with position ", "GROUP"),
        ("Order by column out of bounds, specified: ", "ORDER"),
    ];
    for (start, clause) in places {
        if let Some(rest) = first.strip_prefix(start) {
            let place = rest.split([' ', ',']).next()?;
            let message = format!("{clause} BY position {place} is not in select list");
            return Some(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message));
        }
    }
    if first.starts_with("Too many columns! The subquery should only return one column") {
        return Some(Error::new(SqlState::SYNTAX_ERROR, "subquery must return only one column"));
    }
    if first.starts_with("Expected LIMIT to be an integer") || first.starts_with("Expected OFFSET to be") {
        let clause = first.split(' ').nth(1)?;
        let message = format!("{clause} must be a whole number");
        return Some(Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message));
    }
    None
}

/// PostgreSQL's name of one of the engine's types.
fn type_word(engine_type: &str) -> &str {
    match engine_type {
        "Int8" | "Int16" => "smallint",
        "Int32" => "integer",
        "Int64" => "bigint",
        "Float32" => "real",
        "Float64" => "double precision",
        "Boolean" => "boolean",
        "Date32" | "Date64" => "date",
        "Utf8" | "Utf8View" | "LargeUtf8" => "text",
        "Binary" | "BinaryView" | "LargeBinary" => "bytea",
        other if other.starts_with("Timestamp") => "timestamp",
        other if other.starts_with("Decimal") => "numeric",
        other => other,
    }
}

/// What functions of the engine say, and the state that PostgreSQL has for it.
const SPOKEN: [(&str, SqlState); 2] = [
    ("field position must not be zero", SqlState::INVALID_PARAMETER_VALUE),
    ("step can't be 0", SqlState::INVALID_PARAMETER_VALUE),
];

fn execution_error(text: &str) -> Error {
    let text = first_line(text);
    if let Some(name) = text.strip_prefix("Placeholder '").and_then(|rest| rest.split('\'').next()) {
        return Error::new(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter {name}"));
    }
    let text = text.trim_start_matches("Arrow error: ").to_owned();
    if let Some((_, state)) = SPOKEN.iter().find(|(sign, _)| text.contains(sign)) {
        return Error::new(*state, text);
    }
    if text.contains("too large to store in a Decimal") {
        return Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow").with_detail(text);
    }
    if text.to_lowercase().contains("regex") {
        return Error::new(
            SqlState::INVALID_REGULAR_EXPRESSION,
            format!("invalid regular expression: {text}"),
        );
    }
    if let Some(part) = text.strip_prefix("Date part '").and_then(|rest| rest.split('\'').next()) {
        let message = format!("timestamp units \"{part}\" not recognized");
        return Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    }
    if text.starts_with("negative count not allowed") || text.starts_with("negative substring length") {
        return Error::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed");
    }
    if let Some(unit) = text.strip_prefix("Unsupported date_trunc granularity: '") {
        let message =
            format!("timestamp units \"{}\" not recognized", unit.split('\'').next().unwrap_or_default());
        return Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    }
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
