//! Figures of a case and how they are reported: one JSON row for each figure (and each peer that it is compared with), and a table for
//! people. A goal that is missed is said to be missed and is no failure of the bench.

use std::fmt::Write as _;

use serde::Serialize;

use super::stats::{Summary, rounded};

/// What is measured in every turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Processor time of the server under test for each request.
    CpuPerRequest,
    /// The same with the origin's.
    CpuPerRequestWithOrigin,
    /// Requests answered in a second.
    RequestsPerSecond,
}

impl Metric {
    const ALL: [Self; 3] = [Self::CpuPerRequest, Self::CpuPerRequestWithOrigin, Self::RequestsPerSecond];

    fn unit(self) -> &'static str {
        match self {
            Self::CpuPerRequest | Self::CpuPerRequestWithOrigin => "us",
            Self::RequestsPerSecond => "1/s",
        }
    }
}

/// What the first subject of a case should need, in terms of a peer: at most so much of its processor time for a request.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// The case.
    pub case: &'static str,
    /// The peer.
    pub against: &'static str,
    /// The ratio.
    pub at_most: f64,
}

/// All rounds of one subject in one case.
#[derive(Debug)]
pub struct Figures {
    subject: &'static str,
    cpu_us: Vec<f64>,
    cpu_with_origin_us: Vec<f64>,
    rate: Vec<f64>,
}

impl Figures {
    /// Without any rounds.
    pub fn new(subject: &'static str) -> Self {
        Self { subject, cpu_us: Vec::new(), cpu_with_origin_us: Vec::new(), rate: Vec::new() }
    }

    /// Adds a round.
    pub fn add(&mut self, cpu_us: f64, cpu_with_origin_us: f64, rate: f64) {
        self.cpu_us.push(cpu_us);
        self.cpu_with_origin_us.push(cpu_with_origin_us);
        self.rate.push(rate);
    }

    fn summary(&self, metric: Metric) -> Option<Summary> {
        Summary::of(match metric {
            Metric::CpuPerRequest => &self.cpu_us,
            Metric::CpuPerRequestWithOrigin => &self.cpu_with_origin_us,
            Metric::RequestsPerSecond => &self.rate,
        })
    }
}

/// One figure, alone or in terms of a peer's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    bench: &'static str,
    case: &'static str,
    subject: &'static str,
    metric: Metric,
    unit: &'static str,
    value: f64,
    min: f64,
    max: f64,
    against: Option<&'static str>,
    ratio: Option<f64>,
    goal: Option<f64>,
    holds: Option<bool>,
}

impl Row {
    /// The rows of a case: each figure, and the first subject's again in terms of each peer.
    pub fn of_case(
        bench: &'static str,
        case: &'static str,
        figures: &[Figures],
        goals: &[Goal],
    ) -> impl Iterator<Item = Self> {
        let mut rows = Vec::new();
        for (index, one) in figures.iter().enumerate() {
            for metric in Metric::ALL {
                let Some(mine) = one.summary(metric) else { continue };
                let alone = Self::alone(bench, case, one.subject, metric, &mine);
                rows.push(alone.clone());
                let peers = if index == 0 { figures.get(1..).unwrap_or_default() } else { &[] };
                for peer in peers {
                    let Some(ratio) = peer.summary(metric).and_then(|theirs| mine.ratio(&theirs)) else { continue };
                    let goal = goals.iter().find(|goal| {
                        metric == Metric::CpuPerRequest && goal.case == case && goal.against == peer.subject
                    });
                    let goal = goal.map(|goal| goal.at_most);
                    rows.push(Self {
                        against: Some(peer.subject),
                        ratio: Some(rounded(ratio)),
                        goal,
                        holds: goal.map(|at_most| ratio <= at_most),
                        ..alone.clone()
                    });
                }
            }
        }
        rows.into_iter()
    }

    fn alone(
        bench: &'static str,
        case: &'static str,
        subject: &'static str,
        metric: Metric,
        summary: &Summary,
    ) -> Self {
        let Summary { median, min, max } = *summary;
        let (value, min, max) = (rounded(median), rounded(min), rounded(max));
        let unit = metric.unit();
        Self {
            bench,
            case,
            subject,
            metric,
            unit,
            value,
            min,
            max,
            against: None,
            ratio: None,
            goal: None,
            holds: None,
        }
    }
}

/// All rows as a JSON array with a row on each line.
pub fn json(rows: &[Row]) -> serde_json::Result<String> {
    let lines = rows.iter().map(serde_json::to_string).collect::<serde_json::Result<Vec<_>>>()?;
    Ok(format!("[\n{}\n]\n", lines.join(",\n")))
}

