//! What a series is about, by the name that workers give it.

/// What was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// `larder_requests_total`, by outcome.
    Requests,
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
    /// The outcome or the reason.
    pub(super) value: &'a str,
}

impl<'a> Labels<'a> {
    /// Reads a name; `None` where it is not a route's counter.
    pub(super) fn of(name: &'a str) -> Option<Self> {
        let mut parts = name.split(';');
        let family = match parts.next()? {
            "larder_requests_total" => Family::Requests,
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
        let mut labels = Self { family, policy: "", route: "", class: "", value: "" };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name {
                "policy" => labels.policy = value,
                "route" => labels.route = value,
                "class" => labels.class = value,
                "outcome" | "reason" => labels.value = value,
                _ => {}
            }
        }
        Some(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_core::tally::{Count, Outcome};

    #[test]
    fn names_are_read_as_workers_write_them() {
        let name = "larder_requests_total;policy=shop;route=a=b;class=catalog;outcome=hit";
        let want = Labels { family: Family::Requests, policy: "shop", route: "a=b", class: "catalog", value: "hit" };
        assert_eq!(Labels::of(name), Some(want));
        assert_eq!(Labels::of("larder_l1_bytes"), None);
        assert_eq!(Labels::of(""), None);
        for count in [
            Count::Request(Outcome::Hit),
            Count::BytesFromStore,
            Count::Refresh,
            Count::RefreshAhead,
            Count::NotModified,
        ] {
            let (name, _) = count.series();
            assert!(Labels::of(&format!("larder_{name}_total;policy=p")).is_some(), "{name}");
        }
    }
}
