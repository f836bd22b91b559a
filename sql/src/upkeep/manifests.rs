//! `rewrite_manifests`: many small manifests become few of the table's target size, so that planning a query reads fewer
//! files. No data file is touched.

use std::collections::BTreeMap;

use iceberg::spec::{ManifestContentType, ManifestFile};
use tarn_catalog::iceberg::upkeep::manifests;
use tarn_catalog::iceberg::{Operation, Rewrite};

use super::report::Report;
use crate::error::Result;
use crate::execute::add_files;
use crate::outcome::Outcome;
use crate::plan::Context;
use crate::procedure::ProcedureCall;
use crate::resolve::TableTarget;

/// Bytes of a manifest when the table does not say otherwise.
const TARGET_BYTES: i64 = 8 << 20;

/// The procedure.
pub(super) async fn run(call: ProcedureCall, context: &Context) -> Result<Outcome> {
    let target = call.table()?;
    let before = context.stop.or(of(target, context)).await?;
    let property = target.version.metadata.properties().get("commit.manifest.target-size-bytes");
    let bytes = property.and_then(|text| text.parse().ok()).unwrap_or(TARGET_BYTES);
    let mut report = Report::default();
    if !is_worth(&before, bytes) {
        report.figure("rewritten_manifests", 0);
        report.figure("added_manifests", 0);
        return report.into_outcome(call.tag);
    }
    let operation = Operation::Rewrite(Rewrite { merge_manifests: true, ..Rewrite::default() });
    add_files(target, operation, Vec::new(), context).await?;
    let after = of(&super::vacuum::newest(target, context).await?, context).await?;
    let only_in = |some: &[ManifestFile], others: &[ManifestFile]| {
        let is_new =
            |one: &&ManifestFile| others.iter().all(|other| other.manifest_path != one.manifest_path);
        some.iter().filter(is_new).count()
    };
    report.figure("rewritten_manifests", only_in(&before, &after));
    report.figure("added_manifests", only_in(&after, &before));
    report.into_outcome(call.tag)
}

async fn of(target: &TableTarget, context: &Context) -> Result<Vec<ManifestFile>> {
    let Some(snapshot) = target.state()?.snapshot_id else { return Ok(Vec::new()) };
    let storage = context.catalog().storage();
    Ok(manifests(storage, &target.version.metadata, snapshot).await?.to_vec())
}

/// Whether two manifests of one kind fit into one.
fn is_worth(manifests: &[ManifestFile], bytes: i64) -> bool {
    let mut kinds: BTreeMap<(bool, i32), Vec<i64>> = BTreeMap::new();
    for manifest in manifests {
        let kind = (manifest.content == ManifestContentType::Deletes, manifest.partition_spec_id);
        kinds.entry(kind).or_default().push(manifest.manifest_length);
    }
    kinds.into_values().any(|mut lengths| {
        lengths.sort_unstable();
        matches!(lengths.as_slice(), [one, other, ..] if one + other <= bytes)
    })
}
