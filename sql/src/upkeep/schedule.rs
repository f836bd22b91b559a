//! Upkeep by the server itself: tables with a policy are looked at in turn, one at a time and under a budget, and what was
//! done and when the next look is due is kept in the catalog. A table that fails is left alone for longer and longer.
//! It must never hold a lock that a writer waits for.

use std::sync::Arc;
use std::time::Duration;

use tarn_catalog::iceberg::upkeep::ExpireOptions;
use tarn_catalog::object::{Age, MaintenancePolicy, Relation, RelationKind};
use tarn_catalog::{LAKE, SUPERUSER, UpkeepRecord};
use tokio_util::sync::CancellationToken;

use super::health::Health;
use super::optimize::{self, Options};
use super::{expire, orphans};
use crate::advisory::LockOwner;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::notify::Outbox;
use crate::plan::Context;
use crate::resolve::{Found, Scope, TableTarget};
use crate::settings::Settings;
use crate::sqlstate::SqlState;
use crate::stop::Stop;

/// Between two looks at which tables are due.
const TICK: Duration = Duration::from_secs(10);
/// Between two rounds of one table, milliseconds: at once again while there is a debt, and longer without.
const ROUND_BUSY_MS: i64 = 60 * 1000;
const ROUND_CALM_MS: i64 = 15 * 60 * 1000;
/// Between two looks for orphans, which list a whole folder.
const ORPHANS_MS: i64 = 24 * 60 * 60 * 1000;
/// The longest wait after failures.
const ROUND_FAILED_MS: i64 = 24 * 60 * 60 * 1000;
/// Bytes that a round of compaction reads unless the policy says otherwise.
const BUDGET_BYTES: u64 = 2 << 30;
/// Fewer small files of a partition are left alone; joining two at a time would write everything again and again.
const FILES_MIN: usize = 5;
/// A file is written again for its deletes when it has as many delete files.
const DELETES_MIN: usize = 3;

/// Looks after tables until it is told to stop.
pub async fn maintain(engine: Arc<Engine>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
        if let Err(error) = round(&engine, &stop).await {
            tracing::warn!(%error, "upkeep could not look at the tables");
        }
    }
}

/// Looks at every table that is due.
pub(super) async fn round(engine: &Arc<Engine>, stop: &CancellationToken) -> Result<()> {
    for (found, policy) in due(engine)? {
        if stop.is_cancelled() {
            return Ok(());
        }
        let before = engine.catalog().reader().upkeep_record(found.relation.id)?;
        let now_ms = engine.catalog().env().now_ms();
        let record = match look_after(engine, &found, &policy, &before, stop).await {
            Ok(record) => record,
            Err(_) if stop.is_cancelled() => return Ok(()),
            Err(error) => {
                tracing::warn!(%error, table = found.qualified(), "upkeep of a table failed");
                failed(&before, &error, now_ms)
            }
        };
        engine.catalog().set_upkeep_record(found.relation.id, record).await?;
    }
    Ok(())
}

/// The tables whose time has come, with what is to be done to them.
fn due(engine: &Engine) -> Result<Vec<(Found, MaintenancePolicy)>> {
    let catalog = engine.catalog();
    let (reader, now_ms) = (catalog.reader(), catalog.env().now_ms());
    if !reader.any_policy()? {
        return Ok(Vec::new());
    }
    let mut due = Vec::new();
    for namespace in reader.namespaces(LAKE)? {
        for relation in reader.relations(namespace.id)? {
            if relation.kind != RelationKind::Table {
                continue;
            }
            let policy = reader.effective_policy(&relation)?;
            let is_due = reader.upkeep_record(relation.id)?.next_run_ms.is_none_or(|next| next <= now_ms);
            if is_due && asks_for_something(&policy) {
                due.push((Found { namespace: namespace.clone(), relation }, policy));
            }
        }
    }
    Ok(due)
}

fn asks_for_something(policy: &MaintenancePolicy) -> bool {
    let ages = [policy.expire, policy.orphans];
    policy.compact == Some(true) || ages.iter().any(|age| matches!(age, Some(Age::OlderThanMs(_))))
}

