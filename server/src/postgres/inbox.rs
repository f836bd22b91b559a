//! What the client has sent and nobody has looked at yet, in its order. A session takes its messages from here, and a
//! `COPY FROM` its data.

use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::error::Failure;
use super::frame::Frame;

/// What the reader of the socket hands over.
pub enum Inbound {
    /// A frame, with its share of the room for frames that wait.
    Frame((Frame, Option<OwnedSemaphorePermit>)),
    /// The bytes make no frames any more.
    Broken(Failure),
}

/// The messages of one client.
pub struct Inbox {
    receiver: mpsc::Receiver<Inbound>,
    /// A message that was looked at before its turn.
    peeked: Option<Inbound>,
}

impl Inbox {
    pub fn new(receiver: mpsc::Receiver<Inbound>) -> Inbox {
        Inbox { receiver, peeked: None }
    }

    /// The next message; `None` when the client is gone. Nothing is lost when nobody waits for the answer any more.
    pub async fn next(&mut self) -> Option<Inbound> {
        match self.peeked.take() {
            Some(peeked) => Some(peeked),
            None => self.receiver.recv().await,
        }
    }

    /// Whether Sync has come already and is next. Drivers send it in one piece with what it follows; if it comes late,
    /// the statement before it is run as one of several, which costs time and changes nothing.
    pub fn sync_follows(&mut self) -> bool {
        if self.peeked.is_none() {
            self.peeked = self.receiver.try_recv().ok();
        }
        matches!(&self.peeked, Some(Inbound::Frame((frame, _))) if frame.kind == b'S')
    }
}
