//! Functions of text that the engine lacks or has in another way: `format`, `concat` of values as PostgreSQL shows them,
//! `to_hex`, `encode` and `decode`, `unistr`, `parse_ident`, `pg_size_bytes`.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result as EngineResult};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Expr, ExprSchemable};
use tarn_catalog::name::quote;

use super::datum::Datum;
use super::overload::Type::{Any, Bigint, Bool, Bytes, Int, Text, Texts};
use super::overload::{Call, Function, Overload};
use super::{fault, shown};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

pub const FUNCTIONS: &[Function] = &[
    Function::new(
        "format",
        &[Overload::new(&[Text], Text, format), Overload::variadic(&[Text], Any, Text, format)],
    )
    .with_nulls()
    .of_zone(),
    Function::new(
        "concat",
        &[Overload::variadic(&[Any], Any, Text, |call, v| {
            let texts = v.iter().filter(|value| !value.is_null()).map(|value| shown::text(value, call.zone));
            Ok(texts.collect::<Result<String>>()?.into())
        })],
    )
    .with_nulls()
    .of_zone(),
    Function::new(
        "concat_ws",
        &[Overload::variadic(&[Text, Any], Any, Text, |call, v| {
            if v[0].is_null() {
                return Ok(Datum::Null);
            }
            let texts =
                v[1..].iter().filter(|value| !value.is_null()).map(|value| shown::text(value, call.zone));
            Ok(texts.collect::<Result<Vec<_>>>()?.join(v[0].as_str()).into())
        })],
    )
    .with_nulls()
    .of_zone(),
    // What a cast to text is planned as where the engine writes a value in another way.
    Function::new(
        "to_text",
        &[Overload::new(&[Any], Text, |call, v| Ok(shown::text(&v[0], call.zone)?.into()))],
    )
    .of_zone(),
    Function::new(
        "replace",
        &[Overload::new(&[Text, Text, Text], Text, |_, v| {
            let from = v[1].as_str();
            Ok(if from.is_empty() {
                v[0].as_str().to_owned()
            } else {
                v[0].as_str().replace(from, v[2].as_str())
            }
            .into())
        })],
    ),
    Function::new(
        "to_hex",
        &[Overload::new(&[Bigint], Text, |_, v| Ok(format!("{:x}", v[0].as_int()).into()))],
    ),
    Function::new("chr", &[Overload::new(&[Int], Text, |_, v| chr(v[0].as_int()))]),
    Function::new(
        "upper",
        &[Overload::new(&[Text], Text, |_, v| {
            Ok(each_character(v[0].as_str(), |c| one(c.to_uppercase(), c)).into())
        })],
    ),
    Function::new("encode", &[Overload::new(&[Bytes, Text], Text, encode)]),
    Function::new("decode", &[Overload::new(&[Text, Text], Bytes, decode)]),
    Function::new("unistr", &[Overload::new(&[Text], Text, unistr)]),
    Function::new(
        "parse_ident",
        &[
            Overload::new(&[Text], Texts, |_, v| parse_ident(v[0].as_str(), true)),
            Overload::new(&[Text, Bool], Texts, |_, v| parse_ident(v[0].as_str(), v[1].is_true())),
        ],
    ),
    Function::new("pg_size_bytes", &[Overload::new(&[Text], Bigint, size_bytes)]),
    Function::new("convert_from", &[Overload::new(&[Bytes, Text], Text, convert_from)]),
    Function::new("convert_to", &[Overload::new(&[Text, Text], Bytes, convert_to)]),
    Function::new(
        "length",
        &[
            Overload::new(&[Text], Int, |_, v| Ok(v[0].as_str().chars().count().into())),
            Overload::new(&[Bytes], Int, |_, v| Ok(bytes(&v[0]).len().into())),
        ],
    ),
    Function::new(
        "octet_length",
        &[
            Overload::new(&[Text], Int, |_, v| Ok(v[0].as_str().len().into())),
            Overload::new(&[Bytes], Int, |_, v| Ok(bytes(&v[0]).len().into())),
        ],
    ),
    Function::new(
        "get_byte",
        &[Overload::new(&[Bytes, Int], Int, |_, v| {
            let bytes = bytes(&v[0]);
            let place = usize::try_from(v[1].as_int()).ok().filter(|place| *place < bytes.len());
            let place = place.ok_or_else(|| {
                let last = bytes.len().wrapping_sub(1).cast_signed();
                Error::new(
                    SqlState::ARRAY_ELEMENT_ERROR,
                    format!("index {} out of valid range, 0..{last}", v[1].as_int()),
                )
            })?;
            Ok(Datum::Int(bytes[place].into()))
        })],
    ),
    Function::new(
        "bit_count",
        &[Overload::new(&[Bytes], Bigint, |_, v| {
            Ok(Datum::Int(bytes(&v[0]).iter().map(|byte| i64::from(byte.count_ones())).sum()))
        })],
    ),
];

