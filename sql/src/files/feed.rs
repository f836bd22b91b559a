//! The bytes of one text file, decompressed and free of UTF-16, handed out so that a reader always sees whole records.
//! It knows where a file is and how it is compressed; it must never know what the bytes mean.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::error::DataFusionError;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::path::Path;
use object_store::{GetResultPayload, ObjectStore, ObjectStoreExt};

use super::problem::Problem;
use super::utf16::Utf16;

/// Bytes read from a file at once.
const CHUNK_BYTES: usize = 1 << 20;
/// The longest record. A longer one is almost always a quote or a bracket that is never closed.
const RECORD_BYTES_MAX: usize = 256 << 20;

/// The bytes of a file, decompressed.
pub async fn chunks_of(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    compression: FileCompressionType,
) -> Result<BoxStream<'static, Result<Bytes, DataFusionError>>, Problem> {
    let payload = store.get(path).await.map_err(|error| Problem::store(&error))?.payload;
    match payload {
        GetResultPayload::File(file, _) => {
            Ok(read_chunks(compression.convert_read(file).map_err(|error| Problem::compression(&error))?))
        }
        GetResultPayload::Stream(stream) => {
            let stream = stream.map_err(DataFusionError::from).boxed();
            compression.convert_stream(stream).map_err(|error| Problem::compression(&error))
        }
    }
}

/// The first bytes of compressed files, for those whose names do not say it.
const MAGIC: [(&[u8], FileCompressionType); 4] = [
    (&[0x1f, 0x8b, 0x08], FileCompressionType::GZIP),
    (b"BZh", FileCompressionType::BZIP2),
    (&[0x28, 0xb5, 0x2f, 0xfd], FileCompressionType::ZSTD),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], FileCompressionType::XZ),
];
/// The first bytes of a file, which tell its encoding and its compression.
const HEAD_BYTES: usize = 256;

/// A window over the bytes of a file: the front is consumed record by record, the back grows chunk by chunk.
pub struct Feed {
    chunks: BoxStream<'static, Result<Bytes, DataFusionError>>,
    buffer: Vec<u8>,
    /// Turns UTF-16 into UTF-8.
    utf16: Option<Utf16>,
    /// Where the bytes that are not consumed yet start in `buffer`.
    at: usize,
    ended: bool,
    /// Bytes consumed in all.
    consumed: u64,
}

impl Feed {
    /// Opens a file and takes off the byte order mark, if there is one.
    pub async fn open(
        store: &Arc<dyn ObjectStore>,
        path: &Path,
        compression: FileCompressionType,
    ) -> Result<Feed, Problem> {
        let feed = Feed::start(chunks_of(store, path, compression).await?).await?;
        if compression != FileCompressionType::UNCOMPRESSED {
            return Ok(feed);
        }
        match MAGIC.iter().find(|(magic, _)| feed.rest().starts_with(magic)) {
            Some((_, compression)) => Feed::start(chunks_of(store, path, *compression).await?).await,
            None => Ok(feed),
        }
    }

    /// A feed of bytes in memory.
    #[cfg(test)]
    pub async fn of(text: &str, chunk_bytes: usize) -> Result<Feed, Problem> {
        let chunks: Vec<_> =
            text.as_bytes().chunks(chunk_bytes).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        Feed::start(futures::stream::iter(chunks).boxed()).await
    }

    async fn start(chunks: BoxStream<'static, Result<Bytes, DataFusionError>>) -> Result<Feed, Problem> {
        let mut feed = Feed { chunks, buffer: Vec::new(), utf16: None, at: 0, ended: false, consumed: 0 };
        while feed.buffer.len() < HEAD_BYTES && !feed.ended {
            feed.grow().await?;
        }
        if feed.buffer.starts_with(&[0xef, 0xbb, 0xbf]) {
            feed.at = 3;
        } else if let Some((mut utf16, mark)) = Utf16::of(&feed.buffer) {
            let head = std::mem::take(&mut feed.buffer);
            utf16.decode(&head[mark..], &mut feed.buffer);
            feed.utf16 = Some(utf16);
        }
        Ok(feed)
    }

    /// What is not consumed yet.
    pub fn rest(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    /// Nothing follows [`Feed::rest`].
    pub fn ended(&self) -> bool {
        self.ended
    }

    pub fn consume(&mut self, length: usize) {
        self.at += length;
        self.consumed += length as u64;
    }

    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Adds bytes to the rest, at least as many again as there are, so that a long record is not looked at in many
    /// small steps.
    pub async fn more(&mut self) -> Result<(), Problem> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let enough = (self.buffer.len() * 2).max(CHUNK_BYTES);
        while self.buffer.len() < enough && !self.ended {
            self.grow().await?;
        }
        if self.buffer.len() > RECORD_BYTES_MAX {
            let mib = RECORD_BYTES_MAX >> 20;
            return Err(Problem::malformed(format!("a record is longer than {mib} MiB"))
                .with_hint("A quote or a bracket is probably opened and never closed."));
        }
        Ok(())
    }

    async fn grow(&mut self) -> Result<(), Problem> {
        match self.chunks.next().await {
            Some(Ok(chunk)) => match &mut self.utf16 {
                Some(utf16) => utf16.decode(&chunk, &mut self.buffer),
                None => self.buffer.extend_from_slice(&chunk),
            },
            Some(Err(error)) => return Err(Problem::compression(&error)),
            None => self.ended = true,
        }
        Ok(())
    }
}

/// The chunks of a reader. It reads on the task that asks, as DataFusion's own sources do: a local file is a page
/// cache most of the time, and moving to another thread for each chunk costs more.
fn read_chunks(reader: Box<dyn Read + Send>) -> BoxStream<'static, Result<Bytes, DataFusionError>> {
    futures::stream::try_unfold(reader, |mut reader| async move {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        reader.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
        Ok((!chunk.is_empty()).then(|| (Bytes::from(chunk), reader)))
    })
    .boxed()
}
