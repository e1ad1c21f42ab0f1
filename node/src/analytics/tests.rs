//! Sums of every length of step, and what a restart makes of what is on disk.

use std::path::Path;

use super::marks::Happened;
use super::resolution::{RESOLUTIONS, Resolution};
use super::*;

const START_MS: u64 = 1_800_000_000_000;
const MB: u64 = 1 << 20;

fn open(folder: &Path) -> Analytics {
    Analytics::open(Some(folder), 64, 64 * MB).expect("a folder")
}

/// What one step length holds: name, begin of the step, value.
fn cells(analytics: &Analytics, resolution: Resolution) -> Vec<(String, u64, u64)> {
    let held = analytics.held(resolution, 0, u64::MAX);
    let mut cells = Vec::new();
    for (at_ms, column) in &held.columns {
        column.each(|id, value| cells.push((held.names[&id].name.to_string(), *at_ms, value)));
    }
    cells.sort();
    cells
}

fn all(analytics: &Analytics) -> Vec<Vec<(String, u64, u64)>> {
    RESOLUTIONS.into_iter().map(|resolution| cells(analytics, resolution)).collect()
}

/// Sums of shorter steps in longer ones.
fn rolled_up(cells: &[(String, u64, u64)], step_ms: u64) -> Vec<(String, u64, u64)> {
    let mut sums: std::collections::BTreeMap<(String, u64), u64> = std::collections::BTreeMap::new();
    for (name, at_ms, value) in cells {
        let sum = sums.entry((name.clone(), at_ms / step_ms * step_ms)).or_default();
        *sum = if name.starts_with("gauge") { (*sum).max(*value) } else { *sum + value };
    }
    sums.into_iter().map(|((name, at_ms), value)| (name, at_ms, value)).collect()
}

/// Reports for some seconds, the same for the same seconds.
fn load(analytics: &Analytics, seconds: std::ops::Range<u64>) {
    for second in seconds {
        let now = Timestamp(START_MS + second * 1000 + second * 37 % 1000);
        let by = second * 7919 % 101;
        analytics.counts([("a", by), ("b;route=x", by % 3), ("c", u64::from(second % 50 == 0))], now);
        analytics.gauges([("gauge", second * 31 % 17)], now);
    }
}

#[test]
fn longer_steps_are_exactly_what_the_shorter_ones_in_them_are() {
    let analytics = Analytics::open(None, 64, 64 * MB).expect("memory");
    load(&analytics, 0..600);
    let seconds = cells(&analytics, Resolution::Second);
    assert_eq!(seconds.iter().filter(|(name, ..)| name == "gauge").count(), 600);
    for resolution in [Resolution::TenSeconds, Resolution::FiveMinutes] {
        assert_eq!(cells(&analytics, resolution), rolled_up(&seconds, resolution.step_ms()));
    }
    // The clock is set back: it adds up all the same.
    load(&analytics, 300..450);
    let seconds = cells(&analytics, Resolution::Second);
    assert_eq!(cells(&analytics, Resolution::FiveMinutes), rolled_up(&seconds, 300_000));
}

#[test]
fn what_there_is_no_room_for_is_counted_and_room_comes_back() {
    let analytics = Analytics::open(None, 2, 3000).expect("memory");
    let at = |second: u64| Timestamp(START_MS + second * 1000);
    analytics.counts([("a", 1), ("b", 1), ("c", 1), (&"x".repeat(999), 1)], at(0));
    let held = |analytics: &Analytics| analytics.held(Resolution::Second, 0, u64::MAX);
    assert_eq!((held(&analytics).names.len(), held(&analytics).not_taken), (2, 2));
    // Nothing of "b" is left once there was room for other steps only.
    for step in 1..=20 {
        analytics.counts([("a", 1)], at(step * 300));
    }
    analytics.counts([("c", 1)], at(21 * 300));
    let names: Vec<String> = held(&analytics).names.values().map(|series| series.name.to_string()).collect();
    assert!(names.contains(&"c".to_owned()) && !names.contains(&"b".to_owned()), "{names:?}");
}

#[tokio::test]
async fn a_restart_in_good_order_keeps_everything_and_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let before = open(folder.path());
    load(&before, 0..400);
    before.mark(Mark::purge(START_MS + 5000, "tag t", true, Some("ci")));
    before.write(Timestamp(START_MS + 399_500), false).await;
    load(&before, 400..420);
    before.write(Timestamp(START_MS + 420_000), true).await;
    let (want, marks) = (all(&before), before.held(Resolution::Second, 0, u64::MAX).marks);
    assert!(matches!(Analytics::open(Some(folder.path()), 64, MB), Err(OpenError::InUse { .. })));
    drop(before);
    let after = open(folder.path());
    assert_eq!(all(&after), want);
    assert_eq!((marks.len(), after.held(Resolution::Second, 0, u64::MAX).marks), (1, marks));
    // The same step goes on, over two more restarts.
    load(&after, 420..430);
    after.write(Timestamp(START_MS + 430_000), true).await;
    drop(after);
    let whole = Analytics::open(None, 64, 64 * MB).expect("memory");
    load(&whole, 0..430);
    assert_eq!(all(&open(folder.path())), all(&whole));
}