/// Leaves to the engine what it does in the same way for whole columns of text.
#[derive(Debug)]
pub struct EngineTexts;

impl FunctionRewrite for EngineTexts {
    fn name(&self) -> &str {
        "engine_texts"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _: &ConfigOptions) -> EngineResult<Transformed<Expr>> {
        let Expr::ScalarFunction(call) = &expr else { return Ok(Transformed::no(expr)) };
        let engine = match (call.func.name(), call.args.as_slice()) {
            ("length", [_]) => datafusion::functions::unicode::character_length(),
            ("octet_length", [_]) => datafusion::functions::string::octet_length(),
            ("concat", [_, ..]) => datafusion::functions::string::concat(),
            ("replace", [_, Expr::Literal(from, _), _])
                if from.try_as_str().flatten().is_some_and(|from| !from.is_empty()) =>
            {
                datafusion::functions::string::replace()
            }
            _ => return Ok(Transformed::no(expr)),
        };
        for argument in &call.args {
            if !argument.get_type(schema)?.is_string() {
                return Ok(Transformed::no(expr));
            }
        }
        if !call.func.inner().is::<super::overload::Overloaded>() {
            return Ok(Transformed::no(expr));
        }
        Ok(Transformed::yes(engine.call(call.args.clone())))
    }
}

fn bytes<'d>(datum: &'d Datum) -> &'d [u8] {
    if let Datum::Bytes(bytes) = datum { bytes } else { &[] }
}

fn each_character(text: &str, change: impl Fn(char) -> char) -> String {
    text.chars().map(change).collect()
}

/// A letter whose other case is several letters keeps its own.
fn one(mut changed: impl Iterator<Item = char>, original: char) -> char {
    match (changed.next(), changed.next()) {
        (Some(single), None) => single,
        _ => original,
    }
}

fn chr<'a>(code: i64) -> Result<Datum<'a>> {
    if code < 0 {
        return Err(fault::parameter("character number must be positive"));
    }
    if code == 0 {
        return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "null character not permitted"));
    }
    let character = u32::try_from(code).ok().and_then(char::from_u32);
    let character = character.ok_or_else(|| {
        Error::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("requested character too large for encoding: {code}"),
        )
    })?;
    Ok(character.to_string().into())
}

/// One `%` of a format.
#[derive(Default)]
struct Specifier {
    argument: Option<usize>,
    left: bool,
    width: Option<i64>,
}

fn format<'a>(call: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    if values[0].is_null() {
        return Ok(Datum::Null);
    }
    let (mut out, mut next) = (String::new(), 1);
    let mut characters = values[0].as_str().chars().peekable();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        if characters.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let specifier = read_specifier(&mut characters, values, &mut next)?;
        let kind = characters.next().ok_or_else(unterminated)?;
        if !"sIL".contains(kind) {
            let message = format!("unrecognized format() type specifier \"{kind}\"");
            return Err(fault::parameter(message).with_hint("For a single \"%\" use \"%%\"."));
        }
        let argument = argument(values, specifier.argument, &mut next)?;
        let text = conversion(kind, argument, call)?;
        let missing = specifier.width.map_or(0, i64::unsigned_abs);
        let missing = usize::try_from(missing).unwrap_or(0).saturating_sub(text.chars().count());
        let left = specifier.left || specifier.width.is_some_and(|width| width < 0);
        if left {
            out.push_str(&text);
        }
        out.extend(std::iter::repeat_n(' ', missing));
        if !left {
            out.push_str(&text);
        }
    }
    Ok(out.into())
}

