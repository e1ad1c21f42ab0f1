//! What of analytics reads bytes, for `crate::fuzzing`.

use super::column::{packed, unpacked};
use super::disk::frame::{self, Frames};
use super::marks::Mark;
use super::sharing;

pub(crate) fn frames(bytes: &[u8]) -> (Vec<u8>, usize) {
    let (mut frames, mut out) = (Frames::new(bytes), Vec::new());
    for (kind, body) in &mut frames {
        frame::put(&mut out, kind, body);
    }
    (out, frames.skipped)
}

pub(crate) fn entry(bytes: &[u8]) -> Option<(usize, usize, usize)> {
    let entry = sharing::decode(bytes)?;
    Some((entry.values.len(), entry.keys.len(), entry.marks.len()))
}

pub(crate) fn mark(bytes: &[u8]) -> Option<Vec<u8>> {
    Mark::decode(bytes).map(|mark| mark.encode())
}

pub(crate) fn column(bytes: &[u8]) -> (Vec<(u32, u64)>, Vec<u8>) {
    let cells: Vec<(u32, u64)> = unpacked(bytes).collect();
    let again = packed(&cells.iter().copied().collect());
    (cells, again)
}
