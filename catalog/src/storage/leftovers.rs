//! Deletes what an unfinished write left behind: every file below a folder whose name carries the write's mark.
//!
//! On the local file system this looks at the disk itself: a listing of the object store leaves out the temporary files
//! of uploads that a crash cut short, and does not know empty folders. On S3 the parts of such an upload are not files;
//! the bucket's own lifecycle rule takes them. It must never know why the write was not finished.

use std::path::Path;

use futures::TryStreamExt;

use super::guard::Checked;
use super::location::Scheme;
use super::registry::Storage;
use crate::error::{Error, ErrorKind, Result};

impl Storage {
    /// Deletes the files below `folder` whose names contain `mark`; gives their number. A local folder that then holds
    /// no file at all goes too.
    pub async fn delete_marked(&self, folder: &Checked, mark: &str) -> Result<usize> {
        if folder.location().scheme == Scheme::File {
            let (path, mark) = (folder.location().file_path(), mark.to_owned());
            let deleted = tokio::task::spawn_blocking(move || delete_local(&path, &mark)).await;
            return deleted
                .map_err(|error| Error::internal("deleting files was cut short").with_source(error))?;
        }
        let is_marked = |meta: &object_store::ObjectMeta| {
            meta.location.filename().is_some_and(|name| name.contains(mark))
        };
        let files: Vec<Checked> = self
            .list(folder)
            .try_filter_map(|(file, meta)| std::future::ready(Ok(is_marked(&meta).then_some(file))))
            .try_collect()
            .await?;
        for file in &files {
            self.delete(file).await?;
        }
        Ok(files.len())
    }
}

fn delete_local(folder: &Path, mark: &str) -> Result<usize> {
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::Storage, format!("cannot delete unfinished files in {}", folder.display()))
            .with_source(error)
    };
    let mut folders = vec![folder.to_owned()];
    let (mut deleted, mut kept, mut next) = (0, 0, 0);
    while let Some(open) = folders.get(next).cloned() {
        next += 1;
        let entries = match std::fs::read_dir(&open) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            // A link is a file here: what it leads to is not ours.
            if entry.file_type().map_err(failed)?.is_dir() {
                folders.push(entry.path());
            } else if entry.file_name().to_string_lossy().contains(mark) {
                std::fs::remove_file(entry.path()).map_err(failed)?;
                deleted += 1;
            } else {
                kept += 1;
            }
        }
    }
    if kept == 0 {
        // Children after their parents in the list, so before them from its end. Somebody may have put a file there
        // in the meantime; then the folder stays.
        let _stays = folders.iter().rev().try_for_each(std::fs::remove_dir);
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[&str], deleted: usize, left: &[&str]) {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let table = folder.path().join("table");
        for file in files {
            let path = table.join(file);
            std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("the folder can be made");
            std::fs::write(path, "").expect("the file can be written");
        }
        assert_eq!(delete_local(&table, "w1").expect("the files can be deleted"), deleted);
        assert_eq!(table.exists(), !left.is_empty());
        let found: Vec<&&str> = files.iter().filter(|file| table.join(file).exists()).collect();
        assert_eq!(found, left.iter().collect::<Vec<_>>());
    }

    #[test]
    fn marked_files_go_and_a_folder_without_files_too() {
        check(&[], 0, &[]);
        check(&["data/0-w1.parquet", "data/0-w1.parquet#1", "metadata/snap-w1.avro"], 3, &[]);
        check(&["data/a/0-w1.parquet", "data/a/0-w2.parquet"], 1, &["data/a/0-w2.parquet"]);
        check(&["w1/other"], 0, &["w1/other"]);
    }
}
