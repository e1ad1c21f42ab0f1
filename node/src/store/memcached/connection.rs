//! One connection: commands out, answers in. Memcached's text protocol, of which four commands are all that is needed.
//!
//! Does not know of time limits or other connections. Invariant: after any `Err` the connection is of no use, since what it says
//! next may belong to a command before. Reads no more into memory than an item of ours may have, whatever the server announces.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// The longest line of an answer: a key of 250 characters and three numbers.
const LINE_BYTES_MAX: usize = 1024;

/// Items up to this size are written together with their command.
const JOINED_BYTES_MAX: usize = 16 << 10;

/// What is asked.
pub enum Request<'a> {
    /// The items under these keys. Few enough for one line.
    Get(&'a [String]),
    /// Puts these, in their order.
    Set(&'a [Item]),
    /// Removes one.
    Delete(&'a str),
    /// Says nothing but that it is there.
    Version,
}

/// What is put.
pub struct Item {
    pub key: String,
    /// As Memcached takes it: 0 never, up to 30 days a span, else a date.
    pub expires: u64,
    /// In two pieces, so that the value need not be copied.
    pub before: Bytes,
    pub value: Bytes,
}

/// What is answered.
pub enum Answer {
    /// As many as were asked for.
    Items(Vec<Option<Bytes>>),
    Done,
    /// The server would not.
    Refused(String),
}

pub struct Connection {
    stream: BufReader<TcpStream>,
    item_bytes_max: usize,
}

impl Connection {
    pub async fn open(address: &str, item_bytes_max: usize) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(16 << 10, stream), item_bytes_max })
    }

    pub async fn ask(&mut self, request: &Request<'_>) -> io::Result<Answer> {
        match request {
            Request::Get(keys) => self.items(keys).await,
            Request::Set(items) => self.set(items).await,
            Request::Delete(key) => {
                self.send(&format!("delete {key}\r\n")).await?;
                let line = self.line().await?;
                answer(line, &["DELETED", "NOT_FOUND"])
            }
            Request::Version => {
                self.send("version\r\n").await?;
                let line = self.line().await?;
                if line.starts_with("VERSION ") { Ok(Answer::Done) } else { answer(line, &[]) }
            }
        }
    }

    async fn items(&mut self, keys: &[String]) -> io::Result<Answer> {
        self.send(&format!("get {}\r\n", keys.join(" "))).await?;
        let mut items = Vec::with_capacity(keys.len());
        loop {
            let line = self.line().await?;
            if line == "END" {
                items.resize(keys.len(), None);
                return Ok(Answer::Items(items));
            }
            let mut words = line.split(' ');
            let (Some("VALUE"), Some(key), Some(_flags), Some(length)) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return answer(line, &[]);
            };
            // They come in the order asked for; those not there are left out.
            let asked = keys.get(items.len()..).unwrap_or_default();
            let Some(left_out) = asked.iter().position(|asked| asked == key) else {
                return Err(nonsense(&line));
            };
            items.resize(items.len() + left_out, None);
            let length = length.parse().map_err(|_| nonsense(&line))?;
            items.push(Some(self.block(length).await?));
        }
    }

    async fn set(&mut self, items: &[Item]) -> io::Result<Answer> {
        for item in items {
            let length = item.before.len() + item.value.len();
            let mut command = format!("set {} 0 {} {length}\r\n", item.key, item.expires).into_bytes();
            command.extend_from_slice(&item.before);
            if item.value.len() <= JOINED_BYTES_MAX {
                command.extend_from_slice(&item.value);
                command.extend_from_slice(b"\r\n");
                self.stream.write_all(&command).await?;
            } else {
                self.stream.write_all(&command).await?;
                self.stream.write_all(&item.value).await?;
                self.stream.write_all(b"\r\n").await?;
            }
        }
        self.stream.flush().await?;
        // All answers are read, whatever they are, so that the connection stays of use.
        let mut refused = None;
        for _ in items {
            let line = self.line().await?;
            if let Answer::Refused(why) = answer(line, &["STORED"])? {
                refused.get_or_insert(why);
            }
        }
        Ok(refused.map_or(Answer::Done, Answer::Refused))
    }

    async fn send(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes()).await?;
        self.stream.flush().await
    }

    /// A line without its end.
    async fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        loop {
            let bytes = self.stream.fill_buf().await?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let (piece, used, ended) = match bytes.iter().position(|byte| *byte == b'\n') {
                Some(end) => (bytes.get(..end).unwrap_or_default(), end + 1, true),
                None => (bytes, bytes.len(), false),
            };
            if line.len() + piece.len() > LINE_BYTES_MAX {
                return Err(nonsense("a line without end"));
            }
            line.extend_from_slice(piece);
            self.stream.consume(used);
            if ended {
                break;
            }
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        String::from_utf8(line).map_err(|_| nonsense("a line that is no text"))
    }

    /// A block of data and the line end behind it.
    async fn block(&mut self, length: usize) -> io::Result<Bytes> {
        if length > self.item_bytes_max {
            return Err(nonsense(&format!("an item of {length} bytes, which no Larder wrote")));
        }
        let mut block = BytesMut::with_capacity(length + 2);
        while block.len() < length + 2 {
            let missing = length + 2 - block.len();
            if self.stream.read_buf(&mut (&mut block).limit(missing)).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if !block.ends_with(b"\r\n") {
            return Err(nonsense("an item longer than was said"));
        }
        block.truncate(length);
        Ok(block.freeze())
    }
}

/// What a line of answer means.
fn answer(line: String, good: &[&str]) -> io::Result<Answer> {
    if good.contains(&line.as_str()) {
        return Ok(Answer::Done);
    }
    // SERVER_ERROR is about this command only. Any other line is out of step, or no Memcached.
    match line.strip_prefix("SERVER_ERROR ") {
        Some(why) => Ok(Answer::Refused(why.to_owned())),
        None => Err(nonsense(&line)),
    }
}

fn nonsense(line: &str) -> io::Error {
    let line: String = line.chars().take(80).collect();
    io::Error::new(io::ErrorKind::InvalidData, format!("not an answer: {line:?}"))
}
