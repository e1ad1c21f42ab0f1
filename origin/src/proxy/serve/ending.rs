//! Ending a connection in stages (RFC 9112 9.6): nothing more is sent, and what still comes is read and dropped until the client ends it,
//! too. A socket that is closed while its client is still sending resets the connection, and what the client had not read
//! of the answer is lost: it would never learn why its body or its head was refused.

use std::future::Future;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// A client that sends nothing for so long has stopped.
const QUIET: Duration = Duration::from_secs(2);

/// No client is listened to for longer, however much it sends.
const AT_MOST: Duration = Duration::from_secs(30);

/// What is read at a time.
const PIECE: usize = 16 << 10;

/// A connection's end, as far as it has come.
#[derive(Debug)]
pub(super) struct Ending {
    quiet: Pin<Box<Sleep>>,
    until: Instant,
}

impl Ending {
    /// Begins, once nothing more is sent.
    pub(super) fn new() -> Self {
        Self { quiet: Box::pin(sleep(QUIET)), until: Instant::now() + AT_MOST }
    }

    /// Ready when the connection may be closed.
    pub(super) fn poll<R: AsyncRead + Unpin>(&mut self, stream: &mut R, cx: &mut Context<'_>) -> Poll<()> {
        let mut piece = [MaybeUninit::uninit(); PIECE];
        loop {
            let mut read = ReadBuf::uninit(&mut piece);
            match Pin::new(&mut *stream).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() && Instant::now() < self.until => {
                    let next = (Instant::now() + QUIET).min(self.until);
                    self.quiet.as_mut().reset(next);
                }
                // Ended, broken off, or overdue.
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.quiet.as_mut().poll(cx),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    async fn ended(stream: &mut (impl AsyncRead + Unpin)) -> Duration {
        let (began, mut ending) = (Instant::now(), Ending::new());
        poll_fn(|cx| ending.poll(stream, cx)).await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_ends_it_is_not_waited_for() {
        let (mut client, mut ours) = duplex(100);
        client.write_all(b"some more").await.expect("written");
        drop(client);
        assert_eq!(ended(&mut ours).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_quiet_is_waited_for_a_moment() {
        let (_client, mut ours) = duplex(100);
        assert_eq!(ended(&mut ours).await.as_secs(), QUIET.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_stops_is_not_listened_to_for_ever() {
        let (mut client, mut ours) = duplex(100);
        let sending = tokio::spawn(async move {
            let mut again = tokio::time::interval(QUIET / 2);
            while client.write_all(b"and more").await.is_ok() {
                again.tick().await;
            }
        });
        assert_eq!(ended(&mut ours).await.as_secs(), AT_MOST.as_secs());
        drop(ours);
        sending.await.expect("the client noticed");
    }
}
