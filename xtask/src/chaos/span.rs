//! The time of one fault: as long before it, while it lasts, and after it. Everything that is measured is measured by these marks.

use std::thread;
use std::time::{Duration, Instant};

/// The marks, and what was noticed on the way.
#[derive(Debug)]
pub struct Span {
    each: Duration,
    /// When the time before it began.
    pub from: Instant,
    /// When the fault began.
    pub begun: Option<Instant>,
    /// When it ended.
    pub ended: Option<Instant>,
    /// Between which times modules trapped: what was under way in them is lost with them.
    pub traps: Vec<(Instant, Instant)>,
    /// What is worth telling beside the figures.
    pub notes: Vec<String>,
}

impl Span {
    /// Three parts of this length. Lets the first one pass.
    pub fn open(each: Duration) -> Self {
        let from = Instant::now();
        thread::sleep(each);
        Self { each, from, begun: None, ended: None, traps: Vec::new(), notes: Vec::new() }
    }

    /// The fault begins now.
    pub fn begin(&mut self) {
        self.begun = Some(Instant::now());
    }

    /// Lets it last.
    pub fn hold(&self) {
        let until = self.begun.unwrap_or(self.from) + self.each;
        thread::sleep(until.saturating_duration_since(Instant::now()));
    }

    /// How long it is to last.
    pub fn each(&self) -> Duration {
        self.each
    }

    /// The fault has ended now.
    pub fn end(&mut self) {
        self.ended = Some(Instant::now());
    }

    /// Lets the time after it pass, and says when that was over.
    pub fn close(&self) -> Instant {
        thread::sleep(self.each);
        Instant::now()
    }

    /// Something worth telling.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}
