//! The two halves of a client's socket, in clear or within TLS. They are read and written by different tasks.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The receiving half.
#[derive(Debug)]
pub enum Receiver {
    Plain(OwnedReadHalf),
    Tls(ReadHalf<TlsStream<TcpStream>>),
    /// The handshake failed.
    Closed,
}

/// The sending half.
#[derive(Debug)]
pub enum Sender {
    Plain(OwnedWriteHalf),
    Tls(WriteHalf<TlsStream<TcpStream>>),
    /// The handshake failed.
    Closed,
}

pub fn split(socket: TcpStream) -> (Receiver, Sender) {
    let (receiver, sender) = socket.into_split();
    (Receiver::Plain(receiver), Sender::Plain(sender))
}

/// Begins TLS on a socket that was in clear; if the handshake fails, both halves are closed.
pub async fn encrypt(receiver: &mut Receiver, sender: &mut Sender, acceptor: &TlsAcceptor) -> io::Result<()> {
    let (Receiver::Plain(read), Sender::Plain(write)) =
        (std::mem::replace(receiver, Receiver::Closed), std::mem::replace(sender, Sender::Closed))
    else {
        return Err(io::Error::other("the connection is encrypted already"));
    };
    let socket = read.reunite(write).map_err(io::Error::other)?;
    let (read, write) = tokio::io::split(acceptor.accept(socket).await?);
    (*receiver, *sender) = (Receiver::Tls(read), Sender::Tls(write));
    Ok(())
}

impl Receiver {
    /// Whether the client begins with a TLS handshake at once; no packet of the protocol begins with that byte. Nothing
    /// is taken from the socket.
    pub async fn begins_with_tls(&mut self) -> io::Result<bool> {
        const HANDSHAKE: u8 = 22;
        let Receiver::Plain(socket) = self else { return Ok(false) };
        let mut first = [0];
        Ok(socket.peek(&mut first).await? == 1 && first[0] == HANDSHAKE)
    }
}

fn closed() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl AsyncRead for Receiver {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Receiver::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Receiver::Tls(socket) => Pin::new(socket).poll_read(context, buffer),
            Receiver::Closed => Poll::Ready(Err(closed())),
        }
    }
}

impl AsyncWrite for Sender {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Sender::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Sender::Tls(socket) => Pin::new(socket).poll_write(context, bytes),
            Sender::Closed => Poll::Ready(Err(closed())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Sender::Plain(socket) => Pin::new(socket).poll_flush(context),
            Sender::Tls(socket) => Pin::new(socket).poll_flush(context),
            Sender::Closed => Poll::Ready(Err(closed())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Sender::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Sender::Tls(socket) => Pin::new(socket).poll_shutdown(context),
            Sender::Closed => Poll::Ready(Ok(())),
        }
    }
}
