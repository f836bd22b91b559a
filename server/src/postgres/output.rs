//! What goes to the client: messages gather in a buffer and go out when it is full, or when the client waits. Writing
//! waits for the client, so a slow reader slows its own statement down and costs no memory.

use std::io;

use bytes::BytesMut;
use metrics::Counter;
use pgwire::messages::PgWireBackendMessage;
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

use super::error::Failure;
use super::socket::Sender;

/// How full the buffer gets before it goes out, bytes.
pub const BUFFER_BYTES: usize = 64 << 10;

/// The sending side of a connection.
pub struct Output {
    socket: Sender,
    buffer: BytesMut,
    /// Messages that are being made outside the codec.
    made: Vec<u8>,
    /// Up to here the buffer holds whole messages.
    whole: usize,
    bytes_sent: Counter,
    /// Set when the client has ended the connection from its side.
    gone: CancellationToken,
}

impl Output {
    pub fn new(socket: Sender, bytes_sent: Counter) -> Output {
        let buffer = BytesMut::with_capacity(BUFFER_BYTES);
        Output { socket, buffer, made: Vec::new(), whole: 0, bytes_sent, gone: CancellationToken::new() }
    }

    /// Once `gone` is set, nothing waits for the client to read any more.
    pub fn end_with(&mut self, gone: CancellationToken) {
        self.gone = gone;
    }

    pub fn socket(&mut self) -> &mut Sender {
        &mut self.socket
    }

    /// Adds a message.
    pub fn put(&mut self, message: &PgWireBackendMessage) -> Result<(), Failure> {
        if let Err(error) = message.encode(&mut self.buffer) {
            self.drop_partial();
            return Err(Failure::error("54000", format!("a message cannot be sent: {error}")));
        }
        self.whole = self.buffer.len();
        Ok(())
    }

    /// Adds messages that `write` makes itself; if it fails or panics, nothing of a message that is not whole is sent.
    pub fn put_with<T, E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<T, E>) -> Result<T, E> {
        self.made.clear();
        let written = write(&mut self.made)?;
        self.buffer.extend_from_slice(&self.made);
        self.whole = self.buffer.len();
        Ok(written)
    }

    /// Forgets what is not a whole message.
    pub fn drop_partial(&mut self) {
        self.buffer.truncate(self.whole);
    }

    /// Sends if the buffer is full.
    pub async fn flush_full(&mut self) -> Result<(), Failure> {
        if self.buffer.len() >= BUFFER_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Sends all there is.
    pub async fn flush(&mut self) -> Result<(), Failure> {
        if !self.buffer.is_empty() {
            write(&mut self.socket, &self.buffer, &self.gone).await?;
            self.bytes_sent.increment(u64::try_from(self.buffer.len()).unwrap_or(u64::MAX));
            self.buffer.clear();
            self.whole = 0;
            self.shrink();
        }
        Ok(())
    }

    /// Sends messages that are made already, after those that wait.
    pub async fn send(&mut self, messages: &[u8]) -> Result<(), Failure> {
        self.flush().await?;
        write(&mut self.socket, messages, &self.gone).await?;
        self.bytes_sent.increment(u64::try_from(messages.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// One very wide row must not keep its memory for the rest of the connection.
    fn shrink(&mut self) {
        if self.buffer.capacity() > 16 * BUFFER_BYTES {
            self.buffer = BytesMut::with_capacity(BUFFER_BYTES);
            self.made = Vec::new();
        }
    }
}

/// Writes all, unless the client does not read and is gone.
async fn write(socket: &mut Sender, bytes: &[u8], gone: &CancellationToken) -> io::Result<()> {
    let written = async {
        socket.write_all(bytes).await?;
        // TLS keeps the end of a record back until it is told to.
        socket.flush().await
    };
    tokio::select! {
        biased;
        written = written => written,
        () = gone.cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}
