//! Properties (`get_property`, `set_property`): attributes of request, response, connection, route and plugin.
//!
//! Integers are 8 bytes little-endian, booleans one byte, maps the ABI's list of pairs. What is not known is absent.

use super::abi::Status;
use super::message::Headers;
use super::vm::VmState;
use super::world::StreamRecord;

/// The value at a path whose parts are separated by NUL.
pub(crate) fn get(state: &mut VmState, path: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(path).into_owned();
    let parts: Vec<&str> = text.split('\0').collect();
    let world = state.world.clone();
    {
        let world = world.borrow();
        match parts.as_slice() {
            ["plugin_name"] => return Some(world.config.plugin_name.clone().into_bytes()),
            ["plugin_root_id"] => return Some(world.config.root_id.clone().into_bytes()),
            ["plugin_vm_id"] => return Some(world.config.vm_id.clone().into_bytes()),
            _ => {}
        }
    }
    let stream = state.stream()?;
    let id = stream.id;
    let request = stream.request.headers.clone().unwrap_or_default();
    let response = stream.response.headers.clone();
    let trailers = stream.response.trailers.clone();
    let mut world = world.borrow_mut();
    if let ["xds", rest @ ..] = parts.as_slice() {
        return match rest {
            ["cluster_name"] => world.route_cluster(id, &request).map(String::into_bytes),
            ["route_name"] => {
                let route = world.route(id, &request)?;
                Some(world.config.routes[route].name.clone().into_bytes())
            }
            ["virtual_host_name"] => Some(b"default".to_vec()),
            ["listener_direction"] => Some(0_i64.to_le_bytes().to_vec()),
            _ => None,
        };
    }
    let now = world.now;
    let record = world.streams.get(&id)?;
    if parts.len() == 1
        && let Some(value) = record.properties.get(path)
    {
        return Some(value.clone());
    }
    match parts.as_slice() {
        ["request", rest @ ..] => request_attribute(rest, &request, record, now),
        ["response", rest @ ..] => response_attribute(rest, response.as_ref(), trailers.as_ref(), record),
        ["connection", "id"] | ["connection_id"] => Some(id.0.to_le_bytes().to_vec()),
        ["connection", "mtls"] => Some(vec![0]),
        ["source", "address"] => Some(b"127.0.0.1:40000".to_vec()),
        ["source", "port"] => Some(40_000_i64.to_le_bytes().to_vec()),
        ["destination", "address"] => Some(b"127.0.0.1:10000".to_vec()),
        ["destination", "port"] => Some(10_000_i64.to_le_bytes().to_vec()),
        _ => None,
    }
}

/// Properties of a stream can be added; elsewhere there is nothing to hold them.
/// One whose path has several parts is kept but cannot be read back by its path: Envoy looks its first part up alone.
pub(crate) fn set(state: &mut VmState, path: Vec<u8>, value: Vec<u8>) -> Result<(), Status> {
    let id = state.stream().map(|stream| stream.id).ok_or(Status::NotFound)?;
    if let Some(record) = state.world.borrow_mut().streams.get_mut(&id) {
        record.properties.insert(path, value);
    }
    Ok(())
}

fn request_attribute(parts: &[&str], headers: &Headers, record: &StreamRecord, now: u64) -> Option<Vec<u8>> {
    let header = |name: &str| headers.bytes(name).map(<[u8]>::to_vec);
    let path = headers.text(":path").unwrap_or_default();
    let (url_path, query) = path.split_once('?').unwrap_or((&path, ""));
    match parts {
        ["path"] => header(":path"),
        ["url_path"] => Some(url_path.as_bytes().to_vec()),
        ["query"] => Some(query.as_bytes().to_vec()),
        ["host"] => header(":authority"),
        ["scheme"] => header(":scheme"),
        ["method"] => header(":method"),
        ["referer"] => header("referer"),
        ["useragent"] => header("user-agent"),
        ["id"] => header("x-request-id"),
        ["protocol"] => Some(match record.protocol {
            super::Protocol::Http1 => b"HTTP/1.1".to_vec(),
            super::Protocol::Http2 => b"HTTP/2".to_vec(),
        }),
        ["time"] => Some((record.started as i64).to_le_bytes().to_vec()),
        ["duration"] if record.ended => Some((now.saturating_sub(record.started) as i64).to_le_bytes().to_vec()),
        ["headers", name] => header(name),
        ["size"] => Some((record.request_bytes as i64).to_le_bytes().to_vec()),
        _ => None,
    }
}

fn response_attribute(
    parts: &[&str],
    headers: Option<&Headers>,
    trailers: Option<&Headers>,
    record: &StreamRecord,
) -> Option<Vec<u8>> {
    match parts {
        ["code"] => record.response_code.map(|code| i64::from(code).to_le_bytes().to_vec()),
        ["code_details"] => record.code_details.clone().map(String::into_bytes),
        ["flags"] => Some(0_i64.to_le_bytes().to_vec()),
        ["headers", name] => headers?.bytes(name).map(<[u8]>::to_vec),
        ["trailers", name] => trailers?.bytes(name).map(<[u8]>::to_vec),
        _ => None,
    }
}
