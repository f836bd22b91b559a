//! Truth values: comparisons, patterns, lists, NULL tests and subqueries.

use super::scope::{Scope, TABLES};
use super::{Generator, Kind};
use rand::Rng;

const COMPARISONS: [&str; 6] = ["=", "<>", "<", "<=", ">", ">="];

impl Generator {
    pub fn condition(&mut self, scope: &Scope, depth: u32) -> String {
        if depth == 0 {
            return self.comparison(scope, 0);
        }
        match self.random.random_range(0..20) {
            0..5 => self.comparison(scope, depth - 1),
            5 | 6 => {
                let (first, second) = (self.condition(scope, depth - 1), self.condition(scope, depth - 1));
                format!("({first} AND {second})")
            }
            7 | 8 => {
                let (first, second) = (self.condition(scope, depth - 1), self.condition(scope, depth - 1));
                format!("({first} OR {second})")
            }
            9 => format!("(NOT {})", self.condition(scope, depth - 1)),
            10 => {
                let kind = self.kind();
                let value = self.value(scope, kind, depth - 1);
                format!("({value} {})", self.pick(&["IS NULL", "IS NOT NULL"]))
            }
            11 => self.in_list(scope, depth - 1),
            12 => {
                let kind = self.kind_with_order();
                let value = self.value(scope, kind, depth - 1);
                let negated = self.pick(&["", "NOT "]);
                format!("({value} {negated}BETWEEN {} AND {})", self.literal(kind), self.literal(kind))
            }
            13 | 14 => self.pattern(scope, depth - 1),
            15 => {
                let kind = self.kind();
                let (first, second) = (self.value(scope, kind, depth - 1), self.value(scope, kind, 0));
                format!("({first} IS {}DISTINCT FROM {second})", self.pick(&["", "NOT "]))
            }
            16 => {
                let value = self.condition(scope, depth - 1);
                format!("({value} IS {})", self.pick(&["TRUE", "NOT TRUE", "FALSE", "NOT FALSE", "UNKNOWN"]))
            }
            17 => self.in_subquery(scope),
            18 => self.exists(scope),
            _ => self.quantified(scope),
        }
    }

    fn comparison(&mut self, scope: &Scope, depth: u32) -> String {
        let kind = self.kind_with_order();
        let first = self.value(scope, kind, depth);
        let operator = self.pick(&COMPARISONS);
        format!("({first} {operator} {})", self.value(scope, kind, depth))
    }

    fn kind_with_order(&mut self) -> Kind {
        loop {
            let kind = self.kind();
            if kind != Kind::Boolean {
                return kind;
            }
        }
    }

    fn in_list(&mut self, scope: &Scope, depth: u32) -> String {
        let kind = self.kind_with_order();
        let value = self.value(scope, kind, depth);
        let mut values: Vec<String> = (0..self.up_to(4)).map(|_| self.literal(kind)).collect();
        if self.chance(15) {
            values.push("NULL".to_string());
        }
        format!("({value} {}IN ({}))", self.pick(&["", "NOT "]), values.join(", "))
    }

    fn pattern(&mut self, scope: &Scope, depth: u32) -> String {
        let value = self.value(scope, Kind::Text, depth);
        if self.chance(70) {
            let operator = self.pick(&["LIKE", "ILIKE", "NOT LIKE", "NOT ILIKE"]);
            let pattern =
                self.pick(&["'a%'", "'%b%'", "'_bc%'", "'%'", "''", "'a\\_b%'", "'%ß%'", "'ABC%'", "'%,%'"]);
            return format!("({value} {operator} {pattern})");
        }
        let operator = self.pick(&["~", "~*", "!~", "!~*"]);
        format!(
            "({value} {operator} {})",
            self.pick(&["'^a'", "'b+'", "'[0-9]+$'", "'(abc|x)'", "'\\s'", "'^$'"])
        )
    }

    /// One of the tables, and an alias for it that is not used anywhere else.
    fn inner_table(&mut self) -> (&'static str, String, Scope) {
        let (table, columns, _) = TABLES[self.random.random_range(0..TABLES.len())];
        let alias = self.name('q');
        let scope = Scope::of_table(&alias, columns);
        (table, alias, scope)
    }

    fn in_subquery(&mut self, scope: &Scope) -> String {
        let kind = [Kind::Integer, Kind::Numeric, Kind::Text][self.random.random_range(0..3)];
        let value = self.value(scope, kind, 1);
        let (table, alias, inner) = self.inner_table();
        let (inner_value, condition) = (self.value(&inner, kind, 0), self.condition(&inner, 1));
        let negated = self.pick(&["", "", "NOT "]);
        format!("({value} {negated}IN (SELECT {inner_value} FROM {table} {alias} WHERE {condition}))")
    }

    fn exists(&mut self, scope: &Scope) -> String {
        let (table, alias, inner) = self.inner_table();
        let condition = self.condition(&inner, 1);
        let outer = self.value(scope, Kind::Integer, 0);
        let operator = self.pick(&["=", "=", "=", "<", "<>"]);
        let negated = self.pick(&["", "NOT "]);
        format!(
            "({negated}EXISTS (SELECT 1 FROM {table} {alias} WHERE {alias}.c {operator} {outer} AND {condition}))"
        )
    }

    fn quantified(&mut self, scope: &Scope) -> String {
        let value = self.value(scope, Kind::Integer, 1);
        let (table, alias, _) = self.inner_table();
        let operator = self.pick(&COMPARISONS);
        let quantifier = self.pick(&["ANY", "ALL"]);
        format!("({value} {operator} {quantifier} (SELECT {alias}.c FROM {table} {alias}))")
    }
}

impl Scope {
    pub fn of_table(alias: &str, columns: &[(&str, Kind)]) -> Scope {
        let column = |(name, kind): &(&str, Kind)| super::scope::Named {
            text: format!("{alias}.{name}"),
            kind: *kind,
        };
        Scope { columns: columns.iter().map(column).collect() }
    }
}
