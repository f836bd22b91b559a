//! `regexp_match`, `regexp_replace` and their kin, `substring` by a pattern and SIMILAR TO. Next: `regex_text.rs`.

use regex::{Captures, Regex};

use super::datum::Datum;
use super::fault;
use super::overload::Type::{Bool, Int, Text, TextRows, Texts};
use super::overload::{Call, Function, Overload};
use super::regex_text::{Options, byte_of, compile, matches, similar};
use crate::error::Result;

/// What the rewriter makes of functions and operators that are spelled with keywords, or give rows.
pub const MATCHES: &str = "regexp_matches_list";
pub const SUBSTRING: &str = "substring_pattern";
pub const SIMILAR: &str = "similar_to";

pub const FUNCTIONS: &[Function] = &[
    Function::new(
        "regexp_match",
        &[
            Overload::new(&[Text, Text], Texts, regexp_match),
            Overload::new(&[Text, Text, Text], Texts, regexp_match),
        ],
    ),
    Function::new(
        MATCHES,
        &[
            Overload::new(&[Text, Text], TextRows, regexp_matches),
            Overload::new(&[Text, Text, Text], TextRows, regexp_matches),
        ],
    ),
    Function::new(
        "regexp_replace",
        &[
            Overload::new(&[Text, Text, Text], Text, |_, v| replace(&v[..3], 1, Some(1), "")),
            Overload::new(&[Text, Text, Text, Text], Text, |_, v| {
                let occurrence = if Options::read(v[3].as_str())?.global { None } else { Some(1) };
                replace(&v[..3], 1, occurrence, v[3].as_str())
            }),
            Overload::new(&[Text, Text, Text, Int], Text, |_, v| {
                replace(&v[..3], v[3].as_int(), Some(1), "")
            }),
            Overload::new(&[Text, Text, Text, Int, Int], Text, |_, v| {
                replace(&v[..3], v[3].as_int(), occurrence(&v[4])?, "")
            }),
            Overload::new(&[Text, Text, Text, Int, Int, Text], Text, |_, v| {
                Options::without_global(v[5].as_str(), "regexp_replace")?;
                replace(&v[..3], v[3].as_int(), occurrence(&v[4])?, v[5].as_str())
            }),
        ],
    ),
    Function::new(
        "regexp_split_to_array",
        &[Overload::new(&[Text, Text], Texts, split), Overload::new(&[Text, Text, Text], Texts, split)],
    ),
    Function::new(
        "regexp_count",
        &[
            Overload::new(&[Text, Text], Int, count),
            Overload::new(&[Text, Text, Int], Int, count),
            Overload::new(&[Text, Text, Int, Text], Int, count),
        ],
    ),
    Function::new(
        "regexp_like",
        &[Overload::new(&[Text, Text], Bool, like), Overload::new(&[Text, Text, Text], Bool, like)],
    ),
    Function::new(
        "regexp_instr",
        &[
            Overload::new(&[Text, Text], Int, instr),
            Overload::new(&[Text, Text, Int], Int, instr),
            Overload::new(&[Text, Text, Int, Int], Int, instr),
            Overload::new(&[Text, Text, Int, Int, Int], Int, instr),
            Overload::new(&[Text, Text, Int, Int, Int, Text], Int, instr),
            Overload::new(&[Text, Text, Int, Int, Int, Text, Int], Int, instr),
        ],
    ),
    Function::new(
        "regexp_substr",
        &[
            Overload::new(&[Text, Text], Text, substr),
            Overload::new(&[Text, Text, Int], Text, substr),
            Overload::new(&[Text, Text, Int, Int], Text, substr),
            Overload::new(&[Text, Text, Int, Int, Text], Text, substr),
            Overload::new(&[Text, Text, Int, Int, Text, Int], Text, substr),
        ],
    ),
    Function::new(
        SUBSTRING,
        &[
            Overload::new(&[Text, Text], Text, |_, v| {
                Ok(wanted(&compile(v[1].as_str(), Options::default())?, v[0].as_str()))
            }),
            Overload::new(&[Text, Text, Text], Text, |_, v| {
                let pattern = similar(v[1].as_str(), v[2].as_str())?;
                Ok(wanted(&compile(&pattern, Options::default())?, v[0].as_str()))
            }),
        ],
    ),
    Function::new(
        SIMILAR,
        &[Overload::new(&[Text, Text, Text], Bool, |_, v| {
            let pattern = similar(v[1].as_str(), v[2].as_str())?;
            Ok(compile(&pattern, Options::default())?.is_match(v[0].as_str()).into())
        })],
    ),
];

/// The letters of an option that may be left out.
fn letters<'v>(values: &'v [Datum], place: usize) -> &'v str {
    values.get(place).map_or("", Datum::as_str)
}

/// What the groups have matched, or the whole where there are none.
fn groups<'a>(captures: &Captures) -> Datum<'a> {
    let from = usize::from(captures.len() > 1);
    let group = |place| captures.get(place).map_or(Datum::Null, |found| found.as_str().to_owned().into());
    Datum::List((from..captures.len()).map(group).collect())
}

fn regexp_match<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let options = Options::without_global(letters(values, 2), "regexp_match")?;
    let regex = compile(values[1].as_str(), options)?;
    Ok(regex.captures(values[0].as_str()).map_or(Datum::Null, |captures| groups(&captures)))
}

