//! The arguments of `read_parquet`, `read_csv` and `read_json`: the location and the options, each known, of the right
//! kind and given once. It must never look at a file. Next: `read.rs`.

use super::csv::Ragged;
use super::name::Format;
use crate::crawl::infer::{CsvHints, SampleLimits};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::statement::{Argument, ArgumentValue};

/// A function that reads files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReadFunction {
    Parquet,
    Csv,
    Json,
}

impl ReadFunction {
    pub fn from_name(name: &str) -> Option<ReadFunction> {
        match name {
            "read_parquet" => Some(ReadFunction::Parquet),
            "read_csv" => Some(ReadFunction::Csv),
            "read_json" => Some(ReadFunction::Json),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            ReadFunction::Parquet => "read_parquet",
            ReadFunction::Csv => "read_csv",
            ReadFunction::Json => "read_json",
        }
    }

    pub fn format(self) -> Format {
        match self {
            ReadFunction::Parquet => Format::Parquet,
            ReadFunction::Csv => Format::Csv,
            ReadFunction::Json => Format::Json,
        }
    }

    fn options(self) -> &'static [&'static str] {
        match self {
            ReadFunction::Parquet => &[],
            ReadFunction::Csv => {
                &["delimiter", "header", "quote", "null", "ragged", "all_text", "sample_rows"]
            }
            ReadFunction::Json => &["all_text", "sample_rows"],
        }
    }
}

/// What the arguments of a call say.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    pub location: String,
    pub csv: CsvHints,
    /// Every column is text, whatever is in it.
    pub all_text: bool,
    pub limits: SampleLimits,
}

/// Takes the arguments of a call apart.
pub fn read_options(function: ReadFunction, arguments: &[Argument]) -> Result<ReadOptions> {
    let mut options = ReadOptions::default();
    let mut given: Vec<&str> = Vec::new();
    for (place, argument) in arguments.iter().enumerate() {
        let name = match (&argument.name, place) {
            (Some(name), _) => known(function, name)?,
            (None, 0) => "location",
            (None, _) => {
                let text = format!("{} takes one location; options are named", function.name());
                return Err(wrong(text).with_hint(valid_options(function)));
            }
        };
        if given.contains(&name) {
            return Err(wrong(format!("option \"{name}\" of {} is given twice", function.name())));
        }
        given.push(name);
        set(&mut options, name, &argument.value)?;
    }
    if options.location.is_empty() {
        return Err(wrong(format!("{} needs a location", function.name()))
            .with_hint(format!("Write {}('/path/to/files') or {0}('s3://bucket/key').", function.name())));
    }
    Ok(options)
}

/// The option's own name for the name that was written; other systems' words are understood.
fn known(function: ReadFunction, name: &str) -> Result<&'static str> {
    let own = match name {
        "path" | "location" => "location",
        "delim" | "sep" => "delimiter",
        "nullstr" => "null",
        "all_varchar" => "all_text",
        "sample_size" => "sample_rows",
        other => other,
    };
    if own == "location" {
        return Ok("location");
    }
    function.options().iter().find(|option| **option == own).copied().ok_or_else(|| {
        wrong(format!("{} has no option \"{name}\"", function.name())).with_hint(valid_options(function))
    })
}

fn valid_options(function: ReadFunction) -> String {
    match function.options() {
        [] => format!("{} has no options.", function.name()),
        options => format!("The options are: {}.", options.join(", ")),
    }
}

fn set(options: &mut ReadOptions, name: &'static str, value: &ArgumentValue) -> Result<()> {
    match name {
        "location" => options.location = text(name, value)?.to_owned(),
        "delimiter" => options.csv.delimiter = Some(character(name, value)?),
        "quote" => options.csv.quote = Some(character(name, value)?),
        "header" => options.csv.header = Some(boolean(name, value)?),
        "null" => options.csv.null = Some(text(name, value)?.to_owned()),
        "all_text" => options.all_text = boolean(name, value)?,
        "sample_rows" => options.limits.rows = count(name, value)?,
        "ragged" => {
            options.csv.ragged = Some(match text(name, value)?.to_lowercase().as_str() {
                "error" => Ragged::Error,
                "pad" => Ragged::Pad,
                "skip" => Ragged::Skip,
                "rescue" => Ragged::Rescue,
                other => {
                    return Err(wrong(format!("option \"ragged\" cannot be '{other}'"))
                        .with_hint("It is 'rescue', 'error', 'pad' or 'skip'."));
                }
            });
        }
        other => return Err(Error::internal(format!("option \"{other}\" is not read"))),
    }
    Ok(())
}

