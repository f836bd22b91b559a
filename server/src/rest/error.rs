//! How a failure is said: the status, type and body that the specification has for it. The matches are exhaustive, so a new
//! kind of error cannot be forgotten. A conflict is only said when nothing has happened; what may have happened is a
//! `CommitStateUnknownException`.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;
use tarn_catalog::{ErrorKind, ObjectKind};
use tarn_sql::SqlState;

use super::answer::Answer;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure as a client sees it.
#[derive(Debug)]
pub struct Error {
    pub status: StatusCode,
    /// The specification's name for it.
    pub kind: &'static str,
    pub message: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Error {
    pub fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Error {
        Error { status, kind, message: message.into(), headers: Vec::new() }
    }

    fn with_header(mut self, name: HeaderName, value: &str) -> Error {
        self.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }

    pub fn bad_request(message: impl Into<String>) -> Error {
        Error::new(StatusCode::BAD_REQUEST, "BadRequestException", message)
    }

    pub fn not_served() -> Error {
        Error::new(StatusCode::NOT_FOUND, "NotFoundException", "nothing is served at this path")
    }

    pub fn method_not_allowed(methods: &str) -> Error {
        Error::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowedException",
            format!("this path takes {methods}"),
        )
        .with_header(header::ALLOW, methods)
    }

    pub fn unauthorized(message: impl Into<String>) -> Error {
        Error::new(StatusCode::UNAUTHORIZED, "NotAuthorizedException", message)
            .with_header(header::WWW_AUTHENTICATE, "Bearer realm=\"tarn\"")
    }

    pub fn forbidden(message: impl Into<String>) -> Error {
        Error::new(StatusCode::FORBIDDEN, "NotAuthorizedException", message)
    }

    pub fn no_namespace(name: &str) -> Error {
        Error::new(
            StatusCode::NOT_FOUND,
            "NoSuchNamespaceException",
            format!("Namespace does not exist: {}", shown(name)),
        )
    }

    pub fn no_table(namespace: &str, name: &str) -> Error {
        Error::new(
            StatusCode::NOT_FOUND,
            "NoSuchTableException",
            format!("Table does not exist: {}.{}", shown(namespace), shown(name)),
        )
    }

    pub fn no_view(namespace: &str, name: &str) -> Error {
        Error::new(
            StatusCode::NOT_FOUND,
            "NoSuchViewException",
            format!("View does not exist: {}.{}", shown(namespace), shown(name)),
        )
    }

    pub fn no_warehouse(name: &str) -> Error {
        Error::new(
            StatusCode::NOT_FOUND,
            "NoSuchWarehouseException",
            format!("Warehouse does not exist: {}", shown(name)),
        )
    }

    pub fn already_exists(what: &str, name: &str) -> Error {
        Error::new(
            StatusCode::CONFLICT,
            "AlreadyExistsException",
            format!("{what} already exists: {}", shown(name)),
        )
    }

    /// The commit certainly did not happen, and may be tried again.
    pub fn commit_failed(message: impl Into<String>) -> Error {
        Error::new(StatusCode::CONFLICT, "CommitFailedException", message)
    }

    pub fn unprocessable(message: impl Into<String>) -> Error {
        Error::new(StatusCode::UNPROCESSABLE_ENTITY, "UnprocessableEntityException", message)
    }

    pub fn unknown_outcome(message: impl Into<String>) -> Error {
        Error::new(StatusCode::INTERNAL_SERVER_ERROR, "CommitStateUnknownException", message)
    }

    pub fn internal(message: impl Into<String>) -> Error {
        Error::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", message)
    }

    pub fn busy() -> Error {
        Error::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "SlowDownException",
            "the server takes no more requests at this moment",
        )
        .with_header(header::RETRY_AFTER, "1")
    }

    /// Whether another thread's change came first.
    pub fn is_conflict(&self) -> bool {
        self.kind == "CommitFailedException"
    }

    pub fn body(&self) -> String {
        json!({ "error": { "message": self.message, "type": self.kind, "code": self.status.as_u16() } })
            .to_string()
    }

    pub fn into_answer(self) -> Answer {
        let mut answer = Answer::text(self.status, self.body());
        answer.headers.extend(self.headers);
        answer
    }
}

