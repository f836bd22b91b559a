//! Rows as bytes: JSON, so that a row can be read by people and a field can be added, and zstd for metadata documents.
//! It must never know a key.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};
use crate::id::CommitSequence;
use crate::store::Head;

/// zstd's own default: more costs time in every commit and saves little on JSON.
const METADATA_LEVEL: i32 = 3;

/// The largest metadata document, in bytes after decompression.
const METADATA_BYTES_MAX: usize = 1 << 30;

pub fn encode<T: Serialize>(value: &T) -> Result<Bytes> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| Error::internal("a catalog row cannot be written as JSON").with_source(error))
}

pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        Error::new(ErrorKind::Corrupt, "a row of the catalog cannot be read").with_source(error)
    })
}

pub fn compress(metadata_json: &[u8]) -> Result<Bytes> {
    zstd::bulk::compress(metadata_json, METADATA_LEVEL)
        .map(Bytes::from)
        .map_err(|error| Error::internal("table metadata cannot be compressed").with_source(error))
}

pub fn decompress(bytes: &[u8]) -> Result<Vec<u8>> {
    let damaged = |error: std::io::Error| {
        Error::new(ErrorKind::Corrupt, "a copy of table metadata in the catalog cannot be read")
            .with_source(error)
    };
    let size = zstd::zstd_safe::get_frame_content_size(bytes).ok().flatten().unwrap_or(0);
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size > METADATA_BYTES_MAX {
        return Err(damaged(std::io::Error::other(format!("it claims to be {size} bytes long"))));
    }
    zstd::bulk::decompress(bytes, size).map_err(damaged)
}

/// `sequence | hash | next_id`, 48 bytes.
pub fn encode_head(head: &Head) -> Bytes {
    let parts: [&[u8]; 3] = [&head.sequence.0.to_be_bytes(), &head.hash, &head.next_id.to_be_bytes()];
    Bytes::from(parts.concat())
}

pub fn decode_head(bytes: &[u8]) -> Result<Head> {
    let damaged = || Error::new(ErrorKind::Corrupt, "the catalog's head row is damaged");
    let bytes: &[u8; 48] = bytes.try_into().map_err(|_| damaged())?;
    let number = |at: usize| bytes[at..at + 8].try_into().map(u64::from_be_bytes).map_err(|_| damaged());
    let hash = bytes[8..40].try_into().map_err(|_| damaged())?;
    Ok(Head { sequence: CommitSequence(number(0)?), hash, next_id: number(40)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_come_back() {
        let head = Head { sequence: CommitSequence(7), hash: [9; 32], next_id: 16400 };
        assert_eq!(decode_head(&encode_head(&head)).ok(), Some(head));
        assert_eq!(decode_head(b"short").map_err(|error| error.kind), Err(ErrorKind::Corrupt));
    }

    #[test]
    fn metadata_comes_back() -> Result<()> {
        for document in [&b"{}"[..], b"", "{\"name\":\"Größe\"}".repeat(1000).as_bytes()] {
            assert_eq!(decompress(&compress(document)?)?, document);
        }
        assert_eq!(decompress(b"not zstd").map_err(|error| error.kind), Err(ErrorKind::Corrupt));
        Ok(())
    }
}