/// One round of one table.
async fn look_after(
    engine: &Arc<Engine>,
    found: &Found,
    policy: &MaintenancePolicy,
    before: &UpkeepRecord,
    stop: &CancellationToken,
) -> Result<UpkeepRecord> {
    let now_ms = engine.catalog().env().now_ms();
    let mut done = Vec::new();
    if policy.compact == Some(true) {
        let context = context(engine, stop)?;
        let options = automatic(policy.budget_bytes.unwrap_or(BUDGET_BYTES));
        let target = target(found, &context).await?;
        done.push(optimize::optimize(&target, &options, None, &context).await?.summary());
    }
    if let Some(Age::OlderThanMs(age)) = policy.expire {
        let context = context(engine, stop)?;
        let options = ExpireOptions { max_age_ms: Some(age), ..ExpireOptions::default() };
        let target = target(found, &context).await?;
        done.push(expire::expire(&target, &options, false, &context).await?.summary());
    }
    let mut last_orphans_ms = before.last_orphans_ms;
    if let Some(Age::OlderThanMs(age)) = policy.orphans
        && last_orphans_ms.is_none_or(|last| last + ORPHANS_MS <= now_ms)
    {
        let context = context(engine, stop)?;
        let target = target(found, &context).await?;
        done.push(orphans::remove(&target, age, false, &context).await?.summary());
        last_orphans_ms = Some(now_ms);
    }
    let pause_ms = if is_calm(engine, &found.relation).await? { ROUND_CALM_MS } else { ROUND_BUSY_MS };
    done.retain(|summary| summary != "nothing to do");
    let last_result = if done.is_empty() { "nothing to do".to_owned() } else { done.join("; ") };
    Ok(UpkeepRecord {
        last_run_ms: Some(now_ms),
        next_run_ms: Some(engine.catalog().env().now_ms() + pause_ms),
        last_orphans_ms,
        last_result: Some(last_result),
        failures: 0,
    })
}

/// What the server asks of itself: to join what is worth it, and no more than the budget at a time.
fn automatic(budget_bytes: u64) -> Options {
    let mut options = Options::standard();
    options.thresholds.files_min = FILES_MIN;
    options.thresholds.deletes_min = DELETES_MIN;
    options.budget_bytes = Some(budget_bytes);
    options
}

async fn is_calm(engine: &Engine, relation: &Relation) -> Result<bool> {
    let reader = engine.catalog().reader();
    let version = reader.table(relation.id).await?;
    let health = Health::of(relation, &version, &reader).await?;
    Ok(health.debt() < FILES_MIN as u64)
}

/// Works with the rights of the server itself; what it may do to which table the policy has said.
fn context(engine: &Arc<Engine>, stop: &CancellationToken) -> Result<Context> {
    let reader = engine.catalog().reader();
    let missing = || Error::internal("the first superuser is not there");
    let principal = reader.principal(SUPERUSER)?.ok_or_else(missing)?;
    let scope = Scope { reader, principal, search_path: Vec::new(), temporary: None };
    let locks = LockOwner::new(Arc::clone(engine.advisory_locks()), 0);
    let (settings, outbox) = (Settings::default(), Outbox::default());
    let mut context = Context::new(Arc::clone(engine), scope, &settings, 0, outbox, locks)?;
    context.stop = Stop { token: stop.child_token(), deadline: None };
    Ok(context)
}

async fn target(found: &Found, context: &Context) -> Result<TableTarget> {
    let version = context.scope.reader.table(found.relation.id).await?;
    Ok(TableTarget { found: found.clone(), version, branch: iceberg::spec::MAIN_BRANCH.to_owned() })
}

/// Waits twice as long after each failure. A conflict is no failure: others were faster.
fn failed(before: &UpkeepRecord, error: &Error, now_ms: i64) -> UpkeepRecord {
    let conflict = error.sqlstate == SqlState::SERIALIZATION_FAILURE;
    let failures = if conflict { before.failures } else { before.failures.saturating_add(1) };
    let pause_ms = ROUND_BUSY_MS.saturating_mul(1 << failures.min(12)).min(ROUND_FAILED_MS);
    UpkeepRecord {
        last_run_ms: Some(now_ms),
        next_run_ms: Some(now_ms.saturating_add(pause_ms)),
        last_result: Some(format!("failed: {}", error.message)),
        failures,
        ..before.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_make_the_pauses_longer_and_conflicts_do_not() {
        let error = |sqlstate| Error::new(sqlstate, "no");
        let mut record = UpkeepRecord::default();
        let mut pauses = Vec::new();
        for _ in 0..14 {
            record = failed(&record, &error(SqlState::IO_ERROR), 0);
            pauses.extend(record.next_run_ms);
        }
        assert!(pauses.is_sorted());
        assert_eq!((pauses[0], pauses[13]), (2 * ROUND_BUSY_MS, ROUND_FAILED_MS));
        let calm = failed(&UpkeepRecord::default(), &error(SqlState::SERIALIZATION_FAILURE), 0);
        assert_eq!((calm.failures, calm.next_run_ms), (0, Some(ROUND_BUSY_MS)));
    }

    #[test]
    fn a_policy_that_is_off_asks_for_nothing() {
        let off = MaintenancePolicy {
            compact: Some(false),
            expire: Some(Age::Never),
            ..MaintenancePolicy::default()
        };
        assert!(!asks_for_something(&off) && !asks_for_something(&MaintenancePolicy::default()));
        let expires = MaintenancePolicy { expire: Some(Age::OlderThanMs(1)), ..off };
        assert!(asks_for_something(&expires));
    }
}
