//! What the generator may use. A feature that the product does not have yet is switched off by name, so that the rest
//! is tested; `make test` names every switch that is off.

use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Feature {
    /// NaN among the floating point numbers.
    Nan,
    /// NOT IN (SELECT) and IN (SELECT) below OR or NOT.
    NestedIn,
    /// ORDER BY an aggregate, with a LIMIT.
    TopGroups,
    Delete,
    Update,
    UpdateFrom,
    Merge,
    BySource,
    Columns,
    Defaults,
    Partitions,
    /// Tables partitioned by a uuid itself.
    UuidPartitions,
    Ordered,
    Properties,
    TimeTravel,
    References,
    BranchWrites,
    Rollback,
    Optimize,
    Manifests,
    Deletes,
    Expire,
    Analyze,
    Transactions,
    TransactionDdl,
}

impl Feature {
    pub fn all_but(without: &[Feature]) -> BTreeSet<Feature> {
        let all = <Feature as clap::ValueEnum>::value_variants().iter();
        all.copied().filter(|feature| !without.contains(feature)).collect()
    }
}
