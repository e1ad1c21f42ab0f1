//! Shared data and shared queues.

use std::collections::VecDeque;

use super::{Imports, Status, Stop, give, host_fn, read, write_u32};
use crate::host::shared::Queue;
use crate::host::world::QueueReady;

pub(super) fn define(imports: &mut Imports) -> wasmtime::Result<()> {
    host_fn!(imports, "proxy_get_shared_data", |caller, key: i32, key_size: i32, out: i32, out_size: i32, cas: i32| {
        let key = read(&caller, key, key_size)?;
        let (value, number) = caller.data().world.borrow().shared.get(&key).ok_or(Status::NotFound)?;
        give(&mut caller, &value, out, out_size)?;
        write_u32(&mut caller, cas, number)
    });
    host_fn!(imports, "proxy_set_shared_data", |caller,
                                                key: i32,
                                                key_size: i32,
                                                value: i32,
                                                value_size: i32,
                                                cas: i32| {
        let (key, value) = (read(&caller, key, key_size)?, read(&caller, value, value_size)?);
        match caller.data().world.borrow_mut().shared.set(&key, &value, cas as u32) {
            Status::Ok => Ok(()),
            refused => Err(Stop::Status(refused)),
        }
    });
    host_fn!(imports, "proxy_register_shared_queue", |caller, name: i32, name_size: i32, out: i32| {
        let name = read(&caller, name, name_size)?;
        let state = caller.data_mut();
        let (worker, generation, root) = (state.worker, state.generation, state.root_id());
        let mut world = state.world.borrow_mut();
        let vm_id = world.config.vm_id.clone().into_bytes();
        let at = match world.queues.iter().position(|queue| queue.vm_id == vm_id && queue.name == name) {
            Some(at) => {
                // The last to register hears of new items; what waits in the queue stays.
                let queue = &mut world.queues[at];
                (queue.worker, queue.generation, queue.root) = (worker, generation, root);
                at
            }
            None => {
                world.queues.push(Queue { vm_id, name, worker, generation, root, items: VecDeque::new() });
                world.queues.len() - 1
            }
        };
        drop(world);
        write_u32(&mut caller, out, at as u32 + 1)
    });
    host_fn!(imports, "proxy_resolve_shared_queue", |caller,
                                                     vm_id: i32,
                                                     vm_id_size: i32,
                                                     name: i32,
                                                     name_size: i32,
                                                     out: i32| {
        let (mut vm_id, name) = (read(&caller, vm_id, vm_id_size)?, read(&caller, name, name_size)?);
        let world = caller.data().world.borrow();
        if vm_id.is_empty() {
            vm_id = world.config.vm_id.clone().into_bytes();
        }
        let found = world.queues.iter().position(|queue| queue.vm_id == vm_id && queue.name == name);
        drop(world);
        let at = found.ok_or(Status::NotFound)?;
        write_u32(&mut caller, out, at as u32 + 1)
    });
    host_fn!(imports, "proxy_enqueue_shared_queue", |caller, queue: i32, value: i32, value_size: i32| {
        let value = read(&caller, value, value_size)?;
        let mut world = caller.data().world.borrow_mut();
        let found = world.queues.get_mut((queue as u32 as usize).wrapping_sub(1)).ok_or(Status::NotFound)?;
        found.items.push_back(value);
        let ready =
            QueueReady { worker: found.worker, generation: found.generation, root: found.root, queue: queue as u32 };
        world.posted.push_back(ready);
        Ok(())
    });
    host_fn!(imports, "proxy_dequeue_shared_queue", |caller, queue: i32, out: i32, out_size: i32| {
        let mut world = caller.data().world.borrow_mut();
        let found = world.queues.get_mut((queue as u32 as usize).wrapping_sub(1)).ok_or(Status::NotFound)?;
        let item = found.items.pop_front().ok_or(Status::Empty)?;
        drop(world);
        give(&mut caller, &item, out, out_size)
    });
    Ok(())
}
