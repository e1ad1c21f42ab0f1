//! The core's hot functions by themselves, in nanoseconds: `cargo bench -p larder-core`, or `cargo xtask bench core` for the table.

mod subjects;
#[path = "../../tests/exchange/world.rs"]
#[allow(dead_code, reason = "the exchange's tests have more use for it")]
mod world;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use foldhash::fast::FixedState;
use larder_core::decide::preconditions;
use larder_core::decide::reuse::reuse;
use larder_core::entry::etag::Hasher;
use larder_core::entry::wire;
use larder_core::exchange::RequestVerdict;
use larder_core::field::cache_control::CacheControl;
use larder_core::flights::StreamId;
use larder_core::purge::{Mode, Purges, Scope, Standing};
use larder_core::shelf::{Lookup, Shelf};
use larder_core::time::{Seconds, Timestamp};
use larder_core::{Exchange, Policy, key};

use subjects::{NOW, browser, entry, policy_of_routes, variant};

fn exchanges(c: &mut Criterion) {
    let mut group = c.benchmark_group("exchange");
    let mut world = subjects::warm();
    let mut hit = |name: &str, lines: world::Lines<'_>, status: u16| {
        let request = browser("/items/7", lines);
        let mut number = 1000;
        group.bench_function(name, |b| {
            b.iter_batched(
                || request.clone(),
                |request| {
                    number += 1;
                    let mut exchange = Exchange::new(world.policy.clone(), StreamId(number));
                    let verdict = exchange.on_request(NOW, request, &mut world.worker, &mut Vec::new());
                    assert!(matches!(&verdict, RequestVerdict::Respond(reply) if reply.status == status));
                    verdict
                },
                BatchSize::SmallInput,
            );
        });
    };
    hit("hit", &[], 200);
    hit("304", &[("if-none-match", "\"one\"")], 304);
    let mut number = 0;
    group.bench_function("miss, stored", |b| {
        b.iter(|| {
            number += 1;
            world.fetch(("GET", &format!("/misses/{number}"), &[]), 200, subjects::ORIGIN, subjects::BODY);
        });
    });
    group.bench_function("pass", |b| b.iter(|| black_box(world.ask("GET", "/account", &[]))));
    group.finish();
}

fn routing(c: &mut Criterion) {
    let mut group = c.benchmark_group("policy match");
    for routes in [10, 100, 1000, 10_000] {
        let policy = Policy::parse(&policy_of_routes(routes)).expect("a policy");
        let request = browser(&format!("/v1/kind-{}/7", routes / 2), &[]);
        assert_eq!(policy.route(&request).rules.index, routes / 2);
        group.bench_with_input(BenchmarkId::new("routes", routes), &request, |b, request| {
            b.iter(|| policy.route(black_box(request)));
        });
    }
    group.finish();
}

