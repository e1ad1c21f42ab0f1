//! Carrying out the core's changes to a head that Envoy holds.
//!
//! A value that must not go out is dropped and counted. What Envoy refuses (a stream that is gone) is left alone.

use larder_core::exchange::{Edit, Edits};

use crate::raw::{self, Map};
use crate::{head, metrics};

/// Makes the changes, in order.
pub fn apply(map: Map, edits: &Edits) {
    for edit in edits {
        let _ = match edit {
            Edit::Remove(name) => raw::remove_field(map, name),
            Edit::Set(name, value) if head::is_clean(value) => raw::set_field(map, name, value),
            Edit::Add(name, value) if head::is_clean(value) => raw::add_field(map, name, value),
            Edit::Target(target) if head::is_clean(target.as_bytes()) => {
                raw::set_field(map, ":path", target.as_bytes())
            }
            Edit::Route => raw::clear_route_cache(),
            Edit::Set(name, _) => {
                metrics::note_unclean();
                raw::remove_field(map, name)
            }
            Edit::Add(..) | Edit::Target(_) => {
                metrics::note_unclean();
                Ok(())
            }
        };
    }
}
