//! Regular expressions and the patterns of SIMILAR TO in PostgreSQL's spelling, as the crate `regex` reads them, and how
//! often and where they match. What that crate cannot do (back references, look-around) is an error; of several
//! alternatives it takes the first that fits, where PostgreSQL takes the longest.

use std::cell::RefCell;
use std::collections::HashMap;

use regex::{Captures, Regex};

use super::fault;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

/// How many compiled patterns each thread keeps.
const KEPT_MAX: usize = 64;

thread_local! {
    static KEPT: RefCell<HashMap<String, Regex>> = RefCell::new(HashMap::new());
}

/// What the letters of an option say.
#[derive(Debug, Default, Clone, Copy)]
pub struct Options {
    pub global: bool,
    ignore_case: bool,
    expanded: bool,
    literal: bool,
    /// Whether `.` stops at a line's end, and `^` and `$` stand there.
    stops: bool,
    lines: bool,
}

impl Options {
    pub fn read(letters: &str) -> Result<Options> {
        let mut options = Options::default();
        for letter in letters.chars() {
            match letter {
                'g' => options.global = true,
                'i' => options.ignore_case = true,
                'c' => options.ignore_case = false,
                'm' | 'n' => (options.stops, options.lines) = (true, true),
                'p' => (options.stops, options.lines) = (true, false),
                'w' => (options.stops, options.lines) = (false, true),
                's' => (options.stops, options.lines) = (false, false),
                't' => options.expanded = false,
                'x' => options.expanded = true,
                'q' => options.literal = true,
                // Extended and advanced expressions are read alike.
                'e' => {}
                other => {
                    let message = format!("invalid regular expression option: \"{other}\"");
                    return Err(fault::parameter(message));
                }
            }
        }
        Ok(options)
    }

    /// Of a function that looks for one match or for all, whichever is asked.
    pub fn without_global(letters: &str, function: &str) -> Result<Options> {
        let options = Options::read(letters)?;
        match options.global {
            true => Err(fault::parameter(format!("{function}() does not support the \"global\" option"))),
            false => Ok(options),
        }
    }
}

/// A compiled expression.
pub fn compile(pattern: &str, options: Options) -> Result<Regex> {
    let mut flags = String::new();
    for (on, letter) in
        [(options.ignore_case, 'i'), (options.expanded, 'x'), (!options.stops, 's'), (options.lines, 'm')]
    {
        if on {
            flags.push(letter);
        }
    }
    let body = if options.literal { regex::escape(pattern) } else { translate(pattern) };
    let whole = if flags.is_empty() { body } else { format!("(?{flags}){body}") };
    kept(whole)
}

fn kept(pattern: String) -> Result<Regex> {
    KEPT.with_borrow_mut(|kept| {
        if let Some(regex) = kept.get(&pattern) {
            return Ok(regex.clone());
        }
        let regex = Regex::new(&pattern).map_err(|error| {
            let reason = error.to_string();
            let reason = reason.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
            let message = format!("invalid regular expression: {}", reason.trim_start_matches("error: "));
            Error::new(SqlState::INVALID_REGULAR_EXPRESSION, message)
        })?;
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(pattern, regex.clone());
        Ok(regex)
    })
}

/// The escapes that PostgreSQL spells in its own way: `\m`, `\M`, `\y`, `\Y` and `\Z`.
pub fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some('m') => out.push_str("\\b{start}"),
            Some('M') => out.push_str("\\b{end}"),
            Some('y') => out.push_str("\\b"),
            Some('Y') => out.push_str("\\B"),
            Some('Z') => out.push_str("\\z"),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

/// Whether the engine's own operators would read a pattern in another way.
pub fn differs(pattern: &str) -> bool {
    let mut escaped = false;
    for character in pattern.chars() {
        match (escaped, character) {
            (true, 'm' | 'M' | 'y' | 'Y' | 'Z') | (false, '.') => return true,
            _ => escaped = !escaped && character == '\\',
        }
    }
    false
}

/// A pattern as the engine's operators are to read it: `.` is any character.
pub fn for_engine(pattern: &str) -> String {
    format!("(?s){}", translate(pattern))
}

/// All matches from a byte on, as PostgreSQL counts them: one without characters may follow one that has some.
pub fn matches<'t>(regex: &Regex, text: &'t str, from: usize, all: bool) -> Vec<Captures<'t>> {
    let mut found = Vec::new();
    let mut start = from;
    while start <= text.len() {
        let Some(captures) = regex.captures_at(text, start) else { break };
        let Some(whole) = captures.get(0) else { break };
        start = match whole.is_empty() {
            true => whole.end() + text[whole.end()..].chars().next().map_or(1, char::len_utf8),
            false => whole.end(),
        };
        found.push(captures);
        if !all {
            break;
        }
    }
    found
}

/// The byte at which the character of that place, counted from 1, begins.
pub fn byte_of(text: &str, place: i64) -> Result<usize> {
    if place < 1 {
        return Err(fault::parameter(format!("invalid value for parameter \"start\": {place}")));
    }
    let place = usize::try_from(place - 1).unwrap_or(usize::MAX);
    Ok(text
        .char_indices()
        .nth(place)
        .map_or(text.len() + usize::from(place > text.chars().count()), |(byte, _)| byte))
}

/// A pattern of SIMILAR TO as a regular expression for the whole text; in a `substring` pattern the part between two
/// `escape-double-quote` is what is wanted.
pub fn similar(pattern: &str, escape: &str) -> Result<String> {
    let mut given = escape.chars();
    let escape = given.next();
    if given.next().is_some() {
        return Err(Error::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
            .with_hint("Escape string must be empty or one character."));
    }
    let mut out = "^(?:".to_owned();
    let (mut bracket, mut quotes) = (false, 0);
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        if Some(character) == escape {
            match characters.next() {
                Some('"') => {
                    // Before the wanted part as little as possible is taken, in it and after it as much.
                    out.push_str(if quotes == 0 { "){1,1}?(" } else { "){1,1}(?:" });
                    quotes += 1;
                }
                Some(next) => out.push_str(&regex::escape(&next.to_string())),
                None => {}
            }
        } else if bracket {
            bracket = character != ']';
            if character == '\\' {
                out.push('\\');
            }
            out.push(character);
        } else {
            match character {
                '[' => {
                    bracket = true;
                    out.push('[');
                    if let Some(negation) = characters.next_if(|next| *next == '^') {
                        out.push(negation);
                    }
                }
                '%' => out.push_str(".*"),
                '_' => out.push('.'),
                '(' => out.push_str("(?:"),
                '.' | '^' | '$' | '\\' => out.extend(['\\', character]),
                other => out.push(other),
            }
        }
    }
    out.push_str(")$");
    // A lazy group takes as little as possible when what is in it does.
    Ok(if quotes > 0 { lazy_before(&out) } else { out })
}

fn lazy_before(pattern: &str) -> String {
    match pattern.split_once("){1,1}?(") {
        Some((before, rest)) => {
            format!("{})({}", before.replace(".*", ".*?"), rest.replace("){1,1}(?:", ")(?:"))
        }
        None => pattern.to_owned(),
    }
}
