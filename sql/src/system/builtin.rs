//! The system tables whose rows do not depend on what users made: types, access methods, collations, tablespaces,
//! the database, the settings.

use std::sync::LazyLock;

use tarn_catalog::SUPERUSER;
use tarn_catalog::object::RelationKind;

use super::rows::Scan;
use super::value::Rows;
use crate::error::Result;
use crate::types::{self, oid};

/// OID of `pg_catalog`, the schema of everything built in.
pub const PG_CATALOG: u32 = 11;
/// The access method of PostgreSQL's own tables, and so of the system tables.
pub const HEAP: u32 = 2;
/// The only tablespace: wherever the table's location is.
const DEFAULT_TABLESPACE: u32 = 1663;
/// UTF8 in PostgreSQL's list of encodings.
const UTF8: i32 = 6;

/// A built-in type as `pg_type` has it.
#[derive(Debug)]
pub struct BuiltinType {
    pub oid: u32,
    pub name: &'static str,
    pub len: i32,
    pub by_value: bool,
    pub kind: &'static str,
    pub category: &'static str,
    pub preferred: bool,
    pub align: &'static str,
    pub storage: &'static str,
    pub element: u32,
    pub array: u32,
    pub collation: u32,
    /// Names of its input, output, receive and send functions, which drivers know types by.
    pub functions: [&'static str; 4],
}

static TYPES: LazyLock<Vec<BuiltinType>> = LazyLock::new(|| {
    let lines = include_str!("declared/types.txt").lines();
    lines.filter(|line| !line.starts_with('#')).map(read_type).collect()
});

fn read_type(line: &'static str) -> BuiltinType {
    let words: Vec<&'static str> = line.split(' ').collect();
    let number = |index: usize| words[index].parse().expect("a declared OID is a number");
    BuiltinType {
        oid: number(0),
        name: words[1],
        len: words[2].parse().expect("a declared length is a number"),
        by_value: words[3] == "1",
        kind: words[4],
        category: words[5],
        preferred: words[6] == "1",
        align: words[7],
        storage: words[8],
        element: number(9),
        array: number(10),
        collation: number(11),
        functions: [words[12], words[13], words[14], words[15]],
    }
}

impl BuiltinType {
    pub fn of(oid: u32) -> Option<&'static BuiltinType> {
        TYPES.iter().find(|builtin| builtin.oid == oid)
    }
}

pub fn pg_type(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    for builtin in TYPES.iter().filter(|builtin| scan.keys.admits_int("oid", builtin.oid)) {
        let [input, output, receive, send] = builtin.functions;
        rows.push([
            ("oid", builtin.oid.into()),
            ("typname", builtin.name.into()),
            ("typnamespace", PG_CATALOG.into()),
            ("typowner", SUPERUSER.oid().into()),
            ("typlen", builtin.len.into()),
            ("typbyval", builtin.by_value.into()),
            ("typtype", builtin.kind.into()),
            ("typcategory", builtin.category.into()),
            ("typispreferred", builtin.preferred.into()),
            ("typisdefined", true.into()),
            ("typdelim", ",".into()),
            ("typelem", builtin.element.into()),
            ("typarray", builtin.array.into()),
            ("typinput", input.into()),
            ("typoutput", output.into()),
            ("typreceive", receive.into()),
            ("typsend", send.into()),
            ("typalign", builtin.align.into()),
            ("typstorage", builtin.storage.into()),
            ("typtypmod", (-1).into()),
            ("typcollation", builtin.collation.into()),
        ])?;
    }
    Ok(rows)
}

/// How a table is stored, which PostgreSQL calls its access method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessMethod {
    pub oid: u32,
    pub name: &'static str,
}

/// The access method of what would be the indexes of keys, which are declared and have no files.
pub const DECLARED: u32 = 15005;

/// `heap` for the system tables, then Iceberg, then the formats of external tables.
const ACCESS_METHODS: [AccessMethod; 5] = [
    AccessMethod { oid: HEAP, name: "heap" },
    AccessMethod { oid: 15001, name: "iceberg" },
    AccessMethod { oid: 15002, name: "parquet" },
    AccessMethod { oid: 15003, name: "csv" },
    AccessMethod { oid: 15004, name: "json" },
];

impl AccessMethod {
    /// None for a view.
    pub fn of(kind: &RelationKind) -> Option<AccessMethod> {
        let name = match kind {
            RelationKind::Table => "iceberg",
            RelationKind::External(table) => table.format.name(),
            RelationKind::View(_) => return None,
        };
        ACCESS_METHODS.into_iter().find(|method| method.name == name)
    }
}

