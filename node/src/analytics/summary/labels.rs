//! What a series is about, by the name that workers give it.

use larder_core::tally::DURATION;

/// What was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// `larder_requests_total`, by outcome.
    Requests,
    /// `larder_request_duration_total`, by outcome and bound.
    Duration,
    /// `larder_not_stored_total`, by reason.
    NotStored,
    /// `larder_bypass_total`, by reason.
    Bypass,
    /// `larder_cluster_failures_total`, by reason.
    ClusterFailures,
    /// `larder_store_bytes_total`.
    StoreBytes,
    /// `larder_origin_bytes_total`.
    OriginBytes,
    /// `larder_not_modified_total`.
    NotModified,
    /// `larder_refreshes_total`.
    Refreshes,
    /// `larder_invalidations_total`.
    Invalidations,
}

/// A counter of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Labels<'a> {
    pub(super) family: Family,
    pub(super) policy: &'a str,
    pub(super) route: &'a str,
    pub(super) class: &'a str,
    /// The hosts of the route, as the policy has them, separated by commas; empty is any.
    pub(super) host: &'a str,
    /// The outcome or the reason.
    pub(super) value: &'a str,
    /// The bound of a duration.
    pub(super) within: &'a str,
}

impl<'a> Labels<'a> {
    /// Reads a name; `None` where it is not a route's counter.
    pub(super) fn of(name: &'a str) -> Option<Self> {
        let mut parts = name.split(';');
        let family = match parts.next()? {
            "larder_requests_total" => Family::Requests,
            DURATION => Family::Duration,
            "larder_not_stored_total" => Family::NotStored,
            "larder_bypass_total" => Family::Bypass,
            "larder_cluster_failures_total" => Family::ClusterFailures,
            "larder_store_bytes_total" => Family::StoreBytes,
            "larder_origin_bytes_total" => Family::OriginBytes,
            "larder_not_modified_total" => Family::NotModified,
            "larder_refreshes_total" | "larder_refreshes_ahead_total" => Family::Refreshes,
            "larder_invalidations_total" => Family::Invalidations,
            _ => return None,
        };
        let mut labels = Self { family, policy: "", route: "", class: "", host: "", value: "", within: "" };
        labels.read(parts);
        Some(labels)
    }

    /// Reads the labels of a URL, which are those of a counter without a name.
    pub(super) fn of_key(labels: &'a str) -> Self {
        let mut read =
            Self { family: Family::Requests, policy: "", route: "", class: "", host: "", value: "", within: "" };
        read.read(labels.split(';'));
        read
    }

    fn read(&mut self, parts: impl Iterator<Item = &'a str>) {
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name {
                "policy" => self.policy = value,
                "route" => self.route = value,
                "class" => self.class = value,
                "host" => self.host = value,
                "outcome" | "reason" => self.value = value,
                "within" => self.within = value,
                _ => {}
            }
        }
    }

    /// Whether the route is for this host, in the policy's words.
    pub(super) fn is_of_host(&self, host: &str) -> bool {
        self.host.split(',').any(|one| one == host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_core::tally::{Count, Outcome};

    #[test]
    fn names_are_read_as_workers_write_them() {
        let name = "larder_requests_total;policy=shop;route=a=b;class=catalog;outcome=hit";
        let want = Labels {
            family: Family::Requests,
            policy: "shop",
            route: "a=b",
            class: "catalog",
            host: "",
            value: "hit",
            within: "",
        };
        assert_eq!(Labels::of(name), Some(want));
        let labels = ";policy=p;route=r;class=c;host=a.example,*.b.example";
        let key = Labels::of_key(labels);
        assert_eq!(
            (key.policy, key.route, key.is_of_host("*.b.example"), key.is_of_host("b")),
            ("p", "r", true, false)
        );
        assert_eq!(Labels::of("larder_l1_bytes"), None);
        assert_eq!(Labels::of(""), None);
        for count in [
            Count::Request(Outcome::Hit),
            Count::BytesFromStore,
            Count::Refresh,
            Count::RefreshAhead,
            Count::NotModified,
            Count::BytesFromOrigin,
        ] {
            let (name, _) = count.parts();
            assert!(Labels::of(&format!("{name};policy=p")).is_some(), "{name}");
        }
    }
}
