//! Time travel in a query: `FROM t FOR VERSION AS OF 7`, `FOR TIMESTAMP AS OF …`, and SQL:2011's words for them. The
//! PostgreSQL grammar has no such clause, and the planner of the dialects that have it reads past it (trap T13), so the
//! words are rewritten before anything is parsed: into an argument in parentheses after the table's name, whose name no
//! user can type by accident. Name resolution takes it away again; where nobody did, the planner would meet a function
//! that does not exist, so the clause cannot be ignored.

use datafusion::sql::sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, FunctionArgOperator, Ident};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

use super::cursor::{DIALECT, spelling};

/// The most tokens of the expression after `AS OF`.
const EXPRESSION_TOKENS_MAX: usize = 256;

const VERSION: &str = "for version as of";
const TIMESTAMP: &str = "for timestamp as of";

/// The point in a table's history that a query names: a constant expression, not yet looked at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Moment {
    /// A snapshot's id, or the name of a branch or tag.
    Version(Expr),
    /// What was current at a time.
    Timestamp(Expr),
}

/// Rewrites every clause of a text's tokens.
pub(super) fn rewrite(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>, ParserError> {
    if !(0..tokens.len()).any(|at| clause(&tokens, at).is_some()) {
        return Ok(tokens);
    }
    let mut rewritten = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let Some((name, start)) = clause(&tokens, at) else {
            rewritten.push(tokens[at].clone());
            at += 1;
            continue;
        };
        let window = &tokens[start..tokens.len().min(start + EXPRESSION_TOKENS_MAX)];
        let mut parser = Parser::new(&DIALECT).with_tokens_with_locations(window.to_vec());
        parser.parse_expr()?;
        let end = start + parser.index().min(window.len());
        let word = Word { value: name.to_owned(), quote_style: Some('"'), keyword: NO_KEYWORD };
        let here = tokens[at].span;
        rewritten.push(token(Token::LParen, here));
        rewritten.push(token(Token::Word(word), here));
        rewritten.push(token(Token::RArrow, here));
        rewritten.extend_from_slice(&tokens[start..end]);
        rewritten.push(token(Token::RParen, tokens[end - 1].span));
        at = end;
    }
    Ok(rewritten)
}

const NO_KEYWORD: datafusion::sql::sqlparser::keywords::Keyword =
    datafusion::sql::sqlparser::keywords::Keyword::NoKeyword;

fn token(token: Token, span: Span) -> TokenWithSpan {
    TokenWithSpan { token, span }
}

/// The kind of the clause that begins at a token, and where its expression does.
fn clause(tokens: &[TokenWithSpan], at: usize) -> Option<(&'static str, usize)> {
    // Asked of every token, so the cheap question comes first.
    if !matches!(&tokens[at].token, Token::Word(word) if word.value.eq_ignore_ascii_case("FOR")) {
        return None;
    }
    let mut words = tokens[at..]
        .iter()
        .enumerate()
        .filter(|(_, token)| !matches!(token.token, Token::Whitespace(_)))
        .map(|(distance, token)| (at + distance, spelling(token)))
        .skip(1);
    let name = match words.next()?.1.as_str() {
        "VERSION" | "SYSTEM_VERSION" => VERSION,
        "TIMESTAMP" | "SYSTEM_TIME" => TIMESTAMP,
        _ => return None,
    };
    let as_of = words.next()?.1 == "AS" && words.next()?.1 == "OF";
    as_of.then(|| words.next()).flatten().map(|(start, _)| (name, start))
}

/// The moment that the arguments after a table's name stand for; None when they are arguments of a function.
pub(crate) fn moment_of(arguments: &[FunctionArg]) -> Option<Moment> {
    let [argument] = arguments else { return None };
    let (name, value) = match argument {
        FunctionArg::ExprNamed {
            name: Expr::Identifier(name),
            arg,
            operator: FunctionArgOperator::RightArrow,
        }
        | FunctionArg::Named { name, arg, operator: FunctionArgOperator::RightArrow } => (name, arg),
        _ => return None,
    };
    let FunctionArgExpr::Expr(value) = value else { return None };
    match name {
        Ident { value: name, quote_style: Some('"'), .. } if name == VERSION => {
            Some(Moment::Version(value.clone()))
        }
        Ident { value: name, quote_style: Some('"'), .. } if name == TIMESTAMP => {
            Some(Moment::Timestamp(value.clone()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use datafusion::sql::sqlparser::ast::{TableFactor, Visit, Visitor};

    use super::*;
    use crate::parse::parse_query;

    /// The tables of a query with their moments, as text.
    fn travels(sql: &str) -> Vec<String> {
        struct Factors(Vec<String>);
        impl Visitor for Factors {
            type Break = ();
            fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
                if let TableFactor::Table { name, args, version, alias, .. } = factor {
                    assert!(version.is_none(), "the planner reads past this");
                    let moment = args.as_ref().and_then(|args| moment_of(&args.args));
                    let alias = alias.as_ref().map(|alias| format!(" {alias}")).unwrap_or_default();
                    self.0.push(match moment {
                        Some(Moment::Version(value)) => format!("{name} version {value}{alias}"),
                        Some(Moment::Timestamp(value)) => format!("{name} time {value}{alias}"),
                        None => format!("{name}{alias}"),
                    });
                }
                ControlFlow::Continue(())
            }
        }
        let mut factors = Factors(Vec::new());
        let _ = parse_query(sql).expect(sql).visit(&mut factors);
        factors.0
    }

    #[test]
    fn t13_the_clause_is_never_dropped_and_every_form_of_it_is_kept() {
        let check = |sql: &str, expect: &[&str]| assert_eq!(travels(sql), expect, "{sql}");
        check("SELECT * FROM t FOR VERSION AS OF 7", &["t version 7"]);
        check("SELECT * FROM s.t FOR SYSTEM_VERSION AS OF 'b' AS a WHERE x", &["s.t version 'b' AS a"]);
        check(
            "SELECT 1 FROM t for timestamp\n as /* so */ of now() - interval '1 day' n JOIN t ON true",
            &["t time now() - INTERVAL '1 day' n", "t"],
        );
        check(
            "SELECT (SELECT 1 FROM \"t$files\" FOR SYSTEM_TIME AS OF TIMESTAMP '2026-01-01'), 2 FROM t, u",
            &["\"t$files\" time TIMESTAMP '2026-01-01'", "t", "u"],
        );
        check("SELECT 'FOR VERSION AS OF 1', substring('x' FROM 1 FOR 2) FROM t", &["t"]);
    }

    #[test]
    fn what_is_not_after_a_table_is_an_error() {
        for sql in ["SELECT * FROM t FOR VERSION AS OF", "SELECT * FROM t AS a FOR VERSION AS OF 1"] {
            assert!(parse_query(sql).is_err(), "{sql}");
        }
    }
}
