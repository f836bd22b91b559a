//! Planted bugs: an engine that is the model itself with one thing wrong. Each must be found, and its program made
//! short; without a bug nothing may be found.

use super::answer;
use super::apply::{Expect, Model};
use super::engine::{Engine, Facts};
use super::features::Feature;
use super::generate::Generator;
use super::player::{Kind, Played, Player};
use super::program::{Action, Step};
use super::query::{Query, Version};
use super::shrink;
use super::statement::{Block, Printer, Statement};
use super::table::{MAIN, Snapshot};
use super::value::{Type, Value};
use crate::Result;
use crate::client::{Answer, Failure, SqlError};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    None,
    LosesARow,
    RowTwiceUnderLimit,
    CountsOneTooMany,
    TimeTravelIsNow,
    RollbackKeeps,
    NullsAtTheOtherEnd,
    DeleteDeletesNothing,
    LosesSnapshots,
    RefusesMerge,
}

struct Planted {
    bug: Bug,
    model: Model,
    /// The number of the step that is played.
    now: usize,
}

impl Planted {
    fn new(bug: Bug) -> Planted {
        Planted { bug, model: Model::default(), now: 0 }
    }

    fn statement(&mut self, statement: &Statement) -> std::result::Result<Answer, Failure> {
        match (self.bug, statement) {
            (Bug::RollbackKeeps, Statement::Block(Block::Rollback)) => {
                let kept = self.model.lake.clone();
                self.model.apply(statement).ok();
                self.model.lake = kept;
                return Ok(Answer::default());
            }
            (Bug::DeleteDeletesNothing, Statement::Delete { .. }) => {
                let kept = self.model.lake.clone();
                let answer = self.obey(statement);
                self.model.lake = kept;
                return answer;
            }
            (Bug::RefusesMerge, Statement::Merge { .. }) => return Err(refused("XX000")),
            _ => {}
        }
        self.obey(statement)
    }

    fn obey(&mut self, statement: &Statement) -> std::result::Result<Answer, Failure> {
        match self.model.apply(statement) {
            Ok(Expect::Count(count)) => Ok(Answer { count, ..Answer::default() }),
            Ok(Expect::Done) => Ok(Answer::default()),
            Ok(Expect::Refused(state)) => Err(refused(state)),
            Err(_) => Err(refused("0A000")),
        }
    }

    fn query(&self, query: &Query) -> std::result::Result<Answer, Failure> {
        if self.model.aborted {
            return Err(refused("25P02"));
        }
        let mut query = query.clone();
        if self.bug == Bug::TimeTravelIsNow && matches!(query.source.version, Version::After(_)) {
            query.source.version = Version::Current;
        }
        if self.bug == Bug::NullsAtTheOtherEnd {
            query.order.iter_mut().for_each(|key| key.nulls_first = !key.nulls_first);
        }
        let printer = Printer { lake: &self.model.lake, schema: "" };
        let expected = answer::expected(&printer, &query).map_err(|_| refused("42703"))?;
        let end = expected.limit.map_or(expected.rows.len(), |limit| expected.offset + limit);
        let mut rows: Vec<Vec<Value>> = expected.rows;
        rows.truncate(end);
        rows.drain(..expected.offset.min(rows.len()));
        match self.bug {
            Bug::LosesARow if rows.len() > 5 => drop(rows.pop()),
            Bug::RowTwiceUnderLimit if expected.limit.is_some() && rows.len() > 1 => {
                rows[0] = rows[1].clone()
            }
            Bug::CountsOneTooMany => {
                if let ([Type::Bigint], [Value::Integer(count)]) =
                    (expected.types.as_slice(), rows.iter_mut().flatten().collect::<Vec<_>>().as_mut_slice())
                {
                    *count += 1;
                }
            }
            _ => {}
        }
        let cell = |(value, kind): (&Value, &Type)| text(value, *kind);
        let rows = rows.iter().map(|row| row.iter().zip(&expected.types).map(cell).collect()).collect();
        Ok(Answer { rows, ..Answer::default() })
    }
}

fn refused(state: &str) -> Failure {
    let (sqlstate, message) = (state.to_string(), String::new());
    Failure::Refused(SqlError { sqlstate, message, detail: None, hint: None, position: None })
}

