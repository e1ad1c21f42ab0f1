//! Header and trailer maps, with Envoy's rules on when they can be read and changed.

use super::{Answer, Imports, Status, Stop, give, host_fn, parse_pairs, read, serialise_pairs};
use crate::host::calls::CallReply;
use crate::host::codec;
use crate::host::message::Headers;
use crate::host::stream::Direction;
use crate::host::vm::VmState;

const MAP_TYPE_MAX: i32 = 7;

pub(super) fn define(imports: &mut Imports) -> wasmtime::Result<()> {
    host_fn!(imports, "proxy_get_header_map_pairs", |caller, kind: i32, out: i32, out_size: i32| {
        let pairs = match readable(caller.data_mut(), kind)? {
            Map::There(headers) => serialise_pairs(&headers),
            Map::Absent | Map::NotNow => Vec::new(),
        };
        give(&mut caller, &pairs, out, out_size)
    });
    host_fn!(
        imports,
        "proxy_get_header_map_value",
        |caller, kind: i32, key: i32, key_size: i32, out: i32, out_size: i32| {
            let key = String::from_utf8_lossy(&read(&caller, key, key_size)?).to_ascii_lowercase();
            let value = match readable(caller.data_mut(), kind)? {
                Map::There(headers) => headers.bytes(&key).ok_or(Status::NotFound)?.to_vec(),
                Map::Absent => return Err(Status::NotFound.into()),
                Map::NotNow => return Err(Status::BadArgument.into()),
            };
            give(&mut caller, &value, out, out_size)
        }
    );
    host_fn!(imports, "proxy_set_header_map_pairs", |caller, kind: i32, pairs: i32, size: i32| {
        let pairs = parse_pairs(&read(&caller, pairs, size)?);
        change(caller.data_mut(), kind, |headers, direction| {
            *headers = Headers::new();
            for (name, value) in pairs.iter() {
                codec::add(headers, direction, name, value);
            }
        })
    });
    host_fn!(imports, "proxy_remove_header_map_value", |caller, kind: i32, key: i32, key_size: i32| {
        let key = String::from_utf8_lossy(&read(&caller, key, key_size)?).into_owned();
        change(caller.data_mut(), kind, |headers, _| headers.remove(&key))
    });
    host_fn!(
        imports,
        "proxy_replace_header_map_value",
        |caller, kind: i32, key: i32, key_size: i32, value: i32, value_size: i32| {
            let key = String::from_utf8_lossy(&read(&caller, key, key_size)?).to_ascii_lowercase();
            let value = read(&caller, value, value_size)?;
            change(caller.data_mut(), kind, |headers, _| codec::replace(headers, &key, &value))
        }
    );
    host_fn!(
        imports,
        "proxy_add_header_map_value",
        |caller, kind: i32, key: i32, key_size: i32, value: i32, value_size: i32| {
            let key = String::from_utf8_lossy(&read(&caller, key, key_size)?).to_ascii_lowercase();
            let value = read(&caller, value, value_size)?;
            change(caller.data_mut(), kind, |headers, direction| codec::add(headers, direction, &key, &value))
        }
    );
    Ok(())
}

/// What reading a map finds.
enum Map {
    There(Headers),
    /// No such map, and Envoy says "not found".
    Absent,
    /// Not available in this phase, and Envoy says "bad argument", on which the SDK panics.
    NotNow,
}

fn readable(state: &mut VmState, kind: i32) -> Result<Map, Stop> {
    if !(0..=MAP_TYPE_MAX).contains(&kind) {
        return Err(Status::BadArgument.into());
    }
    if let 4..=7 = kind {
        let found = match (kind, state.root().and_then(|root| root.reply.as_ref())) {
            (6, Some(CallReply::Answered { headers, .. })) => Some(headers.clone()),
            (7, Some(CallReply::Answered { trailers, .. })) => trailers.clone(),
            _ => None,
        };
        return Ok(found.map_or(Map::NotNow, Map::There));
    }
    let Some(stream) = state.stream() else { return Ok(Map::NotNow) };
    let logging = stream.logging;
    let half = stream.half(if kind < 2 { Direction::Request } else { Direction::Response });
    let (map, open) = match kind {
        0 | 2 => (&half.headers, half.headers_open),
        // Request trailers are not shown to the access log.
        1 if logging => return Ok(Map::Absent),
        _ => (&half.trailers, half.trailers_open),
    };
    Ok(match map {
        Some(headers) if logging || open => Map::There(headers.clone()),
        _ if logging => Map::Absent,
        _ => Map::NotNow,
    })
}

fn change(state: &mut VmState, kind: i32, edit: impl FnOnce(&mut Headers, Direction)) -> Answer {
    let direction = match kind {
        0 | 1 => Direction::Request,
        2 | 3 => Direction::Response,
        _ => return Err(Status::BadArgument.into()),
    };
    let stream = state.stream().ok_or(Status::BadArgument)?;
    let half = stream.half(direction);
    let map = if kind == 0 || kind == 2 {
        half.headers.as_mut().filter(|_| half.headers_open)
    } else {
        // Envoy adds trailers to a message that ends in this very body callback.
        if half.trailers.is_none() && half.body_open && half.complete && half.in_callback {
            half.trailers = Some(Headers::new());
            half.trailers_seen = true;
            half.trailers_open = true;
        }
        half.trailers.as_mut().filter(|_| half.trailers_open)
    };
    edit(map.ok_or(Status::BadArgument)?, direction);
    Ok(())
}
