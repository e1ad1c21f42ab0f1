//! A log in a file: for one node alone that keeps its entries over a restart.
//!
//! An append returns when the file is synced. One thread writes; what arrives while it syncs goes into the next sync together.
//! Readers see what is synced, never more: what a reader saw is there after a crash.
//!
//! In the folder: `purge.log`, `purge.log.lock` (one process at a time), `purge.log.new` (while it is rewritten),
//! `purge.log.damaged` (what could not be trusted at a start).

pub(crate) mod file;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_trait::async_trait;
use larder_core::purge::{Mode, Scope, Sequence};
use tokio::sync::oneshot;

use self::file::Found;
use super::open::OpenError;
use super::tail::Tail;
use super::{Log, LogError, LogId, Position, Read, encode};

const KIND: &str = "disk";

/// A file is rewritten when it is larger than this and most of it is no longer kept.
const REWRITE_BYTES: u64 = 4 << 20;

/// Bytes of one sync.
const SYNC_BYTES_MAX: usize = 8 << 20;

/// A log on disk.
pub struct DiskLog {
    tail: Arc<Tail>,
    /// To the writer; taken when the log goes, which ends the writer.
    requests: Option<mpsc::Sender<Append>>,
    writer: Option<JoinHandle<()>>,
}

struct Append {
    purges: Vec<(Scope, Mode)>,
    encoded: Vec<Vec<u8>>,
    done: oneshot::Sender<Result<Position, LogError>>,
}

impl DiskLog {
    /// Opens the log in a folder, or begins one. Reads the file: blocks.
    pub fn open(folder: &Path, keep: usize) -> Result<Self, OpenError> {
        let failed = |action: &'static str| {
            let folder = folder.to_owned();
            move |source: io::Error| OpenError::Disk { folder, action, source }
        };
        fs::create_dir_all(folder).map_err(failed("make the folder"))?;
        let paths = Paths::below(folder);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&paths.lock);
        let lock = lock.map_err(failed("open the lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { folder: folder.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
        }
        let (tail, file) = load(&paths, keep).map_err(failed("read"))?;
        let tail = Arc::new(tail);
        let bytes = file.as_ref().map_or(Ok(0), |file| file.metadata().map(|about| about.len()));
        let mut writer = Writer { tail: tail.clone(), paths, file, bytes: bytes.map_err(failed("read"))?, _lock: lock };
        if writer.file.is_none() {
            writer.rewrite().map_err(failed("write"))?;
        }
        let (requests, inbox) = mpsc::channel();
        let thread = thread::Builder::new().name("purge-log".to_owned()).spawn(move || writer.run(&inbox));
        let thread = thread.map_err(failed("start the writer of"))?;
        Ok(Self { tail, requests: Some(requests), writer: Some(thread) })
    }
}

/// The records of the file, and the file where it can be appended to.
fn load(paths: &Paths, keep: usize) -> io::Result<(Tail, Option<File>)> {
    let random = || LogId::random().map_err(io::Error::from);
    let file = match OpenOptions::new().read(true).append(true).open(&paths.log) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Tail::new(random()?, keep), None)),
        Err(error) => return Err(error),
    };
    match file::read(BufReader::with_capacity(256 << 10, &file))? {
        Found::Log { log, floor, records, end, torn } => {
            if torn {
                tracing::warn!(file = %paths.log.display(), end, "an append was cut short when the node stopped; cut off");
                file.set_len(end)?;
                file.sync_all()?;
            }
            let tail = Tail::new(log, keep);
            tail.restart(log, floor);
            tail.extend(records);
            Ok((tail, Some(file)))
        }
        Found::Damaged { at, why } => {
            let (file, kept) = (paths.log.display(), paths.damaged.display());
            tracing::error!(%file, at, why, %kept, "the purge log is damaged: all that was stored before counts as purged");
            fs::rename(&paths.log, &paths.damaged)?;
            Ok((Tail::new(random()?, keep), None))
        }
    }
}

#[async_trait]
impl Log for DiskLog {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn append(&self, purges: &[(Scope, Mode)]) -> Result<Position, LogError> {
        let encoded = encode(purges)?;
        if purges.is_empty() {
            return self.tail.head();
        }
        let (done, written) = oneshot::channel();
        let append = Append { purges: purges.to_vec(), encoded, done };
        let gone = || LogError::Refused { log: KIND, why: "its writer has ended".to_owned() };
        let requests = self.requests.as_ref().ok_or_else(gone)?;
        requests.send(append).map_err(|_| gone())?;
        written.await.map_err(|_| gone())?
    }

