//! Messages between sessions (`LISTEN`, `NOTIFY`): who listens on which channel, and what waits for whom. What a
//! transaction says is heard when it commits, once for each text, and not at all if it is rolled back. Nothing of it
//! outlives the process. It must never know which door carries a message.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

/// The longest payload, bytes, as in PostgreSQL.
const PAYLOAD_BYTES_MAX: usize = 7_999;
/// Messages that may wait for one session.
const WAITING_MAX: usize = 1 << 16;

/// A message as its listener gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    pub channel: String,
    pub payload: String,
    /// The number that the sender's session goes by.
    pub sender: i32,
}

/// Who listens to what, of all sessions.
#[derive(Debug, Default)]
pub(crate) struct Switchboard(Mutex<HashMap<String, Vec<Arc<Mailbox>>>>);

/// What waits for one session.
#[derive(Debug, Default)]
struct Mailbox {
    waiting: Mutex<VecDeque<Notification>>,
    arrived: Notify,
}

/// What a transaction does when it commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Intended {
    Listen(String),
    /// None for all channels.
    Unlisten(Option<String>),
    Notify {
        channel: String,
        payload: String,
    },
}

/// What the statements of one session have said since its last commit. `pg_notify` adds to it while rows are made.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    intended: Arc<Mutex<Vec<Intended>>>,
    switchboard: Arc<Switchboard>,
}

/// One session's side.
#[derive(Debug)]
pub(crate) struct Listener {
    pub outbox: Outbox,
    mailbox: Arc<Mailbox>,
    channels: BTreeSet<String>,
    number: i32,
}

impl Listener {
    pub fn new(switchboard: Arc<Switchboard>, number: i32) -> Listener {
        let outbox = Outbox { intended: Arc::default(), switchboard };
        Listener { outbox, mailbox: Arc::default(), channels: BTreeSet::new(), number }
    }

    /// Does what was said, in its order.
    pub fn commit(&mut self) {
        let intended = std::mem::take(&mut *self.outbox.intended.lock());
        for intended in intended {
            match intended {
                Intended::Listen(channel) => self.listen(channel),
                Intended::Unlisten(Some(channel)) => self.unlisten(&channel),
                Intended::Unlisten(None) => self.unlisten_all(),
                Intended::Notify { channel, payload } => {
                    self.outbox.switchboard.send(&Notification { channel, payload, sender: self.number });
                }
            }
        }
    }

    /// What has arrived since the last call.
    pub fn take(&self) -> Vec<Notification> {
        self.mailbox.waiting.lock().drain(..).collect()
    }

    /// Waits until something has arrived.
    pub async fn arrived(&self) {
        loop {
            let arrived = self.mailbox.arrived.notified();
            if !self.mailbox.waiting.lock().is_empty() {
                return;
            }
            arrived.await;
        }
    }

    fn listen(&mut self, channel: String) {
        if self.channels.insert(channel.clone()) {
            self.outbox.switchboard.0.lock().entry(channel).or_default().push(Arc::clone(&self.mailbox));
        }
    }

    fn unlisten(&mut self, channel: &str) {
        if !self.channels.remove(channel) {
            return;
        }
        let mut channels = self.outbox.switchboard.0.lock();
        if let Some(listening) = channels.get_mut(channel) {
            listening.retain(|mailbox| !Arc::ptr_eq(mailbox, &self.mailbox));
            if listening.is_empty() {
                channels.remove(channel);
            }
        }
    }

    pub fn unlisten_all(&mut self) {
        while let Some(channel) = self.channels.first().cloned() {
            self.unlisten(&channel);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.unlisten_all();
    }
}

impl Switchboard {
    fn send(&self, notification: &Notification) {
        let channels = self.0.lock();
        for mailbox in channels.get(&notification.channel).into_iter().flatten() {
            mailbox.waiting.lock().push_back(notification.clone());
            mailbox.arrived.notify_one();
        }
    }

    /// Whether everybody who listens has room for one more message.
    fn has_room(&self, channel: &str) -> bool {
        let channels = self.0.lock();
        channels.get(channel).into_iter().flatten().all(|mailbox| mailbox.waiting.lock().len() < WAITING_MAX)
    }
}

impl Outbox {
    /// How much has been said since the last commit.
    pub(crate) fn said(&self) -> usize {
        self.intended.lock().len()
    }

    /// Takes back what was said after the first `count`.
    pub(crate) fn take_back(&self, count: usize) {
        self.intended.lock().truncate(count);
    }

