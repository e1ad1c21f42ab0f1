//! What a store costs: memory an object, microseconds a put and a get. Measures; decides nothing.
//!
//!     cargo run --release -p larder-node --example stores -- URL [OBJECTS [BYTES]]

use std::error::Error;
use std::time::{Duration, Instant};

use bytes::Bytes;
use larder_node::store::{self, Name, Store};

const KEEP: Duration = Duration::from_secs(3600);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let url = words.next().ok_or("which store? (a URL)")?;
    let objects: u32 = words.next().map_or(Ok(100_000), |word| word.parse())?;
    let length: usize = words.next().map_or(Ok(1024), |word| word.parse())?;
    let begun = Instant::now();
    let store = store::open(&url).await?;
    println!("{url}: {objects} objects of {length} bytes; opened in {:?}, {:?}", begun.elapsed(), store.usage());
    let names: Vec<Name> = (0..objects).filter_map(|number| Name::new(&format!("{number:043}"))).collect();
    let before = resident_bytes()?;
    report("put", objects, one_by_one(&*store, &names, Some(length)).await?);
    let grown = resident_bytes()?.saturating_sub(before);
    println!("  resident memory: {} bytes an object; {:?}", grown / u64::from(objects), store.usage());
    report("get", objects, one_by_one(&*store, &names, None).await?);
    let begun = Instant::now();
    for names in names.chunks(8) {
        store.get_many(names).await?;
    }
    report("get, eight at once", objects, begun.elapsed());
    store.close().await?;
    Ok(())
}

/// Puts values of a length, or gets.
async fn one_by_one(store: &dyn Store, names: &[Name], length: Option<usize>) -> Result<Duration, Box<dyn Error>> {
    let begun = Instant::now();
    let mut missed = 0;
    for name in names {
        match length {
            Some(length) => store.put(name, Bytes::from(vec![7; length]), KEEP).await?,
            None => missed += u32::from(store.get(name).await?.is_none()),
        }
    }
    if missed > 0 {
        println!("  {missed} misses");
    }
    Ok(begun.elapsed())
}

fn report(what: &str, objects: u32, took: Duration) {
    println!("  {what}: {:.2} us", took.as_secs_f64() * 1e6 / f64::from(objects));
}

fn resident_bytes() -> Result<u64, Box<dyn Error>> {
    let pages = std::fs::read_to_string("/proc/self/statm")?;
    Ok(pages.split(' ').nth(1).ok_or("no resident pages")?.parse::<u64>()? * 4096)
}
