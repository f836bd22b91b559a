//! Takes the data of a `COPY FROM` from the client or a file: chunks are taken apart by other threads, a few at a time, and their
//! rows are handed to the write in the order of the data. Whatever goes wrong, nothing of the copy is left.
//!
//! ```text
//! CopyInResponse ->
//! <- CopyData ... CopyDone      rows go in; Flush and Sync are ignored
//! <- CopyFail                   57014
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::copy::CopyInResponse;
use tarn_sql::{CopyFormat, CopyIn, FileBytes};
use tokio::task::JoinHandle;

use super::columns::{Decoded, decode};
use super::fault::Fault;
use super::fields::Layout;
use super::split::{Chunk, Splitter};
use super::{CHUNK_BYTES, chunks_ahead};
use crate::postgres::connection::Connection;
use crate::postgres::error::Failure;
use crate::postgres::frame::{Body, Frame, MESSAGE_BYTES_MAX};
use crate::postgres::inbox::{Inbound, Inbox};
use crate::postgres::output::Output;

impl Connection {
    /// Takes all data and commits it; gives the command tag.
    pub async fn copy_in(
        &mut self,
        copy: CopyIn,
        inbox: &mut Inbox,
        output: &mut Output,
    ) -> Result<String, Failure> {
        let mut intake = Intake::new(copy, self.zone());
        let taken = match intake.copy.take_source() {
            Some(file) => intake.read(file).await,
            None => match intake.invite(output).await {
                Ok(()) => intake.run(inbox).await,
                Err(failure) => Err(failure),
            },
        };
        match taken {
            Ok(()) => Ok(format!("COPY {}", intake.copy.finish().await?)),
            Err(failure) => {
                intake.copy.abandon().await;
                Err(failure)
            }
        }
    }
}

/// One `COPY FROM` while its data comes in.
struct Intake {
    copy: CopyIn,
    layout: Arc<Layout>,
    splitter: Splitter,
    /// Chunks that are being taken apart, in the order of the data.
    decoding: VecDeque<JoinHandle<Result<Decoded, Fault>>>,
    /// Lines before the first of them.
    lines: u64,
    /// The data has said that it ends.
    ended: bool,
}

/// Whether there is more to come.
#[derive(Debug, PartialEq, Eq)]
enum Flow {
    More,
    Done,
}

impl Intake {
    fn new(copy: CopyIn, zone: arrow::array::timezone::Tz) -> Intake {
        let layout = Arc::new(Layout::new(copy.columns(), copy.relation(), copy.options(), zone));
        let splitter = Splitter::new(copy.options(), layout.width());
        Intake { copy, layout, splitter, decoding: VecDeque::new(), lines: 0, ended: false }
    }

    /// Tells the client that it may send.
    async fn invite(&self, output: &mut Output) -> Result<(), Failure> {
        let binary = self.layout.options.format == CopyFormat::Binary;
        let columns = i16::try_from(self.layout.width());
        let columns = columns.map_err(|_| Failure::error("54000", "a copy has more than 32767 columns"))?;
        let formats = vec![i16::from(binary); self.layout.width()];
        let response = CopyInResponse::new(i8::from(binary), columns, formats);
        output.put(&Backend::CopyInResponse(response))?;
        output.flush().await
    }

    /// Takes data until there is no more.
    async fn run(&mut self, inbox: &mut Inbox) -> Result<(), Failure> {
        loop {
            let room = self.decoding.len() < chunks_ahead();
            tokio::select! {
                biased;
                decoded = front(&mut self.decoding) => self.hand_over(decoded?).await?,
                error = self.copy.failure() => return Err(error.into()),
                inbound = inbox.next(), if room => {
                    if self.take(inbound).await? == Flow::Done {
                        break;
                    }
                }
            }
        }
        self.take_rest().await
    }

