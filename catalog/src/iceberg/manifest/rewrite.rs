//! What becomes of a table's manifests when files of them go: those that list such a file are written again. Only live
//! entries are carried on, so that no file that was deleted once comes back.

use std::collections::HashSet;

use iceberg::spec::ManifestFile;

use super::read::{FileKey, LiveFile, decode, file_key, is_live};
use super::write::{Entry, ManifestOutput};
use crate::error::{Error, Result};

/// Takes files out of a snapshot's manifests. Returns the manifests that the next snapshot has of them, those that had to
/// be written again in front.
pub async fn remove(
    output: &mut ManifestOutput<'_>,
    manifests: &[ManifestFile],
    removed: &[LiveFile],
) -> Result<Vec<ManifestFile>> {
    let mut going: HashSet<FileKey> = removed.iter().map(|live| file_key(&live.file)).collect();
    let mut rewritten = Vec::new();
    let mut kept = Vec::new();
    for manifest in manifests.iter().filter(|manifest| is_live(manifest)) {
        if going.is_empty() {
            kept.push(manifest.clone());
            continue;
        }
        let decoded = decode(output.storage, output.table, manifest).await?;
        let before = going.len();
        let entry = |live: &LiveFile| match going.remove(&file_key(&live.file)) {
            true => Entry::Deleted(live.clone()),
            false => Entry::Existing(live.clone()),
        };
        let entries: Vec<Entry> = decoded.live.iter().map(entry).collect();
        if going.len() == before {
            kept.push(manifest.clone());
        } else {
            let content = manifest.content;
            rewritten.extend(output.write(&decoded.schema, &decoded.spec, content, entries).await?);
        }
    }
    if let Some((path, _)) = going.iter().next() {
        return Err(Error::internal(format!("file \"{path}\" is to go and is in no manifest")));
    }
    rewritten.extend(kept);
    Ok(rewritten)
}
