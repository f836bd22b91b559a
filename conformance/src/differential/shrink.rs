//! Makes a failing program short: drops steps, in halves first and one by one last, then parts of steps, as long as it
//! still fails in the same way. Every attempt is played from an empty schema.

use super::engine::Engine;
use super::player::{Finding, Player};
use super::program::Step;
use crate::Result;
use std::time::{Duration, Instant};

/// A long program on a slow machine would be shrunk for ever.
pub const SHRINK_MAX: Duration = Duration::from_secs(60);

pub struct Shrunk {
    pub steps: Vec<Step>,
    pub finding: Finding,
    pub attempts: usize,
}

struct Shrinker<'a, E: Engine> {
    engine: &'a mut E,
    best: Shrunk,
    until: Instant,
}

/// The shortest program found; nothing when the failure does not come again.
pub async fn shrink<E: Engine>(
    engine: &mut E,
    steps: &[Step],
    finding: &Finding,
    patience: Duration,
) -> Result<Option<Shrunk>> {
    let Some(again) = Player::play(engine, steps).await? else { return Ok(None) };
    if again.kind != finding.kind {
        return Ok(None);
    }
    let best = Shrunk { steps: steps.to_vec(), finding: again, attempts: 1 };
    let mut shrinker = Shrinker { engine, best, until: Instant::now() + patience };
    loop {
        let before = shrinker.best.steps.clone();
        shrinker.drop_steps().await?;
        shrinker.simplify_steps().await?;
        if shrinker.best.steps == before || shrinker.is_late() {
            return Ok(Some(shrinker.best));
        }
    }
}

impl<E: Engine> Shrinker<'_, E> {
    fn is_late(&self) -> bool {
        Instant::now() > self.until
    }

    async fn is_better(&mut self, steps: Vec<Step>) -> Result<bool> {
        self.best.attempts += 1;
        match Player::play(self.engine, &steps).await? {
            Some(finding) if finding.kind == self.best.finding.kind => {
                self.best.steps = steps;
                self.best.finding = finding;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn drop_steps(&mut self) -> Result<()> {
        let mut size = self.best.steps.len() / 2;
        while size > 0 {
            // From the end, so that what a step needs is still there when the step itself is tried.
            let mut end = self.best.steps.len();
            while end > 0 && !self.is_late() {
                let start = end.saturating_sub(size);
                let mut fewer = self.best.steps.clone();
                fewer.drain(start..end.min(fewer.len()));
                self.is_better(fewer).await?;
                end = start;
            }
            size /= 2;
        }
        Ok(())
    }

    async fn simplify_steps(&mut self) -> Result<()> {
        let mut at = 0;
        while at < self.best.steps.len() && !self.is_late() {
            let mut is_simpler = false;
            for action in self.best.steps[at].action.simpler() {
                let mut steps = self.best.steps.clone();
                steps[at].action = action;
                is_simpler = self.is_better(steps).await?;
                if is_simpler || self.is_late() {
                    break;
                }
            }
            at += usize::from(!is_simpler);
        }
        Ok(())
    }
}