fn unterminated() -> Error {
    fault::parameter("unterminated format() type specifier").with_hint("For a single \"%\" use \"%%\".")
}

fn argument<'v, 'a>(
    values: &'v [Datum<'a>],
    place: Option<usize>,
    next: &mut usize,
) -> Result<&'v Datum<'a>> {
    let place = place.unwrap_or(*next);
    *next = place + 1;
    if place == 0 {
        return Err(fault::parameter("format specifies argument 0, but arguments are numbered from 1"));
    }
    values.get(place).ok_or_else(|| fault::parameter("too few arguments for format()"))
}

type Characters<'t> = std::iter::Peekable<std::str::Chars<'t>>;

fn digits(characters: &mut Characters) -> Option<i64> {
    let mut text = String::new();
    while let Some(digit) = characters.next_if(char::is_ascii_digit) {
        text.push(digit);
    }
    text.parse().ok()
}

/// `[position$][-][width | * | *n$]`
fn read_specifier(characters: &mut Characters, values: &[Datum], next: &mut usize) -> Result<Specifier> {
    let mut specifier = Specifier::default();
    if let Some(number) = digits(characters) {
        match characters.next_if_eq(&'$') {
            Some(_) => specifier.argument = usize::try_from(number).ok(),
            None => {
                specifier.width = Some(number);
                return Ok(specifier);
            }
        }
    }
    while characters.next_if_eq(&'-').is_some() {
        specifier.left = true;
    }
    if characters.next_if_eq(&'*').is_some() {
        let place = digits(characters).and_then(|place| usize::try_from(place).ok());
        if place.is_some() && characters.next_if_eq(&'$').is_none() {
            return Err(fault::parameter("width argument position must be ended by \"$\""));
        }
        specifier.width = match argument(values, place, next)? {
            Datum::Null => None,
            width => Some(width.as_int()),
        };
    } else {
        specifier.width = digits(characters);
    }
    Ok(specifier)
}

fn conversion(kind: char, argument: &Datum, call: &Call) -> Result<String> {
    match (kind, argument) {
        ('s', Datum::Null) => Ok(String::new()),
        ('L', Datum::Null) => Ok("NULL".to_owned()),
        (_, Datum::Null) => Err(fault::null_value("null values cannot be formatted as an SQL identifier")),
        ('s', value) => shown::text(value, call.zone),
        ('I', value) => Ok(quote(&shown::text(value, call.zone)?)),
        (_, value) => Ok(quoted(&shown::text(value, call.zone)?)),
    }
}

/// A literal; with a backslash in it an escape string.
fn quoted(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    match doubled.contains('\\') {
        true => format!("E'{}'", doubled.replace('\\', "\\\\")),
        false => format!("'{doubled}'"),
    }
}

fn unknown_encoding(name: &str) -> Error {
    fault::parameter(format!("unrecognized encoding: \"{name}\""))
}

