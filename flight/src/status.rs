//! Errors as a gRPC client sees them: a status code that says what to do next, a message that people read, and details
//! for programs (`google.rpc.ErrorInfo`, its reason is the SQLSTATE). The texts are those of the PostgreSQL door.

use std::collections::HashMap;

use tarn_sql::{Error, SqlState};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Whose reasons they are: the five characters of SQLSTATE.
const DOMAIN: &str = "sqlstate";

/// The longest text of a status, characters. Clients take 8 KiB of headers, in which other letters than those of
/// English take up to nine bytes.
const TEXT_MAX: usize = 600;

/// An error of a statement as a status.
pub fn status(error: &Error) -> Status {
    let code = error.sqlstate.code();
    let mut message = format!("{} (SQLSTATE {code})", shortened(&error.message));
    let mut details = HashMap::from([("message".to_owned(), shortened(&error.message))]);
    for (label, key, text) in [("DETAIL", "detail", &error.detail), ("HINT", "hint", &error.hint)] {
        if let Some(text) = text {
            let text = shortened(text);
            message.push_str(&format!("\n{label}:  {text}"));
            details.insert(key.to_owned(), text);
        }
    }
    if let Some(position) = error.position {
        details.insert("position".to_owned(), position.to_string());
    }
    if ours(error) {
        tracing::error!(sqlstate = code, message = error.message, detail = error.detail, "statement failed");
    } else {
        tracing::debug!(sqlstate = code, message = error.message, "statement failed");
    }
    Status::with_error_details(grpc_code(code), message, ErrorDetails::with_error_info(code, DOMAIN, details))
}

/// A call that is not as the protocol says (08P01).
pub fn violation(message: impl Into<String>) -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, message)
}

/// Whether somebody who runs the server should look: neither the user's mistake nor the user's wish.
fn ours(error: &Error) -> bool {
    ["XX", "58", "53"].iter().any(|class| error.sqlstate.code().starts_with(class))
}

fn shortened(text: &str) -> String {
    let mut characters = text.chars();
    let mut short: String = characters.by_ref().take(TEXT_MAX).collect();
    if characters.next().is_some() {
        short.push('…');
    }
    short.replace('\0', "\\0")
}

/// What a client may do about a SQLSTATE. The single codes first, then their classes.
fn grpc_code(sqlstate: &str) -> Code {
    match sqlstate {
        "42P01" | "42704" | "3D000" | "3F000" | "26000" | "34000" | "58P01" => Code::NotFound,
        "42P07" | "42710" | "42P06" | "42P04" | "42P05" | "42P03" | "58P02" => Code::AlreadyExists,
        "42501" => Code::PermissionDenied,
        // It is not known whether it happened.
        "40003" => Code::Unknown,
        "57014" => Code::Cancelled,
        "XX001" => Code::DataLoss,
        "22003" | "22008" => Code::OutOfRange,
        _ => match &sqlstate[..2] {
            "0A" => Code::Unimplemented,
            "28" => Code::Unauthenticated,
            "40" => Code::Aborted,
            "53" | "54" => Code::ResourceExhausted,
            "57" => Code::Unavailable,
            "23" | "25" | "2B" | "3B" | "55" => Code::FailedPrecondition,
            "58" | "XX" => Code::Internal,
            _ => Code::InvalidArgument,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_all_that_the_error_does() {
        let error = Error::new(SqlState::UNDEFINED_TABLE, "relation \"a\" does not exist")
            .with_hint("Did you mean \"b\"?")
            .with_position(15);
        let status = status(&error);
        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(
            status.message(),
            "relation \"a\" does not exist (SQLSTATE 42P01)\nHINT:  Did you mean \"b\"?"
        );
        let info = status.get_details_error_info().expect("it has details");
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("42P01", "sqlstate"));
        let detail = |key: &str| info.metadata.get(key).map(String::as_str);
        assert_eq!(detail("message"), Some("relation \"a\" does not exist"));
        assert_eq!(detail("hint"), Some("Did you mean \"b\"?"));
        assert_eq!(detail("position"), Some("15"));
        assert_eq!(detail("detail"), None);
    }

    #[test]
    fn a_long_text_fits_into_the_headers() {
        let error = Error::new(SqlState::SYNTAX_ERROR, "ß".repeat(100_000)).with_detail("ß".repeat(100_000));
        assert!(status(&error).message().chars().count() < 2 * TEXT_MAX + 100);
    }

    #[test]
    fn codes_tell_what_to_do() {
        for (sqlstate, expect) in [
            (SqlState::SERIALIZATION_FAILURE, Code::Aborted),
            (SqlState::STATEMENT_COMPLETION_UNKNOWN, Code::Unknown),
            (SqlState::INSUFFICIENT_PRIVILEGE, Code::PermissionDenied),
            (SqlState::INVALID_PASSWORD, Code::Unauthenticated),
            (SqlState::FEATURE_NOT_SUPPORTED, Code::Unimplemented),
            (SqlState::SYNTAX_ERROR, Code::InvalidArgument),
            (SqlState::DUPLICATE_TABLE, Code::AlreadyExists),
            (SqlState::QUERY_CANCELED, Code::Cancelled),
            (SqlState::TOO_MANY_CONNECTIONS, Code::ResourceExhausted),
            (SqlState::INTERNAL_ERROR, Code::Internal),
        ] {
            assert_eq!(grpc_code(sqlstate.code()), expect, "{sqlstate}");
        }
    }
}
