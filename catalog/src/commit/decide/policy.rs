//! Maintenance policies: each is one row of the object it is set on, which must be there. Pure.

use super::super::facts::{Facts, Lookup};
use super::{conflict, expect_present, put};
use crate::error::Result;
use crate::object::{MaintenancePolicy, PolicyTarget};
use crate::store::{Space, keys};

/// The row of the object that the policy is on.
fn object(on: PolicyTarget) -> Vec<u8> {
    match on {
        PolicyTarget::Database(id) => keys::database(id),
        PolicyTarget::Namespace(id) => keys::namespace(id),
        PolicyTarget::Relation(id) => keys::relation(id),
    }
}

pub fn look_up(on: PolicyTarget, lookups: &mut Vec<Lookup>) {
    lookups.push(Lookup::Row(Space::Object, object(on)));
    lookups.push(Lookup::Row(Space::Object, keys::policy(on)));
}

pub fn set(
    on: PolicyTarget,
    before: Option<&MaintenancePolicy>,
    after: Option<&MaintenancePolicy>,
    facts: &mut Facts,
) -> Result<()> {
    let what = "the object of a maintenance policy";
    expect_present(Space::Object, &object(on), what, facts)?;
    let key = keys::policy(on);
    if facts.read::<MaintenancePolicy>(Space::Object, &key)?.as_ref() != before {
        return Err(conflict("a maintenance policy"));
    }
    match after {
        Some(policy) => put(Space::Object, key, policy, facts),
        None => {
            facts.set(Space::Object, key, None);
            Ok(())
        }
    }
}
