//! The tables that the statements speak about, and what an expression can name at its place.

use super::{Generator, Kind};
use rand::Rng;

/// A column that can be named.
#[derive(Clone, Debug)]
pub struct Named {
    /// As it is written: qualified where it must be.
    pub text: String,
    pub kind: Kind,
}

/// What an expression may name: columns of FROM and, in a correlated subquery, of the query around it.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    pub columns: Vec<Named>,
}

impl Scope {
    pub fn of_kind(&self, kind: Kind) -> Vec<&Named> {
        self.columns.iter().filter(|column| column.kind == kind).collect()
    }
}

/// Name, columns and rows of a table.
type Table = (&'static str, &'static [(&'static str, Kind)], u32);

/// Name, columns and how many rows. `id` is unique in each; `c` has few values, to join and group by.
pub const TABLES: [Table; 3] = [
    (
        "t",
        &[
            ("id", Kind::Integer),
            ("c", Kind::Integer),
            ("a", Kind::Integer),
            ("b", Kind::Bigint),
            ("f", Kind::Double),
            ("n", Kind::Numeric),
            ("s", Kind::Text),
            ("o", Kind::Boolean),
            ("d", Kind::Date),
            ("w", Kind::Timestamp),
        ],
        40,
    ),
    (
        "u",
        &[
            ("id", Kind::Integer),
            ("c", Kind::Integer),
            ("b", Kind::Bigint),
            ("n", Kind::Numeric),
            ("s", Kind::Text),
            ("d", Kind::Date),
        ],
        15,
    ),
    ("e", &[("id", Kind::Integer), ("c", Kind::Integer), ("s", Kind::Text), ("n", Kind::Numeric)], 0),
];

/// The statements that make the tables and fill them, the same on both servers.
pub fn setup(schema: &str, seed: u64) -> Vec<String> {
    let mut generator = Generator::new(seed);
    let mut statements = vec![format!("CREATE SCHEMA {schema}"), format!("SET search_path = {schema}")];
    for (table, columns, rows) in TABLES {
        let definition = |(name, kind): &(&str, Kind)| format!("{name} {}", kind.sql_type());
        let definitions: Vec<String> = columns.iter().map(definition).collect();
        statements.push(format!("CREATE TABLE {table} ({})", definitions.join(", ")));
        let values: Vec<String> = (1..=rows).map(|id| generator.row(columns, id)).collect();
        if rows > 0 {
            statements.push(format!("INSERT INTO {table} VALUES {}", values.join(", ")));
        }
    }
    statements
}

impl Kind {
    pub fn sql_type(self) -> &'static str {
        match self {
            Kind::Integer => "integer",
            Kind::Bigint => "bigint",
            Kind::Double => "double precision",
            Kind::Numeric => "numeric(12,3)",
            Kind::Text => "text",
            Kind::Boolean => "boolean",
            Kind::Date => "date",
            Kind::Timestamp => "timestamp",
        }
    }
}

impl Generator {
    /// One row of a table as `(…)`; `c` is small and sometimes NULL, as every other column but `id`.
    pub fn row(&mut self, columns: &[(&str, Kind)], id: u32) -> String {
        let values: Vec<String> = columns
            .iter()
            .map(|(name, kind)| match *name {
                "id" => id.to_string(),
                _ if self.chance(12) => "NULL".to_string(),
                "c" => self.random.random_range(0..6).to_string(),
                _ => self.literal(*kind),
            })
            .collect();
        format!("({})", values.join(", "))
    }

    /// A literal with its type, so that both servers take it for the same.
    pub fn literal(&mut self, kind: Kind) -> String {
        let random = &mut self.random;
        match kind {
            Kind::Integer => random.random_range(-20..100).to_string(),
            Kind::Bigint => format!("{}::bigint", random.random_range(-9..60) * 1_000_000_007_i64),
            // Quarters: sums of them are exact in any order.
            Kind::Double => format!("{}::float8", f64::from(random.random_range(-400..400)) / 4.0),
            Kind::Numeric => format!("{}.{:03}", random.random_range(-50..500), random.random_range(0..1000)),
            Kind::Boolean => self.pick(&["true", "false"]).to_string(),
            Kind::Date => {
                let (month, day) = (random.random_range(1..=12), random.random_range(1..=28));
                format!("DATE '{}-{month:02}-{day:02}'", random.random_range(1969..2031))
            }
            Kind::Timestamp => {
                let date = self.literal(Kind::Date);
                let random = &mut self.random;
                let (hour, minute) = (random.random_range(0..24), random.random_range(0..60));
                let day = date.trim_start_matches("DATE '").trim_end_matches('\'');
                format!("TIMESTAMP '{day} {hour:02}:{minute:02}:{:02}.25'", random.random_range(0..60))
            }
            Kind::Text => {
                let words = [
                    "''",
                    "'a'",
                    "'abc'",
                    "'Abc'",
                    "'ABCDEF'",
                    "' padded '",
                    "'ä'",
                    "'naïve Strand'",
                    "'a_b%c'",
                    "'it''s'",
                    "'x,y,,z'",
                    "'10'",
                    "'9'",
                    "'2024-02-29'",
                    "'日本'",
                    "'tab\there'",
                ];
                self.pick(&words).to_string()
            }
        }
    }
}
