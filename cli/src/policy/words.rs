//! How things are said: times, sizes, tables, names in paths.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// A value's text; nothing where it is none.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// How long ago a time was, in milliseconds since 1970.
pub fn ago(at_ms: &Value) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = Duration::from_millis(at_ms.as_u64().unwrap_or_default());
    format!("{} ago", span(now.saturating_sub(at)))
}

/// A span in its largest unit.
pub fn span(span: Duration) -> String {
    match span.as_secs() {
        secs @ 0..120 => format!("{secs} s"),
        secs @ 120..7200 => format!("{} min", secs / 60),
        secs @ 7200..172_800 => format!("{} h", secs / 3600),
        secs => format!("{} days", secs / 86_400),
    }
}

/// Bytes.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} B"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        10_485_760..10_737_418_240 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

/// `version 3`, or that there is none.
pub fn version(value: &Value) -> String {
    value.as_u64().map_or_else(|| "none".to_owned(), |version| format!("version {version}"))
}

/// Lines of columns that stand under one another, the first of which is the heading.
pub fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|at| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or_default())
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// A name as part of a path. Names of policies need no escapes; what is none must not lead elsewhere.
pub fn name(text: &str) -> Result<String, String> {
    match larder_node::policies::is_name(text) {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is no name of a policy: letters, digits, _ and -, at most 64")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_are_said_in_their_largest_unit() {
        for (secs, want) in [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172_800, "2 days")] {
            assert_eq!(span(Duration::from_secs(secs)), want);
        }
        for (bytes, want) in [(9, "9 B"), (10_240, "10 KiB"), (10 << 20, "10 MiB"), (10 << 30, "10 GiB")] {
            assert_eq!(size(bytes), want);
        }
    }

    #[test]
    fn columns_stand_under_one_another() {
        let rows = [vec!["a".to_owned(), "b".to_owned()], vec!["ääää".to_owned(), "c".to_owned()]];
        assert_eq!(table(&rows), ["a     b", "ääää  c"]);
        assert!(name("shop").is_ok() && name("../shop").is_err() && name("").is_err());
    }
}
