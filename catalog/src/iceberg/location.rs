//! Names of a table's folders and files.
//!
//! A path never means anything: what a user called a table or stored in a column appears in it only for the eye, reduced
//! to letters that are safe in every store, and the UUID makes it unique (threat T5 in the design's threat model).

use iceberg::spec::TableMetadata;
use uuid::Uuid;

use crate::id::WriteId;

/// Characters of a user's name that a folder name repeats.
const NAME_CHARACTERS_MAX: usize = 40;

/// The folder of a new table: `warehouse/namespace/name-uuid`.
pub fn default_location(warehouse: &str, namespace: &str, name: &str, uuid: Uuid) -> String {
    format!("{}/{}/{}-{uuid}", warehouse.trim_end_matches('/'), plain(namespace), plain(name))
}

/// The URL of the `number`th data file of a write.
pub fn data_file_location(metadata: &TableMetadata, write: WriteId, number: usize) -> String {
    format!("{}/data/{write}-{number:05}.parquet", metadata.location())
}

/// The URL of metadata version `version`; other engines read the number.
pub(super) fn metadata_location(table: &str, version: u32, write: WriteId) -> String {
    format!("{table}/metadata/{version:05}-{write}.metadata.json")
}

pub(super) fn manifest_list_location(table: &str, snapshot_id: i64, write: WriteId, attempt: &str) -> String {
    format!("{table}/metadata/snap-{snapshot_id}-{attempt}-{write}.avro")
}

pub(super) fn manifest_location(table: &str, write: WriteId, attempt: &str, number: usize) -> String {
    format!("{table}/metadata/{write}-{attempt}-m{number}.avro")
}

/// The URL of a position-delete file, or with `puffin` of a file of deletion vectors.
pub(super) fn delete_file_location(
    table: &str,
    write: WriteId,
    attempt: &str,
    number: usize,
    extension: &str,
) -> String {
    format!("{table}/data/{write}-{attempt}-{number:05}-deletes.{extension}")
}

pub(super) fn statistics_location(table: &str, snapshot_id: i64, write: WriteId) -> String {
    format!("{table}/metadata/{snapshot_id}-{write}.stats")
}

/// The number in front of a metadata file's name; files that other engines named otherwise count as 0.
pub(super) fn metadata_version(metadata_location: &str) -> u32 {
    let name = metadata_location.rsplit('/').next().unwrap_or_default();
    // Hadoop's tables call theirs v3.metadata.json.
    let digits = name.strip_prefix('v').unwrap_or(name);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(0)
}

fn plain(name: &str) -> String {
    let safe = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '_') => c,
        _ => '_',
    };
    let plain: String = name.chars().take(NAME_CHARACTERS_MAX).map(safe).collect();
    if plain.is_empty() { "_".to_string() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_become_plain_folders() {
        let uuid = Uuid::nil();
        let check = |namespace: &str, name: &str, expected: &str| {
            assert_eq!(
                default_location("s3://b/w/", namespace, name, uuid),
                format!("s3://b/w/{expected}-{uuid}")
            );
        };
        check("public", "Orders", "public/orders");
        check("..", "../../etc", "__/______etc");
        check("a/b", "x*?[%2e%2e", "a_b/x____2e_2e");
        check("s", "naïve\u{202e}\0\n", "s/na_ve___");
        check("", "", "_/_");
        check("s", &"x".repeat(500), &format!("s/{}", "x".repeat(40)));
    }

    #[test]
    fn the_version_is_read_back_from_a_name() {
        let write = WriteId(Uuid::nil());
        assert_eq!(metadata_version(&metadata_location("s3://b/t", 12, write)), 12);
        assert_eq!(metadata_version("s3://b/t/metadata/123456-x.metadata.json"), 123_456);
        assert_eq!(metadata_version("s3://b/t/metadata/v7.metadata.json"), 7);
        assert_eq!(metadata_version("s3://b/t/metadata/other.json"), 0);
    }
}
