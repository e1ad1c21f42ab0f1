//! Reading a request's body: within its own limit, within the budget for all bodies together, and in time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::time::timeout;

use crate::counts::Turned;
use crate::shared::Taken;

/// Of a body that is not taken, no more is read.
const DROPPED_BYTES_MAX: usize = 64 << 20;

/// The whole body. `taken` accounts for it as long as it is kept.
///
/// What is not taken is read nevertheless, and dropped: whoever is still sending when the connection ends never reads why.
pub(crate) async fn read<B: Body<Data = Bytes> + Unpin>(
    mut body: B,
    bytes_max: usize,
    limit: Duration,
    taken: &mut Taken<'_>,
) -> Result<Bytes, Turned> {
    let declared = body.size_hint().lower();
    let outcome = if declared > bytes_max as u64 {
        Err(Turned::TooLong)
    } else {
        timeout(limit, collect(&mut body, bytes_max, declared, taken)).await.unwrap_or(Err(Turned::Slow))
    };
    if let Err(Turned::TooLong | Turned::Bodies) = outcome {
        // In vain where it takes longer: then the connection ends without an answer being read.
        let _ = timeout(limit, drop_rest(body)).await;
    }
    outcome
}

async fn drop_rest<B: Body<Data = Bytes> + Unpin>(mut body: B) {
    let mut bytes = 0;
    while bytes < DROPPED_BYTES_MAX
        && let Some(Ok(frame)) = body.frame().await
    {
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
}

async fn collect<B: Body<Data = Bytes> + Unpin>(
    body: &mut B,
    bytes_max: usize,
    declared: u64,
    taken: &mut Taken<'_>,
) -> Result<Bytes, Turned> {
    let mut next = async |so_far: usize| loop {
        let Some(frame) = body.frame().await else { return Ok(None) };
        let Ok(piece) = frame.map_err(|_| Turned::Broken)?.into_data() else { continue };
        if piece.len() > bytes_max.saturating_sub(so_far) {
            return Err(Turned::TooLong);
        }
        if !taken.take(piece.len() as u64) {
            return Err(Turned::Bodies);
        }
        return Ok(Some(piece));
    };
    // Most bodies come in one piece, which is then the body.
    let Some(first) = next(0).await? else { return Ok(Bytes::new()) };
    if first.len() as u64 == declared {
        return Ok(first);
    }
    let Some(second) = next(first.len()).await? else { return Ok(first) };
    // What is declared is within the limit; what is not there yet is not believed beyond a megabyte.
    let room = usize::try_from(declared).unwrap_or(0).min(1 << 20);
    let mut whole = BytesMut::with_capacity(room.max(first.len() + second.len()));
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&second);
    while let Some(piece) = next(whole.len()).await? {
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}
