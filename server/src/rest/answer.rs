//! An answer before it becomes a response of HTTP.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::Value;

/// Status, headers and body.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// JSON, unless a header says otherwise.
    pub body: Option<String>,
}

impl Answer {
    pub fn json(body: &Value) -> Answer {
        Answer::text(StatusCode::OK, body.to_string())
    }

    /// JSON that is text already.
    pub fn text(status: StatusCode, body: String) -> Answer {
        Answer { status, headers: Vec::new(), body: Some(body) }
    }

    /// 204: done, and nothing to say.
    pub fn nothing() -> Answer {
        Answer { status: StatusCode::NO_CONTENT, headers: Vec::new(), body: None }
    }

    pub fn with_header(mut self, name: HeaderName, value: &str) -> Answer {
        self.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }

    pub fn into_response(self, is_head: bool) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        if let Some(body) = self.body {
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            if !is_head {
                *response.body_mut() = Body::from(body);
            }
        }
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
