//! Plays a program step by step on an engine and on the model, and says where they differ first.

use super::answer;
use super::apply::{Expect, Model};
use super::engine::{Engine, Facts};
use super::program::{Action, Step};
use super::query::Query;
use super::statement::{Block, Printer, Statement, Upkeep};
use super::table::{Applied, MAIN, Snapshot, Table};
use crate::Result;
use crate::client::Failure;

/// The kind of a difference; a shorter program must show the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Rows,
    Count,
    Refused(String),
    NotRefused,
    Lost,
    Snapshots,
}

#[derive(Clone, Debug)]
pub struct Finding {
    pub kind: Kind,
    pub words: String,
    /// Everything that was said to the server, the last of it the step that failed.
    pub script: Vec<String>,
}

impl Finding {
    /// Alike for findings that differ only in names and numbers.
    pub fn words_without_names(&self) -> String {
        let is_plain = |word: &&str| word.chars().all(|c| c.is_ascii_alphabetic());
        let words: Vec<&str> = self.words.split_whitespace().filter(is_plain).take(8).collect();
        format!("{:?} {}", self.kind, words.join(" "))
    }
}

#[derive(Clone, Debug)]
pub enum Played {
    Passed,
    /// It means nothing here.
    Skipped,
    Failed(Finding),
}

pub struct Player<'a, E: Engine> {
    engine: &'a mut E,
    pub schema: String,
    pub model: Model,
    pub script: Vec<String>,
    /// The transaction has changed columns: the columns of its snapshots are not known.
    altered: bool,
}

impl<'a, E: Engine> Player<'a, E> {
    pub async fn new(engine: &'a mut E) -> Result<Player<'a, E>> {
        let schema = engine.prepare().await?;
        let script = vec![format!("CREATE SCHEMA {schema}")];
        Ok(Player { engine, schema, model: Model::default(), script, altered: false })
    }

    pub async fn end(self) {
        self.engine.clear(&self.schema).await;
    }

    /// Plays a whole program; the schema is gone afterwards.
    pub async fn play(engine: &'a mut E, steps: &[Step]) -> Result<Option<Finding>> {
        let mut player = Player::new(engine).await?;
        let mut finding = None;
        for step in steps {
            if let Played::Failed(found) = player.step(step).await? {
                finding = Some(found);
                break;
            }
        }
        player.end().await;
        Ok(finding)
    }

    pub async fn step(&mut self, step: &Step) -> Result<Played> {
        let outcome = match &step.action {
            Action::Statement(statement) => self.statement(step, statement).await?,
            Action::Query(query) => self.query(step, query).await,
        };
        Ok(match outcome {
            Err(_) => Played::Skipped,
            Ok(None) => Played::Passed,
            Ok(Some((kind, words))) => Played::Failed(Finding { kind, words, script: self.script.clone() }),
        })
    }

    fn printer(&self) -> Printer<'_> {
        Printer { lake: &self.model.lake, schema: &self.schema }
    }

    async fn query(&mut self, step: &Step, query: &Query) -> Applied<Option<(Kind, String)>> {
        let expected = answer::expected(&self.printer(), query)?;
        let sql = self.printer().query(query)?;
        self.script.push(sql.clone());
        let answered = self.engine.run(step, &sql).await;
        Ok(match answered {
            Err(Failure::Refused(error)) if self.model.aborted && error.sqlstate == "25P02" => None,
            Err(failure) => Some(unexpected(&failure)),
            Ok(_) if self.model.aborted => Some((Kind::NotRefused, "the transaction was aborted".into())),
            Ok(answer) => expected.judge(&answer.rows).map(|words| (Kind::Rows, words)),
        })
    }

