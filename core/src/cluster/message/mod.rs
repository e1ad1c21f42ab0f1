//! The messages between workers and nodes, and their binary form.
//!
//! ```text
//! "LRDM"  u8 protocol version  u8 kind  fields in their order
//! ```
//! Every request is the body of a POST to [`Lookup::PATH`] and so on; every answer the body of a 200. Records carry checksums of
//! their own. Decoding is total: whatever is not a message of this version and kind is `None`.
//!
//! | path | request | answer |
//! |---|---|---|
//! | `/larder/lookup` | [`Lookup`] | [`LookupAnswer`] |
//! | `/larder/store` | [`Store`] | [`StoreAnswer`] |
//! | `/larder/freshen` | [`Freshen`] | [`StoreAnswer`] |
//! | `/larder/release` | [`Release`] | [`StoreAnswer`] |
//! | `/larder/tell` | [`Tell`]: several of those three | [`StoreAnswer`] |
//! | `/larder/purge` | [`Purge`] | [`PurgeAnswer`] |
//! | `/larder/poll` | [`Poll`] | [`PollAnswer`] |
//! | `/larder/report` | [`Report`] | [`StoreAnswer`] |

mod codec;
mod fill;
mod log;
mod lookup;
mod policies;

pub use codec::Message;
pub use fill::{Freshen, Refusal, Release, Store, StoreAnswer, Tell};
pub use log::{Denial, Poll, PollAnswer, Purge, PurgeAnswer, Report, ReportedKey};
pub use lookup::{Found, Lookup, LookupAnswer};
pub use policies::{POLICY_BYTES_MAX, Policies, Pushed, Watch};
