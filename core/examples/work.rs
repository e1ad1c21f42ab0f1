//! One way of requests through the core, so often: for profilers that count instructions (`cargo xtask profile core`).
//!
//! `work WAY COUNT`, where WAY is hit, not-modified, miss or pass.

#[path = "../benches/hot/subjects.rs"]
#[allow(dead_code, reason = "the benches have more use for it")]
mod subjects;
#[path = "../tests/exchange/world.rs"]
#[allow(dead_code, reason = "the exchange's tests have more use for it")]
mod world;

use std::hint::black_box;
use std::process::ExitCode;

use subjects::{BODY, ORIGIN};

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let (way, count) = (words.next().unwrap_or_default(), words.next().and_then(|count| count.parse::<u32>().ok()));
    let mut world = subjects::warm();
    for number in 0..count.unwrap_or(1000) {
        match way.as_str() {
            "hit" => drop(black_box(world.ask("GET", "/items/7", subjects::BROWSER))),
            "not-modified" => {
                let lines = [subjects::BROWSER, &[("if-none-match", "\"one\"")]].concat();
                drop(black_box(world.ask("GET", "/items/7", &lines)));
            }
            "miss" => world.fetch(("GET", &format!("/items/miss-{number}"), subjects::BROWSER), 200, ORIGIN, BODY),
            "pass" => world.fetch(("GET", "/account", subjects::BROWSER), 200, ORIGIN, BODY),
            _ => {
                eprintln!("work hit|not-modified|miss|pass COUNT");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
