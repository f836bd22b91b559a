//! Which operation a request is: the table of all that is served, from which the configuration tells clients what there
//! is and the description of the door is checked. Paths are split before they are decoded, so that no name can lead to
//! another place than its own.

use axum::http::Method;

use super::error::Error;

/// One thing that can be asked for, by the name that the specification has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    OpenApi,
    Token,
    Config,
    ListNamespaces,
    CreateNamespace,
    LoadNamespace,
    NamespaceExists,
    DropNamespace,
    UpdateNamespace,
    ListTables,
    CreateTable,
    LoadTable,
    TableExists,
    CommitTable,
    DropTable,
    RenameTable,
    RegisterTable,
    UnregisterTable,
    ReportMetrics,
    SignRequest,
    PlanScan,
    CommitTransaction,
    ListViews,
    CreateView,
    LoadView,
    ViewExists,
    ReplaceView,
    DropView,
    RenameView,
}

/// Method, path, operation, and the operation's name.
type Route = (Method, &'static str, Operation, &'static str);

/// Everything that is served.
pub const ROUTES: [Route; 29] = [
    (Method::GET, "/openapi.yaml", Operation::OpenApi, "openapi"),
    (Method::POST, "/v1/oauth/tokens", Operation::Token, "getToken"),
    (Method::GET, "/v1/config", Operation::Config, "getConfig"),
    (Method::GET, "/v1/{prefix}/namespaces", Operation::ListNamespaces, "listNamespaces"),
    (Method::POST, "/v1/{prefix}/namespaces", Operation::CreateNamespace, "createNamespace"),
    (Method::GET, "/v1/{prefix}/namespaces/{namespace}", Operation::LoadNamespace, "loadNamespaceMetadata"),
    (Method::HEAD, "/v1/{prefix}/namespaces/{namespace}", Operation::NamespaceExists, "namespaceExists"),
    (Method::DELETE, "/v1/{prefix}/namespaces/{namespace}", Operation::DropNamespace, "dropNamespace"),
    (
        Method::POST,
        "/v1/{prefix}/namespaces/{namespace}/properties",
        Operation::UpdateNamespace,
        "updateProperties",
    ),
    (Method::GET, "/v1/{prefix}/namespaces/{namespace}/tables", Operation::ListTables, "listTables"),
    (Method::POST, "/v1/{prefix}/namespaces/{namespace}/tables", Operation::CreateTable, "createTable"),
    (Method::GET, "/v1/{prefix}/namespaces/{namespace}/tables/{table}", Operation::LoadTable, "loadTable"),
    (
        Method::HEAD,
        "/v1/{prefix}/namespaces/{namespace}/tables/{table}",
        Operation::TableExists,
        "tableExists",
    ),
    (
        Method::POST,
        "/v1/{prefix}/namespaces/{namespace}/tables/{table}",
        Operation::CommitTable,
        "updateTable",
    ),
    (Method::DELETE, "/v1/{prefix}/namespaces/{namespace}/tables/{table}", Operation::DropTable, "dropTable"),
    (Method::POST, "/v1/{prefix}/tables/rename", Operation::RenameTable, "renameTable"),
    (Method::POST, "/v1/{prefix}/namespaces/{namespace}/register", Operation::RegisterTable, "registerTable"),
    (
        Method::POST,
        "/v1/{prefix}/namespaces/{namespace}/tables/{table}/unregister",
        Operation::UnregisterTable,
        "unregisterTable",
    ),
    (
        Method::POST,
        "/v1/{prefix}/namespaces/{namespace}/tables/{table}/metrics",
        Operation::ReportMetrics,
        "reportMetrics",
    ),
    (
        Method::POST,
        "/v1/{prefix}/namespaces/{namespace}/tables/{table}/sign",
        Operation::SignRequest,
        "signRequest",
    ),
    (
        Method::POST,
        "/v1/{prefix}/namespaces/{namespace}/tables/{table}/plan",
        Operation::PlanScan,
        "planTableScan",
    ),
    (Method::POST, "/v1/{prefix}/transactions/commit", Operation::CommitTransaction, "commitTransaction"),
    (Method::GET, "/v1/{prefix}/namespaces/{namespace}/views", Operation::ListViews, "listViews"),
    (Method::POST, "/v1/{prefix}/namespaces/{namespace}/views", Operation::CreateView, "createView"),
    (Method::GET, "/v1/{prefix}/namespaces/{namespace}/views/{view}", Operation::LoadView, "loadView"),
    (Method::HEAD, "/v1/{prefix}/namespaces/{namespace}/views/{view}", Operation::ViewExists, "viewExists"),
    (Method::POST, "/v1/{prefix}/namespaces/{namespace}/views/{view}", Operation::ReplaceView, "replaceView"),
    (Method::DELETE, "/v1/{prefix}/namespaces/{namespace}/views/{view}", Operation::DropView, "dropView"),
    (Method::POST, "/v1/{prefix}/views/rename", Operation::RenameView, "renameView"),
];

