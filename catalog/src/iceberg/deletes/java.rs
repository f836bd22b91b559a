//! Files that Java engines wrote, read by us: they lie in packages that cargo has unpacked to build us. Where they do not,
//! the tests say so and check nothing.

use std::path::PathBuf;

use super::puffin::{self, Footer};
use super::vector;
use crate::iceberg::{parse_metadata, pointer_to, pointer_to_unreadable};

/// The folder of a package, of any version that begins so.
fn package(name: &str) -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let sources = std::fs::read_dir(home?.join("registry/src")).ok()?.filter_map(Result::ok);
    let folders = sources.filter_map(|source| std::fs::read_dir(source.path()).ok()).flatten();
    let named =
        |folder: &PathBuf| folder.file_name().is_some_and(|found| found.to_string_lossy().starts_with(name));
    let found = folders.filter_map(Result::ok).map(|folder| folder.path()).find(named);
    if found.is_none() {
        println!("there is no package {name}* on this machine: nothing is checked");
    }
    found
}

/// Every metadata file of the Iceberg crate's own tests: what is said of it, empty where it can be read.
const METADATA: [(&str, &str); 18] = [
    ("example_empty_table_metadata_v2.json", ""),
    ("example_table_metadata_v2.json", ""),
    ("example_table_metadata_v2_deep_history.json", ""),
    (
        "table_metadata/TableMetadataUnsupportedVersion.json",
        "it has no \"schemas\", which format version 3 asks for",
    ),
    ("table_metadata/TableMetadataV1Compat.json", ""),
    (
        "table_metadata/TableMetadataV1NoValidSchema.json",
        "it has no \"schema\", which format version 1 asks for",
    ),
    ("table_metadata/TableMetadataV1PartitionSpecsWithoutDefaultId.json", ""),
    ("table_metadata/TableMetadataV1SchemasWithoutCurrentId.json", ""),
    ("table_metadata/TableMetadataV1Valid.json", ""),
    (
        "table_metadata/TableMetadataV2CurrentSchemaNotFound.json",
        "its \"current-schema-id\" is 2, and it has no such schema",
    ),
    (
        "table_metadata/TableMetadataV2MissingLastPartitionId.json",
        "it has no \"last-partition-id\", which format version 2 asks for",
    ),
    (
        "table_metadata/TableMetadataV2MissingPartitionSpecs.json",
        "it has no \"partition-specs\", which format version 2 asks for",
    ),
    (
        "table_metadata/TableMetadataV2MissingSchemas.json",
        "it has no \"schemas\", which format version 2 asks for",
    ),
    (
        "table_metadata/TableMetadataV2MissingSortOrder.json",
        "it has no \"sort-orders\", which format version 2 asks for",
    ),
    ("table_metadata/TableMetadataV2Valid.json", ""),
    ("table_metadata/TableMetadataV2ValidMinimal.json", ""),
    ("table_metadata/TableMetadataV3ValidEncryption.json", ""),
    ("table_metadata/TableMetadataV3ValidMinimal.json", ""),
];

#[test]
fn metadata_files_are_read_or_refused_with_the_reason() {
    let Some(folder) = package("iceberg-0.") else { return };
    let folder = folder.join("testdata");
    let mut found = Vec::new();
    for (name, _) in METADATA {
        let Ok(text) = std::fs::read_to_string(folder.join(name)) else {
            found.push((name, "it is not there".to_owned()));
            continue;
        };
        let text = text.replace("{{ table_location }}", "s3://bucket/table");
        let url = format!("s3://bucket/{name}");
        let said = match parse_metadata(text.as_bytes()) {
            Ok(metadata) => {
                assert_eq!(pointer_to(&metadata, url).unsupported, None);
                String::new()
            }
            Err(_) => {
                let pointer =
                    pointer_to_unreadable(text.as_bytes(), url).expect("it says which table it is of");
                pointer.unsupported.expect("a reason")
            }
        };
        found.push((name, said));
    }
    let found: Vec<(&str, &str)> = found.iter().map(|(name, said)| (*name, said.as_str())).collect();
    assert_eq!(found, METADATA);
    let all = ["", "table_metadata"]
        .into_iter()
        .flat_map(|below| std::fs::read_dir(folder.join(below)).expect("a folder"));
    let all = all.filter_map(Result::ok).map(|entry| entry.file_name().to_string_lossy().into_owned());
    let metadata = all.filter(|name| name.ends_with(".json") && name.to_lowercase().contains("metadata"));
    for name in metadata {
        assert!(METADATA.iter().any(|(known, _)| known.ends_with(&name)), "{name} is not looked at");
    }
}

/// Those of Iceberg's Java library's own tests: an empty one, and two blobs with and without compression.
#[test]
fn puffin_files_are_read() {
    let Some(folder) = package("iceberg-0.") else { return };
    let read =
        |name: &str| std::fs::read(folder.join("testdata/puffin/java-generated").join(name)).expect("a file");
    assert_eq!(puffin::footer(&read("empty-puffin-uncompressed.bin")), Ok(Footer::Blobs(Vec::new())));
    for (name, codec) in [
        ("sample-metric-data-uncompressed.bin", None),
        ("sample-metric-data-compressed-zstd.bin", Some("zstd".to_owned())),
    ] {
        let bytes = read(name);
        let Ok(Footer::Blobs(blobs)) = puffin::footer(&bytes) else { panic!("{name} has no footer") };
        let kinds: Vec<&str> = blobs.iter().map(|blob| blob.kind.as_str()).collect();
        assert_eq!(kinds, ["some-blob", "some-other-blob"], "{name}");
        assert!(blobs.iter().all(|blob| blob.compression_codec == codec), "{name}");
        assert_eq!(blobs[0].offset, 4, "{name}");
        assert_eq!(blobs[0].offset + blobs[0].length, blobs[1].offset, "{name}");
        if codec.is_none() {
            assert_eq!(&bytes[4..13], b"abcdefghi");
        }
        // Half of the file is less than its footer.
        assert!(matches!(puffin::footer(&bytes[bytes.len() - 40..]), Ok(Footer::Longer(_))), "{name}");
    }
}

/// The bitmaps that all implementations of Roaring must read alike, in the frame of a deletion vector: what Java makes of
/// runs of rows and of rows that are far apart.
#[test]
fn bitmaps_of_deletion_vectors_are_read() {
    let Some(folder) = package("roaring-0.") else { return };
    let expected: Vec<u64> = (0..100_000)
        .step_by(1000)
        .chain((100_000..200_000).map(|row| 3 * row))
        .chain(700_000..800_000)
        .collect();
    for name in ["bitmapwithruns.bin", "bitmapwithoutruns.bin"] {
        let bitmap = std::fs::read(folder.join("tests").join(name)).expect("a file");
        let mut content = vec![0xD1, 0xD3, 0x39, 0x64, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        content.extend(bitmap);
        let mut blob = u32::try_from(content.len()).expect("small").to_be_bytes().to_vec();
        blob.extend(&content);
        blob.extend(crc32fast::hash(&content).to_be_bytes());
        let rows = vector::decode(&blob).expect("a deletion vector");
        assert_eq!(rows.iter().collect::<Vec<u64>>(), expected, "{name}");
    }
}
