//! Purges, fills, look-ups and stores in every order: one node, two workers, an origin, an operator, and messages that overtake one
//! another. The parts are the core's own (exchange, worker, desk, leases, purge tables); the explorer tries every order of events
//! within its bounds, states that were seen before apart.
//!
//! What must hold: no answer to a request that began after a purge was acknowledged and delivered to its worker carries bytes that
//! the origin generated before the purge; where the purge was soft, such bytes are never given as fresh. That the explorer bites is
//! shown by bugs that are put in on purpose, each of which it finds.

mod explore;
mod node;
mod world;

use explore::{Found, explore};
use world::{Bounds, Bug};

fn holds(what: &str, bounds: Bounds) {
    match explore(bounds) {
        Found::Nothing { states, answers } => {
            println!("{what}: {states} states, {answers} answers checked");
            assert!(answers > 100, "the bounds leave something to check");
        }
        Found::Violation { path, what } => panic!("{what}\nafter {path:#?}"),
    }
}

fn finds(bug: Bug, bounds: Bounds) {
    match explore(Bounds { bug: Some(bug), ..bounds }) {
        Found::Violation { path, .. } => println!("{bug:?} found after {} events", path.len()),
        Found::Nothing { states, .. } => panic!("{bug:?} was not found in {states} states"),
    }
}

const HARD: Bounds = Bounds { requests: 3, purges: 1, soft: false, polls: 1, writes: 0, bug: None };
const SOFT: Bounds = Bounds { soft: true, requests: 2, polls: 2, ..HARD };
const WRITES: Bounds = Bounds { requests: 2, purges: 0, soft: false, polls: 1, writes: 1, bug: None };

#[test]
fn no_bytes_from_before_a_hard_purge_after_its_delivery() {
    holds("hard", HARD);
}

#[test]
fn no_bytes_from_before_a_soft_purge_as_fresh_after_its_delivery() {
    holds("soft", SOFT);
}

#[test]
fn no_bytes_from_before_a_write_after_it_by_the_worker_that_wrote() {
    holds("writes", WRITES);
}

#[test]
fn a_store_that_takes_the_position_of_its_arrival_is_found() {
    finds(Bug::StoreTakesPositionOfArrival, HARD);
}

#[test]
fn an_answer_that_takes_the_position_of_its_delivery_is_found() {
    finds(Bug::AnswerTakesPositionOfDelivery, HARD);
}

#[test]
fn a_worker_that_only_counts_records_is_found() {
    finds(Bug::WorkerDropsRecords, HARD);
}

#[test]
fn a_node_that_hides_that_a_purge_was_soft_is_found() {
    finds(Bug::NodeHidesSoft, Bounds { requests: 3, ..SOFT });
}

#[test]
fn a_worker_that_trusts_the_cluster_before_its_own_purge_arrived_is_found() {
    finds(Bug::WorkerForgetsItsPurge, WRITES);
}