/// Characters of a line of base64.
const BASE64_LINE: usize = 76;
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encode<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let bytes = bytes(&values[0]);
    let mut out = String::new();
    match values[1].as_str().to_lowercase().as_str() {
        "hex" => out.extend(bytes.iter().map(|byte| format!("{byte:02x}"))),
        "escape" => {
            for byte in bytes {
                match byte {
                    b'\\' => out.push_str("\\\\"),
                    0 | 128.. => out.push_str(&format!("\\{byte:03o}")),
                    other => out.push(char::from(*other)),
                }
            }
        }
        "base64" => {
            let mut column = 0;
            for chunk in bytes.chunks(3) {
                if column == BASE64_LINE {
                    out.push('\n');
                    column = 0;
                }
                let padded = [chunk[0], *chunk.get(1).unwrap_or(&0), *chunk.get(2).unwrap_or(&0)];
                let bits = u32::from_be_bytes([0, padded[0], padded[1], padded[2]]);
                for place in 0..4 {
                    let index = (bits >> (18 - 6 * place)) & 63;
                    let filler = place > chunk.len();
                    out.push(if filler { '=' } else { char::from(BASE64[index as usize]) });
                }
                column += 4;
            }
        }
        _ => return Err(unknown_encoding(values[1].as_str())),
    }
    Ok(out.into())
}

fn decode<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let text = values[0].as_str();
    let bytes = match values[1].as_str().to_lowercase().as_str() {
        "hex" => decode_hex(text)?,
        "escape" => {
            super::bytea::decode_escapes(text.as_bytes()).ok_or_else(|| fault::syntax("bytea", text))?
        }
        "base64" => decode_base64(text)?,
        _ => return Err(unknown_encoding(values[1].as_str())),
    };
    Ok(Datum::Bytes(bytes.into()))
}

fn decode_hex(text: &str) -> Result<Vec<u8>> {
    let mut nibbles = Vec::new();
    for character in text.chars().filter(|character| !character.is_ascii_whitespace()) {
        let digit = character.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        nibbles.push(
            digit.ok_or_else(|| fault::parameter(format!("invalid hexadecimal digit: \"{character}\"")))?,
        );
    }
    match nibbles.len() % 2 {
        0 => Ok(nibbles.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()),
        _ => Err(fault::parameter("invalid hexadecimal data: odd number of digits")),
    }
}

fn decode_base64(text: &str) -> Result<Vec<u8>> {
    let (mut bytes, mut bits, mut count, mut ended) = (Vec::new(), 0u32, 0, false);
    for character in text.bytes().filter(|character| !character.is_ascii_whitespace()) {
        if character == b'=' {
            ended = true;
            continue;
        }
        let digit = BASE64.iter().position(|known| *known == character).filter(|_| !ended);
        let digit = digit.ok_or_else(|| {
            let character = char::from(character);
            fault::parameter(format!("invalid symbol \"{character}\" found while decoding base64 sequence"))
        })?;
        bits = bits << 6 | u32::try_from(digit).unwrap_or(0);
        count += 1;
        if count == 4 {
            bytes.extend(&bits.to_be_bytes()[1..]);
            (bits, count) = (0, 0);
        }
    }
    match count {
        0 => {}
        2 => bytes.push((bits >> 4 & 0xff) as u8),
        3 => bytes.extend([(bits >> 10 & 0xff) as u8, (bits >> 2 & 0xff) as u8]),
        _ => return Err(fault::parameter("invalid base64 end sequence")),
    }
    Ok(bytes)
}

/// `\0061`, `\+000061`, `\u0061` and `\U00000061` are characters by their number.
fn unistr<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let wrong = || {
        Error::new(SqlState::SYNTAX_ERROR, "invalid Unicode escape")
            .with_hint("Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.")
    };
    let (mut out, mut rest) = (String::new(), values[0].as_str());
    while let Some(place) = rest.find('\\') {
        out.push_str(&rest[..place]);
        rest = &rest[place + 1..];
        if let Some(tail) = rest.strip_prefix('\\') {
            out.push('\\');
            rest = tail;
            continue;
        }
        let (skip, count) = match rest.chars().next() {
            Some('+') => (1, 6),
            Some('u') => (1, 4),
            Some('U') => (1, 8),
            _ => (0, 4),
        };
        let digits = rest.get(skip..skip + count).ok_or_else(wrong)?;
        let code = u32::from_str_radix(digits, 16).map_err(|_| wrong())?;
        out.push(char::from_u32(code).ok_or_else(wrong)?);
        rest = &rest[skip + count..];
    }
    out.push_str(rest);
    Ok(out.into())
}

