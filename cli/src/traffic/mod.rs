//! Access logs: lines in the usual formats, and the endpoints that are asked for, in bounded memory however long the log is.

pub mod endpoints;
pub mod line;
mod sketch;

use std::io::{BufRead, BufReader, Read};

use anyhow::Context;

pub use self::endpoints::{Endpoint, Endpoints};
pub use self::line::Entry;
use crate::input::Source;

/// A longer line is none that a log has.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// How a log was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Lines with a request in them.
    pub requests: u64,
    /// Lines that say nothing that is understood.
    pub unread: u64,
}

/// Hands over every request of a log.
pub fn read(source: &Source, mut each: impl FnMut(Entry)) -> anyhow::Result<Reading> {
    let reader: Box<dyn Read> = match source {
        Source::Stdin => Box::new(std::io::stdin().lock()),
        Source::File(path) => Box::new(std::fs::File::open(path).with_context(|| format!("cannot read {source}"))?),
    };
    let mut reader = BufReader::with_capacity(1 << 18, reader);
    let mut read = Reading::default();
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let count = (&mut reader)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut bytes)
            .with_context(|| format!("cannot read {source}"))?;
        if count == 0 {
            return Ok(read);
        }
        if !bytes.ends_with(b"\n") && count as u64 == LINE_BYTES_MAX {
            reader.skip_until(b'\n').with_context(|| format!("cannot read {source}"))?;
            read.unread += 1;
            continue;
        }
        let line = String::from_utf8_lossy(bytes.trim_ascii());
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line::parse(&line) {
            Some(entry) => {
                read.requests += 1;
                each(entry);
            }
            None => read.unread += 1,
        }
    }
}
