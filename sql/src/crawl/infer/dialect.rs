//! The delimiter and the quote of a text file, by trying each on the first records and comparing what comes of it: how
//! many records have the same number of fields, whether the quotes are as they should be, and whether the fields look
//! like values. It must never choose a type.

use super::header::untyped;
use crate::files::csv::{Dialect, Layout, layout, separator_line};

/// What delimits fields, in the order of preference among equals.
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];
/// What delimits fields when nothing else does.
const RARE: [u8; 6] = [0x01, 0x1f, b'^', b'~', b' ', b':'];
/// A delimiter is one only if at least this part of the records has the same number of fields.
const CONSISTENCY_MIN: f64 = 0.5;
/// Below this, rare ones are tried, too.
const GOOD_MIN: f64 = 0.7;
/// What is asked of rare ones, and of any that is followed by a blank as in prose.
const STRICT_MIN: f64 = 0.95;
/// Below this part of orderly quotes, quotes are taken to mean themselves if that is better.
const ORDERLY_MIN: f64 = 0.8;

/// What an extension says about delimiters.
fn promised(extension: &str) -> u8 {
    match extension {
        "tsv" | "tab" => b'\t',
        "psv" => b'|',
        _ => b',',
    }
}

/// How the fields of a file are told apart, as far as nobody has said it.
pub fn dialect(
    window: &[u8],
    whole: bool,
    delimiter: Option<u8>,
    quote: Option<u8>,
    extension: &str,
) -> Dialect {
    let quote_known = quote.is_some();
    let quote = quote.unwrap_or(b'"');
    let delimiter = delimiter
        .or_else(|| separator_line(window).map(|(delimiter, _)| delimiter))
        .unwrap_or_else(|| found_delimiter(window, whole, quote, extension));
    let plain = Dialect { delimiter, quote: Some(quote), escape: None };
    if quote_known {
        return plain;
    }
    let mut best = (plain, layout(window, whole, plain, None));
    let backslashes = window.windows(2).any(|pair| pair == b"\\\"");
    let single = single_quotes(&best.1);
    let others = [
        backslashes.then_some(Dialect { escape: Some(b'\\'), ..plain }),
        single.then_some(Dialect { quote: Some(b'\''), ..plain }),
        (best.1.orderly < ORDERLY_MIN).then_some(Dialect { quote: None, ..plain }),
    ];
    for other in others.into_iter().flatten() {
        let found = layout(window, whole, other, None);
        let better =
            score(&found) > score(&best.1) || (other.quote == Some(b'\'') && score(&found) >= score(&best.1));
        if better {
            best = (other, found);
        }
    }
    best.0
}

fn score(layout: &Layout) -> f64 {
    layout.consistency * layout.orderly
}

/// The delimiter that splits most records into the same number of fields, more than one; by the promise of the
/// extension (`tsv`) or a comma when none does.
fn found_delimiter(window: &[u8], whole: bool, quote: u8, extension: &str) -> u8 {
    let promised = promised(extension);
    let mut best: Option<(f64, f64, usize, u8)> = None;
    for delimiter in DELIMITERS {
        let found = layout(window, whole, Dialect { delimiter, quote: Some(quote), escape: None }, None);
        if found.usual < 2 || fitting(&found) < CONSISTENCY_MIN || prose(window, delimiter, &found) {
            continue;
        }
        if delimiter == promised && extension != "csv" && promised != b',' {
            return promised;
        }
        let this = (score(&found), cleanness(&found, delimiter), found.usual, delimiter);
        let better = best.is_none_or(|best| {
            (this.0 - best.0).abs() > 1e-9 && this.0 > best.0
                || (this.0 - best.0).abs() <= 1e-9 && (this.1, this.2) > (best.1, best.2)
        });
        if better {
            best = Some(this);
        }
    }
    if let Some((score, .., delimiter)) = best
        && score >= GOOD_MIN
    {
        return delimiter;
    }
    let rare = RARE.iter().copied().find(|delimiter| is_rare_delimiter(window, whole, *delimiter, quote));
    rare.or(best.map(|best| best.3)).or_else(|| ragged(window, whole, quote, promised)).unwrap_or(promised)
}

/// The part of the table's records that fit; titles above it do not count.
fn fitting(found: &Layout) -> f64 {
    let fits = found.body.iter().filter(|record| record.len() >= found.usual).count();
    if found.body.is_empty() { 0.0 } else { fits as f64 / found.body.len() as f64 }
}

/// A character that follows sentences rather than fields: mostly a blank comes after it, and the lines have it in
/// different numbers.
fn prose(window: &[u8], delimiter: u8, found: &Layout) -> bool {
    if found.consistency >= STRICT_MIN || delimiter == b'\t' {
        return false;
    }
    let (mut all, mut spaced) = (0, 0);
    for pair in window.windows(2).filter(|pair| pair[0] == delimiter) {
        all += 1;
        spaced += usize::from(pair[1] == b' ');
    }
    spaced * 2 > all
}

