//! Which kind of step comes next. It must never look at an answer.

use crate::differential::apply::{Expect, Model};
use crate::differential::features::Feature;
use crate::differential::program::Action;
use crate::differential::statement::{Block, Statement};
use crate::differential::table::{MAIN, Table};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeSet, VecDeque};

const TABLES_MAX: usize = 4;
/// Rows beyond which a table gets no more.
pub const ROWS_MAX: usize = 6000;
const ATTEMPTS_MAX: usize = 30;

pub struct Generator {
    pub random: StdRng,
    features: BTreeSet<Feature>,
    pending: VecDeque<Action>,
    tables_made: usize,
}

impl Generator {
    pub fn new(seed: u64, features: BTreeSet<Feature>) -> Generator {
        let random = StdRng::seed_from_u64(seed);
        Generator { random, features, pending: VecDeque::new(), tables_made: 0 }
    }

    pub fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }

    pub fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    pub fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.choose(&mut self.random)
    }

    pub fn next(&mut self, model: &Model) -> Action {
        if let Some(action) = self.pending.pop_front() {
            return action;
        }
        let tables = model.lake.tables.len();
        if tables > 0
            && (model.aborted || self.chance(45))
            && let Some(query) = self.query(&model.lake)
        {
            return Action::Query(query);
        }
        for _ in 0..ATTEMPTS_MAX {
            let Some(statement) = self.candidate(model) else { continue };
            let Ok(expect) = model.clone().apply(&statement) else { continue };
            // Refused statements are worth a try now and then.
            if matches!(expect, Expect::Refused(_)) && !model.aborted && !self.chance(10) {
                continue;
            }
            if let (Some(table), true) = (statement.table(), self.chance(60))
                && !matches!(statement, Statement::Drop { .. })
            {
                self.pending.push_back(Action::everything(table));
            }
            return Action::Statement(statement);
        }
        let name = self.table_name();
        Action::Statement(self.create(&name))
    }

    pub fn table_name(&mut self) -> String {
        self.tables_made += 1;
        format!("t{}", self.tables_made)
    }

    fn candidate(&mut self, model: &Model) -> Option<Statement> {
        let names: Vec<String> = model.lake.tables.keys().cloned().collect();
        let in_block = model.begun.is_some();
        let may_define = !in_block || self.has(Feature::TransactionDdl);
        if names.len() < 2 && may_define {
            let name = self.table_name();
            return Some(self.create(&name));
        }
        if model.aborted {
            return Some(Statement::Block(self.end_of_block(model)));
        }
        let name = self.one(&names)?.clone();
        let table = model.lake.tables.get(&name)?;
        if table.state().rows.is_empty() && self.chance(80) {
            return self.insert(&name, table, MAIN);
        }
        let dice = self.random.random_range(0..100);
        match dice {
            0..8 if self.has(Feature::Transactions) => Some(Statement::Block(self.block(model))),
            8..12 if in_block => Some(Statement::Block(self.end_of_block(model))),
            12..16 if names.len() < TABLES_MAX && may_define => self.new_table(&model.lake, &names),
            16..18 if names.len() > 2 && may_define => Some(Statement::Drop { table: name }),
            18..30 if may_define => self.alter(&name, table),
            30..36 if !in_block => self.upkeep(&name, table),
            36..42 if !in_block => self.reference(&name, table),
            _ => self.change(&model.lake, &name, table),
        }
    }

    fn block(&mut self, model: &Model) -> Block {
        if model.begun.is_none() {
            Block::Begin
        } else if self.chance(50) {
            let number = model.savepoints.len();
            Block::Savepoint(format!("s{number}"))
        } else {
            self.end_of_block(model)
        }
    }

    fn end_of_block(&mut self, model: &Model) -> Block {
        if let Some((name, _)) = model.savepoints.choose(&mut self.random)
            && self.chance(40)
        {
            return Block::RollbackTo(name.clone());
        }
        if self.chance(65) { Block::Commit } else { Block::Rollback }
    }

    /// A branch to write to: main, or now and then another.
    pub fn branch(&mut self, table: &Table) -> String {
        let others: Vec<String> = table.branches.keys().filter(|name| *name != MAIN).cloned().collect();
        if self.has(Feature::BranchWrites)
            && self.chance(25)
            && let Some(name) = self.one(&others)
        {
            return name.clone();
        }
        MAIN.to_string()
    }
}
