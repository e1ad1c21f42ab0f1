//! From a stream's callback into its root context and back, at once.
//!
//! The SDK routes a background call's answer to the context whose callback was running when the call was made. A call that is
//! to outlive its stream must therefore be made in a callback of the root: this calls the module's own export for a queue
//! notification, with a number that no queue has. Only callbacks of streams may hop: in a root's own callback the SDK
//! holds its table of roots, and a second borrow would panic. No borrow of Larder's own state may be held across a hop.
#![expect(unsafe_code, reason = "calls the SDK's export")]

/// No queue has this number.
pub const HOP: u32 = u32::MAX;

unsafe extern "C" {
    fn proxy_on_queue_ready(context: u32, queue: u32);
}

/// Runs `Root::on_queue_ready(HOP)` of this root, from a stream's callback.
pub fn into_root(root: u32) {
    // SAFETY: the SDK's own function, in this very module. The caller is a stream whose root is `root`, which lives as long.
    unsafe { proxy_on_queue_ready(root, HOP) }
}
