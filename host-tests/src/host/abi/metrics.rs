//! Counters, gauges and histograms. Values belong to the name, so they outlive VMs.

use super::{Imports, Status, host_fn, read, write, write_u32};
use crate::host::vm::VmState;

const COUNTER: u32 = 0;
const GAUGE: u32 = 1;
const HISTOGRAM: u32 = 2;
/// The type sits in an id's lowest two bits.
const TYPE_BITS: u32 = 2;

pub(super) fn define(imports: &mut Imports) -> wasmtime::Result<()> {
    host_fn!(imports, "proxy_define_metric", |caller, kind: i32, name: i32, name_size: i32, out: i32| {
        let kind = kind as u32;
        if kind > HISTOGRAM {
            return Err(Status::BadArgument.into());
        }
        let name = String::from_utf8_lossy(&read(&caller, name, name_size)?).into_owned();
        let state = caller.data_mut();
        {
            let mut world = state.world.borrow_mut();
            match kind {
                COUNTER => _ = world.counters.entry(name.clone()).or_default(),
                GAUGE => _ = world.gauges.entry(name.clone()).or_default(),
                _ => _ = world.histograms.entry(name.clone()).or_default(),
            }
        }
        state.metrics.push(name);
        let id = ((state.metrics.len() as u32) << TYPE_BITS) | kind;
        write_u32(&mut caller, out, id)
    });
    host_fn!(imports, "proxy_get_metric", |caller, id: i32, out: i32| {
        let (kind, name) = find(caller.data(), id as u32)?;
        let value = {
            let world = caller.data().world.borrow();
            match kind {
                COUNTER => world.counters.get(&name).copied().unwrap_or(0),
                GAUGE => world.gauges.get(&name).copied().unwrap_or(0),
                _ => return Err(Status::BadArgument.into()),
            }
        };
        write(&mut caller, out, &value.to_le_bytes())
    });
    host_fn!(imports, "proxy_record_metric", |caller, id: i32, value: i64| {
        let (kind, name) = find(caller.data(), id as u32)?;
        let mut world = caller.data().world.borrow_mut();
        match kind {
            COUNTER => *world.counters.entry(name).or_default() += value as u64,
            GAUGE => _ = world.gauges.insert(name, value as u64),
            _ => world.histograms.entry(name).or_default().push(value as u64),
        }
        Ok(())
    });
    host_fn!(imports, "proxy_increment_metric", |caller, id: i32, offset: i64| {
        let (kind, name) = find(caller.data(), id as u32)?;
        let mut world = caller.data().world.borrow_mut();
        match kind {
            COUNTER if offset > 0 => *world.counters.entry(name).or_default() += offset as u64,
            GAUGE => {
                let gauge = world.gauges.entry(name).or_default();
                *gauge = gauge.saturating_add_signed(offset);
            }
            // Envoy refuses to add nothing to a counter, and the SDK hands that on as an error.
            _ => return Err(Status::BadArgument.into()),
        }
        Ok(())
    });
    Ok(())
}

fn find(state: &VmState, id: u32) -> Result<(u32, String), Status> {
    let at = (id >> TYPE_BITS).checked_sub(1).ok_or(Status::NotFound)?;
    let name = state.metrics.get(at as usize).ok_or(Status::NotFound)?;
    Ok((id & ((1 << TYPE_BITS) - 1), name.clone()))
}
