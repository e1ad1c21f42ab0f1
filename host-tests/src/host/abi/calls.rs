//! HTTP calls to clusters, and the gRPC functions, which exist and find no cluster.

use std::time::Duration;

use super::{Imports, Status, give, host_fn, parse_pairs, read, write_u32};
use crate::host::calls::{Call, CallId, CallReply};

/// `WasmResult::BrokenConnection`, the status of a failed call.
const BROKEN_CONNECTION: u32 = 11;

pub(super) fn define(imports: &mut Imports) -> wasmtime::Result<()> {
    host_fn!(imports, "proxy_http_call", |caller,
                                          cluster: i32,
                                          cluster_size: i32,
                                          headers: i32,
                                          headers_size: i32,
                                          body: i32,
                                          body_size: i32,
                                          trailers: i32,
                                          trailers_size: i32,
                                          timeout: i32,
                                          out: i32| {
        let cluster = String::from_utf8_lossy(&read(&caller, cluster, cluster_size)?).into_owned();
        let mut headers = parse_pairs(&read(&caller, headers, headers_size)?);
        let body = read(&caller, body, body_size)?;
        let trailers = parse_pairs(&read(&caller, trailers, trailers_size)?);
        let state = caller.data_mut();
        let (worker, generation, root) = (state.worker, state.generation, state.root_id());
        let mut world = state.world.borrow_mut();
        if !world.clusters.contains(&cluster)
            || [":path", ":method", ":authority"].iter().any(|name| !headers.contains(name))
        {
            return Err(Status::BadArgument.into());
        }
        if !body.is_empty() {
            headers.set("content-length", body.len().to_string());
        }
        let timeout = (timeout > 0).then(|| Duration::from_millis(u64::from(timeout as u32)));
        headers.set("x-envoy-internal", "true");
        if let Some(timeout) = timeout {
            headers.set("x-envoy-expected-rq-timeout-ms", timeout.as_millis().to_string());
        }
        world.next_call += 1;
        let id = CallId(world.next_call);
        state.next_token += 1;
        let token = state.next_token;
        let deadline = timeout.map(|timeout| world.now.saturating_add(timeout.as_nanos() as u64));
        world.calls.insert(
            id,
            Call { id, worker, cluster, headers, body, trailers, timeout, generation, root, token, deadline },
        );
        drop(world);
        write_u32(&mut caller, out, token)
    });
    host_fn!(imports, "proxy_grpc_call", |caller,
                                          service: i32,
                                          service_size: i32,
                                          _name: i32,
                                          _name_size: i32,
                                          _method: i32,
                                          _method_size: i32,
                                          _metadata: i32,
                                          _metadata_size: i32,
                                          _message: i32,
                                          _message_size: i32,
                                          _timeout: i32,
                                          _out: i32| {
        read(&caller, service, service_size)?;
        Err(Status::ParseFailure.into())
    });
    host_fn!(imports, "proxy_grpc_stream", |caller,
                                            service: i32,
                                            service_size: i32,
                                            _name: i32,
                                            _name_size: i32,
                                            _method: i32,
                                            _method_size: i32,
                                            _metadata: i32,
                                            _metadata_size: i32,
                                            _out: i32| {
        read(&caller, service, service_size)?;
        Err(Status::ParseFailure.into())
    });
    host_fn!(imports, "proxy_grpc_send", |_caller, _token: i32, _message: i32, _message_size: i32, _end: i32| {
        Err(Status::NotFound.into())
    });
    host_fn!(imports, "proxy_grpc_cancel", |_caller, _token: i32| Err(Status::NotFound.into()));
    host_fn!(imports, "proxy_grpc_close", |_caller, _token: i32| Err(Status::NotFound.into()));
    host_fn!(imports, "proxy_get_status", |caller, code: i32, out: i32, out_size: i32| {
        let failed = caller.data_mut().root().is_some_and(|root| matches!(root.reply, Some(CallReply::Failed)));
        let (status, message) = if failed { (BROKEN_CONNECTION, "reset") } else { (0, "") };
        write_u32(&mut caller, code, status)?;
        give(&mut caller, message.as_bytes(), out, out_size)
    });
    Ok(())
}
