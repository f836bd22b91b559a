//! The bytes of a deletion vector (Puffin specification, "deletion-vector-v1"). Pure.
//!
//! ```text
//! | length of magic and bitmaps, 4 bytes, big endian | D1 D3 39 64 | bitmaps | CRC-32 of magic and bitmaps, 4, big endian |
//! ```
//!
//! The bitmaps are a 64-bit Roaring bitmap in its portable form: their number in 8 bytes, then a 4-byte key and a 32-bit
//! Roaring bitmap each, all little endian.

use std::io;

use roaring::RoaringTreemap;

const MAGIC: [u8; 4] = [0xD1, 0xD3, 0x39, 0x64];
/// Length, magic and checksum.
const FRAME_BYTES: usize = 12;

/// The blob that says which rows are deleted.
pub fn encode(rows: &RoaringTreemap) -> io::Result<Vec<u8>> {
    let mut rows = rows.clone();
    rows.optimize();
    let content = MAGIC.len() + rows.serialized_size();
    let length = u32::try_from(content).map_err(|_| io::Error::other("a deletion vector passes 4 GiB"))?;
    let mut blob = Vec::with_capacity(content + 8);
    blob.extend(length.to_be_bytes());
    blob.extend(MAGIC);
    rows.serialize_into(&mut blob)?;
    let checksum = crc32fast::hash(&blob[4..]);
    blob.extend(checksum.to_be_bytes());
    Ok(blob)
}

/// The rows that a blob says are deleted.
pub fn decode(blob: &[u8]) -> Result<RoaringTreemap, &'static str> {
    if blob.len() < FRAME_BYTES {
        return Err("it is too short to be a deletion vector");
    }
    let word = |at: usize| [blob[at], blob[at + 1], blob[at + 2], blob[at + 3]];
    let end = blob.len() - 4;
    if word(4) != MAGIC {
        return Err("it does not begin like a deletion vector");
    }
    if u32::from_be_bytes(word(0)) as usize != end - 4 {
        return Err("its length is not the one it states");
    }
    if u32::from_be_bytes(word(end)) != crc32fast::hash(&blob[4..end]) {
        return Err("its checksum is wrong");
    }
    let mut bitmaps = &blob[8..end];
    let rows = RoaringTreemap::deserialize_from(&mut bitmaps).map_err(|_| "its bitmaps are damaged")?;
    if !bitmaps.is_empty() {
        return Err("there is something behind its bitmaps");
    }
    Ok(rows)
}

/// Bytes that a set of rows takes in memory.
pub fn bytes(rows: &RoaringTreemap) -> usize {
    /// A container's key, kind, length and allocation.
    const CONTAINER_BYTES: usize = 64;
    let containers: usize = rows.bitmaps().map(|(_, bitmap)| bitmap.statistics().n_containers as usize).sum();
    size_of::<RoaringTreemap>() + rows.serialized_size() + containers * CONTAINER_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let check = |rows: RoaringTreemap| {
            let blob = encode(&rows).expect("a blob");
            assert_eq!(decode(&blob), Ok(rows));
        };
        check(RoaringTreemap::new());
        check((0..3).collect());
        check((0..200_000).step_by(3).collect());
        check((5..1_000_000).collect());
        check([0, 1 << 32, (1 << 40) + 7].into_iter().collect());
    }

    /// The bytes of the rows 1 and 3, each written down from the specification.
    #[test]
    fn the_layout_is_the_specified_one() {
        let blob = encode(&[1, 3].into_iter().collect()).expect("a blob");
        let mut expected = vec![0, 0, 0, 36, 0xD1, 0xD3, 0x39, 0x64];
        expected.extend([1, 0, 0, 0, 0, 0, 0, 0]); // one 32-bit bitmap
        expected.extend([0, 0, 0, 0]); // its key, the upper half of the positions
        expected.extend([0x3A, 0x30, 0, 0, 1, 0, 0, 0]); // cookie 12346, one container
        expected.extend([0, 0, 1, 0]); // key 0, two values: stored as one less
        expected.extend([16, 0, 0, 0]); // where the container begins
        expected.extend([1, 0, 3, 0]); // the values
        let checksum = crc32fast::hash(&expected[4..]);
        expected.extend(checksum.to_be_bytes());
        assert_eq!(blob, expected);
    }

    #[test]
    fn long_runs_take_few_bytes() {
        let rows: RoaringTreemap = (10..70_000).collect();
        let blob = encode(&rows).expect("a blob");
        assert!(blob.len() < 80, "{} bytes for two runs", blob.len());
        assert_eq!(decode(&blob), Ok(rows));
    }

    #[test]
    fn a_damaged_blob_is_never_half_read() {
        let blob = encode(&(0..1_000).step_by(2).collect()).expect("a blob");
        for at in 0..blob.len() {
            let mut damaged = blob.clone();
            damaged[at] ^= 1;
            assert!(decode(&damaged).is_err(), "byte {at}");
            assert!(decode(&blob[..at]).is_err(), "the first {at} bytes");
        }
        assert_eq!(decode(&[]), Err("it is too short to be a deletion vector"));
    }
}
