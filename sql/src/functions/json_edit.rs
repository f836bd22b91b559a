//! Functions and operators that change JSON documents or ask about them: `jsonb_set`, `jsonb_insert`, `-`, `#-`, `||`,
//! `?`, `jsonb_strip_nulls`, `jsonb_pretty`, `json_each` and their kin. Next: `json_value.rs`.

use super::datum::Datum;
use super::fault;
use super::json_value::{Json, Parts, as_text, part, parts, place_of};
use super::overload::Type::{Bool, Int, Json as JsonText, Jsons, Text, Texts};
use super::overload::{Call, Function, Overload};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

/// What operators and set-returning functions are planned as.
pub const EXISTS: &str = "jsonb_exists";
pub const EXISTS_ANY: &str = "jsonb_exists_any";
pub const EXISTS_ALL: &str = "jsonb_exists_all";
pub const CONCAT: &str = "jsonb_concat";
pub const DELETE: &str = "jsonb_delete";
pub const DELETE_PATH: &str = "jsonb_delete_path";
pub const PART: &str = "json_part";
pub const PART_TEXT: &str = "json_part_text";
pub const ELEMENTS: &str = "json_elements";
pub const ELEMENTS_TEXT: &str = "json_elements_text";
pub const ELEMENTS_B: &str = "jsonb_elements";
pub const ELEMENTS_TEXT_B: &str = "jsonb_elements_text";
pub const KEYS: &str = "json_keys";
pub const KEYS_B: &str = "jsonb_keys";
pub const VALUES: &str = "json_values";
pub const VALUES_TEXT: &str = "json_values_text";
pub const VALUES_B: &str = "jsonb_values";
pub const VALUES_TEXT_B: &str = "jsonb_values_text";

