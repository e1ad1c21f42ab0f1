//! What a gateway does to the fields of messages that pass it (RFC 9110 7.6, RFC 7239). Nothing here is about caching.

pub(super) mod forwarded;
pub(super) mod hop;
pub(super) mod via;
