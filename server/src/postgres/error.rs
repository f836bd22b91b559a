//! What can go wrong on a connection, and how the client is told. SQL errors keep the code, detail, hint and position
//! that they come with; errors of the protocol itself are made here.

use std::io;

use pgwire::error::ErrorInfo;
use pgwire::messages::PgWireBackendMessage;
use tarn_sql::{Notice, Severity};

/// Why a message of the client was not carried out.
#[derive(Debug)]
pub enum Failure {
    /// The client is told, and goes on.
    Error(Box<Report>),
    /// The client is told, and the connection ends.
    Fatal(Box<Report>),
    /// There is nobody left to tell.
    Gone(io::Error),
}

/// An error as the client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Five characters (PostgreSQL 15, appendix A).
    pub sqlstate: &'static str,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    pub position: Option<u32>,
    /// Where in the data of a client it was found.
    pub context: Option<String>,
}

impl Report {
    pub fn new(sqlstate: &'static str, message: impl Into<String>) -> Report {
        Report { sqlstate, message: message.into(), detail: None, hint: None, position: None, context: None }
    }

    pub fn with_hint(mut self, hint: impl Into<String>) -> Report {
        self.hint = Some(hint.into());
        self
    }

    pub fn with_detail(mut self, detail: impl Into<String>) -> Report {
        self.detail = Some(detail.into());
        self
    }

    /// The message, as `ERROR`, or as `FATAL` when the connection ends with it.
    pub fn to_message(&self, severity: &str) -> PgWireBackendMessage {
        PgWireBackendMessage::ErrorResponse(
            info(
                severity,
                self.sqlstate,
                &self.message,
                [&self.detail, &self.hint, &self.context].map(Option::clone),
                self.position,
            )
            .into(),
        )
    }

    /// Whether somebody who runs the server should look: neither the user's mistake nor the user's wish.
    pub fn ours(&self) -> bool {
        ["XX", "58", "53"].iter().any(|class| self.sqlstate.starts_with(class))
    }
}

/// A notice as a message.
pub fn notice_message(notice: Notice) -> PgWireBackendMessage {
    let code = notice.sqlstate.code();
    let extras = [notice.detail, notice.hint, None];
    let severity = match notice.severity {
        Severity::Notice => "NOTICE",
        Severity::Warning => "WARNING",
    };
    PgWireBackendMessage::NoticeResponse(info(severity, code, &notice.message, extras, None).into())
}

/// No field may hold a zero byte: it would end there and make the rest garbage.
fn info(
    severity: &str,
    sqlstate: &str,
    message: &str,
    [detail, hint, context]: [Option<String>; 3],
    position: Option<u32>,
) -> ErrorInfo {
    let clean = |text: &str| text.replace('\0', "\\0");
    let mut info = ErrorInfo::new(severity.to_owned(), sqlstate.to_owned(), clean(message));
    info.severity_nonlocalized = Some(severity.to_owned());
    info.detail = detail.as_deref().map(clean);
    info.hint = hint.as_deref().map(clean);
    info.where_context = context.as_deref().map(clean);
    info.position = position.map(|position| position.to_string());
    info
}

impl Failure {
    pub fn error(sqlstate: &'static str, message: impl Into<String>) -> Failure {
        Failure::Error(Box::new(Report::new(sqlstate, message)))
    }

    pub fn fatal(sqlstate: &'static str, message: impl Into<String>) -> Failure {
        Failure::Fatal(Box::new(Report::new(sqlstate, message)))
    }

    /// A message that is not as the protocol says; the next one can still be read.
    pub fn protocol(message: impl Into<String>) -> Failure {
        Failure::error("08P01", message)
    }

    /// Bytes that cannot be cut into messages.
    pub fn fatal_protocol(message: impl Into<String>) -> Failure {
        Failure::fatal("08P01", message)
    }

    pub fn unsupported(what: &str) -> Failure {
        Failure::error("0A000", format!("{what} is not supported"))
    }

    pub fn not_utf8() -> Failure {
        Failure::error("22021", "invalid byte sequence for encoding \"UTF8\"")
    }

    pub fn message_too_long(bytes: usize, bytes_max: usize) -> Failure {
        let report = Report::new("54000", format!("a message of {bytes} bytes is longer than the limit"))
            .with_detail(format!("The limit is {bytes_max} bytes."))
            .with_hint("Send data in bulk with COPY, in messages of any smaller size.");
        Failure::Error(Box::new(report))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Gone(error)
    }
}

impl From<tarn_sql::Error> for Report {
    fn from(error: tarn_sql::Error) -> Report {
        Report {
            sqlstate: error.sqlstate.code(),
            message: error.message,
            detail: error.detail,
            hint: error.hint,
            position: error.position,
            context: None,
        }
    }
}

impl From<tarn_sql::Error> for Failure {
    fn from(error: tarn_sql::Error) -> Failure {
        Failure::Error(Box::new(Report::from(error)))
    }
}