/// A value as a server would send it.
fn text(value: &Value, kind: Type) -> Option<String> {
    let literal = value.sql(kind);
    match value {
        Value::Null => None,
        Value::Boolean(truth) => Some(if *truth { "t".into() } else { "f".into() }),
        Value::Integer(number) => Some(number.to_string()),
        Value::Text(text) => Some(text.clone()),
        _ => literal.split('\'').nth(1).map(str::to_string),
    }
}

impl Engine for Planted {
    async fn prepare(&mut self) -> Result<String> {
        self.model = Model::default();
        self.now = 0;
        Ok("planted".into())
    }

    async fn clear(&mut self, _schema: &str) {}

    async fn run(&mut self, step: &Step, _sql: &str) -> std::result::Result<Answer, Failure> {
        self.now = step.number;
        match &step.action {
            Action::Statement(statement) => self.statement(statement),
            Action::Query(query) => self.query(query),
        }
    }

    /// A snapshot for every look at a table, so that the snapshot of a step is known by its number.
    async fn facts(&mut self, _schema: &str, name: &str) -> Result<Facts> {
        let id = self.now as i64 + 1;
        let table = self.model.lake.table_mut(name).map_err(|_| "no such table")?;
        let state = table.state();
        let known = Snapshot { step: self.now, id, at_ms: id, branch: MAIN.into(), state };
        table.history.push(known);
        table.heads.insert(MAIN.into(), id);
        let mut snapshots: BTreeMap<i64, i64> =
            table.history.iter().map(|snapshot| (snapshot.id, snapshot.at_ms)).collect();
        if self.bug == Bug::LosesSnapshots && snapshots.len() > 3 {
            snapshots.pop_first();
        }
        let references = BTreeMap::from([(MAIN.to_string(), id)]);
        Ok(Facts { references, snapshots, ..Facts::default() })
    }
}

/// Without what this engine cannot do: it learns of a snapshot only when the player asks. Columns stay as they are, so
/// that reading the wrong snapshot gives wrong rows and not an error.
fn features() -> std::collections::BTreeSet<Feature> {
    Feature::all_but(&[
        Feature::Columns,
        Feature::References,
        Feature::BranchWrites,
        Feature::Rollback,
        Feature::Expire,
    ])
}

/// Plays programs until one fails; gives its kind and its length after shrinking.
fn hunt(bug: Bug) -> Option<(Kind, usize)> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async {
        for seed in 0..40 {
            let mut generator = Generator::new(seed, features());
            let mut engine = Planted::new(bug);
            let mut player = Player::new(&mut engine).await.expect("it is always ready");
            let mut steps = Vec::new();
            for number in 0..60 {
                steps.push(Step { number, action: generator.next(&player.model) });
                match player.step(&steps[steps.len() - 1]).await.expect("it never breaks") {
                    Played::Passed => {}
                    Played::Skipped => drop(steps.pop()),
                    Played::Failed(finding) => {
                        let patience = Duration::from_secs(10);
                        let shrunk = shrink::shrink(&mut engine, &steps, &finding, patience).await;
                        let shrunk = shrunk.expect("it never breaks").expect("it fails every time");
                        return Some((shrunk.finding.kind, shrunk.steps.len()));
                    }
                }
            }
        }
        None
    })
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(hunt(Bug::None), None);
}

#[test]
fn every_planted_bug_is_found_and_its_program_is_short() {
    let bugs = [
        (Bug::LosesARow, Kind::Rows),
        (Bug::RowTwiceUnderLimit, Kind::Rows),
        (Bug::CountsOneTooMany, Kind::Rows),
        (Bug::TimeTravelIsNow, Kind::Rows),
        (Bug::RollbackKeeps, Kind::Rows),
        (Bug::NullsAtTheOtherEnd, Kind::Rows),
        (Bug::DeleteDeletesNothing, Kind::Rows),
        (Bug::LosesSnapshots, Kind::Snapshots),
        (Bug::RefusesMerge, Kind::Refused("XX000".into())),
    ];
    for (bug, kind) in bugs {
        let (found, steps) = hunt(bug).unwrap_or_else(|| panic!("{bug:?} is not found"));
        assert_eq!(found, kind, "{bug:?}");
        assert!(steps <= 8, "{bug:?}: the shortest program has {steps} steps");
    }
}
