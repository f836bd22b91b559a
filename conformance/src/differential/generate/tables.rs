//! Statements that make tables and change how they are kept: columns, partitions, order, branches, upkeep.

use super::conditions::Side;
use super::generator::{Generator, ROWS_MAX};
use crate::differential::features::Feature;
use crate::differential::statement::{
    Alter, Definition, NewColumn, PartitionBy, Reference, Statement, Upkeep,
};
use crate::differential::table::{Lake, MAIN, Table, Transform};
use crate::differential::transform;
use crate::differential::value::Type;
use rand::Rng;
use rand::seq::IndexedRandom;

/// Few names, so that a dropped column's name comes back with another meaning.
const NAMES: [&str; 9] = ["a", "b", "c", "d", "e", "f", "Mixed Case", "select", "größe"];
const BRANCHES: [&str; 3] = ["work", "audit", "b3"];
const TAGS: [&str; 3] = ["v1", "v2", "release"];

impl Generator {
    pub fn create(&mut self, name: &str) -> Statement {
        let format = if self.chance(50) { 3 } else { 2 };
        // Every table can be joined with every other.
        let mut columns =
            vec![NewColumn { name: "id".into(), kind: Type::Bigint, not_null: false, default: None }];
        if self.chance(40) {
            columns[0].kind = Type::Integer;
        }
        let width = self.random.random_range(1..6);
        for name in &NAMES[..width] {
            columns.push(self.column(name, format));
        }
        let partition = self.partition(&columns);
        let definition = Definition { partition, format, properties: self.properties() };
        Statement::Create { table: name.to_string(), columns, definition }
    }

    fn column(&mut self, name: &str, format: u8) -> NewColumn {
        let kind = self.kind();
        let default = if format == 3 && self.has(Feature::Defaults) && self.chance(20) {
            Some(self.value(kind))
        } else {
            None
        };
        let not_null = kind != Type::Uuid && self.chance(6);
        NewColumn { name: name.to_string(), kind, not_null, default }
    }

    fn partition(&mut self, columns: &[NewColumn]) -> Vec<PartitionBy> {
        let mut fields: Vec<PartitionBy> = Vec::new();
        for _ in 0..[0, 0, 1, 1, 2][self.random.random_range(0..5)] {
            let Some(column) = columns.choose(&mut self.random) else { continue };
            if let Some(field) = self.partition_field(&column.name, column.kind)
                && fields.iter().all(|other| other.column != field.column)
            {
                fields.push(field);
            }
        }
        fields
    }

    fn partition_field(&mut self, column: &str, kind: Type) -> Option<PartitionBy> {
        let all = [
            Transform::Identity,
            Transform::Year,
            Transform::Month,
            Transform::Day,
            Transform::Hour,
            Transform::Bucket(4),
            Transform::Truncate(3),
        ];
        let allowed: Vec<Transform> =
            all.into_iter().filter(|transform| transform::is_allowed(*transform, kind)).collect();
        let transform = *allowed.choose(&mut self.random)?;
        if kind == Type::Uuid && transform == Transform::Identity && !self.has(Feature::UuidPartitions) {
            return None;
        }
        Some(PartitionBy { column: column.to_string(), transform })
    }

    fn properties(&mut self) -> Vec<(String, String)> {
        let mut properties = Vec::new();
        if !self.has(Feature::Properties) {
            return properties;
        }
        for verb in ["delete", "update", "merge"] {
            if self.chance(70) {
                properties.push((format!("write.{verb}.mode"), self.mode()));
            }
        }
        if self.chance(30) {
            properties.push(("write.parquet.row-group-size-bytes".into(), "4096".into()));
        }
        properties
    }

    fn mode(&mut self) -> String {
        if self.chance(50) { "copy-on-write".into() } else { "merge-on-read".into() }
    }

    /// A new table, empty or made of another.
    pub fn new_table(&mut self, lake: &Lake, names: &[String]) -> Option<Statement> {
        let table = self.table_name();
        if self.chance(50) {
            return Some(self.create(&table));
        }
        let source = self.one(names)?.clone();
        let state = lake.tables.get(&source)?.state();
        if state.rows.len() > ROWS_MAX {
            return None;
        }
        let side = Side { number: 0, columns: &state.columns };
        let filter = if self.chance(50) { Some(self.condition(lake, &[side], 1)) } else { None };
        let columns: Vec<NewColumn> = state
            .columns
            .iter()
            .map(|c| NewColumn { name: c.name.clone(), kind: c.kind, not_null: false, default: None })
            .collect();
        let format = if self.chance(50) { 3 } else { 2 };
        let definition =
            Definition { partition: self.partition(&columns), format, properties: self.properties() };
        Some(Statement::CreateAs { table, source, filter, definition })
    }

