//! A Puffin file of deletion vectors (Puffin specification). The Iceberg crate's writer does not say where a blob begins,
//! which the entry of a deletion vector must. Pure.
//!
//! ```text
//! | PFA1 | blob | blob | ... | PFA1 | footer as JSON | its length, 4 bytes, little endian | 4 bytes of flags | PFA1 |
//! ```

use serde_json::json;

const MAGIC: &[u8; 4] = b"PFA1";
/// The field id of `_pos`, which a deletion vector is about.
const POSITION_FIELD_ID: i32 = i32::MAX - 2;

/// Collects blobs.
#[derive(Debug)]
pub struct Puffin {
    bytes: Vec<u8>,
    blobs: Vec<serde_json::Value>,
}

impl Puffin {
    pub fn new() -> Puffin {
        Puffin { bytes: MAGIC.to_vec(), blobs: Vec::new() }
    }

    /// Adds the deletion vector of a data file; gives where it begins.
    pub fn add(&mut self, data_file: &str, cardinality: u64, vector: &[u8]) -> usize {
        let offset = self.bytes.len();
        self.bytes.extend(vector);
        self.blobs.push(json!({
            "type": "deletion-vector-v1",
            "fields": [POSITION_FIELD_ID],
            // The vector is inherited by later snapshots, so it belongs to none.
            "snapshot-id": -1,
            "sequence-number": -1,
            "offset": offset,
            "length": vector.len(),
            "properties": { "referenced-data-file": data_file, "cardinality": cardinality.to_string() },
        }));
        offset
    }

    /// The whole file.
    pub fn finish(self) -> Vec<u8> {
        let Puffin { mut bytes, blobs } = self;
        let footer = json!({ "blobs": blobs, "properties": { "created-by": "tarn" } }).to_string();
        let length = u32::try_from(footer.len()).unwrap_or(u32::MAX);
        bytes.extend(MAGIC);
        bytes.extend(footer.as_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(MAGIC);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_the_specified_one() {
        let mut puffin = Puffin::new();
        assert_eq!(puffin.add("s3://b/a.parquet", 2, b"first"), 4);
        assert_eq!(puffin.add("s3://b/b.parquet", 3, b"second"), 9);
        let bytes = puffin.finish();
        assert_eq!(&bytes[..4], MAGIC);
        assert_eq!(&bytes[4..15], b"firstsecond");
        let end = bytes.len();
        assert_eq!(&bytes[end - 4..], MAGIC);
        assert_eq!(bytes[end - 8..end - 4], [0; 4]);
        let length = u32::from_le_bytes(bytes[end - 12..end - 8].try_into().expect("four bytes")) as usize;
        assert_eq!(&bytes[15..19], MAGIC);
        let footer: serde_json::Value = serde_json::from_slice(&bytes[19..19 + length]).expect("JSON");
        assert_eq!(19 + length, end - 12);
        assert_eq!(footer["blobs"][1]["offset"], 9);
        assert_eq!(footer["blobs"][1]["length"], 6);
        assert_eq!(footer["blobs"][1]["fields"], json!([2147483645]));
        assert_eq!(footer["blobs"][1]["properties"]["cardinality"], "3");
        assert_eq!(footer["blobs"][0]["properties"]["referenced-data-file"], "s3://b/a.parquet");
    }
}
