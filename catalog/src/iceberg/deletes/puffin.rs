//! Puffin files (Puffin specification): those of deletion vectors are written here, for the Iceberg crate's writer does not
//! say where a blob begins, which the entry of a deletion vector must; and what the footer of any says of its blobs is
//! read. Pure.
//!
//! ```text
//! | PFA1 | blob | blob | ... | PFA1 | footer as JSON | its length, 4 bytes, little endian | 4 bytes of flags | PFA1 |
//! ```

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::json;

const MAGIC: &[u8; 4] = b"PFA1";
/// The kind of a blob that is a deletion vector.
pub const DELETION_VECTOR: &str = "deletion-vector-v1";
/// The property of a deletion vector that says which file it is of.
pub const REFERENCED_DATA_FILE: &str = "referenced-data-file";
/// What the end of a file says about its footer: its length, flags and magic.
const TAIL_BYTES: usize = 12;
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
            "type": DELETION_VECTOR,
            "fields": [POSITION_FIELD_ID],
            // The vector is inherited by later snapshots, so it belongs to none.
            "snapshot-id": -1,
            "sequence-number": -1,
            "offset": offset,
            "length": vector.len(),
            "properties": { REFERENCED_DATA_FILE: data_file, "cardinality": cardinality.to_string() },
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

/// What a footer says of a blob.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BlobEntry {
    #[serde(rename = "type")]
    pub kind: String,
    pub offset: u64,
    pub length: u64,
    pub compression_codec: Option<String>,
    #[serde(default)]
    pub properties: HashMap<String, String>,
}

#[derive(Deserialize)]
struct Payload {
    blobs: Vec<BlobEntry>,
}

/// What the last bytes of a file say.
#[derive(Debug, PartialEq, Eq)]
pub enum Footer {
    Blobs(Vec<BlobEntry>),
    /// So many bytes of the end are needed.
    Longer(usize),
    /// It is compressed, which no writer does by default.
    Compressed,
}

/// Reads the footer from the last bytes of a file, as many as there are at hand.
pub fn footer(end: &[u8]) -> Result<Footer, &'static str> {
    let before = end.len().checked_sub(TAIL_BYTES).ok_or("it is too short to be a Puffin file")?;
    let (front, tail) = end.split_at(before);
    let word = |at: usize| [tail[at], tail[at + 1], tail[at + 2], tail[at + 3]];
    if word(8) != *MAGIC {
        return Err("it does not end like a Puffin file");
    }
    let length = u32::from_le_bytes(word(0)) as usize;
    let Some(begin) = front.len().checked_sub(length + MAGIC.len()) else {
        return Ok(Footer::Longer(length + MAGIC.len() + TAIL_BYTES));
    };
    let (magic, payload) = front[begin..].split_at(MAGIC.len());
    if magic != MAGIC {
        return Err("its footer does not begin like one");
    }
    if word(4)[0] & 1 == 1 {
        return Ok(Footer::Compressed);
    }
    let payload: Payload = serde_json::from_slice(payload).map_err(|_| "its footer is damaged")?;
    Ok(Footer::Blobs(payload.blobs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut puffin = Puffin::new();
        puffin.add("s3://b/a.parquet", 2, b"first");
        puffin.add("s3://b/b.parquet", 3, b"second");
        let bytes = puffin.finish();
        let Ok(Footer::Blobs(blobs)) = footer(&bytes) else { panic!("no footer") };
        let of = |blob: &BlobEntry| (blob.offset, blob.length, blob.properties[REFERENCED_DATA_FILE].clone());
        assert_eq!(of(&blobs[0]), (4, 5, "s3://b/a.parquet".to_owned()));
        assert_eq!(of(&blobs[1]), (9, 6, "s3://b/b.parquet".to_owned()));
        assert!(blobs.iter().all(|blob| blob.kind == DELETION_VECTOR && blob.compression_codec.is_none()));
        let Ok(Footer::Longer(needed)) = footer(&bytes[bytes.len() - 20..]) else { panic!("it is long") };
        assert_eq!(footer(&bytes[bytes.len() - needed..]), Ok(Footer::Blobs(blobs)));
        assert!(matches!(footer(&bytes[bytes.len() - needed + 1..]), Ok(Footer::Longer(_))));
    }

    #[test]
    fn what_is_no_footer_is_refused() {
        let bytes = Puffin::new().finish();
        assert_eq!(footer(&[]), Err("it is too short to be a Puffin file"));
        assert_eq!(footer(&bytes[..bytes.len() - 1]), Err("it does not end like a Puffin file"));
        let mut damaged = bytes.clone();
        damaged[10] = 0xff;
        assert_eq!(footer(&damaged), Err("its footer is damaged"));
        damaged[4] = 0;
        assert_eq!(footer(&damaged), Err("its footer does not begin like one"));
        let mut compressed = bytes;
        let flags = compressed.len() - 8;
        compressed[flags] = 1;
        assert_eq!(footer(&compressed), Ok(Footer::Compressed));
    }

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
