//! `GET /v1/config`: what a client is told first.

use serde_json::json;

use super::again;
use super::answer::Answer;
use super::error::{Error, Result};
use super::request::{PREFIX, Request};
use super::route::ROUTES;

pub fn get(request: &Request) -> Result<Answer> {
    match request.parameter("warehouse") {
        None | Some("" | PREFIX) => {}
        Some(other) => return Err(Error::no_warehouse(other)),
    }
    let endpoints = ROUTES.iter().filter(|route| route.1.starts_with("/v1/{prefix}/"));
    let endpoints: Vec<String> = endpoints.map(|(method, path, _, _)| format!("{method} {path}")).collect();
    Ok(Answer::json(&json!({
        "defaults": {},
        "overrides": { "prefix": PREFIX },
        "endpoints": endpoints,
        "idempotency-key-lifetime": again::LIFETIME,
    })))
}