pub const FUNCTIONS: &[Function] = &[
    Function::new(
        "jsonb_set",
        &[
            Overload::new(&[JsonText, Texts, JsonText], JsonText, |_, v| set(v, true)),
            Overload::new(&[JsonText, Texts, JsonText, Bool], JsonText, |_, v| set(v, v[3].is_true())),
        ],
    ),
    Function::new(
        "jsonb_set_lax",
        &[
            Overload::new(&[JsonText, Texts, JsonText], JsonText, set_lax),
            Overload::new(&[JsonText, Texts, JsonText, Bool], JsonText, set_lax),
            Overload::new(&[JsonText, Texts, JsonText, Bool, Text], JsonText, set_lax),
        ],
    )
    .with_nulls(),
    Function::new(
        "jsonb_insert",
        &[
            Overload::new(&[JsonText, Texts, JsonText], JsonText, |_, v| insert(v, false)),
            Overload::new(&[JsonText, Texts, JsonText, Bool], JsonText, |_, v| insert(v, v[3].is_true())),
        ],
    ),
    Function::new(
        "jsonb_strip_nulls",
        &[Overload::new(&[JsonText], JsonText, |_, v| Ok(jsonb(strip_nulls(read(&v[0])?))))],
    ),
    Function::new(
        "json_strip_nulls",
        &[Overload::new(&[JsonText], JsonText, |_, v| {
            Ok(Datum::Json(strip_nulls(read(&v[0])?).compact().into()))
        })],
    ),
    Function::new(
        "jsonb_pretty",
        &[Overload::new(&[JsonText], Text, |_, v| Ok(read(&v[0])?.normalized().pretty().into()))],
    ),
    Function::new(
        "json_typeof",
        &[Overload::new(&[JsonText], Text, |_, v| Ok(Datum::text(kind(&read(&v[0])?))))],
    ),
    Function::new(
        "jsonb_typeof",
        &[Overload::new(&[JsonText], Text, |_, v| Ok(Datum::text(kind(&read(&v[0])?))))],
    ),
    Function::new("json_array_length", &[Overload::new(&[JsonText], Int, array_length)]),
    Function::new("jsonb_array_length", &[Overload::new(&[JsonText], Int, array_length)]),
    // The text of a cast to jsonb.
    Function::new("to_jsonb_text", &[Overload::new(&[JsonText], JsonText, |_, v| Ok(jsonb(read(&v[0])?)))]),
    Function::new(
        EXISTS,
        &[Overload::new(&[JsonText, Text], Bool, |_, v| Ok(exists(&read(&v[0])?, v[1].as_str()).into()))],
    ),
    Function::new(
        EXISTS_ANY,
        &[Overload::new(&[JsonText, Texts], Bool, |_, v| {
            let json = read(&v[0])?;
            Ok(v[1].elements().iter().any(|key| exists(&json, key.as_str())).into())
        })],
    ),
    Function::new(
        EXISTS_ALL,
        &[Overload::new(&[JsonText, Texts], Bool, |_, v| {
            let json = read(&v[0])?;
            Ok(v[1].elements().iter().all(|key| exists(&json, key.as_str())).into())
        })],
    ),
    Function::new(
        CONCAT,
        &[Overload::new(&[JsonText, JsonText], JsonText, |_, v| {
            Ok(jsonb(concat(read(&v[0])?, read(&v[1])?)))
        })],
    ),
    Function::new(
        DELETE,
        &[
            Overload::new(&[JsonText, Int], JsonText, delete_place),
            Overload::new(&[JsonText, Text], JsonText, |_, v| {
                Ok(jsonb(delete_keys(read(&v[0])?, &[v[1].as_str()])?))
            }),
            Overload::new(&[JsonText, Texts], JsonText, |_, v| {
                let keys: Vec<&str> = v[1].elements().iter().map(Datum::as_str).collect();
                Ok(jsonb(delete_keys(read(&v[0])?, &keys)?))
            }),
        ],
    ),
    Function::new(
        DELETE_PATH,
        &[Overload::new(&[JsonText, Texts], JsonText, |_, v| {
            Ok(jsonb(delete_path(read(&v[0])?, &path(&v[1])?)?))
        })],
    ),
    Function::new(
        PART,
        &[Overload::new(&[JsonText, Texts], JsonText, |_, v| {
            Ok(written_part(v)?.map_or(Datum::Null, |part| Datum::Json(part.to_owned().into())))
        })],
    ),
    Function::new(
        PART_TEXT,
        &[Overload::new(&[JsonText, Texts], Text, |_, v| Ok(written_part(v)?.and_then(as_text).into()))],
    ),
    Function::new(ELEMENTS, &[Overload::new(&[JsonText], Jsons, |_, v| elements(v, false, false))]),
    Function::new(ELEMENTS_TEXT, &[Overload::new(&[JsonText], Texts, |_, v| elements(v, false, true))]),
    Function::new(ELEMENTS_B, &[Overload::new(&[JsonText], Jsons, |_, v| elements(v, true, false))]),
    Function::new(ELEMENTS_TEXT_B, &[Overload::new(&[JsonText], Texts, |_, v| elements(v, true, true))]),
    Function::new(KEYS, &[Overload::new(&[JsonText], Texts, |_, v| keys(v, false))]),
    Function::new(KEYS_B, &[Overload::new(&[JsonText], Texts, |_, v| keys(v, true))]),
    Function::new(VALUES, &[Overload::new(&[JsonText], Jsons, |_, v| values(v, false, false))]),
    Function::new(VALUES_TEXT, &[Overload::new(&[JsonText], Texts, |_, v| values(v, false, true))]),
    Function::new(VALUES_B, &[Overload::new(&[JsonText], Jsons, |_, v| values(v, true, false))]),
    Function::new(VALUES_TEXT_B, &[Overload::new(&[JsonText], Texts, |_, v| values(v, true, true))]),
];

fn read(datum: &Datum) -> Result<Json> {
    Json::read(datum.as_str())
}

/// A document as `jsonb` is written.
fn jsonb<'a>(json: Json) -> Datum<'a> {
    Datum::Json(json.normalized().spaced().into())
}

fn kind(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

fn path(datum: &Datum) -> Result<Vec<String>> {
    let step = |(place, step): (usize, &Datum)| match step {
        Datum::Null => Err(fault::null_value(format!("path element at position {} is null", place + 1))),
        step => Ok(step.as_str().to_owned()),
    };
    datum.elements().iter().enumerate().map(step).collect()
}

/// The part of the first value that the second is the path to.
fn written_part<'v>(values: &'v [Datum]) -> Result<Option<&'v str>> {
    let steps = values[1].elements();
    if steps.iter().any(Datum::is_null) {
        return Ok(None);
    }
    let steps: Vec<&str> = steps.iter().map(Datum::as_str).collect();
    part(values[0].as_str(), &steps)
}

fn array_length<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    match read(&values[0])? {
        Json::Array(elements) => Ok(elements.len().into()),
        Json::Object(_) => Err(fault::parameter("cannot get array length of a non-array")),
        _ => Err(fault::parameter("cannot get array length of a scalar")),
    }
}

