//! Stopping in two steps: nothing new is taken on, and after a time nothing goes on.

use tokio::sync::watch;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
enum Stage {
    #[default]
    Serving,
    Stopping,
    Overdue,
}

/// Says when. Dropped, it says that all is overdue.
#[derive(Debug)]
pub(in crate::proxy) struct Stop {
    /// Heard by whatever works for clients, each for as long as it does.
    work: watch::Sender<Stage>,
    /// Heard by whoever tells of it.
    report: watch::Sender<Stage>,
}

/// Hears when.
#[derive(Clone, Debug)]
pub(in crate::proxy) struct Stopping(watch::Receiver<Stage>);

impl Stop {
    pub(in crate::proxy) fn new() -> Self {
        Self { work: watch::Sender::default(), report: watch::Sender::default() }
    }

    /// For what works for clients; whoever has it is waited for.
    pub(in crate::proxy) fn for_work(&self) -> Stopping {
        Stopping(self.work.subscribe())
    }

    /// For who tells of it.
    pub(in crate::proxy) fn for_report(&self) -> Stopping {
        Stopping(self.report.subscribe())
    }

    /// Nothing new.
    pub(in crate::proxy) fn stop(&self) {
        self.work.send_replace(Stage::Stopping);
        self.report.send_replace(Stage::Stopping);
    }

    /// Nothing any more.
    pub(in crate::proxy) fn end(&self) {
        self.work.send_replace(Stage::Overdue);
        self.report.send_replace(Stage::Overdue);
    }

    /// When everything that works for clients has ended.
    pub(in crate::proxy) async fn work_ended(&self) {
        self.work.closed().await;
    }
}

impl Stopping {
    /// When nothing new is to be taken on.
    pub(in crate::proxy) async fn stopped(&mut self) {
        // An error says that the sender is gone, which comes to the same.
        let _ = self.0.wait_for(|stage| *stage >= Stage::Stopping).await;
    }

    /// When everything is to end.
    pub(in crate::proxy) async fn overdue(&mut self) {
        let _ = self.0.wait_for(|stage| *stage >= Stage::Overdue).await;
    }

    /// Whether nothing new is to be taken on.
    pub(in crate::proxy) fn is_stopping(&self) -> bool {
        *self.0.borrow() >= Stage::Stopping
    }
}
