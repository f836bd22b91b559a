//! How many distinct values the columns of a snapshot have, as sketches in a Puffin file that other engines read
//! (Puffin specification, blob type `apache-datasketches-theta-v1`): the values' single-value serialization goes into a
//! theta sketch of the DataSketches library, whose own crate writes the bytes. It must never read data.

use std::collections::HashMap;
use std::sync::Arc;

use datasketches::hash::value::raw_bytes;
use datasketches::theta::{ThetaSketch, ThetaSketchBuilder};
use iceberg::io::Storage as _;
use iceberg::puffin::{APACHE_DATASKETCHES_THETA_V1, Blob, CompressionCodec, PuffinWriter};
use iceberg::spec::{BlobMetadata, Snapshot, StatisticsFile, TableMetadata};

use crate::error::{Error, Result};
use crate::iceberg::location::statistics_location;
use crate::id::WriteId;
use crate::storage::{Storage, TableStorage};

/// The property of a blob that holds the estimate, so that nobody needs to read the sketch.
const NDV: &str = "ndv";

/// The sketch keeps 2^12 hashes, as those of other engines do: an error of about 1.6 percent.
const LG_K: u8 = 12;

/// Bytes of a Puffin footer besides its payload: magic, payload size, flags, magic.
const FOOTER_FRAME_BYTES: usize = 16;

/// Counts the distinct values of one column.
#[derive(Debug)]
pub struct DistinctSketch(ThetaSketch);

impl DistinctSketch {
    pub fn new() -> Result<DistinctSketch> {
        let built = ThetaSketchBuilder::default().lg_k(LG_K).build();
        let broken = |error| Error::internal("a sketch of distinct values cannot be made").with_source(error);
        Ok(DistinctSketch(built.map_err(broken)?))
    }

    /// Takes a value in Iceberg's single-value serialization. As in the library's other languages, no bytes are no value.
    pub fn add(&mut self, value: &[u8]) {
        if !value.is_empty() {
            self.0.update(raw_bytes::from_slice(value));
        }
    }

    /// The estimated number of distinct values.
    pub fn estimate(&self) -> f64 {
        self.0.estimate()
    }

    /// The compact, ordered form.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.compact(true).serialize()
    }
}

/// Writes the sketches of a snapshot's columns, by field id, into a Puffin file; the description goes into the metadata.
pub async fn write_statistics(
    storage: &Arc<Storage>,
    metadata: &TableMetadata,
    snapshot: &Snapshot,
    write: WriteId,
    sketches: &[(i32, DistinctSketch)],
) -> Result<StatisticsFile> {
    let url = statistics_location(metadata.location(), snapshot.snapshot_id(), write);
    let output = TableStorage::new(storage.clone(), metadata.location()).new_output(&url)?;
    let properties =
        HashMap::from([("created-by".to_owned(), concat!("tarn ", env!("CARGO_PKG_VERSION")).to_owned())]);
    let mut writer = PuffinWriter::new(&output, properties, false).await?;
    let mut blobs = Vec::new();
    for (field, sketch) in sketches {
        let ndv = HashMap::from([(NDV.to_owned(), format!("{:.0}", sketch.estimate()))]);
        let blob = Blob::builder()
            .r#type(APACHE_DATASKETCHES_THETA_V1.to_owned())
            .fields(vec![*field])
            .snapshot_id(snapshot.snapshot_id())
            .sequence_number(snapshot.sequence_number())
            .data(sketch.to_bytes())
            .properties(ndv.clone())
            .build();
        writer.add(blob, CompressionCodec::None).await?;
        blobs.push(BlobMetadata {
            r#type: APACHE_DATASKETCHES_THETA_V1.to_owned(),
            snapshot_id: snapshot.snapshot_id(),
            sequence_number: snapshot.sequence_number(),
            fields: vec![*field],
            properties: ndv,
        });
    }
    writer.close().await?;
    let bytes = storage.get(&storage.guard().table_file(metadata.location(), &url)?).await?;
    let footer = footer_bytes(&bytes);
    Ok(StatisticsFile {
        snapshot_id: snapshot.snapshot_id(),
        statistics_path: url,
        file_size_in_bytes: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
        file_footer_size_in_bytes: i64::try_from(footer).unwrap_or(i64::MAX),
        key_metadata: None,
        blob_metadata: blobs,
    })
}

/// The length of a Puffin file's footer, which its last twelve bytes tell: payload size, flags, magic.
fn footer_bytes(file: &[u8]) -> usize {
    let payload = file.len().checked_sub(12).and_then(|at| file.get(at..at + 4));
    let payload = payload.and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
    FOOTER_FRAME_BYTES + payload as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(values: &[i64]) -> Vec<u8> {
        let mut sketch = DistinctSketch::new().expect("it can be made");
        values.iter().for_each(|value| sketch.add(&value.to_le_bytes()));
        sketch.to_bytes()
    }

    /// The layout of the DataSketches library: preamble longs, serial version 3, family 3 (compact), and the hash of the
    /// seed 9001, 0x93CC.
    #[test]
    fn the_bytes_are_those_of_the_library() {
        let empty = bytes(&[]);
        assert_eq!(empty[..5], [1, 3, 3, 0, 0]);
        assert_eq!(empty[5] & 0b100, 0b100, "the flag for empty");
        let one = bytes(&[1]);
        assert_eq!((one[0], one.len()), (1, 16));
        assert_eq!(one[6..8], [0xCC, 0x93]);
        // MurmurHash3_x64_128 of the eight bytes of 1 with the seed 9001, first half, shifted right by one.
        assert_eq!(one[8..], 0x05A1_86BD_CB7D_F915_u64.to_le_bytes());
        let three = bytes(&[1, 2, 3, 2, 1]);
        assert_eq!((three[0], three[1], three[2]), (2, 3, 3));
        assert_eq!(three[8..12], 3u32.to_le_bytes());
        assert_eq!(three.len(), 16 + 3 * 8);
    }

    #[test]
    fn estimates_are_near() {
        let mut sketch = DistinctSketch::new().expect("it can be made");
        (0..100_000i64).for_each(|value| sketch.add(&(value % 50_000).to_le_bytes()));
        let estimate = sketch.estimate();
        assert!((48_000.0..52_000.0).contains(&estimate), "{estimate}");
        assert!(sketch.to_bytes().len() < 80_000);
    }
}