/// Whether a text is a key of an object, an element of an array, or the string itself.
fn exists(json: &Json, key: &str) -> bool {
    let is_key = |json: &Json| matches!(json, Json::String(text) if text == key);
    match json {
        Json::Object(members) => members.iter().any(|(name, _)| name == key),
        Json::Array(elements) => elements.iter().any(is_key),
        other => is_key(other),
    }
}

fn concat(left: Json, right: Json) -> Json {
    match (left, right) {
        (Json::Object(mut left), Json::Object(right)) => {
            left.extend(right);
            Json::Object(left)
        }
        (left, right) => {
            let elements = |json| if let Json::Array(elements) = json { elements } else { vec![json] };
            Json::Array(elements(left).into_iter().chain(elements(right)).collect())
        }
    }
}

fn delete_keys(json: Json, keys: &[&str]) -> Result<Json> {
    Ok(match json {
        Json::Object(members) => {
            Json::Object(members.into_iter().filter(|(name, _)| !keys.contains(&name.as_str())).collect())
        }
        Json::Array(elements) => Json::Array(
            elements
                .into_iter()
                .filter(|element| !matches!(element, Json::String(text) if keys.contains(&text.as_str())))
                .collect(),
        ),
        _ => return Err(fault::parameter("cannot delete from scalar")),
    })
}

fn delete_place<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    match read(&values[0])? {
        Json::Array(mut elements) => {
            if let Some(place) = place_of(values[1].as_int(), elements.len()) {
                elements.remove(place);
            }
            Ok(jsonb(Json::Array(elements)))
        }
        Json::Object(_) => Err(fault::parameter("cannot delete from object using integer index")),
        _ => Err(fault::parameter("cannot delete from scalar")),
    }
}

/// What is to be done at the end of a path.
enum Change<'j> {
    Set { value: &'j Json, create: bool },
    Insert { value: &'j Json, after: bool },
    Delete,
}

fn set<'a>(values: &[Datum<'a>], create: bool) -> Result<Datum<'a>> {
    let value = read(&values[2])?;
    let changed = change(read(&values[0])?, &path(&values[1])?, &Change::Set { value: &value, create });
    Ok(jsonb(changed?))
}

fn insert<'a>(values: &[Datum<'a>], after: bool) -> Result<Datum<'a>> {
    let value = read(&values[2])?;
    let changed = change(read(&values[0])?, &path(&values[1])?, &Change::Insert { value: &value, after });
    Ok(jsonb(changed?))
}

fn delete_path(json: Json, path: &[String]) -> Result<Json> {
    if matches!(json, Json::Array(_) | Json::Object(_)) {
        return change(json, path, &Change::Delete);
    }
    Err(fault::parameter("cannot delete path in scalar"))
}

fn change(mut json: Json, path: &[String], what: &Change) -> Result<Json> {
    if !matches!(json, Json::Array(_) | Json::Object(_)) {
        return Err(fault::parameter("cannot set path in scalar"));
    }
    change_at(&mut json, path, 0, what)?;
    Ok(json)
}

fn change_at(json: &mut Json, path: &[String], depth: usize, what: &Change) -> Result<()> {
    let Some(step) = path.get(depth) else { return Ok(()) };
    let last = depth + 1 == path.len();
    match json {
        Json::Object(members) => {
            let found = members.iter().rposition(|(key, _)| key == step);
            match (found, last, what) {
                (Some(place), false, _) => change_at(&mut members[place].1, path, depth + 1, what)?,
                (Some(place), true, Change::Set { value, .. }) => members[place].1 = (*value).clone(),
                (Some(place), true, Change::Delete) => {
                    members.remove(place);
                }
                (Some(_), true, Change::Insert { .. }) => {
                    return Err(fault::parameter("cannot replace existing key")
                        .with_hint("Try using the function jsonb_set to replace key value."));
                }
                (None, true, Change::Set { value, create: true } | Change::Insert { value, .. }) => {
                    members.push((step.clone(), (*value).clone()));
                }
                (None, ..) => {}
            }
        }
        Json::Array(elements) => {
            let place: i64 = step.parse().map_err(|_| {
                let message = format!("path element at position {} is not an integer: \"{step}\"", depth + 1);
                Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
            })?;
            change_element(elements, place, path, depth, what)?;
        }
        _ => {}
    }
    Ok(())
}