/// A name as a message repeats it: without what could forge a line of a log.
pub fn shown(name: &str) -> String {
    name.chars().take(255).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

impl From<tarn_catalog::Error> for Error {
    fn from(error: tarn_catalog::Error) -> Error {
        let parts = [Some(error.message.clone()), error.detail.clone(), error.hint.clone()];
        let message = parts.into_iter().flatten().collect::<Vec<_>>().join(". ");
        match error.kind {
            ErrorKind::NotFound(object) => not_found(object, message),
            ErrorKind::AlreadyExists(_) => {
                Error::new(StatusCode::CONFLICT, "AlreadyExistsException", message)
            }
            ErrorKind::DependentObjects => {
                Error::new(StatusCode::CONFLICT, "NamespaceNotEmptyException", message)
            }
            ErrorKind::InvalidName | ErrorKind::InvalidArgument | ErrorKind::Limit => {
                Error::bad_request(message)
            }
            ErrorKind::Unsupported => {
                Error::new(StatusCode::BAD_REQUEST, "UnsupportedOperationException", message)
            }
            ErrorKind::Denied => Error::new(StatusCode::FORBIDDEN, "NotAuthorizedException", message),
            ErrorKind::Conflict => Error::commit_failed(message),
            ErrorKind::OutcomeUnknown => Error::unknown_outcome(message),
            ErrorKind::Storage => {
                tracing::error!(%error, "a request failed on the object store");
                Error::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException", message)
            }
            ErrorKind::Corrupt | ErrorKind::InUse | ErrorKind::Internal => {
                tracing::error!(%error, "a request failed");
                Error::internal(message)
            }
        }
    }
}

fn not_found(object: ObjectKind, message: String) -> Error {
    let kind = match object {
        ObjectKind::Catalog => "NoSuchWarehouseException",
        ObjectKind::Namespace => "NoSuchNamespaceException",
        ObjectKind::Relation => "NoSuchTableException",
        ObjectKind::Column => return Error::bad_request(message),
        ObjectKind::Role | ObjectKind::File => "NotFoundException",
    };
    Error::new(StatusCode::NOT_FOUND, kind, message)
}

/// Errors of the engine come from the text of views only, and by classes.
impl From<tarn_sql::Error> for Error {
    fn from(error: tarn_sql::Error) -> Error {
        let parts = [Some(error.message), error.detail, error.hint];
        let message = parts.into_iter().flatten().collect::<Vec<_>>().join(". ");
        match error.sqlstate {
            SqlState::INSUFFICIENT_PRIVILEGE => {
                Error::new(StatusCode::FORBIDDEN, "NotAuthorizedException", message)
            }
            SqlState::SERIALIZATION_FAILURE => Error::commit_failed(message),
            SqlState::STATEMENT_COMPLETION_UNKNOWN => Error::unknown_outcome(message),
            SqlState::IO_ERROR => {
                Error::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException", message)
            }
            SqlState::INTERNAL_ERROR => Error::internal(message),
            _ => Error::bad_request(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: ErrorKind) -> (u16, &'static str) {
        let error = Error::from(tarn_catalog::Error::new(kind, "message"));
        (error.status.as_u16(), error.kind)
    }

    #[test]
    fn only_what_did_not_happen_is_a_conflict() {
        assert_eq!(said(ErrorKind::Conflict), (409, "CommitFailedException"));
        assert_eq!(said(ErrorKind::OutcomeUnknown), (500, "CommitStateUnknownException"));
        assert_eq!(said(ErrorKind::Storage), (503, "ServiceUnavailableException"));
        assert_eq!(said(ErrorKind::DependentObjects), (409, "NamespaceNotEmptyException"));
        assert_eq!(said(ErrorKind::NotFound(ObjectKind::Namespace)), (404, "NoSuchNamespaceException"));
    }

    #[test]
    fn the_body_is_the_specifications() {
        let error = Error::no_table("sales", "or\nders");
        let expected = r#"{"error":{"message":"Table does not exist: sales.or�ders","type":"NoSuchTableException","code":404}}"#;
        assert_eq!(error.body(), expected);
    }
}
