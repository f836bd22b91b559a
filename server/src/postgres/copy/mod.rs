//! `COPY` on the wire: the data of a client becomes rows, and rows become data, in PostgreSQL's three formats. What a
//! `COPY` means is in `tarn_sql`; here are only its bytes and its messages (PostgreSQL 15, COPY and §55.2.6).
//!
//! ```text
//! FROM  CopyData ── split.rs ── chunks of whole records ──┬─ text.rs, csv.rs, binary.rs: where the fields are
//!       receive.rs: order, pace, errors                   └─ columns.rs: fields -> arrays, a column at a time
//! TO    rows ── send.rs ── write.rs: a batch -> CopyData, one for each row
//! ```
//!
//! Chunks are taken apart side by side, a few at a time, and handed on in their order, so that a load takes all
//! processors and little memory.

mod binary;
mod columns;
mod csv;
mod decimal;
mod fault;
mod fields;
mod marks;
mod moments;
mod nested;
mod receive;
mod rows;
mod send;
mod split;
mod text;
mod write;

#[cfg(test)]
mod tests;

/// Bytes that are worth a task of their own.
const CHUNK_BYTES: usize = 1 << 20;

/// How a stream of binary data begins; flags and the length of an extension follow.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// Chunks that are worked on at a time.
fn chunks_ahead() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZeroUsize::get) + 1
}