    /// Adds what will be done at the commit.
    ///
    /// # Errors
    ///
    /// 22023 for a channel without a name or with a name that is too long.
    pub(crate) fn intend(&self, intended: Intended) -> Result<()> {
        if let Intended::Listen(channel) = &intended {
            check_channel(channel)?;
        }
        self.intended.lock().push(intended);
        Ok(())
    }

    /// Adds a message to what will be said at the commit; the same one again is said once.
    ///
    /// # Errors
    ///
    /// 22023 for a channel or payload that is too long or a channel without a name; 54000 when a listener does not read.
    pub(crate) fn notify(&self, channel: String, payload: String) -> Result<()> {
        check_channel(&channel)?;
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "payload string too long")
                .with_hint(format!("It may have {PAYLOAD_BYTES_MAX} bytes. Put the data into a table.")));
        }
        if !self.switchboard.has_room(&channel) {
            let message = "too many notifications wait for a session that does not read them";
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message).with_hint(
                "A session gets its messages between statements, and when its transaction has ended.",
            ));
        }
        let notification = Intended::Notify { channel, payload };
        let mut intended = self.intended.lock();
        if !intended.contains(&notification) {
            intended.push(notification);
        }
        Ok(())
    }
}

/// Checks the name of a channel.
fn check_channel(channel: &str) -> Result<()> {
    let problem = match channel.len() {
        0 => "channel name cannot be empty",
        length if length > tarn_catalog::name::IDENTIFIER_BYTES_MAX => "channel name too long",
        _ => return Ok(()),
    };
    Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(listener: &Listener, channel: &str, payload: &str) {
        listener.outbox.notify(channel.into(), payload.into()).expect("a good message");
    }

    fn heard(listener: &Listener) -> Vec<String> {
        listener
            .take()
            .into_iter()
            .map(|heard| format!("{}:{}:{}", heard.sender, heard.channel, heard.payload))
            .collect()
    }

    #[tokio::test]
    async fn a_message_is_heard_at_the_commit_by_who_listens() {
        let switchboard = Arc::new(Switchboard::default());
        let mut sessions = [1, 2, 3].map(|number| Listener::new(Arc::clone(&switchboard), number));
        for (session, channel) in [(0, "a"), (1, "a"), (1, "b")] {
            sessions[session].outbox.intend(Intended::Listen(channel.into())).expect("a good name");
            sessions[session].commit();
        }
        say(&sessions[0], "a", "x");
        say(&sessions[0], "a", "x");
        say(&sessions[0], "b", "y");
        assert_eq!(heard(&sessions[1]), [""; 0]);
        sessions[0].commit();
        sessions[1].arrived().await;
        assert_eq!(heard(&sessions[0]), ["1:a:x"]);
        assert_eq!(heard(&sessions[1]), ["1:a:x", "1:b:y"]);
        assert_eq!(heard(&sessions[2]), [""; 0]);
        // What is taken back is never heard.
        say(&sessions[2], "a", "gone");
        sessions[2].outbox.take_back(0);
        sessions[2].commit();
        assert_eq!(heard(&sessions[0]), [""; 0]);
        drop(sessions);
        assert!(switchboard.0.lock().is_empty(), "nobody listens any more");
    }

    #[test]
    fn a_listener_that_does_not_read_stops_the_sender() {
        let switchboard = Arc::new(Switchboard::default());
        let mut deaf = Listener::new(Arc::clone(&switchboard), 1);
        deaf.outbox.intend(Intended::Listen("a".into())).expect("a good name");
        deaf.commit();
        let mut sender = Listener::new(Arc::clone(&switchboard), 2);
        for number in 0..WAITING_MAX {
            say(&sender, "a", &number.to_string());
            sender.commit();
        }
        let full = sender.outbox.notify("a".into(), "one more".into());
        assert_eq!(full.expect_err("there is no room").sqlstate, SqlState::PROGRAM_LIMIT_EXCEEDED);
        assert_eq!(heard(&deaf).len(), WAITING_MAX);
        say(&sender, "a", "one more");
    }

    #[test]
    fn channels_and_payloads_have_limits() {
        let switchboard = Arc::new(Switchboard::default());
        let listener = Listener::new(Arc::clone(&switchboard), 1);
        for (channel, payload) in
            [("", "x".to_owned()), (&"c".repeat(300), String::new()), ("a", "p".repeat(8000))]
        {
            let said = listener.outbox.notify(channel.into(), payload);
            assert_eq!(said.expect_err("too long").sqlstate, SqlState::INVALID_PARAMETER_VALUE);
        }
        say(&listener, "a", &"p".repeat(7999));
    }
}