/// How many of the fields are free of other delimiters, and how many of the values are numbers, dates and the like.
fn cleanness(found: &Layout, delimiter: u8) -> f64 {
    let (mut all, mut clean, mut typed) = (0_usize, 0_usize, 0_usize);
    for field in found.body.iter().skip(1).flatten().map(|field| field.trim()) {
        if field.is_empty() {
            continue;
        }
        all += 1;
        let foreign = |byte: u8| DELIMITERS.contains(&byte) && byte != delimiter && byte != b',';
        clean += usize::from(!field.bytes().any(foreign));
        typed += usize::from(!untyped(field));
    }
    if all == 0 { 0.0 } else { (2 * clean + typed) as f64 / all as f64 }
}

/// Whether a character that is mostly none delimits this file beyond doubt.
fn is_rare_delimiter(window: &[u8], whole: bool, delimiter: u8, quote: u8) -> bool {
    if !window.contains(&delimiter) {
        return false;
    }
    let found = layout(window, whole, Dialect { delimiter, quote: Some(quote), escape: None }, None);
    if found.usual < 2 || found.consistency < STRICT_MIN || found.body.len() < 2 {
        return false;
    }
    let values = || found.body.iter().skip(1).flatten();
    let typed = values().filter(|field| !untyped(field.trim())).count();
    let full = found.body.iter().flatten().all(|field| !field.is_empty());
    let quoted = window.windows(2).filter(|pair| *pair == [delimiter, quote]).count() >= found.body.len();
    match delimiter {
        b' ' => full && (typed * 2 >= values().count() || quoted),
        b':' => found.header.is_some() && !prose(window, delimiter, &found) && full && found.usual > 2,
        _ => true,
    }
}

/// A delimiter of lines that all have different numbers of it: baskets of goods, sequences of events.
fn ragged(window: &[u8], whole: bool, quote: u8, promised: u8) -> Option<u8> {
    let has_many = |delimiter: &u8| {
        let found =
            layout(window, whole, Dialect { delimiter: *delimiter, quote: Some(quote), escape: None }, None);
        let several = found.body.iter().filter(|record| record.len() > 1).count();
        let spaced = window.windows(2).filter(|pair| pair[0] == *delimiter && pair[1] == b' ').count();
        let all = window.iter().filter(|byte| **byte == *delimiter).count();
        several * 2 > found.body.len() && spaced * 2 <= all
    };
    std::iter::once(promised).chain(DELIMITERS).find(has_many)
}

/// Whether a column's values mostly begin with a single quote, and as many fields end with one.
fn single_quotes(found: &Layout) -> bool {
    let values = || found.body.iter().skip(1);
    let ends = values().flatten().filter(|field| field.len() > 1 && field.trim().ends_with('\'')).count();
    let column_is = |column: usize| {
        let fields = values().filter_map(|record| record.get(column)).map(|field| field.trim());
        let fields: Vec<&str> = fields.filter(|field| !field.is_empty()).collect();
        let begin = fields.iter().filter(|field| field.starts_with('\'')).count();
        begin > 0 && begin * 5 >= fields.len() * 4 && ends * 5 >= begin * 4
    };
    (0..found.usual).any(column_is)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, extension: &str, expect: char, header: bool) {
        let found = dialect(text.as_bytes(), true, None, None, extension);
        assert_eq!(char::from(found.delimiter), expect, "{text:?}");
        let layout = layout(text.as_bytes(), true, found, None);
        assert_eq!(layout.header.is_some(), header, "{text:?}: {}", layout.verdict.reason);
    }

    #[test]
    fn delimiters_and_headers_are_found() {
        check("id,name\n1,x\n2,y\n", "csv", ',', true);
        check("id;price\n1;2,5\n2;3,5\n", "csv", ';', true);
        check("id\tname\n1\ta, b\n2\tc\n", "tsv", '\t', true);
        check("id\tname\n1\ta\n", "csv", '\t', true);
        check("id|name\n1|a\n", "txt", '|', true);
        check("\"a,b\",c\n\"d,e\",f\n", "csv", ',', true);
        check("text\nWell, I never\nNo, no, no\nYes\n", "csv", ',', true);
        check("x y\n1 2\n3 4\n", "csv", ' ', true);
        check("who\nAda Lovelace\nBob Ross\n", "csv", ',', true);
        check("at\n12:30:00\n12:31:00\n", "csv", ',', true);
        check("city:region:country\nRome:RM:Italy\nLyon:RA:France\n", "csv", ':', true);
        check("x\t1,234\ny\t2,345\n", "csv", '\t', false);
        check("sep=;\na;b\n1;2\n", "csv", ';', true);
    }

    #[test]
    fn quotes_are_found() {
        let quote = |text: &str| dialect(text.as_bytes(), true, None, None, "csv");
        assert_eq!(quote("a,b\n'x, y',1\n'z',2\n").quote, Some(b'\''));
        assert_eq!(quote("a,b\n\"say \\\"hi, you\\\"\",1\n\"z\",2\n").escape, Some(b'\\'));
        assert_eq!(quote("a,b\n\"x, y\",1\n").quote, Some(b'"'));
    }
}
