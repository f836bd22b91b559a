//! Delete files that are not what the table says: each is an error that names the file, and never a row too many or too
//! few.

use std::path::PathBuf;

use iceberg::spec::FormatVersion;
use tarn_catalog::Error;

use crate::world::World;

/// A table with deletes of two data files, and the delete files' paths on disk.
async fn world(version: FormatVersion) -> (World, Vec<PathBuf>) {
    let mut world = World::new(version, 10).await;
    world.append(&[(10, "eu"), (20, "us")]).await;
    let paths = world.paths().await;
    world.delete(&[(&paths[&10], &[1, 2])]).await;
    world.delete(&[(&paths[&20], &[11, 12])]).await;
    let files = world.files().await;
    let local = |url: &str| PathBuf::from(url.trim_start_matches("file://"));
    let files = files.deletes.files().iter().map(|live| local(live.file.file_path())).collect();
    (world, files)
}

/// Reads the table, which must fail with an error that names `file`.
async fn refused(world: &World, file: &std::path::Path) -> Error {
    let error = world.rows_of(&world.table).await.expect_err("it is damaged");
    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(error.message.contains(&name), "{} does not name {name}", error.message);
    error
}

#[tokio::test]
async fn t5_a_missing_or_cut_delete_file_is_named() {
    for version in [FormatVersion::V2, FormatVersion::V3] {
        let (world, files) = world(version).await;
        let content = std::fs::read(&files[0]).expect("the file");
        std::fs::remove_file(&files[0]).expect("it is removed");
        refused(&world, &files[0]).await;
        std::fs::write(&files[0], &content[..10]).expect("it is cut");
        refused(&world, &files[0]).await;
        std::fs::write(&files[0], b"").expect("it is emptied");
        refused(&world, &files[0]).await;
        std::fs::write(&files[0], &content).expect("it is restored");
        assert_eq!(world.rows().await.values().map(|rows| rows.len()).sum::<usize>(), 26);
    }
}

#[tokio::test]
async fn a_flipped_bit_of_a_deletion_vector_is_found() {
    let (world, files) = world(FormatVersion::V3).await;
    let content = std::fs::read(&files[0]).expect("the file");
    for at in [5, 9, 20, 40] {
        let mut damaged = content.clone();
        damaged[at] ^= 4;
        std::fs::write(&files[0], damaged).expect("it is damaged");
        refused(&world, &files[0]).await;
    }
}

#[tokio::test]
async fn a_delete_file_that_was_swapped_with_another_is_found() {
    let (world, files) = world(FormatVersion::V2).await;
    std::fs::copy(&files[1], &files[0]).expect("it is replaced");
    let error = refused(&world, &files[0]).await;
    assert!(error.detail.is_some_and(|detail| detail.contains("deletes rows of")), "{}", error.message);
    let (world, files) = self::world(FormatVersion::V3).await;
    let (one, other) = (std::fs::read(&files[0]).expect("it"), std::fs::read(&files[1]).expect("it"));
    std::fs::write(&files[0], other).expect("it is swapped");
    std::fs::write(&files[1], one).expect("it is swapped");
    // Which of the two is met first does not matter.
    let error = world.rows_of(&world.table).await.expect_err("each is the other's");
    assert!(error.message.contains(".puffin\" points to where it should not"), "{}", error.message);
    assert!(error.detail.is_some_and(|detail| detail.contains("deletes rows of")), "{}", error.message);
}

/// The vectors of two files of a commit change places, and nothing else: each is whole, and of the other file.
#[tokio::test]
async fn a_deletion_vector_that_says_it_is_of_another_file_is_refused() {
    let mut world = World::new(FormatVersion::V3, 10).await;
    world.append(&[(10, "eu"), (10, "us")]).await;
    let data = world.files().await.data;
    let paths: Vec<String> = data.iter().map(|live| live.file.file_path().to_owned()).collect();
    world.delete(&[(&paths[0], &[1, 2]), (&paths[1], &[3, 4])]).await;
    let files = world.files().await;
    let file = PathBuf::from(files.deletes.files()[0].file.file_path().trim_start_matches("file://"));
    let content = std::fs::read(&file).expect("the file");
    let text = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
    let (first, other) = (&paths[0], &paths[1]);
    assert_eq!(first.len(), other.len());
    let swapped = text(&content).replace(first.as_str(), "<first>").replace(other.as_str(), first);
    let swapped = swapped.replace("<first>", other);
    let bytes: Vec<u8> =
        swapped.chars().map(|letter| u8::try_from(u32::from(letter)).expect("a byte")).collect();
    assert_ne!(bytes, content, "the footer names both files");
    std::fs::write(&file, bytes).expect("it is damaged");
    let error = refused(&world, &file).await;
    let detail = error.detail.expect("a detail");
    assert!(detail.contains(first.as_str()) && detail.contains(other.as_str()), "{detail}");
}
