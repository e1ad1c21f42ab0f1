//! What changes a stream's course: continue, close, local response. All of it runs after the callback.

use super::{Imports, Status, host_fn, parse_pairs, read};
use crate::host::codec::LocalReply;
use crate::host::stream::Direction;
use crate::host::vm::Deferred;

pub(super) fn define(imports: &mut Imports) -> wasmtime::Result<()> {
    host_fn!(imports, "proxy_continue_stream", |caller, kind: i32| {
        let direction = match kind {
            0 => Direction::Request,
            1 => Direction::Response,
            2 => return Ok(()),
            3 => return Err(Status::Unimplemented.into()),
            _ => return Err(Status::BadArgument.into()),
        };
        let state = caller.data_mut();
        let context = state.context();
        if let Some(stream) = state.stream() {
            // Envoy closes the request's maps and body at once, whichever direction is continued.
            stream.request.headers_open = false;
            stream.request.trailers_open = false;
            stream.request.body_open = false;
            state.deferred.push_back(Deferred::Continue(context, direction));
        }
        Ok(())
    });
    host_fn!(imports, "proxy_close_stream", |caller, kind: i32| {
        match kind {
            0 | 1 => {
                let state = caller.data_mut();
                let context = state.context();
                if state.stream().is_some() {
                    state.deferred.push_back(Deferred::Close(context));
                }
                Ok(())
            }
            2 | 3 => Ok(()),
            _ => Err(Status::BadArgument.into()),
        }
    });
    host_fn!(imports, "proxy_send_local_response", |caller,
                                                    status: i32,
                                                    details: i32,
                                                    details_size: i32,
                                                    body: i32,
                                                    body_size: i32,
                                                    headers: i32,
                                                    headers_size: i32,
                                                    grpc: i32| {
        let details = read(&caller, details, details_size)?;
        let body = read(&caller, body, body_size)?;
        let headers = parse_pairs(&read(&caller, headers, headers_size)?);
        let reply = LocalReply {
            status: status as u32 as u16,
            details: String::from_utf8_lossy(&details).split_whitespace().collect::<Vec<_>>().join("_"),
            body,
            headers,
            grpc_status: u8::try_from(grpc).ok().filter(|status| *status <= 16),
        };
        let state = caller.data_mut();
        let context = state.context();
        if let Some(stream) = state.stream() {
            // Of several replies the first wins; one that replaces a response on its way is another matter.
            let again = std::mem::replace(&mut stream.reply_queued, true) && stream.response.headers.is_none();
            if !again {
                state.deferred.push_back(Deferred::Reply(context, Box::new(reply)));
            }
        }
        // Whatever the running callback returns counts as "stop", even if the reply is for another stream.
        state.stop_iteration = true;
        Ok(())
    });
    Ok(())
}
