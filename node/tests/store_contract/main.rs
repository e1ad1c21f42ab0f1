//! What every store must do, whatever is behind it: one list of contracts, run against each store on real servers that the tests
//! start themselves.
//!
//! A store joins by implementing `subject::Subject` in a file of its own below `subject/`, and one line at the end of this file for
//! each list that applies to it.

// The memory store has neither servers nor bytes in reach, and needs few of these.
#![allow(dead_code, unused_macros)]

mod contract;
#[cfg(feature = "disk")]
mod disk_killed;
mod flood;
#[cfg(feature = "memcached")]
mod memcached_nonsense;
#[cfg(feature = "memcached")]
mod memcached_twice;
#[cfg(feature = "redis")]
mod redis_cluster;
#[cfg(feature = "redis")]
mod redis_sentinel;
#[cfg(feature = "redis")]
mod redis_speed;
#[cfg(feature = "redis")]
mod redis_tls;
#[cfg(any(feature = "redis", feature = "memcached"))]
#[path = "../servers/mod.rs"]
mod servers;
mod subject;

/// Makes a test of every contract named, each against a new subject.
macro_rules! tests_of {
    ($make:expr; $($group:ident: $($contract:ident)+;)+) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $contract() {
                let subject = $make;
                $crate::contract::$group::$contract(&subject).await;
            }
        )+)+
    };
}

/// What holds for every store.
macro_rules! every_store {
    ($store:ident, $make:expr) => {
        mod $store {
            tests_of! { $make;
                values: round_trips many_come_in_their_order a_put_replaces a_removed_value_is_gone
                    names_of_every_length_and_letter too_large_is_refused;
                expiry: a_value_expires kept_for_no_time_is_not_kept kept_for_400_days a_put_renews;
                concurrency: readers_see_whole_values many_names_at_once;
            }
        }
    };
}

/// What holds for a store whose bytes others can get at. The subject needs `plant` and `truncate`.
macro_rules! store_with_bytes_in_reach {
    ($store:ident, $make:expr) => {
        mod $store {
            tests_of! { $make;
                garbage: foreign_bytes_are_no_value a_truncated_value_is_no_value;
            }
        }
    };
}

/// What holds for a store on a server. The subject needs `kill`, `restart`, `halt`, `resume`.
macro_rules! store_on_a_server {
    ($store:ident, $make:expr) => {
        mod $store {
            tests_of! { $make;
                faults: a_halted_server_costs_its_time_limit a_dead_server_is_an_error_at_once
                    a_server_that_comes_back_is_used_again two_clients_share_what_is_stored
                    never_there_is_an_error_until_it_is;
            }
        }
    };
}

every_store!(memory, crate::subject::memory::Memory::new());

#[cfg(feature = "disk")]
every_store!(disk, crate::subject::disk::Disk::new(64 << 20));
#[cfg(feature = "disk")]
every_store!(disk_without_memory, crate::subject::disk::Disk::new(1 << 20));

#[cfg(feature = "memcached")]
every_store!(memcached, crate::subject::memcached::Memcached::patient().await);
#[cfg(feature = "memcached")]
store_with_bytes_in_reach!(memcached_garbage, crate::subject::memcached::Memcached::patient().await);
#[cfg(feature = "memcached")]
store_on_a_server!(memcached_faults, crate::subject::memcached::Memcached::start(1).await);

#[cfg(feature = "redis")]
every_store!(redis, crate::subject::redis::Redis::patient());
#[cfg(feature = "redis")]
store_with_bytes_in_reach!(redis_garbage, crate::subject::redis::Redis::patient());
#[cfg(feature = "redis")]
store_on_a_server!(redis_faults, crate::subject::redis::Redis::hurried());

#[cfg(feature = "redis")]
every_store!(redis_in_cluster, crate::subject::redis::Redis::cluster());
#[cfg(feature = "redis")]
store_with_bytes_in_reach!(redis_in_cluster_garbage, crate::subject::redis::Redis::cluster());