fn regexp_matches<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let options = Options::read(letters(values, 2))?;
    let regex = compile(values[1].as_str(), options)?;
    let found = matches(&regex, values[0].as_str(), 0, options.global);
    Ok(Datum::List(found.iter().map(groups).collect()))
}

/// Which match is replaced: 0 is all.
fn occurrence(datum: &Datum) -> Result<Option<i64>> {
    match datum.as_int() {
        0 => Ok(None),
        number if number > 0 => Ok(Some(number)),
        number => Err(fault::parameter(format!("invalid value for parameter \"n\": {number}"))),
    }
}

fn replace<'a>(
    values: &[Datum<'a>],
    start: i64,
    occurrence: Option<i64>,
    letters: &str,
) -> Result<Datum<'a>> {
    let (text, replacement) = (values[0].as_str(), values[2].as_str());
    let regex = compile(values[1].as_str(), Options::read(letters)?)?;
    let found = matches(&regex, text, byte_of(text, start)?, occurrence != Some(1));
    let (mut out, mut copied) = (String::with_capacity(text.len()), 0);
    for (place, captures) in found.iter().enumerate() {
        let Some(whole) = captures.get(0) else { continue };
        if occurrence.is_none_or(|wanted| usize::try_from(wanted - 1) == Ok(place)) {
            out.push_str(&text[copied..whole.start()]);
            put_replacement(&mut out, replacement, captures);
            copied = whole.end();
        }
    }
    out.push_str(&text[copied..]);
    Ok(out.into())
}

/// `\1` is what the first group has matched, `\&` the whole.
fn put_replacement(out: &mut String, replacement: &str, captures: &Captures) {
    let mut characters = replacement.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        let next = characters.next();
        let group = match next {
            Some('&') => Some(0),
            Some(digit @ '1'..='9') => digit.to_digit(10).map(|digit| digit as usize),
            _ => None,
        };
        match (group, next) {
            (Some(group), _) => out.push_str(captures.get(group).map_or("", |found| found.as_str())),
            (None, Some('\\') | None) => out.push('\\'),
            (None, Some(other)) => out.extend(['\\', other]),
        }
    }
}

fn split<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let text = values[0].as_str();
    let options = Options::without_global(letters(values, 2), "regexp_split_to_array")?;
    let regex = compile(values[1].as_str(), options)?;
    let (mut parts, mut end) = (Vec::new(), 0);
    for captures in matches(&regex, text, 0, true) {
        // A match of nothing at the start, at the end or right after another parts nothing.
        let Some(whole) = captures.get(0).filter(|whole| whole.start() < text.len() && whole.end() > end)
        else {
            continue;
        };
        parts.push(text[end..whole.start()].to_owned());
        end = whole.end();
    }
    parts.push(text[end..].to_owned());
    Ok(Datum::texts(parts))
}

fn start(values: &[Datum], place: usize) -> i64 {
    values.get(place).map_or(1, Datum::as_int)
}

fn count<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let text = values[0].as_str();
    let options = Options::without_global(letters(values, 3), "regexp_count")?;
    let regex = compile(values[1].as_str(), options)?;
    Ok(matches(&regex, text, byte_of(text, start(values, 2))?, true).len().into())
}

fn like<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let options = Options::without_global(letters(values, 2), "regexp_like")?;
    Ok(compile(values[1].as_str(), options)?.is_match(values[0].as_str()).into())
}

/// The bytes of the wanted group of the wanted match.
fn nth_match(values: &[Datum], letters: &str, group: i64, function: &str) -> Result<Option<(usize, usize)>> {
    let text = values[0].as_str();
    let nth = start(values, 3);
    if nth < 1 {
        return Err(fault::parameter(format!("invalid value for parameter \"n\": {nth}")));
    }
    let group = usize::try_from(group)
        .map_err(|_| fault::parameter(format!("invalid value for parameter \"subexpr\": {group}")))?;
    let regex = compile(values[1].as_str(), Options::without_global(letters, function)?)?;
    let found = matches(&regex, text, byte_of(text, start(values, 2))?, true);
    let captures = usize::try_from(nth - 1).ok().and_then(|place| found.get(place));
    Ok(captures.and_then(|captures| captures.get(group)).map(|found| (found.start(), found.end())))
}

fn instr<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let text = values[0].as_str();
    let after = values.get(4).map_or(0, Datum::as_int);
    if !(0..=1).contains(&after) {
        return Err(fault::parameter(format!("invalid value for parameter \"endoption\": {after}")));
    }
    let group = values.get(6).map_or(0, Datum::as_int);
    let found = nth_match(values, letters(values, 5), group, "regexp_instr")?;
    let place = found.map(|(from, to)| if after == 1 { to } else { from });
    Ok(place.map_or(0, |byte| text[..byte].chars().count() + 1).into())
}

fn substr<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let group = values.get(5).map_or(0, Datum::as_int);
    let found = nth_match(values, letters(values, 4), group, "regexp_substr")?;
    Ok(found.map(|(from, to)| values[0].as_str()[from..to].to_owned()).into())
}

/// The first group of the first match, or the whole where there are no groups.
fn wanted<'a>(regex: &Regex, text: &str) -> Datum<'a> {
    let found = regex.captures(text);
    let found = found.as_ref().and_then(|captures| captures.get(usize::from(captures.len() > 1)));
    found.map(|found| found.as_str().to_owned()).into()
}