    pub fn alter(&mut self, name: &str, table: &Table) -> Option<Statement> {
        let column = table.columns.choose(&mut self.random)?.clone();
        let other = table.columns.choose(&mut self.random)?.name.clone();
        let new_name = NAMES[self.random.random_range(0..NAMES.len())].to_string();
        let alter = match self.random.random_range(0..20) {
            0..4 if self.has(Feature::Columns) => Alter::Add(self.column(&new_name, table.format)),
            4..6 if self.has(Feature::Columns) && column.name != "id" => Alter::Drop(column.name),
            6..9 if self.has(Feature::Columns) && column.name != "id" => Alter::Rename(column.name, new_name),
            9 | 10 if self.has(Feature::Columns) => Alter::Widen(column.name),
            11 | 12 if self.has(Feature::Columns) => match self.chance(30) {
                true => Alter::Move(column.name, None),
                false if other != column.name => Alter::Move(column.name, Some(other)),
                false => return None,
            },
            13 if self.has(Feature::Defaults) => {
                let value = if self.chance(70) { Some(self.value(column.kind)) } else { None };
                Alter::SetDefault(column.name, value)
            }
            14 if self.has(Feature::Columns) && column.not_null => Alter::DropNotNull(column.name),
            15 | 16 if self.has(Feature::Partitions) => {
                Alter::AddPartition(self.partition_field(&column.name, column.kind)?)
            }
            17 if self.has(Feature::Partitions) => {
                let field = table.partition.choose(&mut self.random)?;
                let column = table.columns.iter().find(|column| column.id == field.column)?;
                Alter::DropPartition(PartitionBy { column: column.name.clone(), transform: field.transform })
            }
            18 if self.has(Feature::Ordered) => {
                Alter::OrderedBy(vec![(column.name, self.chance(40), self.chance(50))])
            }
            19 if self.has(Feature::Properties) && self.has(Feature::Columns) => {
                if table.format == 2 && self.chance(30) {
                    Alter::FormatThree
                } else {
                    let verb = ["delete", "update", "merge"][self.random.random_range(0..3)];
                    Alter::Property(format!("write.{verb}.mode"), self.mode())
                }
            }
            _ => return None,
        };
        Some(Statement::Alter { table: name.to_string(), alter })
    }

    pub fn upkeep(&mut self, name: &str, table: &Table) -> Option<Statement> {
        let column = table.columns.choose(&mut self.random)?.name.clone();
        let upkeep = match self.random.random_range(0..12) {
            0..4 if self.has(Feature::Optimize) => Upkeep::Optimize,
            4 if self.has(Feature::Optimize) => Upkeep::OptimizeSorted(column),
            5 if self.has(Feature::Manifests) => Upkeep::RewriteManifests,
            6 | 7 if self.has(Feature::Deletes) => Upkeep::RewriteDeletes,
            8 | 9 if self.has(Feature::Expire) => Upkeep::Expire(self.random.random_range(1..6)),
            10 if self.has(Feature::Analyze) => Upkeep::Analyze,
            11 if self.has(Feature::Expire) => Upkeep::RemoveOrphans,
            _ => return None,
        };
        Some(Statement::Upkeep { table: name.to_string(), upkeep })
    }

    pub fn reference(&mut self, name: &str, table: &Table) -> Option<Statement> {
        if !self.has(Feature::References) {
            return None;
        }
        let branch = BRANCHES[self.random.random_range(0..BRANCHES.len())].to_string();
        let tag = TAGS[self.random.random_range(0..TAGS.len())].to_string();
        let reference = match self.random.random_range(0..10) {
            0..3 => Reference::CreateBranch(branch),
            3..5 => Reference::CreateTag(tag),
            5 => Reference::DropBranch(branch),
            6 => Reference::DropTag(tag),
            7 | 8 if self.has(Feature::Rollback) => Reference::FastForward(branch),
            9 if self.has(Feature::Rollback) => {
                let main: Vec<_> = table.history.iter().filter(|one| one.branch == MAIN).collect();
                Reference::RollBack(main.choose(&mut self.random)?.step)
            }
            _ => return None,
        };
        Some(Statement::Reference { table: name.to_string(), reference })
    }
}
