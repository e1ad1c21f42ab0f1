//! Visitors of the shop: threads that ask through Envoy for what shops are asked for, until they are let go. They only read, and count
//! what did not go well.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;

use crate::http::{Connection, Request};

const VISITORS: u64 = 4;
/// Between two requests of a visitor.
const PAUSE: Duration = Duration::from_millis(25);
/// The same while nobody waits for figures.
const PAUSE_EASED: Duration = Duration::from_millis(200);

/// Visitors who come until this is dropped.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    visitors: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    port: u16,
    gone: AtomicBool,
    pause_ms: AtomicU64,
    answered: AtomicU64,
    failed: Mutex<Vec<String>>,
}

impl Load {
    /// Visitors of the shop on this port.
    pub fn start(port: u16) -> Self {
        let shared = Arc::new(Shared {
            port,
            gone: AtomicBool::new(false),
            pause_ms: AtomicU64::new(millis(PAUSE)),
            answered: AtomicU64::new(0),
            failed: Mutex::default(),
        });
        let visitors = (0..VISITORS).map(|visitor| {
            let shared = shared.clone();
            thread::spawn(move || shared.visit(visitor))
        });
        Self { visitors: visitors.collect(), shared }
    }

    /// From now on they take their time.
    pub fn ease(&self) {
        self.shared.pause_ms.store(millis(PAUSE_EASED), Ordering::Relaxed);
    }

    /// How many requests were answered, and what went wrong: no answer, or a 5xx.
    pub fn so_far(&self) -> (u64, Vec<String>) {
        let failed = self.shared.failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (self.shared.answered.load(Ordering::Relaxed), failed)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.gone.store(true, Ordering::Relaxed);
        for visitor in self.visitors.drain(..) {
            let _ = visitor.join();
        }
    }
}

impl Shared {
    fn visit(&self, visitor: u64) {
        let mut connection = None;
        // Visitors begin in different places of one endless list.
        let mut at = visitor << 32;
        while !self.gone.load(Ordering::Relaxed) {
            at += 1;
            let request = wish(mixed(at));
            match self.ask(&mut connection, &request) {
                Ok(status) if status < 500 => {
                    self.answered.fetch_add(1, Ordering::Relaxed);
                }
                outcome => {
                    connection = None;
                    let why = outcome.map_or_else(|error| format!("{error:#}"), |status| status.to_string());
                    let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                    // Somebody may take the API away for hours.
                    failed.truncate(99);
                    failed.push(format!("{}: {why}", request.target));
                }
            }
            thread::sleep(Duration::from_millis(self.pause_ms.load(Ordering::Relaxed)));
        }
    }

    fn ask(&self, connection: &mut Option<Connection>, request: &Request) -> Result<u16> {
        let connection = match connection {
            Some(connection) => connection,
            None => connection.insert(Connection::open(self.port)?),
        };
        Ok(connection.ask(request)?.status)
    }
}

/// What somebody wants to see, by a number: what is popular more often than the rest.
fn wish(number: u64) -> Request {
    let (kind, rest) = (number % 100, number / 100);
    let language = ["en", "de", "fr"][(rest % 3) as usize];
    // The product of two numbers is small more often than large.
    let product = 1 + (rest / 3 % 20) * (rest / 60 % 20) / 8;
    let page = 1 + rest / 3 % 4;
    let (target, field) = match kind {
        0..40 => (format!("/v1/products/{product}"), ("accept-language", language)),
        40..58 => (format!("/v1/products?page={page}&sort=price"), ("accept-language", language)),
        58..74 => (format!("/v1/products/{}/price", 1 + rest % 6), ("accept-language", "en")),
        74..86 => (format!("/v1/images/{product}.jpg"), ("accept", "image/*")),
        86..92 => ("/v1/categories".to_owned(), ("accept-language", language)),
        92..94 => (format!("/v1/products/search?q=red&page={}", 1 + rest % 50), ("accept-language", language)),
        94..99 => ("/v1/account".to_owned(), ("authorization", "Bearer carol-token")),
        _ => ("/v1/reports/sales".to_owned(), ("accept-language", "en")),
    };
    Request::get(target).field(field.0, field.1)
}

/// SplitMix64's output function: neighbours have nothing in common.
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visitors_want_everything_and_some_things_more_often() {
        let wishes: Vec<String> = (1..2000).map(|at| wish(mixed(at)).target).collect();
        let count = |start: &str| wishes.iter().filter(|wish| wish.starts_with(start)).count();
        assert!(count("/v1/products/1") > count("/v1/products/30"));
        for part in ["/v1/images/", "/v1/categories", "/v1/account", "/v1/reports/sales", "/v1/products/search?"] {
            assert!(count(part) > 0, "{part}");
        }
    }
}
