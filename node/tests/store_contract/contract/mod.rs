//! The contracts, a file per subject matter. Each takes a subject that nothing else uses.

pub mod concurrency;
pub mod expiry;
pub mod faults;
pub mod garbage;
pub mod values;
