//! INSERT, UPDATE and DELETE with RETURNING, each of few rows, so that the tables stay about as large as they were.

use super::scope::{Scope, TABLES};
use super::{Generator, Kind};
use rand::Rng;

impl Generator {
    pub fn change(&mut self) -> String {
        let (table, columns, _) = TABLES[self.random.random_range(0..2)];
        match self.random.random_range(0..10) {
            0..4 => self.insert(table, columns),
            4..7 => self.update(table, columns),
            7 => self.insert_query(table),
            _ => self.delete(table),
        }
    }

    /// Rows come back in no order, so either one is returned or none.
    fn insert(&mut self, table: &str, columns: &[(&str, Kind)]) -> String {
        let id = self.random.random_range(1_000..2_000);
        if self.chance(50) {
            return format!("INSERT INTO {table} VALUES {} RETURNING *", self.row(columns, id));
        }
        let (first, second) = (self.row(&columns[..2], id), self.row(&columns[..2], id + 5_000));
        format!("INSERT INTO {table} ({}, {}) VALUES {first}, {second}", columns[0].0, columns[1].0)
    }

    fn insert_query(&mut self, table: &str) -> String {
        let condition = self.condition(&Scope::of_table("x", TABLES[1].1), 1);
        format!(
            "INSERT INTO {table} (id, c, s) SELECT x.id + 3000, x.c, upper(x.s) FROM u x WHERE {condition} AND x.id < 4"
        )
    }

    fn update(&mut self, table: &str, columns: &[(&str, Kind)]) -> String {
        let (name, kind) = columns[self.random.random_range(2..columns.len())];
        let scope = Scope::of_table(table, columns);
        let value = match kind {
            // Sums of quarters are exact, and what is added up must not grow without end.
            Kind::Double | Kind::Bigint | Kind::Integer | Kind::Numeric => self.literal(kind),
            _ => self.value(&scope, kind, 1),
        };
        let value = if kind == Kind::Text { format!("left({value}, 12)") } else { value };
        let modulus = self.random.random_range(3..9);
        let which = format!("id % {modulus} = {}", self.random.random_range(0..modulus));
        if self.chance(30) {
            return format!(
                "UPDATE {table} SET {name} = {value} FROM u y WHERE y.id = {table}.id AND y.{which}"
            );
        }
        if self.chance(40) {
            let id = self.random.random_range(1..15);
            return format!(
                "UPDATE {table} SET {name} = {value} WHERE id = {id} AND id < 40 RETURNING {table}.*"
            );
        }
        format!("UPDATE {table} SET {name} = {value} WHERE {which}")
    }

    fn delete(&mut self, table: &str) -> String {
        match self.random.random_range(0..3) {
            0 => format!("DELETE FROM {table} WHERE id > 1000"),
            1 => format!("DELETE FROM {table} WHERE id = {} AND c IS NULL RETURNING id, c", self.up_to(60)),
            _ => {
                let condition = self.condition(&Scope::of_table("q", TABLES[1].1), 1);
                format!("DELETE FROM {table} WHERE id > 900 AND c IN (SELECT q.c FROM u q WHERE {condition})")
            }
        }
    }
}
