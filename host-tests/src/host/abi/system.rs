//! Log, time, ticks, properties, effective context, foreign functions, `done`.

use wasmtime::Caller;

use super::{Imports, Status, Stop, give, host_fn, read, write, write_u32};
use crate::host::config::LogLevel;
use crate::host::properties;
use crate::host::vm::{Deferred, VmState};

pub(super) fn define(imports: &mut Imports) -> wasmtime::Result<()> {
    host_fn!(imports, "proxy_log", |caller, level: i32, message: i32, size: i32| {
        let level = match level {
            0 => LogLevel::Trace,
            1 => LogLevel::Debug,
            2 => LogLevel::Info,
            3 => LogLevel::Warn,
            4 => LogLevel::Error,
            5 => LogLevel::Critical,
            _ => return Err(Status::BadArgument.into()),
        };
        let message = String::from_utf8_lossy(&read(&caller, message, size)?).into_owned();
        let state = caller.data();
        state.world.borrow_mut().log(state.worker, level, message);
        Ok(())
    });
    host_fn!(imports, "proxy_get_log_level", |caller, out: i32| {
        let level = caller.data().world.borrow().config.log_level as u32;
        write_u32(&mut caller, out, level)
    });
    host_fn!(imports, "proxy_get_current_time_nanoseconds", |caller, out: i32| {
        let now = caller.data().world.borrow().wall();
        write(&mut caller, out, &now.to_le_bytes())
    });
    host_fn!(imports, "proxy_set_tick_period_milliseconds", |caller, period: i32| {
        caller.data_mut().set_tick_period(period as u32);
        Ok(())
    });
    host_fn!(imports, "proxy_get_property", |caller, path: i32, path_size: i32, out: i32, out_size: i32| {
        let path = read(&caller, path, path_size)?;
        let value = properties::get(caller.data_mut(), &path).ok_or(Status::NotFound)?;
        give(&mut caller, &value, out, out_size)
    });
    host_fn!(imports, "proxy_set_property", |caller, path: i32, path_size: i32, value: i32, value_size: i32| {
        let (path, value) = (read(&caller, path, path_size)?, read(&caller, value, value_size)?);
        properties::set(caller.data_mut(), path, value).map_err(Stop::Status)
    });
    host_fn!(imports, "proxy_set_effective_context", |caller, context: i32| {
        let state = caller.data_mut();
        if !state.has_context(context as u32) {
            return Err(Status::BadArgument.into());
        }
        state.effective = context as u32;
        Ok(())
    });
    host_fn!(imports, "proxy_done", |caller| {
        let state = caller.data_mut();
        let context = state.context();
        match state.roots.get_mut(&context) {
            Some(root) if root.pending_done => {
                root.pending_done = false;
                state.deferred.push_back(Deferred::DeleteRoot(context));
                Ok(())
            }
            _ => Err(Status::NotFound.into()),
        }
    });
    host_fn!(
        imports,
        "proxy_call_foreign_function",
        |caller, name: i32, name_size: i32, arguments: i32, arguments_size: i32, out: i32, out_size: i32| {
            let name = read(&caller, name, name_size)?;
            read(&caller, arguments, arguments_size)?;
            foreign(&mut caller, &name)?;
            give(&mut caller, &[], out, out_size)
        }
    );
    Ok(())
}

/// The one foreign function that a cache needs; others are not there.
fn foreign(caller: &mut Caller<'_, VmState>, name: &[u8]) -> Result<(), Stop> {
    if name != b"clear_route_cache" {
        return Err(Status::NotFound.into());
    }
    let state = caller.data_mut();
    if let Some(id) = state.stream().map(|stream| stream.id)
        && let Some(record) = state.world.borrow_mut().streams.get_mut(&id)
    {
        record.route = None;
    }
    Ok(())
}