fn text<'a>(name: &str, value: &'a ArgumentValue) -> Result<&'a str> {
    match value {
        ArgumentValue::Text(text) => Ok(text),
        _ => Err(wrong(format!("option \"{name}\" must be a text"))),
    }
}

fn boolean(name: &str, value: &ArgumentValue) -> Result<bool> {
    let word = match value {
        ArgumentValue::Boolean(value) => return Ok(*value),
        ArgumentValue::Text(text) => text.to_lowercase(),
        _ => String::new(),
    };
    match word.as_str() {
        "true" | "on" | "yes" | "present" => Ok(true),
        "false" | "off" | "no" | "absent" => Ok(false),
        _ => Err(wrong(format!("option \"{name}\" must be true or false"))),
    }
}

/// One ASCII character; `\t` written as two characters is the tab.
fn character(name: &str, value: &ArgumentValue) -> Result<u8> {
    match text(name, value)? {
        "\\t" => Ok(b'\t'),
        one => match one.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Ok(*byte),
            _ => Err(wrong(format!("option \"{name}\" must be one ASCII character"))),
        },
    }
}

fn count(name: &str, value: &ArgumentValue) -> Result<u64> {
    let number = match value {
        ArgumentValue::Number(text) => text.parse().ok(),
        _ => None,
    };
    number
        .filter(|count| *count > 0)
        .ok_or_else(|| wrong(format!("option \"{name}\" must be a whole number from 1")))
}

fn wrong(message: String) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argument(name: Option<&str>, value: ArgumentValue) -> Argument {
        Argument { name: name.map(str::to_owned), value }
    }

    fn text(text: &str) -> ArgumentValue {
        ArgumentValue::Text(text.to_owned())
    }

    #[test]
    fn options_are_read() {
        let arguments = [
            argument(None, text("/data/*.csv")),
            argument(Some("delim"), text("\\t")),
            argument(Some("header"), ArgumentValue::Boolean(false)),
            argument(Some("ragged"), text("PAD")),
            argument(Some("sample_rows"), ArgumentValue::Number("10".to_owned())),
        ];
        let options = read_options(ReadFunction::Csv, &arguments).expect("the options are good");
        assert_eq!(options.location, "/data/*.csv");
        assert_eq!(options.csv.delimiter, Some(b'\t'));
        assert_eq!(options.csv.header, Some(false));
        assert_eq!(options.csv.ragged, Some(Ragged::Pad));
        assert_eq!(options.limits.rows, 10);
    }

    #[test]
    fn wrong_options_are_named() {
        let location = argument(None, text("/data"));
        for (function, option, part) in [
            (ReadFunction::Csv, argument(Some("colour"), text("x")), "has no option \"colour\""),
            (ReadFunction::Parquet, argument(Some("header"), text("x")), "has no option \"header\""),
            (ReadFunction::Csv, argument(Some("quote"), text("ab")), "one ASCII character"),
            (ReadFunction::Csv, argument(Some("header"), text("maybe")), "true or false"),
            (ReadFunction::Csv, argument(Some("ragged"), text("maybe")), "'maybe'"),
            (ReadFunction::Json, argument(Some("sample_rows"), ArgumentValue::Null), "whole number"),
            (ReadFunction::Json, argument(Some("location"), text("/b")), "given twice"),
            (ReadFunction::Json, argument(None, text("/b")), "one location"),
        ] {
            let error = read_options(function, &[location.clone(), option]).expect_err(part);
            assert_eq!(error.sqlstate, SqlState::INVALID_PARAMETER_VALUE);
            assert!(error.message.contains(part), "{}", error.message);
        }
        assert!(read_options(ReadFunction::Csv, &[]).is_err());
    }
}
