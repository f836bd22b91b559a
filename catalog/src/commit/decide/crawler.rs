//! Crawlers, found by their names, and their runs, found by their numbers. Pure.

use super::super::facts::{Facts, Lookup};
use super::{conflict, expect_role, put, role_lookup};
use crate::crawler::{CrawlRun, Crawler};
use crate::error::Result;
use crate::store::{Space, keys};

pub fn look_up(before: Option<&Crawler>, after: Option<&Crawler>, lookups: &mut Vec<Lookup>) {
    for crawler in before.into_iter().chain(after) {
        lookups.push(Lookup::Row(Space::Object, keys::crawler(&crawler.name)));
        role_lookup(crawler.owner, lookups);
        role_lookup(crawler.run_as, lookups);
    }
}

/// What is there under the name must be what was there when the change was made.
pub fn set(before: Option<&Crawler>, after: Option<&Crawler>, facts: &mut Facts) -> Result<()> {
    let Some(name) = before.or(after).map(|crawler| &crawler.name) else { return Ok(()) };
    let key = keys::crawler(name);
    if facts.read::<Crawler>(Space::Object, &key)?.as_ref() != before {
        return Err(conflict("a crawler"));
    }
    match after {
        Some(crawler) => {
            expect_role(crawler.owner, facts)?;
            expect_role(crawler.run_as, facts)?;
            put(Space::Object, key, crawler, facts)
        }
        None => {
            facts.set(Space::Object, key, None);
            Ok(())
        }
    }
}

pub fn look_up_run(after: &CrawlRun, lookups: &mut Vec<Lookup>) {
    lookups.push(Lookup::Row(Space::Object, keys::crawl_run(after.number)));
}

pub fn set_run(before: Option<&CrawlRun>, after: &CrawlRun, facts: &mut Facts) -> Result<()> {
    let key = keys::crawl_run(after.number);
    if facts.read::<CrawlRun>(Space::Object, &key)?.as_ref() != before {
        return Err(conflict("a run of a crawl"));
    }
    put(Space::Object, key, after, facts)
}
