//! The thread that writes the journal: many purges with one write and one sync of the disk, nobody's call waits in it.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::journal::Journal;
use super::shared::{Job, Shared};

/// Between attempts at a disk that does not take purges.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Starts the thread. It ends with [`Shared::end`], gives the folder free, and says whether all was written.
pub(super) fn start(journal: Journal, shared: Arc<Shared>) -> io::Result<JoinHandle<bool>> {
    std::thread::Builder::new().name("larder-purges".to_owned()).spawn(move || run(journal, &shared))
}

fn run(mut journal: Journal, shared: &Shared) -> bool {
    loop {
        let mut job = shared.job();
        let mut written = if journal.is_long() {
            job = shared.whole();
            journal.rewrite(&job.entries)
        } else {
            journal.append(&job.entries, job.settled)
        };
        let mut pause = PAUSE_FIRST;
        while let Err(error) = written {
            report(shared, &job, error);
            let was_last = job.ends;
            shared.pause(pause);
            pause = (pause * 2).min(PAUSE_MAX);
            // What a failed write or sync has left in the file is not known.
            job = shared.whole();
            written = journal.rewrite(&job.entries);
            if let (true, Err(error)) = (was_last, &written) {
                let purges = job.entries.len();
                tracing::error!(target: "larder::invalidator", purges, %error, "these purges are not kept");
                return false;
            }
        }
        shared.wrote(job.through);
        if job.ends {
            return true;
        }
    }
}

fn report(shared: &Shared, job: &Job, error: io::Error) {
    tracing::error!(
        target: "larder::invalidator",
        purges = job.entries.len(), %error,
        "the disk does not take purges: they are in memory only, and will be written as soon as it does"
    );
    shared.did_not_write(job.through, &Arc::new(error));
}
