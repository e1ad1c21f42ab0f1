//! How many tests ran, counted from what cargo's test programs print.

use std::iter::Sum;

/// Tests by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Ran and passed.
    pub passed: usize,
    /// Ran and failed.
    pub failed: usize,
    /// Did not run though asked for.
    pub skipped: usize,
}

impl Count {
    /// Adds up the lines `test result: ok. 12 passed; 0 failed; 1 ignored; …`, which libtest and wasm-bindgen's runner print.
    pub fn of_cargo(output: &str) -> Self {
        output.lines().filter_map(Self::of_line).sum()
    }

    /// Adds up the closing lines `# pass 12`, `# fail 0`, `# skipped 0` of Node's test runner, however it marks them.
    pub fn of_node(output: &str) -> Self {
        let number = |line: &str, name: &str| {
            let (word, number) = line.trim_start_matches(['#', 'ℹ', ' ']).split_once(' ')?;
            (word == name).then(|| number.trim().parse::<usize>().ok()).flatten()
        };
        let sum = |name: &str| output.lines().filter_map(|line| number(line.trim(), name)).sum::<usize>();
        Self { passed: sum("pass"), failed: sum("fail") + sum("cancelled"), skipped: sum("skipped") + sum("todo") }
    }

    fn of_line(line: &str) -> Option<Self> {
        let (_, counts) = line.trim().strip_prefix("test result: ")?.split_once(". ")?;
        let number = |name: &str| {
            let field = counts.split(';').map(str::trim).find_map(|field| field.strip_suffix(name))?;
            field.trim().parse().ok()
        };
        Some(Self { passed: number(" passed")?, failed: number(" failed")?, skipped: number(" ignored").unwrap_or(0) })
    }

    /// The closing line of a run.
    pub fn line(&self) -> String {
        let Self { passed, failed, skipped } = self;
        match skipped {
            0 => format!("{passed} passed, {failed} failed"),
            _ => format!("{passed} passed, {failed} failed, {skipped} skipped"),
        }
    }
}

impl Sum for Count {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, count| Self {
            passed: sum.passed + count.passed,
            failed: sum.failed + count.failed,
            skipped: sum.skipped + count.skipped,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_programs_are_added_up() {
        let output = "running 3 tests\ntest a ... ok\n\ntest result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out; finished in 0.01s\n\
                      test result: FAILED. 4 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out\n\
                      the line test result: ok. 9 passed; 0 failed in the middle\n";
        let count = Count::of_cargo(output);
        assert_eq!(count, Count { passed: 7, failed: 2, skipped: 1 });
        assert_eq!(count.line(), "7 passed, 2 failed, 1 skipped");
        assert_eq!(Count::of_cargo("error: could not compile").line(), "0 passed, 0 failed");
    }
    #[test]
    fn closing_lines_of_node_are_counted_in_both_forms() {
        let tap = "ok 1 - a test\n# Subtest: pass 3\n# tests 9\n# suites 2\n# pass 7\n# fail 1\n# cancelled 0\n# skipped 1\n# todo 0\n";
        assert_eq!(Count::of_node(tap), Count { passed: 7, failed: 1, skipped: 1 });
        assert_eq!(Count::of_node(&tap.replace('#', "ℹ")), Count { passed: 7, failed: 1, skipped: 1 });
        assert_eq!(Count::of_node("npm error code EUSAGE"), Count::default());
    }
}
