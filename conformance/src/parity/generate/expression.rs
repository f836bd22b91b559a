//! Values of a kind, out of columns, literals, operators and functions. What can fail at run time is kept out: the
//! order in which conditions are looked at is free, so whether an error shows is too. `mistake` makes those.

use super::scope::Scope;
use super::{Generator, Kind};
use rand::Rng;

impl Generator {
    /// An expression of the kind, at most so deep.
    pub fn value(&mut self, scope: &Scope, kind: Kind, depth: u32) -> String {
        if depth == 0 || self.chance(20) {
            return self.leaf(scope, kind);
        }
        if self.chance(18) {
            return self.general(scope, kind, depth - 1);
        }
        match kind {
            Kind::Integer => self.integer(scope, depth - 1),
            Kind::Bigint => self.bigint(scope, depth - 1),
            Kind::Double => self.double(scope, depth - 1),
            Kind::Numeric => self.numeric(scope, depth - 1),
            Kind::Text => self.text(scope, depth - 1),
            Kind::Boolean => self.condition(scope, depth - 1),
            Kind::Date => self.date(scope, depth - 1),
            Kind::Timestamp => self.timestamp(scope, depth - 1),
        }
    }

    /// A column where there is one, else a literal.
    fn leaf(&mut self, scope: &Scope, kind: Kind) -> String {
        let columns = scope.of_kind(kind);
        if columns.is_empty() || self.chance(25) {
            return self.literal(kind);
        }
        let place = self.random.random_range(0..columns.len());
        columns[place].text.clone()
    }

    /// What there is for every kind.
    fn general(&mut self, scope: &Scope, kind: Kind, depth: u32) -> String {
        let first = self.value(scope, kind, depth);
        let second = self.value(scope, kind, depth);
        match self.random.random_range(0..8) {
            0 => format!("coalesce({first}, {second})"),
            1 => format!("nullif({first}, {second})"),
            2 if kind != Kind::Boolean => format!("greatest({first}, {second})"),
            3 if kind != Kind::Boolean => format!("least({first}, {second}, {})", self.leaf(scope, kind)),
            4 => format!("CASE WHEN {} THEN {first} END", self.condition(scope, depth)),
            5 => {
                let (key, value) = (self.leaf(scope, Kind::Integer), self.literal(Kind::Integer));
                format!("CASE {key} WHEN {value} THEN {first} WHEN 3 THEN {second} ELSE {first} END")
            }
            _ => format!("CASE WHEN {} THEN {first} ELSE {second} END", self.condition(scope, depth)),
        }
    }

    fn integer(&mut self, scope: &Scope, depth: u32) -> String {
        let first = self.value(scope, Kind::Integer, depth);
        let second = self.leaf(scope, Kind::Integer);
        match self.random.random_range(0..16) {
            0 => format!("({first} + {second})"),
            1 => format!("({first} - {second})"),
            2 => format!("({first} * {})", self.random.random_range(-3..10)),
            3 => format!("({first} / {})", self.pick(&["2", "3", "-7", "10"])),
            4 => format!("({first} % {})", self.pick(&["2", "5", "-3"])),
            5 => format!("({first} / nullif({second}, 0))"),
            6 => format!("abs({first})"),
            7 => format!("(- {first})"),
            8 => format!("length({})", self.value(scope, Kind::Text, depth)),
            9 => format!("({} - {})", self.value(scope, Kind::Date, depth), self.leaf(scope, Kind::Date)),
            10 => {
                let field = self.pick(&["year", "month", "day", "doy", "quarter", "dow", "isodow", "week"]);
                format!("extract({field} FROM {})::int", self.value(scope, Kind::Date, depth))
            }
            11 => format!("({})::int", self.condition(scope, depth)),
            12 => format!("position({} IN {})", self.literal(Kind::Text), self.leaf(scope, Kind::Text)),
            13 => format!("mod({first}, {})", self.pick(&["4", "9"])),
            14 => format!("round({})::int", self.leaf(scope, Kind::Numeric)),
            _ => format!("ascii({})", self.leaf(scope, Kind::Text)),
        }
    }

    fn bigint(&mut self, scope: &Scope, depth: u32) -> String {
        let first = self.value(scope, Kind::Bigint, depth);
        match self.random.random_range(0..6) {
            0 => format!("({first} + {})", self.leaf(scope, Kind::Integer)),
            1 => format!("({first} - {})", self.leaf(scope, Kind::Bigint)),
            2 => format!("({first} / {})", self.pick(&["3", "1000", "-7"])),
            3 => format!("({first} % {})", self.pick(&["11", "1000"])),
            4 => format!("abs({first})"),
            _ => format!("({})::bigint", self.value(scope, Kind::Integer, depth)),
        }
    }

    fn double(&mut self, scope: &Scope, depth: u32) -> String {
        let first = self.value(scope, Kind::Double, depth);
        match self.random.random_range(0..10) {
            0 => format!("({first} + {})", self.leaf(scope, Kind::Double)),
            1 => format!("({first} - {})", self.leaf(scope, Kind::Integer)),
            2 => format!("({first} * {})", self.pick(&["0.5::float8", "2", "-1"])),
            3 => format!("({first} / 4)"),
            4 => format!("floor({first})"),
            5 => format!("ceil({first})"),
            6 => format!("round({first})"),
            7 => format!("sqrt(abs({first}))"),
            8 => format!("({})::float8", self.value(scope, Kind::Integer, depth)),
            _ => format!("power({}, 2)", self.leaf(scope, Kind::Double)),
        }
    }

