//! Bytes of a client -> messages (PostgreSQL 15, §55.7). Messages are cut out of the stream by their length first, so a
//! malformed one can be answered with an error and the next one still be read.
//!
//! The pgwire crate makes what we send; what we receive is read here, because its decoder takes the whole buffer for
//! one message: a short field makes it read into the next message, or panic.

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::error::Failure;

/// Longest message that is read, bytes: a statement's text, or the parameters of one execution.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Longest message that is skipped with an error. A longer length is taken for garbage, and the connection ends.
const MESSAGE_BYTES_SKIPPED_MAX: usize = (1 << 30) - 1;

/// Longest message of the kinds that carry names only, and of those before login.
pub const SMALL_MESSAGE_BYTES_MAX: usize = 10_000;

/// How much is asked of the socket at a time, bytes: at first, and when a client sends more than that at a time.
const READ_BYTES: usize = 16 << 10;
const READ_BYTES_MAX: usize = 256 << 10;

/// What clients send after login.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    Query(String),
    Parse(Parse),
    Bind(Bind),
    Describe(Target),
    Execute {
        portal: String,
        rows_max: usize,
    },
    Close(Target),
    Flush,
    Sync,
    Terminate,
    /// Copy data nobody asked for; it follows a failed COPY and is ignored, as the protocol says.
    Copy,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Parse {
    pub statement: String,
    pub sql: String,
    /// Zero where the client leaves the type to us.
    pub parameter_oids: Vec<u32>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Bind {
    pub portal: String,
    pub statement: String,
    pub parameter_formats: Vec<i16>,
    pub parameters: Vec<Option<Bytes>>,
    pub result_formats: Vec<i16>,
}

/// What Describe and Close name.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    Statement(String),
    Portal(String),
}

/// One message, not yet decoded.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub body: Body,
}

#[derive(Debug)]
pub enum Body {
    Whole(Bytes),
    /// It was longer than [`MESSAGE_BYTES_MAX`] and has been skipped.
    Skipped(usize),
}

impl Frame {
    /// How much memory the frame holds, bytes.
    pub fn size(&self) -> usize {
        match &self.body {
            Body::Whole(bytes) => bytes.len(),
            Body::Skipped(_) => 0,
        }
    }

    /// Whether an error in this message is followed by messages to skip until Sync.
    pub fn extended(&self) -> bool {
        matches!(self.kind, b'P' | b'B' | b'D' | b'E' | b'C' | b'H')
    }

    pub fn decode(self) -> Result<Message, Failure> {
        let body = match self.body {
            Body::Whole(bytes) => bytes,
            Body::Skipped(bytes) => return Err(Failure::message_too_long(bytes, MESSAGE_BYTES_MAX)),
        };
        let mut reader = Reader(body);
        let message = reader.message(self.kind)?;
        if reader.0.has_remaining() {
            return Err(Failure::protocol("invalid message format: there are bytes after its end"));
        }
        Ok(message)
    }
}

/// The stream of frames of one client.
#[derive(Debug)]
pub struct Frames<R> {
    socket: R,
    buffer: BytesMut,
    read_bytes: usize,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub fn new(socket: R) -> Frames<R> {
        Frames { socket, buffer: BytesMut::new(), read_bytes: READ_BYTES }
    }

