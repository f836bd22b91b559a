//! Fragments that clients send and the engine cannot plan. Most are about kinds of objects that never exist here:
//! policies, publications, TOAST tables. Each is replaced by a fragment that means the same while there are none.

use std::ops::ControlFlow;
use std::sync::LazyLock;

use datafusion::sql::sqlparser::ast::{Expr, ObjectName, Query, Visit, Visitor};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

/// What is sent, and what is planned.
const IDIOMS: &[(&str, &str)] = &[
    // psql 15, `\d`: the roles of a row policy.
    (
        "CASE WHEN pol.polroles = '{0}' THEN NULL ELSE pg_catalog.array_to_string(array(select rolname \
         from pg_catalog.pg_roles where oid = any (pol.polroles) order by 1),',') END",
        "NULL",
    ),
    // psql 15, `\dp`: the same.
    (
        "CASE WHEN polroles <> '{0}' THEN E'\\n  to: ' || pg_catalog.array_to_string(ARRAY(SELECT rolname \
         FROM pg_catalog.pg_roles WHERE oid = ANY (polroles) ORDER BY 1), E', ') ELSE E'' END",
        "''",
    ),
    // psql 15, `\d`: the columns of a publication.
    (
        "CASE WHEN pr.prattrs IS NOT NULL THEN (SELECT string_agg(attname, ', ') \
         FROM pg_catalog.generate_series(0, pg_catalog.array_upper(pr.prattrs::pg_catalog.int2[], 1)) s, \
         pg_catalog.pg_attribute WHERE attrelid = pr.prrelid AND attnum = prattrs[s]) ELSE NULL END",
        "NULL",
    ),
    // psql 15, `\d+`: options of the TOAST table.
    (
        "pg_catalog.array_to_string(c.reloptions || array(select 'toast.' || x \
         from pg_catalog.unnest(tc.reloptions) x), ', ')",
        "pg_catalog.array_to_string(c.reloptions, ', ')",
    ),
    // ADBC, on connecting: a function is its name here, not its number.
    ("typreceive != 0", "typreceive <> '-'"),
    ("typsend != 0", "typsend <> '-'"),
    // asyncpg, when it meets a type that it does not know: the base type of a domain.
    (
        "CASE WHEN t.typtype = 'd' THEN (WITH RECURSIVE typebases(oid, depth) AS ( SELECT t2.typbasetype \
         AS oid, 0 AS depth FROM pg_type t2 WHERE t2.oid = t.oid UNION ALL SELECT t2.typbasetype AS oid, \
         tb.depth + 1 AS depth FROM pg_type t2, typebases tb WHERE tb.oid = t2.oid AND t2.typbasetype != \
         0 ) SELECT oid FROM typebases ORDER BY depth DESC LIMIT 1) ELSE NULL END",
        "CAST(NULL AS BIGINT)",
    ),
    // asyncpg: the types and names of the columns of a composite type.
    (
        "CASE WHEN t.typtype = 'c' THEN (SELECT array_agg(ia.atttypid ORDER BY ia.attnum) FROM \
         pg_attribute ia INNER JOIN pg_class c ON (ia.attrelid = c.oid) WHERE ia.attnum > 0 AND NOT \
         ia.attisdropped AND c.reltype = t.oid) ELSE NULL END",
        "no_oids()",
    ),
    (
        "CASE WHEN t.typtype = 'c' THEN (SELECT array_agg(ia.attname::text ORDER BY ia.attnum) FROM \
         pg_attribute ia INNER JOIN pg_class c ON (ia.attrelid = c.oid) WHERE ia.attnum > 0 AND NOT \
         ia.attisdropped AND c.reltype = t.oid) ELSE NULL END",
        "CAST(NULL AS TEXT[])",
    ),
];

static PARSED: LazyLock<Vec<(Expr, Expr)>> =
    LazyLock::new(|| IDIOMS.iter().map(|(sent, planned)| (parse(sent), parse(planned))).collect());

fn parse(text: &str) -> Expr {
    Parser::new(&PostgreSqlDialect {})
        .try_with_sql(text)
        .and_then(|mut parser| parser.parse_expr())
        .expect("the idioms are expressions; a test parses them all")
}

/// Whether the query names one of the catalogs that idioms are about.
pub fn may_apply(query: &Query) -> bool {
    struct Names;
    impl Visitor for Names {
        type Break = ();
        fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
            let name = relation.0.last().and_then(|part| part.as_ident());
            match name.is_some_and(|name| {
                ["pg_policy", "pg_publication", "pg_class", "pg_type"].contains(&name.value.as_str())
            }) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        }
    }
    query.visit(&mut Names).is_break()
}

/// Replaces an expression that is one of the idioms.
pub fn rewrite(expr: &mut Expr) {
    if !matches!(expr, Expr::Case { .. } | Expr::Function(_) | Expr::BinaryOp { .. }) {
        return;
    }
    if let Some((_, planned)) = PARSED.iter().find(|(sent, _)| sent == expr) {
        *expr = planned.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_idiom_is_found_in_other_layout() {
        for (sent, _) in IDIOMS {
            let mut expr = parse(&sent.replace("pg_catalog.", "pg_catalog\n  ."));
            let before = expr.clone();
            rewrite(&mut expr);
            assert_ne!(expr, before, "{sent}");
        }
    }
}