pub fn pg_am(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    for method in ACCESS_METHODS {
        rows.push([
            ("oid", method.oid.into()),
            ("amname", method.name.into()),
            ("amhandler", format!("{}_handler", method.name).into()),
            ("amtype", "t".into()),
        ])?;
    }
    rows.push([
        ("oid", DECLARED.into()),
        ("amname", "declared".into()),
        ("amhandler", "declared_handler".into()),
        ("amtype", "i".into()),
    ])?;
    Ok(rows)
}

pub fn pg_collation(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    for (oid, name, provider) in [(100_u32, "default", "d"), (950, "C", "c")] {
        rows.push([
            ("oid", oid.into()),
            ("collname", name.into()),
            ("collnamespace", PG_CATALOG.into()),
            ("collowner", SUPERUSER.oid().into()),
            ("collprovider", provider.into()),
            ("collisdeterministic", true.into()),
            ("collencoding", (-1).into()),
            ("collcollate", (oid == 950).then_some("C").into()),
            ("collctype", (oid == 950).then_some("C").into()),
        ])?;
    }
    Ok(rows)
}

pub fn pg_tablespace(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    rows.push([
        ("oid", DEFAULT_TABLESPACE.into()),
        ("spcname", "pg_default".into()),
        ("spcowner", SUPERUSER.oid().into()),
    ])?;
    Ok(rows)
}

/// The connected database. Text is compared byte by byte, which is what PostgreSQL calls the collation C.
pub fn pg_database(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    rows.push([
        ("oid", u32::try_from(scan.context.catalog.0).unwrap_or(u32::MAX).into()),
        ("datname", scan.context.database.as_str().into()),
        ("datdba", SUPERUSER.oid().into()),
        ("encoding", UTF8.into()),
        ("datlocprovider", "c".into()),
        ("datallowconn", true.into()),
        ("datconnlimit", (-1).into()),
        ("dattablespace", DEFAULT_TABLESPACE.into()),
        ("datcollate", "C".into()),
        ("datctype", "C".into()),
    ])?;
    Ok(rows)
}

pub fn pg_settings(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    for setting in scan.context.settings.iter() {
        rows.push([
            ("name", setting.name.into()),
            ("setting", setting.value.as_str().into()),
            ("short_desc", setting.description.into()),
            ("context", if setting.settable { "user" } else { "internal" }.into()),
            ("vartype", "string".into()),
            ("source", "session".into()),
            ("boot_val", setting.default.as_deref().into()),
            ("reset_val", setting.default.as_deref().into()),
            ("pending_restart", false.into()),
        ])?;
    }
    Ok(rows)
}

pub fn system_settings(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    for setting in scan.context.settings.iter() {
        rows.push([
            ("name", setting.name.into()),
            ("value", setting.value.as_str().into()),
            ("default", setting.default.as_deref().into()),
            ("description", setting.description.into()),
        ])?;
    }
    Ok(rows)
}

/// How exact values of a type are, in the words of `information_schema.columns`.
#[derive(Debug, Default, PartialEq)]
pub struct Precision {
    pub digits: Option<i32>,
    pub radix: Option<i32>,
    pub scale: Option<i32>,
    pub fraction_digits: Option<i32>,
}

pub fn precision(type_oid: u32, modifier: i32) -> Precision {
    let binary =
        |digits, scale| Precision { digits: Some(digits), radix: Some(2), scale, fraction_digits: None };
    match type_oid {
        oid::INT2 => binary(16, Some(0)),
        oid::INT4 => binary(32, Some(0)),
        oid::INT8 => binary(64, Some(0)),
        oid::FLOAT4 => binary(24, None),
        oid::FLOAT8 => binary(53, None),
        oid::NUMERIC => {
            let (digits, scale) = types::numeric_precision(modifier).unzip();
            Precision { digits, radix: Some(10), scale, fraction_digits: None }
        }
        oid::DATE => Precision { fraction_digits: Some(0), ..Precision::default() },
        oid::TIME | oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::INTERVAL => {
            Precision { fraction_digits: Some(6), ..Precision::default() }
        }
        _ => Precision::default(),
    }
}

/// The most bytes a text may have, as PostgreSQL reports it.
pub fn octet_length(type_oid: u32, modifier: i32) -> Option<i32> {
    // A character of UTF-8 has up to four.
    let most =
        types::characters_length(type_oid, modifier).map_or(1 << 30, |length| length.saturating_mul(4));
    matches!(type_oid, oid::TEXT | oid::VARCHAR | oid::BPCHAR).then_some(most)
}