    /// The next frame; `None` when the client is gone.
    pub async fn next(&mut self) -> Result<Option<Frame>, Failure> {
        if !self.fill(5).await? {
            return Ok(None);
        }
        let kind = self.buffer[0];
        let length = u32::from_be_bytes([self.buffer[1], self.buffer[2], self.buffer[3], self.buffer[4]]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        check_length(kind, length)?;
        let body_bytes = length - 4;
        self.buffer.advance(5);
        if body_bytes > MESSAGE_BYTES_MAX {
            let whole = self.skip(body_bytes).await?;
            return Ok(whole.then_some(Frame { kind, body: Body::Skipped(body_bytes) }));
        }
        if !self.fill(body_bytes).await? {
            return Ok(None);
        }
        Ok(Some(Frame { kind, body: Body::Whole(self.buffer.split_to(body_bytes).freeze()) }))
    }

    /// The kind of the next frame, of which nothing is taken; `None` when the client is gone.
    pub async fn peek_kind(&mut self) -> Result<Option<u8>, Failure> {
        let more = self.fill(1).await?;
        Ok(more.then(|| self.buffer[0]))
    }

    /// The next packet of the time before login, which has a length and no kind; `None` when the client is gone.
    pub async fn startup_packet(&mut self) -> Result<Option<Bytes>, Failure> {
        if !self.fill(4).await? {
            return Ok(None);
        }
        let length = u32::from_be_bytes([self.buffer[0], self.buffer[1], self.buffer[2], self.buffer[3]]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if !(8..=SMALL_MESSAGE_BYTES_MAX).contains(&length) {
            return Err(Failure::fatal_protocol("invalid length of startup packet"));
        }
        if !self.fill(length).await? {
            return Ok(None);
        }
        self.buffer.advance(4);
        Ok(Some(self.buffer.split_to(length - 4).freeze()))
    }

    pub fn socket(&mut self) -> &mut R {
        &mut self.socket
    }

    /// Whether more has been read than was taken.
    pub fn holds_more(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Reads until the buffer holds `bytes`. Memory grows with what arrives, not with what a length field claims.
    async fn fill(&mut self, bytes: usize) -> Result<bool, Failure> {
        while self.buffer.len() < bytes {
            self.buffer.reserve(self.read_bytes);
            let read = self.socket.read_buf(&mut self.buffer).await?;
            if read == 0 {
                return Ok(false);
            }
            // A client that loads data fills whatever there is room for.
            let wanted = if read >= self.read_bytes { self.read_bytes * 2 } else { READ_BYTES };
            self.read_bytes = wanted.min(READ_BYTES_MAX);
        }
        Ok(true)
    }

    async fn skip(&mut self, mut bytes: usize) -> Result<bool, Failure> {
        while bytes > 0 {
            if self.buffer.is_empty() && !self.fill(1).await? {
                return Ok(false);
            }
            let step = bytes.min(self.buffer.len());
            self.buffer.advance(step);
            bytes -= step;
        }
        Ok(true)
    }
}

fn check_length(kind: u8, length: usize) -> Result<(), Failure> {
    let bytes_max = match kind {
        b'Q' | b'P' | b'B' | b'd' => MESSAGE_BYTES_SKIPPED_MAX,
        b'D' | b'E' | b'C' | b'H' | b'S' | b'X' | b'c' | b'f' | b'p' | b'F' => SMALL_MESSAGE_BYTES_MAX,
        _ => return Err(Failure::fatal_protocol(format!("invalid frontend message type {kind}"))),
    };
    if (4..=bytes_max).contains(&length) {
        Ok(())
    } else {
        Err(Failure::fatal_protocol(format!("invalid message length {length}")))
    }
}

/// Reads the fields of one message, never past its end.
struct Reader(Bytes);

impl Reader {
    fn message(&mut self, kind: u8) -> Result<Message, Failure> {
        Ok(match kind {
            b'Q' => Message::Query(self.string()?),
            b'P' => Message::Parse(self.parse()?),
            b'B' => Message::Bind(self.bind()?),
            b'D' => Message::Describe(self.target()?),
            b'E' => Message::Execute {
                portal: self.string()?,
                // Zero, and by custom anything below, is no limit.
                rows_max: usize::try_from(self.i32()?).ok().filter(|rows| *rows > 0).unwrap_or(usize::MAX),
            },
            b'C' => Message::Close(self.target()?),
            b'H' => Message::Flush,
            b'S' => Message::Sync,
            // As in PostgreSQL, what stands in it does not matter any more.
            b'X' => {
                self.0.clear();
                Message::Terminate
            }
            b'd' | b'c' | b'f' => {
                self.0.clear();
                Message::Copy
            }
            b'F' => return Err(Failure::unsupported("the function call message")),
            _ => return Err(Failure::fatal_protocol(format!("unexpected message type {kind}"))),
        })
    }

    fn parse(&mut self) -> Result<Parse, Failure> {
        let statement = self.string()?;
        let sql = self.string()?;
        let count = self.count()?;
        let parameter_oids =
            (0..count).map(|_| self.i32().map(i32::cast_unsigned)).collect::<Result<_, _>>()?;
        Ok(Parse { statement, sql, parameter_oids })
    }

    fn bind(&mut self) -> Result<Bind, Failure> {
        let portal = self.string()?;
        let statement = self.string()?;
        let parameter_formats = self.formats()?;
        let count = self.count()?;
        let parameters = (0..count).map(|_| self.value()).collect::<Result<_, _>>()?;
        let result_formats = self.formats()?;
        Ok(Bind { portal, statement, parameter_formats, parameters, result_formats })
    }

    fn target(&mut self) -> Result<Target, Failure> {
        match self.take(1)?[0] {
            b'S' => Ok(Target::Statement(self.string()?)),
            b'P' => Ok(Target::Portal(self.string()?)),
            other => Err(Failure::protocol(format!("invalid target {other}: neither statement nor portal"))),
        }
    }

    fn formats(&mut self) -> Result<Vec<i16>, Failure> {
        let count = self.count()?;
        (0..count).map(|_| self.i16()).collect()
    }

    fn value(&mut self) -> Result<Option<Bytes>, Failure> {
        match self.i32()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| short())?;
                self.take(length).map(Some)
            }
        }
    }

    /// How many elements follow, unsigned as the JDBC driver sends more than 32767 parameters.
    fn count(&mut self) -> Result<u16, Failure> {
        self.i16().map(i16::cast_unsigned)
    }

    fn i16(&mut self) -> Result<i16, Failure> {
        self.take(2).map(|mut bytes| bytes.get_i16())
    }

