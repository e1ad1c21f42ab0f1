//! A wall clock that runs ahead, for a process into which this library is preloaded: `clock_gettime(CLOCK_REALTIME)` answers
//! the true time plus the nanoseconds that the file named by `LARDER_CLOCK` holds (eight bytes, native order, mapped, so that a
//! change is seen at once). Every other clock is left alone.
//!
//! Compiled by `wallclock.rs` with nothing but rustc. It calls nothing that allocates: Envoy's allocator asks for the time
//! while it starts, which is why libfaketime, which allocates on its first call, hangs in it.

use std::ffi::{c_char, c_int, c_long, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI64, AtomicPtr, Ordering};

#[repr(C)]
pub struct Timespec {
    secs: i64,
    nanos: i64,
}

const REALTIME: c_int = 0;
const SECOND: i64 = 1_000_000_000;
#[cfg(target_arch = "x86_64")]
const SYS_CLOCK_GETTIME: c_long = 228;
#[cfg(target_arch = "aarch64")]
const SYS_CLOCK_GETTIME: c_long = 113;

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn getenv(name: *const c_char) -> *const c_char;
    fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    fn mmap(at: *mut c_void, size: usize, protection: c_int, flags: c_int, file: c_int, offset: i64) -> *mut c_void;
}

static AHEAD: AtomicPtr<AtomicI64> = AtomicPtr::new(null_mut());

fn ahead() -> i64 {
    let known = AHEAD.load(Ordering::Acquire);
    let ahead = if known.is_null() { map() } else { known };
    // SAFETY: null, or a mapping that is never undone.
    unsafe { ahead.as_ref() }.map_or(0, |ahead| ahead.load(Ordering::Relaxed))
}

fn map() -> *mut AtomicI64 {
    const READ: c_int = 1;
    const SHARED: c_int = 1;
    // SAFETY: C strings, and the arguments that the manual asks for. Two threads at once map twice, which harms nobody.
    unsafe {
        let path = getenv(c"LARDER_CLOCK".as_ptr());
        if path.is_null() {
            return null_mut();
        }
        let file = open(path, 0);
        let at = mmap(null_mut(), 8, READ, SHARED, file, 0);
        if file < 0 || at as isize == -1 {
            return null_mut();
        }
        AHEAD.store(at.cast(), Ordering::Release);
        at.cast()
    }
}

/// # Safety
/// As libc's: `time` points to a timespec.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int {
    // SAFETY: the caller's pointer is handed on, and written only where the kernel has.
    unsafe {
        let result = syscall(SYS_CLOCK_GETTIME, clock, time) as c_int;
        if result == 0 && clock == REALTIME {
            let nanos = (*time).nanos + ahead();
            (*time).secs += nanos.div_euclid(SECOND);
            (*time).nanos = nanos.rem_euclid(SECOND);
        }
        result
    }
}
