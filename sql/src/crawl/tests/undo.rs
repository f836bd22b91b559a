//! Plans and undo: whatever happens to a folder between two runs, applying the plan does what the run would have done, a
//! second run is empty, and taking runs back restores every table as it was.

use tarn_catalog::crawler::{CrawlOptions, OnDelete, RunState};
use tarn_catalog::object::Relation;

use super::*;
use crate::crawl::{Mode, stored};

impl Lake {
    async fn crawl_in(&self, mode: Mode, on_delete: OnDelete) -> CrawlReport {
        let request = CrawlRequest {
            locations: vec![self.landing().display().to_string()],
            schema: "raw".to_owned(),
            options: CrawlOptions { on_delete, ..CrawlOptions::default() },
            mode,
            ..CrawlRequest::default()
        };
        let state = self.context.state();
        crawl(request, &self.principal(), &self.catalog, &state).await.expect("the crawl runs")
    }

    /// Everything in the schema, as the catalog keeps it.
    fn relations(&self) -> Vec<Relation> {
        let reader = self.catalog.reader();
        let namespace = reader.namespace(LAKE, "raw").expect("the catalog can be read");
        let relations = namespace.map(|namespace| reader.relations(namespace.id));
        relations.transpose().expect("the catalog can be read").unwrap_or_default()
    }
}

/// A small generator, so that a failing run can be had again from its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn change_something(lake: &Lake, dice: &mut Dice) {
    let folder = ["a", "b", "c"][dice.roll(3) as usize];
    let path = format!("{folder}/{}.csv", ["x", "y"][dice.roll(2) as usize]);
    match dice.roll(4) {
        0 => lake.write(&path, "id,n\n1,2\n"),
        1 => lake.write(&path, "id,n,extra\n1,2.5,true\n"),
        2 => lake.write(&path, "id,n\n1,many\n2,few\n"),
        _ => {
            let _ = std::fs::remove_file(lake.landing().join(&path));
        }
    }
    lake.write("always.csv", format!("k\n{}\n", dice.roll(9)));
}

#[tokio::test]
async fn random_changes_are_planned_applied_and_taken_back() {
    for seed in 1..=12 {
        let lake = Lake::new();
        let mut dice = Dice(seed);
        let on_delete = [OnDelete::Log, OnDelete::Deprecate, OnDelete::Drop][(seed % 3) as usize];
        let mut history: Vec<(u64, Vec<Relation>)> = Vec::new();
        for _ in 0..6 {
            change_something(&lake, &mut dice);
            let before = lake.relations();
            let plan = lake.crawl_in(Mode::Plan, on_delete).await;
            assert_eq!(lake.relations(), before, "seed {seed}: a plan changes nothing");
            let Some((number, RunState::Planned)) = plan.run else { continue };
            let applied = stored::apply_plan(number, &lake.principal(), &lake.catalog).await;
            applied.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            history.push((number, before));
            let sequence = lake.sequence();
            let again = lake.crawl_in(Mode::Run, on_delete).await;
            assert_eq!((again.run, lake.sequence()), (None, sequence), "seed {seed}: {:?}", again.proposals);
        }
        for (number, before) in history.into_iter().rev() {
            let undone = stored::undo(number, &lake.principal(), &lake.catalog).await;
            undone.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            assert_eq!(lake.relations(), before, "seed {seed}: run {number} is taken back");
        }
        let namespace = lake.catalog.reader().namespace(LAKE, "raw").expect("the catalog can be read");
        assert!(namespace.is_none(), "seed {seed}: the schema went with its first run");
    }
}

#[tokio::test]
async fn a_plan_does_what_a_run_does() {
    let (planned, run) = (Lake::new(), Lake::new());
    for lake in [&planned, &run] {
        lake.write("t/a.csv", "id,n\n1,2\n");
        lake.write("one.json", "{\"a\": 1}");
    }
    let plan = planned.crawl_in(Mode::Plan, OnDelete::Log).await;
    let number = plan.run.map(|(number, _)| number).expect("there is something to do");
    stored::apply_plan(number, &planned.principal(), &planned.catalog).await.expect("nothing has moved");
    run.crawl_in(Mode::Run, OnDelete::Log).await;
    let columns = |lake: &Lake| -> Vec<(String, Vec<String>)> {
        let names = |relation: &Relation| match &relation.kind {
            RelationKind::External(table) => {
                table.schema.as_struct().fields().iter().map(|field| field.to_string()).collect()
            }
            _ => Vec::new(),
        };
        lake.relations().iter().map(|relation| (relation.name.clone(), names(relation))).collect()
    };
    assert_eq!(columns(&planned), columns(&run));
    assert_eq!(columns(&run).len(), 2);
}

#[tokio::test]
async fn a_plan_whose_ground_has_moved_is_refused() {
    let lake = Lake::new();
    lake.write("t/a.csv", "id,n\n1,2\n");
    lake.crawl_in(Mode::Run, OnDelete::Log).await;
    lake.write("t/b.csv", "id,n,more\n1,2,3\n");
    let plan = lake.crawl_in(Mode::Plan, OnDelete::Log).await.run.map(|(number, _)| number);
    lake.write("t/c.csv", "id,n,other\n1,2,3\n");
    lake.crawl_in(Mode::Run, OnDelete::Log).await;
    let before = lake.relations();
    let error = stored::apply_plan(plan.expect("a plan"), &lake.principal(), &lake.catalog).await;
    let error = error.expect_err("the table has other columns now");
    assert_eq!(error.sqlstate, crate::sqlstate::SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "{error}");
    assert_eq!(lake.relations(), before);
}