    /// Takes the data of a file.
    async fn read(&mut self, mut file: FileBytes) -> Result<(), Failure> {
        loop {
            let room = self.decoding.len() < chunks_ahead();
            tokio::select! {
                biased;
                decoded = front(&mut self.decoding) => self.hand_over(decoded?).await?,
                error = self.copy.failure() => return Err(error.into()),
                bytes = file.next(), if room => match bytes? {
                    Some(bytes) => self.push(&bytes).await?,
                    None => break,
                },
            }
        }
        self.take_rest().await
    }

    /// Waits for the chunks that are being taken apart, and for what is left after the last whole record.
    async fn take_rest(&mut self) -> Result<(), Failure> {
        let chunk = self.splitter.finish();
        self.begin(chunk).await?;
        while !self.decoding.is_empty() {
            let decoded = front(&mut self.decoding).await?;
            self.hand_over(decoded).await?;
        }
        Ok(())
    }

    async fn push(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        for piece in bytes.chunks(CHUNK_BYTES) {
            if let Some(chunk) = self.splitter.push(piece)? {
                self.begin(chunk).await?;
            }
        }
        Ok(())
    }

    async fn take(&mut self, inbound: Option<Inbound>) -> Result<Flow, Failure> {
        let (Frame { kind, body }, _room) = match inbound {
            Some(Inbound::Frame(frame)) => frame,
            Some(Inbound::Broken(failure)) => return Err(failure),
            None => return Err(Failure::Gone(std::io::ErrorKind::UnexpectedEof.into())),
        };
        let bytes = match (kind, body) {
            // Clients that do not know that they run a COPY send these behind it.
            (b'H' | b'S', _) => return Ok(Flow::More),
            (b'c', _) => return Ok(Flow::Done),
            (b'X', _) => return Err(Failure::Gone(std::io::ErrorKind::ConnectionAborted.into())),
            (_, Body::Skipped(bytes)) => return Err(Failure::message_too_long(bytes, MESSAGE_BYTES_MAX)),
            (b'd' | b'f', Body::Whole(bytes)) => bytes,
            (other, _) => {
                let message = format!("unexpected message type 0x{other:02X} during COPY from stdin");
                return Err(Failure::protocol(message));
            }
        };
        if kind == b'f' {
            let reason = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
            let reason = String::from_utf8_lossy(reason);
            return Err(Failure::error("57014", format!("COPY from stdin failed: {reason}")));
        }
        self.push(&bytes).await?;
        Ok(Flow::More)
    }

    /// Lets a chunk be taken apart, as soon as there is room.
    async fn begin(&mut self, chunk: Chunk) -> Result<(), Failure> {
        while self.decoding.len() >= chunks_ahead() {
            let decoded = front(&mut self.decoding).await?;
            self.hand_over(decoded).await?;
        }
        if self.ended && self.layout.options.format == CopyFormat::Text {
            return Ok(());
        }
        let layout = Arc::clone(&self.layout);
        self.decoding.push_back(tokio::task::spawn_blocking(move || decode(&chunk, &layout)));
        Ok(())
    }

    /// Hands the rows of the first chunk to the write; what follows the end of the data is not looked at.
    async fn hand_over(&mut self, decoded: Result<Decoded, Fault>) -> Result<(), Failure> {
        if self.ended && self.layout.options.format != CopyFormat::Binary {
            return Ok(());
        }
        let Decoded { rows, lines, ended } =
            decoded.map_err(|fault| fault.failure(self.copy.relation(), self.lines))?;
        self.lines += lines;
        self.ended |= ended;
        if rows.num_rows() == 0 {
            return Ok(());
        }
        Ok(self.copy.send(rows).await?)
    }
}

/// What the first chunk came to, when it is done; never, if there is none.
async fn front(
    decoding: &mut VecDeque<JoinHandle<Result<Decoded, Fault>>>,
) -> Result<Result<Decoded, Fault>, Failure> {
    let Some(first) = decoding.front_mut() else { return std::future::pending().await };
    let decoded = first.await;
    decoding.pop_front();
    decoded.map_err(|error| Failure::error("XX000", format!("the data could not be taken apart: {error}")))
}
