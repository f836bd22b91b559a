//! Whole files as bytes, for `COPY`: read and decompressed, or compressed and written, by the suffix of their name. A file
//! that is written is there when all of it is, and not before; the one that it replaces stays until then. It must never
//! know what the bytes mean.

use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::DataFusionError;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStoreExt, WriteMultipart};
use tarn_catalog::storage::{Checked, Storage};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::files::feed::chunks_of;
use crate::files::listing::shown;
use crate::files::name::compression_of;
use crate::files::problem::Problem;
use crate::sqlstate::SqlState;

/// Bytes of one part of an upload.
const PART_BYTES: usize = 8 << 20;
/// Parts that are sent at a time.
const PARTS_AHEAD: usize = 2;
/// Pieces that may wait for the writer.
const PIECES_MAX: usize = 4;

/// The bytes of a file, decompressed.
///
/// The lock is never waited for: a stream may be sent to another task, and with it also shared.
pub struct FileBytes(parking_lot::Mutex<BoxStream<'static, Result<Bytes>>>);

impl FileBytes {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// 58P01 when it is not there, 42809 when it is a folder.
    pub(crate) async fn open(storage: &Storage, file: &Checked) -> Result<FileBytes> {
        let name = shown(file.as_str()).to_string();
        refuse_folder(file, &name)?;
        let (store, path) = storage.resolve(file)?;
        let opened = chunks_of(&store, &path, compression_of(file.as_str())).await;
        let chunks = opened.map_err(|problem| match problem.sqlstate {
            SqlState::UNDEFINED_FILE => {
                let message =
                    format!("could not open file \"{name}\" for reading: No such file or directory");
                Error::new(SqlState::UNDEFINED_FILE, message).with_hint(
                    "COPY FROM reads a file of the server. For one of the client use \\copy in psql.",
                )
            }
            _ => problem.of_file(&name),
        })?;
        let chunks = chunks.map_err(move |error| Problem::compression(&error).of_file(&name));
        Ok(FileBytes(parking_lot::Mutex::new(chunks.boxed())))
    }

    /// The next bytes; None at the end.
    ///
    /// # Errors
    ///
    /// 58030 when reading breaks off, 22P04 when it cannot be decompressed.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        self.0.get_mut().next().await.transpose()
    }
}

impl std::fmt::Debug for FileBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileBytes")
    }
}

fn refuse_folder(file: &Checked, name: &str) -> Result<()> {
    let is_folder =
        file.as_str().strip_prefix("file://").is_some_and(|path| std::path::Path::new(path).is_dir());
    if !is_folder && !file.is_folder() && file.pattern().is_none() {
        return Ok(());
    }
    Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{name}\" is not a file")).with_hint(
        "COPY takes one file. Folders and patterns are read by read_csv, read_json and read_parquet.",
    ))
}

/// A file that is being written. Dropping it leaves nothing.
#[derive(Debug)]
pub struct FileSink {
    pieces: mpsc::Sender<Piece>,
    write: JoinHandle<Result<()>>,
}

#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    /// These were all.
    End,
}

impl FileSink {
    /// Begins to write a file.
    ///
    /// # Errors
    ///
    /// 42809 when it is a folder.
    pub(crate) fn create(storage: Arc<Storage>, file: Checked) -> Result<FileSink> {
        refuse_folder(&file, shown(file.as_str()))?;
        let (pieces, receiver) = mpsc::channel(PIECES_MAX);
        let write = tokio::spawn(async move { upload(&storage, &file, receiver).await });
        Ok(FileSink { pieces, write })
    }

    /// Hands bytes over; waits while the writer has enough of them.
    ///
    /// # Errors
    ///
    /// Whatever the write has met.
    pub async fn write(&mut self, bytes: Vec<u8>) -> Result<()> {
        if bytes.is_empty() || self.pieces.send(Piece::Bytes(bytes.into())).await.is_ok() {
            return Ok(());
        }
        match self.ended().await {
            Err(error) => Err(error),
            Ok(()) => Err(Error::internal("a file was done before its end")),
        }
    }

    /// These were all bytes: the file is there.
    ///
    /// # Errors
    ///
    /// Whatever the write has met; then the file is not there.
    pub async fn finish(mut self) -> Result<()> {
        // If nobody takes it, the write has failed and says why.
        let _ = self.pieces.send(Piece::End).await;
        self.ended().await
    }

    /// Leaves nothing, and comes back when it is gone.
    pub async fn abandon(self) {
        let FileSink { pieces, write } = self;
        drop(pieces);
        // That it broke off is known.
        let _ = write.await;
    }

    async fn ended(&mut self) -> Result<()> {
        let ended = (&mut self.write).await;
        ended.map_err(|error| Error::internal(format!("the write of a file broke off: {error}")))?
    }
}

async fn upload(storage: &Storage, file: &Checked, pieces: mpsc::Receiver<Piece>) -> Result<()> {
    let name = shown(file.as_str()).to_string();
    let failed =
        |reason: String| Error::new(SqlState::IO_ERROR, format!("could not write file \"{name}\": {reason}"));
    let (store, path) = storage.resolve(file)?;
    let bytes = futures::stream::unfold(Some(pieces), |pieces| async move {
        let mut pieces = pieces?;
        match pieces.recv().await {
            Some(Piece::Bytes(bytes)) => Some((Ok(bytes), Some(pieces))),
            Some(Piece::End) => None,
            None => Some((Err(DataFusionError::Execution("it broke off before its end".to_owned())), None)),
        }
    });
    let compressed = compression_of(file.as_str()).convert_to_compress_stream(bytes.boxed());
    let mut compressed = compressed.map_err(|error| failed(error.to_string()))?;
    let upload = store.put_multipart(&path).await.map_err(|error| failed(error.to_string()))?;
    let mut writer = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
    let filled = async {
        while let Some(bytes) = compressed.next().await {
            let bytes = bytes.map_err(|error| error.to_string())?;
            writer.wait_for_capacity(PARTS_AHEAD).await.map_err(|error| error.to_string())?;
            writer.put(bytes);
        }
        Ok::<(), String>(())
    };
    if let Err(reason) = filled.await {
        if let Err(error) = writer.abort().await {
            tracing::warn!(file = name, %error, "what was written of a file may be left");
        }
        return Err(failed(reason));
    }
    writer.finish().await.map(drop).map_err(|error| failed(error.to_string()))
}
