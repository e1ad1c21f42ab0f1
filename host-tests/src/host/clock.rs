//! The clock, which only the test moves, and what falls due when it moves.
//!
//! Decides the order: by time; at the same time call time limits, route time limits, idle time limits, ticks, then what the
//! test scheduled, each in order of age. Ticks: a period below 4 ms counts as 4 ms, which is what Envoy was seen to do.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{CallId, Host, StreamId, UpstreamFailure};

type Task = Box<dyn FnOnce(&mut Host)>;

/// What the test scheduled, by time and serial number.
#[derive(Default)]
pub(super) struct Schedule {
    tasks: BTreeMap<(u64, u64), Task>,
    serial: u64,
}

/// In the order in which things of the same moment happen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Call(CallId),
    Route(StreamId),
    Idle(StreamId),
    Tick { worker: usize, root: u32 },
    Task(u64),
}

impl Host {
    /// The time now.
    pub fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.world.borrow().wall())
    }

    /// Moves the clock forward; everything that falls due on the way happens at its own time.
    pub fn advance(&mut self, by: Duration) {
        let target = self.world.borrow().now.saturating_add(nanoseconds(by));
        while let Some((at, due)) = self.next_due().filter(|(at, _)| *at <= target) {
            {
                let mut world = self.world.borrow_mut();
                world.now = world.now.max(at);
            }
            self.fire(due);
        }
        self.world.borrow_mut().now = target;
    }

    /// Moves the clock without anything falling due on the way, forward or backward: a stepped wall clock.
    pub fn step_clock(&mut self, to: SystemTime) {
        let since = to.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut world = self.world.borrow_mut();
        world.now = nanoseconds(since);
        world.ahead = 0;
    }

    /// Sets the wall clock, forward or backward. Timers do not go by it: what is due stays due when it was.
    pub fn set_wall_clock(&mut self, to: SystemTime) {
        let to = nanoseconds(to.duration_since(UNIX_EPOCH).unwrap_or_default());
        let mut world = self.world.borrow_mut();
        world.ahead = i64::try_from(i128::from(to) - i128::from(world.now)).unwrap_or(0);
    }

    /// Runs `task` when the clock has moved on by `delay`: an origin or a node that takes its time.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use larder_host_tests::host::{Host, Response};
    /// # fn example(host: &mut Host) {
    /// for call in host.calls() {
    ///     host.after(Duration::from_millis(3), move |host| host.answer_call(call.id, Response::new(204)));
    /// }
    /// host.advance(Duration::from_millis(3));
    /// # }
    /// ```
    pub fn after(&mut self, delay: Duration, task: impl FnOnce(&mut Self) + 'static) {
        let at = self.world.borrow().now.saturating_add(nanoseconds(delay));
        self.schedule.serial += 1;
        self.schedule.tasks.insert((at, self.schedule.serial), Box::new(task));
    }

    /// How long until something falls due by itself.
    pub fn next_due_in(&self) -> Option<Duration> {
        let now = self.world.borrow().now;
        self.next_due().map(|(at, _)| Duration::from_nanos(at.saturating_sub(now)))
    }

    fn next_due(&self) -> Option<(u64, Due)> {
        let world = self.world.borrow();
        let idle = nanoseconds(world.config.stream_idle_timeout);
        let calls = world.calls.values().filter_map(|call| Some((call.deadline?, Due::Call(call.id))));
        let live = || world.live.iter().filter_map(|id| Some((id, world.streams.get(id)?)));
        let routes = live().filter_map(|(id, record)| {
            let upstream = record.upstream.as_ref().filter(|upstream| upstream.complete && !upstream.answered)?;
            Some((upstream.deadline?, Due::Route(*id)))
        });
        let idles =
            live().filter(|_| idle > 0).map(|(id, record)| (record.last_activity.saturating_add(idle), Due::Idle(*id)));
        let ticks = self.workers.iter().enumerate().filter_map(|(worker, slot)| {
            let vm = slot.vms.last().filter(|vm| !vm.failed)?;
            let roots = vm.store.data().roots.iter();
            let ticks = roots.filter_map(|(root, state)| Some((state.tick?.due, Due::Tick { worker, root: *root })));
            ticks.min()
        });
        let tasks = self.schedule.tasks.keys().map(|(at, serial)| (*at, Due::Task(*serial)));
        calls.chain(routes).chain(idles).chain(ticks).chain(tasks).min()
    }

    fn fire(&mut self, due: Due) {
        match due {
            Due::Call(call) => self.call_timed_out(call),
            Due::Route(stream) => self.fail_upstream(stream, UpstreamFailure::Timeout),
            Due::Idle(stream) => {
                let now = self.world.borrow().now;
                if let Some(record) = self.world.borrow_mut().streams.get_mut(&stream) {
                    record.last_activity = now;
                }
                self.in_vm(stream, |vm, context| vm.idle_timeout(context));
            }
            Due::Tick { worker, root } => {
                if let Some(vm) = self.workers[worker].vms.last_mut() {
                    vm.tick(root);
                }
                self.settle();
            }
            Due::Task(serial) => {
                let key = self.schedule.tasks.keys().find(|(_, found)| *found == serial).copied();
                if let Some(task) = key.and_then(|key| self.schedule.tasks.remove(&key)) {
                    task(self);
                }
            }
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