    async fn statement(
        &mut self,
        step: &Step,
        statement: &Statement,
    ) -> Result<Applied<Option<(Kind, String)>>> {
        let mut after = self.model.clone();
        let prepared =
            after.apply(statement).and_then(|expect| Ok((expect, self.printer().statement(statement)?)));
        let Ok((expect, sql)) = prepared else { return Ok(Err(super::table::Inapplicable)) };
        self.script.push(sql.clone());
        let answered = self.engine.run(step, &sql).await;
        let difference = match (answered, &expect) {
            (Err(Failure::Refused(error)), Expect::Refused(state)) if error.sqlstate == **state => None,
            (Err(failure), _) => Some(unexpected(&failure)),
            (Ok(_), Expect::Refused(state)) => Some((Kind::NotRefused, format!("expected error {state}"))),
            (Ok(answer), Expect::Count(count)) if answer.count != *count => {
                Some((Kind::Count, format!("the tag says {}, expected {count}", answer.count)))
            }
            (Ok(_), _) => None,
        };
        if difference.is_some() {
            return Ok(Ok(difference));
        }
        let ends_block = matches!(statement, Statement::Block(Block::Commit | Block::Rollback));
        self.model = after;
        self.altered |= matches!(statement, Statement::Alter { .. }) && self.model.begun.is_some();
        let looked = self.look(step.number, statement).await?;
        // At the commit it still counts: that is where the snapshots of the transaction are seen.
        self.altered &= !ends_block;
        Ok(Ok(looked))
    }

    /// Learns which snapshots the tables have now.
    async fn look(&mut self, step: usize, statement: &Statement) -> Result<Option<(Kind, String)>> {
        if self.model.begun.is_some() {
            return Ok(None);
        }
        let names: Vec<String> = match statement.table() {
            Some(table) => vec![table.to_string()],
            None => self.model.lake.tables.keys().cloned().collect(),
        };
        let may_lose = match statement {
            Statement::Upkeep { upkeep: Upkeep::Expire(_), .. } => true,
            // With the branch go the snapshots that only it had, at the next expiry.
            Statement::Block(_) => true,
            _ => false,
        };
        let is_known = !matches!(statement, Statement::Block(_)) || !self.altered;
        for name in names {
            let facts = match self.model.lake.tables.get(&name) {
                Some(_) => self.engine.facts(&self.schema, &name).await?,
                None => continue,
            };
            let Ok(table) = self.model.lake.table_mut(&name) else { continue };
            if let Some(words) = record(table, step, &facts, may_lose, is_known) {
                return Ok(Some((Kind::Snapshots, format!("{name}: {words}"))));
            }
        }
        Ok(None)
    }
}

fn unexpected(failure: &Failure) -> (Kind, String) {
    match failure {
        Failure::Refused(error) => (Kind::Refused(error.sqlstate.clone()), error.to_string()),
        Failure::Lost(reason) => (Kind::Lost, reason.clone()),
    }
}

/// Takes what the metadata says into the model's history; what must not be is said in words.
pub fn record(
    table: &mut Table,
    step: usize,
    facts: &Facts,
    may_lose: bool,
    is_known: bool,
) -> Option<String> {
    if let Some(file) = facts.missing.first() {
        return Some(format!("{file} is named and not there"));
    }
    for (name, id) in &facts.references {
        if !facts.snapshots.contains_key(id) {
            return Some(format!("{name} points to snapshot {id}, which is gone"));
        }
    }
    let lost = table.history.iter().find(|snapshot| !facts.snapshots.contains_key(&snapshot.id));
    if let (Some(lost), false) = (lost, may_lose) {
        return Some(format!("the snapshot {} of step {} is gone", lost.id, lost.step));
    }
    table.history.retain(|snapshot| facts.snapshots.contains_key(&snapshot.id));
    let names = table.branches.keys().chain(table.tags.keys()).filter(|name| *name != MAIN);
    if let Some(missing) = names.clone().find(|name| !facts.references.contains_key(*name)) {
        return Some(format!("the branch or tag {missing} is gone"));
    }
    for (branch, id) in &facts.references {
        let Some(state) = table.branch(branch) else { continue };
        if table.heads.insert(branch.clone(), *id) == Some(*id) || !is_known {
            continue;
        }
        if !table.history.iter().any(|snapshot| snapshot.id == *id) {
            let at_ms = facts.snapshots.get(id).copied().unwrap_or_default();
            table.history.push(Snapshot { step, id: *id, at_ms, branch: branch.clone(), state });
        }
    }
    None
}
