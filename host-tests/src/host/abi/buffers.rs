//! Bodies and configurations.

use super::{Answer, Imports, Status, Stop, give, host_fn, read};
use crate::host::calls::CallReply;
use crate::host::stream::{Direction, Half};
use crate::host::vm::VmState;

const REQUEST_BODY: i32 = 0;
const RESPONSE_BODY: i32 = 1;
const CALL_BODY: i32 = 4;
const VM_CONFIGURATION: i32 = 6;
const PLUGIN_CONFIGURATION: i32 = 7;
const BUFFER_TYPE_MAX: i32 = 8;

pub(super) fn define(imports: &mut Imports) -> wasmtime::Result<()> {
    host_fn!(imports, "proxy_get_buffer_bytes", |caller, kind: i32, start: i32, size: i32, out: i32, out_size: i32| {
        if !(0..=BUFFER_TYPE_MAX).contains(&kind) {
            return Err(Status::BadArgument.into());
        }
        let bytes =
            slice(caller.data_mut(), kind, start as u32 as usize, size as u32 as usize).ok_or(Status::NotFound)?;
        // Nothing to give: Envoy says Ok and leaves the out parameters alone.
        if bytes.is_empty() { Ok(()) } else { give(&mut caller, &bytes, out, out_size) }
    });
    host_fn!(imports, "proxy_set_buffer_bytes", |caller,
                                                 kind: i32,
                                                 start: i32,
                                                 size: i32,
                                                 data: i32,
                                                 data_size: i32| {
        let data = read(&caller, data, data_size)?;
        let direction = match kind {
            REQUEST_BODY => Direction::Request,
            RESPONSE_BODY => Direction::Response,
            CALL_BODY | VM_CONFIGURATION | PLUGIN_CONFIGURATION => return Err(Status::BadArgument.into()),
            _ => return Err(Status::NotFound.into()),
        };
        let stream = caller.data_mut().stream().ok_or(Status::NotFound)?;
        let body = body_mut(stream.half(direction)).ok_or(Status::BadArgument)?;
        overwrite(body, start as u32 as usize, size as u32 as usize, &data)
    });
    Ok(())
}

/// The part of a buffer from `start`, at most `size` bytes; `None` where there is no such buffer now.
fn slice(state: &mut VmState, kind: i32, start: usize, size: usize) -> Option<Vec<u8>> {
    let cut = |bytes: &[u8]| {
        let start = start.min(bytes.len());
        bytes[start..start.saturating_add(size).min(bytes.len())].to_vec()
    };
    match kind {
        REQUEST_BODY | RESPONSE_BODY => {
            let direction = if kind == REQUEST_BODY { Direction::Request } else { Direction::Response };
            let half = state.stream()?.half(direction);
            Some(body_mut(half).map(|body| cut(body)).unwrap_or_default())
        }
        CALL_BODY => match state.root()?.reply.as_ref()? {
            CallReply::Answered { body, .. } => Some(cut(body)),
            CallReply::Failed => None,
        },
        VM_CONFIGURATION => Some(cut(&state.world.borrow().config.vm_config)),
        PLUGIN_CONFIGURATION => state.configuring.as_ref().map(|configuration| cut(configuration)),
        _ => None,
    }
}

/// What Envoy's context shows as the body now: the chunk of the running callback, or all that is held.
fn body_mut(half: &mut Half) -> Option<&mut Vec<u8>> {
    match &mut half.chunk {
        Some(chunk) => Some(chunk),
        None if half.buffering || half.body_open => Some(&mut half.buffered),
        None => None,
    }
}

/// Envoy's `Buffer::copyFrom`: prepend, replace all, or append; nothing else.
fn overwrite(body: &mut Vec<u8>, start: usize, size: usize, data: &[u8]) -> Answer {
    if start == 0 && size == 0 {
        body.splice(0..0, data.iter().copied());
    } else if start == 0 && size >= body.len() {
        *body = data.to_vec();
    } else if start > 0 && start >= body.len() {
        body.extend_from_slice(data);
    } else {
        return Err(Stop::Status(Status::BadArgument));
    }
    Ok(())
}
