//! `/openapi.yaml`: the description of all that this door serves. It is the specification's own, cut to what is here; a test
//! holds it against the table of routes, so that neither can say more than the other.

use axum::http::{StatusCode, header};

use super::answer::Answer;

const DESCRIPTION: &str = include_str!("openapi.yaml");

pub fn answer() -> Answer {
    let answer = Answer::text(StatusCode::OK, DESCRIPTION.to_owned());
    answer.with_header(header::CONTENT_TYPE, "application/yaml")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::route::ROUTES;
    use super::*;

    /// The methods and paths of the description, by how its lines are indented.
    fn described() -> BTreeSet<(String, String)> {
        let paths = DESCRIPTION.split_once("\npaths:\n").map_or("", |(_, rest)| rest);
        let paths = paths.split_once("\ncomponents:\n").map_or(paths, |(paths, _)| paths);
        let (mut found, mut path) = (BTreeSet::new(), "");
        for line in paths.lines() {
            if let Some(name) = line.strip_prefix("  /").and_then(|name| name.strip_suffix(':')) {
                path = name;
            }
            for method in ["get", "head", "post", "delete", "put"] {
                if line == format!("    {method}:") {
                    found.insert((method.to_uppercase(), format!("/{path}")));
                }
            }
        }
        found
    }

    #[test]
    fn what_is_served_is_described_and_the_other_way_round() {
        let served = ROUTES.iter().map(|(method, path, ..)| (method.to_string(), (*path).to_owned()));
        assert_eq!(described(), served.collect());
    }

    #[test]
    fn operations_have_the_names_of_the_description() {
        for (_, path, _, name) in &ROUTES {
            assert!(DESCRIPTION.contains(&format!("operationId: {name}\n")), "{path} {name}");
        }
    }
}