    async fn head(&self) -> Result<Position, LogError> {
        self.tail.head()
    }

    async fn read(&self, log: LogId, from: Sequence, max: usize, wait: Duration) -> Result<Read, LogError> {
        // Readers see what is synced only, so a position after the head was never handed out.
        let head = self.tail.head()?;
        if log == head.log && from > head.sequence {
            return Ok(Read::Other { head });
        }
        self.tail.read(log, from, max, wait).await
    }
}

impl Drop for DiskLog {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the purge log's writer panicked");
        }
    }
}

struct Paths {
    folder: PathBuf,
    log: PathBuf,
    lock: PathBuf,
    new: PathBuf,
    damaged: PathBuf,
}

impl Paths {
    fn below(folder: &Path) -> Self {
        let path = |name: &str| folder.join(name);
        Self {
            folder: folder.to_owned(),
            log: path("purge.log"),
            lock: path("purge.log.lock"),
            new: path("purge.log.new"),
            damaged: path("purge.log.damaged"),
        }
    }
}

struct Writer {
    tail: Arc<Tail>,
    paths: Paths,
    /// `None` where what is at the file's end is unknown, after a failure: it is rewritten before the next append.
    file: Option<File>,
    bytes: u64,
    _lock: File,
}

impl Writer {
    fn run(mut self, inbox: &mpsc::Receiver<Append>) {
        while let Ok(first) = inbox.recv() {
            let mut bytes = first.bytes();
            let mut appends = vec![first];
            while bytes < SYNC_BYTES_MAX
                && let Ok(next) = inbox.try_recv()
            {
                bytes += next.bytes();
                appends.push(next);
            }
            self.write(appends);
            if self.bytes > REWRITE_BYTES
                && self.bytes > 2 * self.tail.bytes()
                && let Err(error) = self.rewrite()
            {
                tracing::error!(file = %self.paths.log.display(), %error, "the purge log cannot be rewritten");
            }
        }
    }

    fn write(&mut self, appends: Vec<Append>) {
        if let Err(error) = self.sync(&appends) {
            self.file = None;
            let why = format!("{}: {error}", self.paths.log.display());
            tracing::error!(why, "purges were not written");
            for append in appends {
                let answer = Err(LogError::Refused { log: KIND, why: why.clone() });
                // Who no longer waits does not need to know.
                drop(append.done.send(answer));
            }
            return;
        }
        for append in appends {
            let position = self.tail.append(append.purges);
            drop(append.done.send(Ok(position)));
        }
    }

    fn sync(&mut self, appends: &[Append]) -> io::Result<()> {
        if self.file.is_none() {
            self.rewrite()?;
        }
        let mut frames = Vec::new();
        let mut last = self.tail.known().sequence;
        for append in appends {
            file::write_frame(&mut frames, Sequence(last.0.saturating_add(1)), &append.encoded)?;
            last = Sequence(last.0.saturating_add(append.encoded.len() as u64));
        }
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        file.write_all(&frames)?;
        file.sync_data()?;
        self.bytes += frames.len() as u64;
        Ok(())
    }

    /// Writes what is kept into a new file and puts that in the old one's place.
    fn rewrite(&mut self) -> io::Result<()> {
        self.file = None;
        let (position, floor, records) = self.tail.kept();
        let mut out = BufWriter::new(File::create(&self.paths.new)?);
        out.write_all(&file::head(position.log, floor))?;
        let mut last = floor;
        for chunk in records.chunks(256) {
            let encoded: Vec<Vec<u8>> = chunk.iter().map(|record| record.scope.encode(record.mode)).collect();
            file::write_frame(&mut out, Sequence(last.0.saturating_add(1)), &encoded)?;
            last = Sequence(last.0.saturating_add(encoded.len() as u64));
        }
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&self.paths.new, &self.paths.log)?;
        // The new name is not there after a crash before the folder is.
        File::open(&self.paths.folder)?.sync_all()?;
        let file = OpenOptions::new().append(true).open(&self.paths.log)?;
        self.bytes = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }
}

impl Append {
    fn bytes(&self) -> usize {
        self.encoded.iter().map(|purge| purge.len() + 4).sum()
    }
}