fn change_element(
    elements: &mut Vec<Json>,
    place: i64,
    path: &[String],
    depth: usize,
    what: &Change,
) -> Result<()> {
    let last = depth + 1 == path.len();
    match (place_of(place, elements.len()), last, what) {
        (Some(place), false, _) => change_at(&mut elements[place], path, depth + 1, what)?,
        (Some(place), true, Change::Set { value, .. }) => elements[place] = (*value).clone(),
        (Some(place), true, Change::Delete) => {
            elements.remove(place);
        }
        (Some(place), true, Change::Insert { value, after }) => {
            elements.insert(place + usize::from(*after), (*value).clone());
        }
        // Beyond an end is that end.
        (None, true, Change::Set { value, create: true } | Change::Insert { value, .. }) => match place < 0 {
            true => elements.insert(0, (*value).clone()),
            false => elements.push((*value).clone()),
        },
        (None, ..) => {}
    }
    Ok(())
}

/// `jsonb_set`, and what becomes of a NULL.
fn set_lax<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let create = values.get(3).is_none_or(Datum::is_true);
    if values[0].is_null() || values[1].is_null() || values.get(3).is_some_and(Datum::is_null) {
        return Ok(Datum::Null);
    }
    if !values[2].is_null() {
        return set(values, create);
    }
    match values.get(4).map_or("use_json_null", Datum::as_str) {
        "use_json_null" => {
            let changed =
                change(read(&values[0])?, &path(&values[1])?, &Change::Set { value: &Json::Null, create });
            Ok(jsonb(changed?))
        }
        "delete_key" => Ok(jsonb(delete_path(read(&values[0])?, &path(&values[1])?)?)),
        "return_target" => Ok(jsonb(read(&values[0])?)),
        "raise_exception" => Err(fault::null_value("JSON value must not be null")),
        _ => Err(fault::parameter(
            "null_value_treatment must be \"delete_key\", \"return_target\", \"use_json_null\", or \"raise_exception\"",
        )),
    }
}

/// Members that are null go; elements stay.
fn strip_nulls(json: Json) -> Json {
    match json {
        Json::Object(members) => {
            let kept = members.into_iter().filter(|(_, value)| *value != Json::Null);
            Json::Object(kept.map(|(key, value)| (key, strip_nulls(value))).collect())
        }
        Json::Array(elements) => Json::Array(elements.into_iter().map(strip_nulls).collect()),
        other => other,
    }
}

fn shown_part<'a>(part: &str, text: bool) -> Datum<'a> {
    if text { as_text(part).into() } else { Datum::Json(part.to_owned().into()) }
}

/// The document as it is taken apart: of `jsonb` in its own order.
fn document(datum: &Datum, binary: bool) -> Result<String> {
    match binary {
        true => Ok(read(datum)?.normalized().spaced()),
        false => Ok(datum.as_str().to_owned()),
    }
}

fn elements<'a>(values: &[Datum<'a>], binary: bool, text: bool) -> Result<Datum<'a>> {
    match parts(&document(&values[0], binary)?)? {
        Parts::Array(elements) => {
            Ok(Datum::List(elements.into_iter().map(|element| shown_part(element, text)).collect()))
        }
        Parts::Object(_) => Err(fault::parameter("cannot extract elements from an object")
            .with_hint("json_each gives the members of an object.")),
        Parts::Scalar => Err(fault::parameter("cannot extract elements from a scalar")),
    }
}

fn members<'t>(document: &'t str, function: &str) -> Result<Vec<(String, &'t str)>> {
    match parts(document)? {
        Parts::Object(members) => Ok(members),
        Parts::Array(_) => Err(fault::parameter(format!("cannot call {function} on an array"))),
        Parts::Scalar => Err(fault::parameter(format!("cannot call {function} on a scalar"))),
    }
}

fn keys<'a>(values: &[Datum<'a>], binary: bool) -> Result<Datum<'a>> {
    let document = document(&values[0], binary)?;
    let function = if binary { "jsonb_object_keys" } else { "json_object_keys" };
    Ok(Datum::texts(members(&document, function)?.into_iter().map(|(key, _)| key)))
}

fn values<'a>(values: &[Datum<'a>], binary: bool, text: bool) -> Result<Datum<'a>> {
    let document = document(&values[0], binary)?;
    let members = members(&document, if binary { "jsonb_each" } else { "json_each" })?.into_iter();
    Ok(Datum::List(members.map(|(_, value)| shown_part(value, text)).collect()))
}