fn keys(c: &mut Criterion) {
    let policy = Policy::parse(r#"{"version":1,"name":"key","defaults":{"key":{"query":{"deny":["utm_*"]}}}}"#);
    let rules = policy.expect("a policy").unmatched().clone();
    let plain = browser("/v1/products/7", &[]);
    let query = browser("/v1/products?page=2&utm_source=x&sort=price&filter=a%20b", &[]);
    let mut group = c.benchmark_group("key");
    for (name, request) in [("path", plain), ("query", query)] {
        group.bench_function(name, |b| b.iter(|| key::keyed(&rules.key, black_box(&request), None)));
    }
    group.finish();
}

fn shelf(c: &mut Criterion) {
    let mut group = c.benchmark_group("shelf look-up");
    for objects in [100u32, 10_000, 1_000_000] {
        let mut shelf = Shelf::new(1 << 40, 7);
        let one = variant(0);
        for number in 0..objects {
            shelf.insert(&subjects::key(number), one.clone(), 1);
        }
        let (wanted, fields) = (subjects::key(objects / 2), browser("/", &[]).fields);
        group.bench_with_input(BenchmarkId::new("objects", objects), &wanted, |b, wanted| {
            b.iter(|| assert!(matches!(shelf.lookup(black_box(wanted), &fields), Lookup::Found(_))));
        });
    }
    group.finish();
}

fn purges(c: &mut Criterion) {
    let mut group = c.benchmark_group("purge coverage");
    let tags: Vec<String> = (0..5).map(|number| format!("product:{number}")).collect();
    for records in [0u32, 100, 10_000, 1_000_000] {
        let mut purges = Purges::new(16_384, FixedState::with_seed(7));
        for number in 0..records {
            purges.append(Scope::Tag(format!("other:{number}")), Mode::Hard);
        }
        // From before all of them, but for what is forgotten by now.
        let standing = if records > 16_384 { purges.now() } else { Standing::default() };
        purges.append(Scope::Tag("another".into()), Mode::Hard);
        group.bench_with_input(BenchmarkId::new("records", records), &tags, |b, tags| {
            b.iter(|| purges.covers("http://h.example/items/7", tags.iter().map(String::as_str), black_box(standing)));
        });
    }
    group.finish();
}

fn fields(c: &mut Criterion) {
    let mut group = c.benchmark_group("field");
    for (name, value) in [
        ("Cache-Control, short", "max-age=60"),
        (
            "Cache-Control, long",
            "public, max-age=60, s-maxage=\"300\", stale-while-revalidate=30, stale-if-error=86400",
        ),
    ] {
        group.bench_function(name, |b| b.iter(|| CacheControl::parse(std::iter::once(black_box(value.as_bytes())))));
    }
    group.finish();
}

fn decisions(c: &mut Criterion) {
    let mut group = c.benchmark_group("decide");
    let stored = variant(0);
    let lifetime = stored.judged.lifetime.expect("stored for a time");
    let covered = larder_core::purge::Covered::No;
    group.bench_function("reuse", |b| b.iter(|| reuse(black_box(&lifetime), Seconds::ZERO, covered, None)));
    let conditional = browser("/", &[("if-none-match", "\"two\", W/\"three\", \"one\"")]).fields;
    let dated = browser("/", &[("if-modified-since", "Sun, 22 Nov 2026 19:22:00 GMT")]).fields;
    for (name, request) in [("If-None-Match", conditional), ("If-Modified-Since", dated)] {
        let entry = &stored.entry;
        group.bench_function(name, |b| {
            b.iter(|| {
                let (etag, modified) = (entry.etag(), entry.last_modified());
                preconditions::evaluate(black_box(&request), "GET", etag, modified, None, true, NOW)
            });
        });
    }
    group.finish();
}

fn records(c: &mut Criterion) {
    let mut group = c.benchmark_group("record");
    for bytes in [1usize << 10, 100 << 10] {
        let entry = entry(0, bytes);
        let written = bytes::Bytes::from(wire::encode(&entry, "name", Timestamp(NOW.0 + 1), true));
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_with_input(BenchmarkId::new("encode", bytes), &entry, |b, entry| {
            b.iter(|| wire::encode(entry, "name", Timestamp(NOW.0 + 1), true));
        });
        group.bench_with_input(BenchmarkId::new("decode", bytes), &written, |b, written| {
            b.iter(|| wire::decode(black_box(written), "name").expect("a record"));
        });
    }
    group.finish();
}

fn etags(c: &mut Criterion) {
    let mut group = c.benchmark_group("ETag of a body");
    for bytes in [1usize << 10, 64 << 10] {
        let body = vec![b'x'; bytes];
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_with_input(BenchmarkId::from_parameter(bytes), &body, |b, body| {
            b.iter(|| {
                let mut hasher = Hasher::new();
                hasher.update(black_box(body));
                hasher.finish(None, false)
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = all;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(30);
    targets = exchanges, keys, routing, shelf, decisions, fields, purges, records, etags
}
criterion_main!(all);
