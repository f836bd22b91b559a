//! What becomes of a table's manifests when files of them go: those that list such a file are written again. Only live
//! entries are carried on, so that no file that was deleted once comes back.

use std::collections::HashMap;

use iceberg::spec::ManifestFile;

use super::read::{LiveFile, decode, is_live};
use super::write::{Entry, ManifestOutput};
use crate::error::{Error, Result};

/// Takes files out of a snapshot's manifests. Returns the manifests that the next snapshot has of them, those that had to
/// be written again in front.
pub async fn remove(
    output: &mut ManifestOutput<'_>,
    manifests: &[ManifestFile],
    removed: &[LiveFile],
) -> Result<Vec<ManifestFile>> {
    let key = |live: &LiveFile| live.file.content_offset();
    let mut going: HashMap<&str, Vec<Option<i64>>> = HashMap::new();
    for live in removed {
        going.entry(live.file.file_path()).or_default().push(key(live));
    }
    let is_going =
        |live: &LiveFile| going.get(live.file.file_path()).is_some_and(|keys| keys.contains(&key(live)));
    let mut found = 0;
    let mut rewritten = Vec::new();
    let mut kept = Vec::new();
    for manifest in manifests.iter().filter(|manifest| is_live(manifest)) {
        if found >= removed.len() {
            kept.push(manifest.clone());
            continue;
        }
        let decoded = decode(output.storage, output.table, manifest).await?;
        let gone = decoded.live.iter().filter(|live| is_going(live)).count();
        if gone == 0 {
            kept.push(manifest.clone());
            continue;
        }
        found += gone;
        let entry = |live: &LiveFile| match is_going(live) {
            true => Entry::Deleted(live.clone()),
            false => Entry::Existing(live.clone()),
        };
        let entries = decoded.live.iter().map(entry).collect();
        let content = manifest.content;
        rewritten.extend(output.write(&decoded.schema, &decoded.spec, content, entries).await?);
    }
    if found < removed.len() {
        let text = format!("{} files are to go, and {found} are in the manifests", removed.len());
        return Err(Error::internal(text));
    }
    rewritten.extend(kept);
    Ok(rewritten)
}