#[tokio::test]
async fn a_killed_node_loses_the_second_that_had_not_ended_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    for begin in [0, 250, 333, 350] {
        let node = open(folder.path());
        for second in begin..begin + 250 {
            load(&node, second..second + 1);
            // As every second: what has ended is written.
            node.write(Timestamp(START_MS + second * 1000 + 999), false).await;
        }
        let mut want = all(&node);
        let last = START_MS + (begin + 249) * 1000;
        let lost: Vec<_> = want[0].iter().filter(|(_, at_ms, _)| *at_ms == last).cloned().collect();
        want[0].retain(|(_, at_ms, _)| *at_ms != last);
        for (cells, resolution) in want.iter_mut().zip(RESOLUTIONS).skip(1) {
            let begin = last / resolution.step_ms() * resolution.step_ms();
            for (name, at_ms, value) in cells.iter_mut().filter(|(name, at_ms, _)| *at_ms == begin && name != "gauge") {
                let lost = lost.iter().find(|(other, ..)| other == name).map_or(0, |(.., value)| *value);
                assert!(*value >= lost, "{name} {at_ms}");
                *value -= lost;
            }
        }
        drop(node);
        let found = all(&open(folder.path()));
        for (found, mut want) in found.into_iter().zip(want) {
            let counters = |cells: Vec<(String, u64, u64)>| -> Vec<_> {
                cells.into_iter().filter(|(name, _, value)| name != "gauge" && *value > 0).collect()
            };
            want.sort();
            assert_eq!(counters(found), counters(want), "from {begin}");
        }
    }
}

#[tokio::test]
async fn files_that_are_cut_or_bent_anywhere_cost_only_what_was_damaged() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = open(folder.path());
    for second in 0..40 {
        load(&node, second..second + 1);
        node.mark(Mark::new(START_MS + second * 1000, Happened::Purge));
        node.write(Timestamp(START_MS + second * 1000 + 999), false).await;
    }
    node.write(Timestamp(START_MS + 40_000), true).await;
    let want = all(&node);
    drop(node);
    const FILES: [&str; 4] = ["1s.series", "10s.series", "5m.series", "marks.series"];
    let written = FILES.map(|file| std::fs::read(folder.path().join(file)).expect("a file"));
    let put = |file: &str, bytes: &[u8]| {
        for (file, whole) in FILES.iter().zip(&written) {
            std::fs::write(folder.path().join(file), whole).expect("as it was");
        }
        std::fs::write(folder.path().join(file), bytes).expect("damaged");
    };
    for (file, whole) in FILES.iter().zip(&written) {
        for at in (0..whole.len()).step_by(whole.len() / 23 + 1) {
            put(file, &whole[..at]);
            let found = all(&open(folder.path()));
            assert!(found.iter().flatten().all(|(name, at_ms, value)| {
                want.iter().flatten().any(|(n, a, v)| (n, a) == (name, at_ms) && v >= value)
            }));
            let mut bent = whole.clone();
            bent[at] ^= 0x40;
            put(file, &bent);
            let node = open(folder.path());
            let found = all(&node);
            // A second has up to four series. A longer step whose frame is damaged is put together from the seconds.
            assert!(found[0].len() + 4 >= want[0].len(), "{file} {at}: {} of {}", found[0].len(), want[0].len());
            assert!(*file == "1s.series" || found == want, "{file} {at}");
            // And it can be gone on with.
            load(&node, 50..51);
            node.write(Timestamp(START_MS + 60_000), true).await;
            drop(node);
            let seconds = cells(&open(folder.path()), Resolution::Second);
            assert!(seconds.iter().any(|(_, at_ms, _)| *at_ms == START_MS + 50_000));
        }
    }
}

#[tokio::test]
async fn room_on_disk_is_bounded_and_holds_what_memory_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes_max = 60_000;
    let node = Analytics::open(Some(folder.path()), 512, bytes_max).expect("a folder");
    for second in 0..2000 {
        let names: Vec<String> = (0..30).map(|number| format!("series {}", number + second / 100)).collect();
        let now = Timestamp(START_MS + second * 1000);
        node.counts(names.iter().map(|name| (name.as_str(), second + 1)), now);
        node.write(Timestamp(now.0 + 999), false).await;
    }
    node.write(Timestamp(START_MS + 2_000_000), true).await;
    let files = std::fs::read_dir(folder.path()).expect("files");
    let bytes: u64 = files.map(|file| file.expect("a file").metadata().expect("about it").len()).sum();
    assert!(bytes < 3 * bytes_max, "{bytes}");
    let want = all(&node);
    assert!(want[0].len() > 100, "{}", want[0].len());
    drop(node);
    let after = Analytics::open(Some(folder.path()), 512, bytes_max).expect("a folder");
    assert_eq!(cells(&after, Resolution::Second), want[0]);
    assert_eq!(cells(&after, Resolution::FiveMinutes), want[2]);
}

#[test]
fn a_folder_lies_beside_a_store_on_disk() {
    for (store, folder) in [
        ("memory:", None),
        ("disk:/var/larder?bytes=1GiB", Some("/var/larder.analytics")),
        ("disk:///var/larder/", Some("/var/larder.analytics")),
        ("redis://h", None),
    ] {
        assert_eq!(beside(store).as_deref(), folder.map(Path::new), "{store}");
    }
}
