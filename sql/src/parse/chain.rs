//! How long a chain of operators may be. sqlparser reads `a + b + c` in a loop, so its limit of nesting does not count
//! them; but they become a tree that is as deep as the chain is long, and whatever walks, copies or drops that tree
//! needs stack for every level. A stack that is too small ends the whole process, so the tokens are looked at first.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

/// The deepest tree, in units of a condition: 2,000 that are joined by AND and OR, or 500 other operators, joins or set
/// operations, whose levels take more stack, and whose types take the engine more time.
const DEPTH_MAX: usize = 2_000;
const CONDITION: usize = 1;
const OPERATOR: usize = 4;

/// What is open between two parentheses, or between CASE and END.
#[derive(Debug, Default, Clone, Copy)]
struct Level {
    /// The depth of the expression that is being read.
    depth: usize,
    /// The depth of the deepest one in here.
    deepest: usize,
    /// The depth of what is joined and united in here; a comma does not end it.
    relations: usize,
    /// The length of the path of names that is being read, as in `a.b.c`.
    path: usize,
    /// We are between FROM and the next clause, where a comma is a join.
    in_from: bool,
}

impl Level {
    fn step(&mut self, weight: usize) {
        self.depth += weight;
        self.deepest = self.deepest.max(self.depth);
        self.path = 0;
    }

    fn relate(&mut self) {
        self.relations += OPERATOR;
        self.next_expression();
    }

    fn next_expression(&mut self) {
        (self.depth, self.path) = (0, 0);
    }

    fn clause(&mut self, in_from: bool) {
        self.in_from = in_from;
        self.next_expression();
    }

    fn total(&self) -> usize {
        self.deepest.max(self.relations).max(self.path * OPERATOR)
    }
}

/// Where a chain gets longer than the limit, if one does.
pub(super) fn too_long(tokens: &[TokenWithSpan]) -> Option<Location> {
    let mut outer = Vec::new();
    let mut level = Level::default();
    let mut before = Keyword::NoKeyword;
    for token in tokens {
        match &token.token {
            Token::Whitespace(_) | Token::EOF => continue,
            Token::SemiColon => (outer, level) = (Vec::new(), Level::default()),
            Token::LParen | Token::LBrace => outer.push(std::mem::take(&mut level)),
            Token::LBracket => {
                level.step(OPERATOR);
                outer.push(std::mem::take(&mut level));
            }
            Token::RParen | Token::RBracket | Token::RBrace => close(&mut outer, &mut level),
            Token::Comma if level.in_from => level.relate(),
            Token::Comma => level.next_expression(),
            Token::Period => level.path += 1,
            Token::Word(word) => {
                keyword(word.keyword, before, &mut outer, &mut level);
                before = word.keyword;
            }
            token if is_operand(token) => {}
            _ => level.step(OPERATOR),
        }
        if level.total() > DEPTH_MAX {
            return Some(token.span.start);
        }
    }
    None
}

/// What was between the parentheses is an operand of what is around them.
fn close(outer: &mut Vec<Level>, level: &mut Level) {
    if let Some(around) = outer.pop() {
        let depth = around.depth.max(level.total() + CONDITION);
        *level = Level { depth, deepest: around.deepest.max(depth), ..around };
    }
}

fn keyword(keyword: Keyword, before: Keyword, outer: &mut Vec<Level>, level: &mut Level) {
    match keyword {
        Keyword::AND | Keyword::OR => level.step(CONDITION),
        Keyword::IS | Keyword::NOTNULL | Keyword::IN | Keyword::BETWEEN | Keyword::LIKE => {
            level.step(OPERATOR);
        }
        Keyword::ILIKE | Keyword::SIMILAR | Keyword::COLLATE | Keyword::AT | Keyword::OPERATOR => {
            level.step(OPERATOR);
        }
        Keyword::CASE => outer.push(std::mem::take(level)),
        Keyword::END => close(outer, level),
        Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT | Keyword::JOIN => level.relate(),
        // As in IS DISTINCT FROM.
        Keyword::FROM if before == Keyword::DISTINCT => {}
        Keyword::FROM => level.clause(true),
        Keyword::SELECT | Keyword::WHERE | Keyword::HAVING | Keyword::GROUP | Keyword::ORDER => {
            level.clause(false)
        }
        Keyword::LIMIT | Keyword::VALUES | Keyword::SET | Keyword::RETURNING => level.clause(false),
        Keyword::ON | Keyword::WHEN | Keyword::THEN | Keyword::ELSE => level.next_expression(),
        _ => {}
    }
}

/// Literals and placeholders; all other tokens that are no words are operators.
fn is_operand(token: &Token) -> bool {
    matches!(
        token,
        Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::DollarQuotedString(_)
            | Token::Placeholder(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::cursor::DIALECT;
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    fn refused(sql: &str) -> bool {
        let tokens = Tokenizer::new(&DIALECT, sql).tokenize_with_location().expect("it has tokens");
        too_long(&tokens).is_some()
    }

    #[test]
    fn long_chains_are_found() {
        for (start, piece, most) in [
            ("SELECT 1", " + 1", 500),
            ("SELECT 1", " - (2)", 499),
            ("SELECT 1", "::int", 500),
            ("SELECT x", "[1]", 500),
            ("SELECT x", ".a", 500),
            ("SELECT true", " AND true", 2_000),
            ("SELECT 1", " UNION ALL SELECT 1, 2", 500),
            ("SELECT 1 FROM t", " CROSS JOIN t", 500),
            ("SELECT 1 FROM t", ", t", 500),
            ("SELECT CASE WHEN a THEN 1 END", " + CASE WHEN a THEN 1 END", 499),
        ] {
            assert!(!refused(&format!("{start}{}", piece.repeat(most))), "{most} times {piece}");
            assert!(refused(&format!("{start}{}", piece.repeat(most + 2))), "{} times {piece}", most + 2);
        }
    }

    #[test]
    fn depths_add_up_through_parentheses() {
        let inner = format!("(1{})", " + 1".repeat(300));
        assert!(!refused(&format!("SELECT {inner}, {inner}")));
        assert!(!refused(&format!("SELECT {inner} * {inner}")));
        assert!(refused(&format!("SELECT {inner}{}", " + 1".repeat(300))));
    }

    #[test]
    fn what_is_long_and_not_deep_passes() {
        let many = |piece: &str| piece.repeat(3_000);
        assert!(!refused(&format!("SELECT 1 + 1{}", many(", t.a + t.b"))));
        assert!(!refused(&format!("INSERT INTO t VALUES (1){}", many(", (-1 + 2)"))));
        assert!(!refused(&format!("SELECT a IN (1{})", many(", 1"))));
        assert!(!refused(&format!("SELECT CASE{} END", many(" WHEN a = 1 THEN b + 1"))));
        assert!(!refused(&format!("SELECT a IS DISTINCT FROM b{}", many(", c"))));
        assert!(!refused(&many("SELECT 1 + 1;")));
    }
}