    fn numeric(&mut self, scope: &Scope, depth: u32) -> String {
        let first = self.value(scope, Kind::Numeric, depth);
        match self.random.random_range(0..10) {
            0 => format!("({first} + {})", self.leaf(scope, Kind::Numeric)),
            1 => format!("({first} - {})", self.leaf(scope, Kind::Integer)),
            2 => format!("({} * {})", self.leaf(scope, Kind::Numeric), self.leaf(scope, Kind::Integer)),
            3 => format!("round({first}, {})", self.pick(&["0", "1", "2"])),
            4 => format!("trunc({first})"),
            5 => format!("floor({first})"),
            6 => format!("ceil({first})"),
            7 => format!("abs({first})"),
            8 => format!("({})::numeric(12,2)", self.value(scope, Kind::Integer, depth)),
            _ => format!("({} / {})", self.leaf(scope, Kind::Numeric), self.pick(&["3", "0.7", "-8"])),
        }
    }

    fn text(&mut self, scope: &Scope, depth: u32) -> String {
        let first = self.value(scope, Kind::Text, depth);
        let second = self.leaf(scope, Kind::Text);
        match self.random.random_range(0..26) {
            0 | 1 => format!("({first} || {second})"),
            2 => format!("upper({first})"),
            3 => format!("lower({first})"),
            4 => format!("substr({first}, {})", self.random.random_range(-1..4)),
            5 => format!("substring({first} FROM 2 FOR {})", self.random.random_range(0..4)),
            6 => format!("left({first}, {})", self.random.random_range(-2..4)),
            7 => format!("right({first}, {})", self.random.random_range(-2..4)),
            8 => format!("trim({first})"),
            9 => format!("ltrim({first}, {second})"),
            10 => format!("replace({first}, {}, {second})", self.pick(&["'a'", "'b'", "''"])),
            11 => format!("repeat({first}, {})", self.random.random_range(-1..3)),
            12 => format!("lpad({first}, {}, '*-')", self.random.random_range(0..8)),
            13 => format!("rpad({first}, {})", self.random.random_range(0..8)),
            14 => format!("reverse({first})"),
            15 => format!("split_part({first}, ',', {})", self.pick(&["1", "2", "3", "-1"])),
            16 => format!("concat({first}, {}, {second})", self.leaf(scope, Kind::Integer)),
            17 => format!("concat_ws('/', {first}, {second}, NULL)"),
            18 => format!("({})::text", self.value(scope, Kind::Integer, depth)),
            19 => format!("({})::text", self.leaf(scope, Kind::Numeric)),
            20 => format!("({})::text", self.value(scope, Kind::Date, depth)),
            21 => format!("({})::text", self.condition(scope, depth)),
            22 => format!("initcap({first})"),
            23 => format!("md5({first})"),
            24 => format!("translate({first}, 'abc', 'xy')"),
            _ => {
                let form =
                    self.pick(&["YYYY-MM-DD", "DD Mon YYYY", "HH24:MI:SS", "Day, DDth", "YY/Q", "IYYY-IW"]);
                format!("to_char({}, '{form}')", self.value(scope, Kind::Timestamp, depth))
            }
        }
    }

    fn date(&mut self, scope: &Scope, depth: u32) -> String {
        let first = self.value(scope, Kind::Date, depth);
        match self.random.random_range(0..6) {
            0 => format!("({first} + {})", self.random.random_range(-40..40)),
            1 => format!("({first} - {})", self.random.random_range(0..400)),
            2 => format!("({})::date", self.value(scope, Kind::Timestamp, depth)),
            3 => {
                let unit = self.pick(&["month", "year", "week", "quarter", "decade", "century"]);
                format!("date_trunc('{unit}', {first})::date")
            }
            4 => format!("({first} + INTERVAL '{} month')::date", self.random.random_range(-14..14)),
            _ => format!("make_date({}, {}, 28)", self.random.random_range(1970..2030), self.up_to(12)),
        }
    }

    fn timestamp(&mut self, scope: &Scope, depth: u32) -> String {
        let first = self.value(scope, Kind::Timestamp, depth);
        match self.random.random_range(0..5) {
            0 => format!("({})::timestamp", self.value(scope, Kind::Date, depth)),
            1 => {
                let unit = self.pick(&["hour", "day", "minute", "month", "week", "second"]);
                format!("date_trunc('{unit}', {first})")
            }
            2 => format!("({first} - INTERVAL '{} days 3 hours')", self.random.random_range(0..99)),
            3 => format!(
                "({first} + INTERVAL '{}')",
                self.pick(&["1 month", "1 year 2 mons", "90 minutes", "1 week"])
            ),
            _ => format!("({first} + ({} || ' hours')::interval)", self.leaf_of_hours(scope)),
        }
    }

    fn leaf_of_hours(&mut self, scope: &Scope) -> String {
        format!("({})::text", self.leaf(scope, Kind::Integer))
    }
}