impl Operation {
    /// What figures and the description call it.
    pub fn name(self) -> &'static str {
        ROUTES.iter().find(|route| route.2 == self).map_or("unknown", |route| route.3)
    }

    /// Whether it may carry a key, because doing it twice is not doing it once.
    pub fn changes(self) -> bool {
        let reads = matches!(
            self,
            Operation::OpenApi
                | Operation::Token
                | Operation::Config
                | Operation::ListNamespaces
                | Operation::LoadNamespace
                | Operation::NamespaceExists
                | Operation::ListTables
                | Operation::LoadTable
                | Operation::TableExists
                | Operation::ReportMetrics
                | Operation::SignRequest
                | Operation::PlanScan
                | Operation::ListViews
                | Operation::LoadView
                | Operation::ViewExists
        );
        !reads
    }
}

/// A request's operation, and the decoded names of its path in their order: the prefix first.
#[derive(Debug, PartialEq, Eq)]
pub struct Routed {
    pub operation: Operation,
    pub path: Vec<String>,
}

/// Finds the operation of a method and a path.
///
/// # Errors
///
/// 404 for a path that nothing is served at, 405 for a method that it does not have, 400 for one that cannot be decoded.
pub fn find(method: &Method, path: &str) -> Result<Routed, Error> {
    let segments: Vec<&str> = path.split('/').collect();
    let mut methods = Vec::new();
    for (served, template, operation, _) in &ROUTES {
        let Some(names) = names(template, &segments) else { continue };
        if served == method {
            let path = names.into_iter().map(decode).collect::<Result<_, _>>()?;
            return Ok(Routed { operation: *operation, path });
        }
        methods.push(served.as_str());
    }
    if methods.is_empty() {
        return Err(Error::not_served());
    }
    Err(Error::method_not_allowed(&methods.join(", ")))
}

/// The segments of a path that stand where a template has names in braces, if the rest is the same.
fn names<'a>(template: &str, segments: &[&'a str]) -> Option<Vec<&'a str>> {
    let template: Vec<&str> = template.split('/').collect();
    if template.len() != segments.len() {
        return None;
    }
    let mut names = Vec::new();
    for (wanted, given) in template.iter().zip(segments) {
        match wanted.starts_with('{') {
            true if given.is_empty() => return None,
            true => names.push(*given),
            false if wanted != given => return None,
            false => {}
        }
    }
    Some(names)
}

/// A segment with its `%XX` decoded, once.
fn decode(segment: &str) -> Result<String, Error> {
    let wrong = || Error::bad_request("the path is not percent-encoded UTF-8");
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2).ok_or_else(wrong)?;
        let digits =
            std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|d| d.is_ascii_hexdigit()));
        bytes.push(u8::from_str_radix(digits.ok_or_else(wrong)?, 16).map_err(|_| wrong())?);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: Method, path: &str) -> Option<(Operation, Vec<String>)> {
        find(&method, path).ok().map(|routed| (routed.operation, routed.path))
    }

    #[test]
    fn every_route_is_found_under_its_own_name() {
        for (method, template, operation, name) in &ROUTES {
            let path = template.replace(['{', '}'], "");
            assert_eq!(found(method.clone(), &path).map(|found| found.0), Some(*operation), "{template}");
            assert_eq!(operation.name(), *name);
        }
    }

    #[test]
    fn names_are_decoded_once_and_after_the_path_was_split() {
        let path = |table: &str| format!("/v1/lake/namespaces/a/tables/{table}");
        let name = |table: &str| found(Method::GET, &path(table)).map(|found| found.1[2].clone());
        assert_eq!(name("x%2Fy"), Some("x/y".to_owned()));
        assert_eq!(name("%252F"), Some("%2F".to_owned()));
        assert_eq!(name("gr%C3%B6%C3%9Fe"), Some("größe".to_owned()));
        for wrong in ["%", "%2", "%zz", "%+1", "%FF", "", "a/b/c"] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
        assert_eq!(found(Method::GET, "/v1/lake/namespaces/../config"), None);
    }

    #[test]
    fn a_wrong_method_is_told_from_a_wrong_path() {
        let status = |method, path| find(&method, path).expect_err("not served").status.as_u16();
        assert_eq!(status(Method::PUT, "/v1/config"), 405);
        assert_eq!(status(Method::GET, "/v1/nothing"), 404);
        assert_eq!(status(Method::GET, "/v1"), 404);
    }
}