    fn i32(&mut self) -> Result<i32, Failure> {
        self.take(4).map(|mut bytes| bytes.get_i32())
    }

    fn string(&mut self) -> Result<String, Failure> {
        let length = self.0.iter().position(|byte| *byte == 0).ok_or_else(short)?;
        let bytes = self.0.split_to(length);
        self.0.advance(1);
        String::from_utf8(bytes.into()).map_err(|_| Failure::not_utf8())
    }

    fn take(&mut self, length: usize) -> Result<Bytes, Failure> {
        if length > self.0.len() { Err(short()) } else { Ok(self.0.split_to(length)) }
    }
}

fn short() -> Failure {
    Failure::protocol("invalid message format: it ends in the middle of a field")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(kind: u8, body: &[u8]) -> Result<Message, Failure> {
        Frame { kind, body: Body::Whole(Bytes::copy_from_slice(body)) }.decode()
    }

    #[test]
    fn whole_messages() {
        let check = |kind, body: &[u8], expect| assert_eq!(decode(kind, body).ok(), Some(expect));
        check(b'Q', b"select 1\0", Message::Query("select 1".to_owned()));
        check(b'E', b"p\0\0\0\0\x05", Message::Execute { portal: "p".to_owned(), rows_max: 5 });
        check(b'E', b"\0\0\0\0\0", Message::Execute { portal: String::new(), rows_max: usize::MAX });
        check(b'X', b"more", Message::Terminate);
        check(b'C', b"Sx\0", Message::Close(Target::Statement("x".to_owned())));
        check(b'D', b"P\0", Message::Describe(Target::Portal(String::new())));
        check(
            b'P',
            b"s\0select $1\0\0\x01\0\0\0\x17",
            Message::Parse(Parse {
                statement: "s".to_owned(),
                sql: "select $1".to_owned(),
                parameter_oids: vec![23],
            }),
        );
        check(
            b'B',
            b"p\0s\0\0\x01\0\x01\0\x02\xff\xff\xff\xff\0\0\0\x02ab\0\0",
            Message::Bind(Bind {
                portal: "p".to_owned(),
                statement: "s".to_owned(),
                parameter_formats: vec![1],
                parameters: vec![None, Some(Bytes::from_static(b"ab"))],
                result_formats: vec![],
            }),
        );
    }

    #[test]
    fn broken_messages_are_errors() {
        let broken: [(u8, &[u8]); 9] = [
            (b'Q', b"select 1"),
            (b'Q', b"select 1\0more"),
            (b'Q', b"\xff\xfe\0"),
            (b'D', b""),
            (b'D', b"Xname\0"),
            (b'E', b"p\0\0\0"),
            (b'P', b"\0select\0\0\x09"),
            (b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff"),
            (b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe"),
        ];
        for (kind, body) in broken {
            assert!(decode(kind, body).is_err(), "{} {body:?}", char::from(kind));
        }
    }

    #[tokio::test]
    async fn frames_are_cut_by_their_length() {
        let bytes: &[u8] = b"Q\0\0\0\x06a\0S\0\0\0\x04X\0\0";
        let mut frames = Frames::new(bytes);
        let mut kinds = Vec::new();
        while let Some(frame) = frames.next().await.expect("good frames") {
            kinds.push(frame.kind);
        }
        assert_eq!(kinds, b"QS");
    }

    #[tokio::test]
    async fn a_kind_is_known_before_its_body_has_come() {
        let bytes: &[u8] = b"Q\x03\0\0\0";
        assert_eq!(Frames::new(bytes).peek_kind().await.ok(), Some(Some(b'Q')));
        assert_eq!(Frames::new(&b""[..]).peek_kind().await.ok(), Some(None));
    }

    #[tokio::test]
    async fn a_length_that_cannot_be_is_fatal() {
        for bytes in [&b"Q\0\0\0\x03"[..], b"Q\xff\xff\xff\xff", b"D\0\x01\0\0", b"!\0\0\0\x04"] {
            let failure = Frames::new(bytes).next().await.expect_err("it is garbage");
            assert!(matches!(failure, Failure::Fatal(_)), "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn a_message_beyond_the_limit_is_skipped_and_the_next_one_read() {
        let length = MESSAGE_BYTES_MAX + 1;
        let mut bytes = vec![b'Q'];
        bytes.extend(u32::try_from(length + 4).expect("it fits").to_be_bytes());
        bytes.resize(bytes.len() + length, b'x');
        bytes.extend(b"S\0\0\0\x04");
        let mut frames = Frames::new(&bytes[..]);
        let long = frames.next().await.expect("a frame").expect("a frame");
        assert!(matches!(long.body, Body::Skipped(bytes) if bytes == length));
        assert!(long.decode().is_err());
        assert_eq!(frames.next().await.expect("a frame").map(|frame| frame.kind), Some(b'S'));
    }
}