/// A line for each case and subject. The last columns put the case's first subject in terms of this line's.
pub fn table(rows: &[Row]) -> String {
    let mut out = format!(
        "{:<14}{:<18}{:>30}{:>14}{:>32}  {}\n",
        "case",
        "subject",
        "CPU us/request (min..max)",
        "with origin",
        "requests/s (min..max)",
        "first subject's CPU is"
    );
    let alone = |row: &&Row| row.against.is_none() && row.metric == Metric::CpuPerRequest;
    for cpu in rows.iter().filter(alone) {
        let same = |row: &&Row| row.against.is_none() && (row.case, row.subject) == (cpu.case, cpu.subject);
        let other = |metric| rows.iter().filter(same).find(|row| row.metric == metric);
        let spread =
            |row: &Row, digits: usize| format!("{:.digits$} ({:.digits$}..{:.digits$})", row.value, row.min, row.max);
        let origin = other(Metric::CpuPerRequestWithOrigin).map(|row| format!("{:.1}", row.value));
        let rate = other(Metric::RequestsPerSecond).map(|row| spread(row, 0));
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{:<14}{:<18}{:>30}{:>14}{:>32}  {}",
            cpu.case,
            cpu.subject,
            spread(cpu, 1),
            origin.unwrap_or_default(),
            rate.unwrap_or_default(),
            comparison(rows, cpu)
        );
    }
    out
}

fn comparison(rows: &[Row], peer: &Row) -> String {
    let compared = rows
        .iter()
        .find(|row| row.case == peer.case && row.metric == Metric::CpuPerRequest && row.against == Some(peer.subject));
    let Some((row, ratio)) = compared.and_then(|row| Some((row, row.ratio?))) else { return String::new() };
    let goal = match (row.goal, row.holds) {
        (Some(goal), Some(true)) => format!("  (goal: at most {goal}; holds)"),
        (Some(goal), _) => format!("  (goal: at most {goal}; MISSED)"),
        _ => String::new(),
    };
    format!("{ratio:.2} of this{goal}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOALS: &[Goal] = &[
        Goal { case: "hit", against: "peer", at_most: 1.35 },
        Goal { case: "hit", against: "other", at_most: 0.1 },
        Goal { case: "another", against: "peer", at_most: 0.0 },
    ];

    fn rows() -> Vec<Row> {
        let mut figures = ["mine", "peer", "other"].map(Figures::new);
        for (round, base) in [50.0, 52.0, 48.0].into_iter().enumerate() {
            figures[0].add(base * 1.2, base * 1.2, 9000.0 + round as f64);
            figures[1].add(base, base, 12_000.0);
            figures[2].add(base * 2.0, base * 3.0, 5_000.0);
        }
        Row::of_case("l1", "hit", &figures, GOALS).collect()
    }

    #[test]
    fn a_row_has_all_fields_in_order() {
        let text = json(&rows()).unwrap();
        let second = text.lines().nth(2).unwrap();
        assert_eq!(
            second.trim_end_matches(','),
            r#"{"bench":"l1","case":"hit","subject":"mine","metric":"cpu_per_request","unit":"us","value":60.0,"min":57.6,"max":62.4,"against":"peer","ratio":1.2,"goal":1.35,"holds":true}"#
        );
        let first = text.lines().nth(1).unwrap();
        assert!(first.contains(r#""against":null,"ratio":null,"goal":null,"holds":null"#), "{first}");
    }

    #[test]
    fn the_rows_are_one_json_array_with_every_figure_and_comparison() {
        let parsed: serde_json::Value = serde_json::from_str(&json(&rows()).unwrap()).unwrap();
        // Three subjects with three figures each, and the first subject's three in terms of two peers.
        assert_eq!(parsed.as_array().unwrap().len(), 9 + 6);
    }

    #[test]
    fn goals_are_for_processor_time_against_that_peer_in_that_case() {
        let goals: Vec<_> = rows().into_iter().filter_map(|row| Some((row.against?, row.metric, row.holds?))).collect();
        assert_eq!(goals, [("peer", Metric::CpuPerRequest, true), ("other", Metric::CpuPerRequest, false)]);
    }

    #[test]
    fn the_table_has_a_line_for_each_subject_and_names_missed_goals() {
        let table = table(&rows());
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4, "{table}");
        assert!(lines[1].contains("60.0 (57.6..62.4)"), "{table}");
        assert!(lines[2].contains("1.20 of this  (goal: at most 1.35; holds)"), "{table}");
        assert!(lines[3].contains("0.60 of this  (goal: at most 0.1; MISSED)"), "{table}");
    }

    #[test]
    fn a_case_without_rounds_or_peers_gives_what_there_is() {
        assert_eq!(Row::of_case("l1", "hit", &[Figures::new("mine")], GOALS).count(), 0);
        let mut alone = Figures::new("mine");
        alone.add(1.0, 1.0, 1.0);
        assert_eq!(Row::of_case("l1", "hit", &[alone], GOALS).count(), 3);
    }
}