/// The parts of a dotted name: quoted parts keep their case, others fold to lower case.
fn parse_ident<'a>(text: &str, strict: bool) -> Result<Datum<'a>> {
    let wrong = || fault::parameter(format!("string is not a valid identifier: \"{text}\""));
    let (mut parts, mut rest) = (Vec::new(), text.trim_start());
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut part = String::new();
            let mut tail = quoted;
            loop {
                let end = tail.find('"').ok_or_else(wrong)?;
                part.push_str(&tail[..end]);
                tail = &tail[end + 1..];
                match tail.strip_prefix('"') {
                    Some(more) => {
                        part.push('"');
                        tail = more;
                    }
                    None => break,
                }
            }
            if part.is_empty() {
                return Err(wrong());
            }
            parts.push(part);
            rest = tail;
        } else {
            let starts = |first: char| first.is_alphabetic() || first == '_';
            let end = rest
                .find(|next: char| !(next.is_alphanumeric() || next == '_' || next == '$'))
                .unwrap_or(rest.len());
            if !rest.starts_with(starts) {
                return Err(wrong());
            }
            parts.push(rest[..end].to_lowercase());
            rest = &rest[end..];
        }
        rest = rest.trim_start();
        match rest.strip_prefix('.') {
            Some(tail) => rest = tail.trim_start(),
            None if rest.is_empty() || !strict => return Ok(Datum::texts(parts)),
            None => return Err(wrong()),
        }
    }
}

/// `10 MB`, `1.5kB`
fn size_bytes<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    const UNITS: [(&str, u32); 8] =
        [("", 0), ("bytes", 0), ("b", 0), ("kb", 1), ("mb", 2), ("gb", 3), ("tb", 4), ("pb", 5)];
    let text = values[0].as_str().trim();
    let wrong = || fault::parameter(format!("invalid size: \"{text}\""));
    let end =
        text.find(|next: char| !(next.is_ascii_digit() || "+-.eE".contains(next))).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (value, scale) = super::decimal::parse(number).ok_or_else(wrong)?;
    let unit = unit.trim().to_lowercase();
    let power = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, power)| *power);
    let power = power.ok_or_else(|| {
        wrong()
            .with_detail(format!("Invalid size unit: \"{unit}\"."))
            .with_hint("Valid units are \"bytes\", \"B\", \"kB\", \"MB\", \"GB\", \"TB\", and \"PB\".")
    })?;
    let size =
        value.checked_mul(1024i128.pow(power)).and_then(|size| super::decimal::rescale(size, scale, 0));
    let size = size.and_then(|size| i64::try_from(size).ok()).ok_or_else(|| fault::out_of_range("bigint"))?;
    Ok(Datum::Int(size))
}

/// The encodings that a server of UTF-8 can convert to and from here.
fn is_latin(name: &str) -> Result<bool> {
    match name.to_uppercase().replace(['-', '_'], "").as_str() {
        "UTF8" => Ok(false),
        "LATIN1" | "ISO88591" => Ok(true),
        _ => Err(fault::parameter(format!("invalid source encoding name \"{name}\""))),
    }
}

fn convert_from<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let bytes = bytes(&values[0]);
    if is_latin(values[1].as_str())? {
        return Ok(bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into());
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned().into()),
        Err(error) => {
            let byte = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
            let message = format!("invalid byte sequence for encoding \"UTF8\": 0x{byte:02x}");
            Err(Error::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message))
        }
    }
}

fn convert_to<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let text = values[0].as_str();
    if !is_latin(values[1].as_str())? {
        return Ok(Datum::Bytes(text.as_bytes().to_vec().into()));
    }
    let bytes = text.chars().map(|character| {
        u8::try_from(u32::from(character)).map_err(|_| {
            let message = format!("character \"{character}\" has no equivalent in encoding \"LATIN1\"");
            Error::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message)
        })
    });
    Ok(Datum::Bytes(bytes.collect::<Result<Vec<u8>>>()?.into()))
}
