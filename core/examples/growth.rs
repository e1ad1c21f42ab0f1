//! How the core's cost grows: nanoseconds of a hit and bytes of an object, against objects, tags, purge records and routes.
//!
//! One JSON line a figure on standard output; `cargo xtask bench growth` draws them. An argument is the largest number of objects.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "it measures how long the core takes")]

#[path = "../benches/hot/subjects.rs"]
#[allow(dead_code, reason = "the benches have more use for it")]
mod subjects;
#[path = "../tests/exchange/world.rs"]
#[allow(dead_code, reason = "the exchange's tests have more use for it")]
mod world;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use larder_core::exchange::RequestVerdict;
use larder_core::flights::StreamId;
use larder_core::purge::{Mode, Scope};
use larder_core::{Exchange, Policy, RequestHead, Worker};

use subjects::{BODY, NOW, ORIGIN, browser};
use world::World;

/// Different requests that a figure is taken of, and how often each.
const REQUESTS: usize = 1000;
const ROUNDS: usize = 21;
const SHELF_BYTES: u64 = 1 << 34;

fn main() {
    let most = std::env::args().nth(1).and_then(|most| most.parse().ok()).unwrap_or(1_000_000);
    objects(most);
    tags_of_an_object();
    tags_in_all();
    purge_records();
    routes();
}

fn say(axis: &str, figure: &str, x: usize, value: f64) {
    println!("{}", serde_json::json!({ "axis": axis, "figure": figure, "x": x, "value": value }));
}

fn objects(most: usize) {
    let body = "x".repeat(1024);
    let mut world = world(&subjects::policy());
    let empty = resident();
    let mut stored = 0;
    for objects in [100, 1000, 10_000, 100_000, 1_000_000].into_iter().filter(|objects| *objects <= most) {
        while stored < objects {
            world.fetch(("GET", &item(stored), &[]), 200, ORIGIN, &body);
            stored += 1;
        }
        say("objects", "hit", objects, hit(&mut world, |number| item(number * (objects / 100) % objects)));
        if objects >= 10_000 {
            say("objects", "resident", objects, resident().saturating_sub(empty) as f64 / objects as f64);
        }
        say("objects", "counted", objects, world.worker.shelf.bytes() as f64 / objects as f64);
    }
}

/// Purges of something else stand in the log after each object, so that its tags are looked at. One tag is the route's.
fn tags_of_an_object() {
    for tags in [1, 4, 16, 64] {
        let mut world = world(&subjects::policy());
        let list: Vec<String> = (1..tags).map(|tag| format!("category:{tag}")).collect();
        fill(&mut world, 100, &list.join(" "));
        for other in 0..1000 {
            world.worker.purges.append(Scope::Tag(format!("other:{other}")), Mode::Hard);
        }
        say("tags of an object", "hit", tags, hit(&mut world, |number| item(number % 100)));
    }
}

/// Five tags each, out of so many.
fn tags_in_all() {
    for tags in [10, 100, 1000, 10_000, 100_000] {
        let mut world = world(&subjects::policy());
        for number in 0..10_000 {
            let list: Vec<String> = (0..5).map(|tag| format!("category:{}", (number * 5 + tag) % tags)).collect();
            store(&mut world, number, &list.join(" "));
        }
        world.worker.purges.append(Scope::Tag("other".into()), Mode::Hard);
        say("tags in all", "hit", tags, hit(&mut world, |number| item(number * 10 % 10_000)));
        let mut took = Vec::new();
        for round in 0..ROUNDS {
            let purges: Vec<Scope> = (0..100).map(|tag| Scope::Tag(format!("round-{round}:{tag}"))).collect();
            let begun = Instant::now();
            for scope in purges {
                world.worker.purges.append(scope, Mode::Hard);
            }
            took.push(begun.elapsed().as_nanos() as f64 / 100.0);
        }
        say("tags in all", "purge", tags, median(took));
    }
}

/// So many records were heard before the objects were stored, and one after that.
fn purge_records() {
    for records in [1, 100, 10_000, 100_000, 1_000_000] {
        let mut world = world(&subjects::policy());
        for other in 1..records {
            world.worker.purges.append(Scope::Tag(format!("other:{other}")), Mode::Hard);
        }
        fill(&mut world, 100, "category:1 category:2 category:3");
        world.worker.purges.append(Scope::Tag("the last".into()), Mode::Hard);
        say("purge records", "hit", records, hit(&mut world, |number| item(number % 100)));
    }
}

fn routes() {
    for routes in [10, 100, 1000, 10_000] {
        let text = subjects::policy_of_routes(routes);
        let begun = Instant::now();
        let mut world = world(&text);
        say("routes", "read", routes, begun.elapsed().as_nanos() as f64 / 1e6);
        let target = |number: usize| format!("/v1/kind-{}/7", number % routes);
        for number in 0..routes.min(REQUESTS) {
            world.fetch(("GET", &target(number), &[]), 200, ORIGIN, BODY);
        }
        say("routes", "hit", routes, hit(&mut world, |number| target(number % routes.min(REQUESTS))));
    }
}

fn world(policy: &str) -> World {
    let mut world = World::new("");
    world.policy = Arc::new(Policy::parse(policy).unwrap_or_else(|errors| panic!("{errors}")));
    world.worker = Worker::new(SHELF_BYTES, 7);
    world.now = NOW;
    world
}

fn item(number: usize) -> String {
    format!("/items/{number}")
}

fn fill(world: &mut World, objects: usize, tags: &str) {
    (0..objects).for_each(|number| store(world, number, tags));
}

fn store(world: &mut World, number: usize, tags: &str) {
    let lines = [ORIGIN, &[("surrogate-key", tags)]].concat();
    world.fetch(("GET", &item(number), &[]), 200, &lines, BODY);
}

/// Nanoseconds of a hit: the median of rounds over requests for different objects, which were made before.
fn hit(world: &mut World, target: impl Fn(usize) -> String) -> f64 {
    let requests: Vec<RequestHead> = (0..REQUESTS).map(|number| browser(&target(number), &[])).collect();
    let mut number = 1 << 40;
    let took = (0..ROUNDS).map(|_| {
        let requests = requests.clone();
        let mut verdicts = Vec::with_capacity(REQUESTS);
        let begun = Instant::now();
        for request in requests {
            number += 1;
            let mut exchange = Exchange::new(world.policy.clone(), StreamId(number));
            verdicts.push(exchange.on_request(world.now, request, &mut world.worker, &mut Vec::new()));
        }
        let took = begun.elapsed().as_nanos() as f64 / REQUESTS as f64;
        assert!(
            black_box(verdicts).iter().all(|verdict| matches!(verdict, RequestVerdict::Respond(_))),
            "all are hits"
        );
        took
    });
    median(took.collect())
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// The resident memory of this process in bytes; 0 where there is no /proc.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) * 1024
}
