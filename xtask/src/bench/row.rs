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
    /// That of the processes behind it.
    CpuBehindPerRequest,
    /// The two together.
    CpuPerRequestWithOrigin,
    /// Requests answered in a second.
    RequestsPerSecond,
    /// What 99 of 100 answers took at most, while as many requests were under way as there were connections.
    LatencyP99,
    /// Processor time of a hit without a network.
    TimePerHit,
    /// How often the allocator is asked for one.
    AllocationsPerHit,
    /// For how much.
    AllocatedPerHit,
    /// How often the origin was asked.
    RequestsAtOrigin,
    /// What 100,000 objects take.
    MemoryPer100kObjects,
    /// What 10,000 objects take in a worker.
    MemoryPer10kObjects,
    /// From a purge's acknowledgement to the last stale byte.
    StaleFor,
    /// From a purge's acknowledgement to the node's word that everybody has heard of it.
    DeliveredAfter,
    /// Stale answers to requests that were sent after that word.
    StaleAfterDelivery,
}

impl Metric {
    /// Those of every turn of a load.
    const OF_TURNS: [Self; 5] = [
        Self::CpuPerRequest,
        Self::CpuBehindPerRequest,
        Self::CpuPerRequestWithOrigin,
        Self::RequestsPerSecond,
        Self::LatencyP99,
    ];

    fn unit(self) -> &'static str {
        match self {
            Self::CpuPerRequest | Self::CpuBehindPerRequest | Self::CpuPerRequestWithOrigin | Self::LatencyP99 => "us",
            Self::TimePerHit => "ns",
            Self::AllocatedPerHit => "B",
            Self::RequestsPerSecond => "1/s",
            Self::RequestsAtOrigin | Self::StaleAfterDelivery | Self::AllocationsPerHit => "1",
            Self::MemoryPer100kObjects => "MiB",
            Self::MemoryPer10kObjects => "MB",
            Self::StaleFor | Self::DeliveredAfter => "ms",
        }
    }
}

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
}

impl Bound {
    fn value(self) -> f64 {
        match self {
            Self::AtMost(value) | Self::AtLeast(value) => value,
        }
    }

    fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtMost(most) => figure <= most,
            Self::AtLeast(least) => figure >= least,
        }
    }
}

/// What a subject's figure in a case should be in terms of a peer's.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// The case.
    pub case: &'static str,
    /// The subject.
    pub subject: &'static str,
    /// The peer.
    pub against: &'static str,
    /// The figure.
    pub metric: Metric,
    /// The ratio.
    pub bound: Bound,
}

/// All rounds of one subject in one case.
#[derive(Debug)]
pub struct Figures {
    subject: &'static str,
    rounds: Vec<(Metric, Vec<f64>)>,
}

impl Figures {
    /// Without any rounds.
    pub fn new(subject: &'static str) -> Self {
        Self { subject, rounds: Vec::new() }
    }

    /// Adds a round of a load.
    pub fn add(&mut self, cpu_us: f64, cpu_behind_us: f64, rate: f64, p99_us: f64) {
        let figures = [cpu_us, cpu_behind_us, cpu_us + cpu_behind_us, rate, p99_us];
        Metric::OF_TURNS.into_iter().zip(figures).for_each(|(metric, figure)| self.push(metric, figure));
    }

    /// Adds one round's figure.
    pub fn push(&mut self, metric: Metric, figure: f64) {
        match self.rounds.iter_mut().find(|(known, _)| *known == metric) {
            Some((_, figures)) => figures.push(figure),
            None => self.rounds.push((metric, vec![figure])),
        }
    }

    fn summary(&self, metric: Metric) -> Option<Summary> {
        let (_, figures) = self.rounds.iter().find(|(known, _)| *known == metric)?;
        Summary::of(figures)
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
    #[serde(skip)]
    bound: Option<Bound>,
}

impl Row {
    /// The rows of a case: each figure, and those of the first `compared` subjects again in terms of each that comes after them.
    pub fn of_case(
        bench: &'static str,
        case: &'static str,
        compared: usize,
        figures: &[Figures],
        goals: &[Goal],
    ) -> impl Iterator<Item = Self> {
        let mut rows = Vec::new();
        for (index, one) in figures.iter().enumerate() {
            for metric in one.rounds.iter().map(|(metric, _)| *metric) {
                let Some(mine) = one.summary(metric) else { continue };
                let alone = Self::alone(bench, case, one.subject, metric, &mine);
                rows.push(alone.clone());
                let peers = if index < compared { figures.get(compared..).unwrap_or_default() } else { &[] };
                for peer in peers {
                    let Some(ratio) = peer.summary(metric).and_then(|theirs| mine.ratio(&theirs)) else { continue };
                    let bound = goals.iter().find(|goal| {
                        (goal.case, goal.subject, goal.against, goal.metric)
                            == (case, one.subject, peer.subject, metric)
                    });
                    let compared = Self { against: Some(peer.subject), ratio: Some(rounded(ratio)), ..alone.clone() };
                    rows.push(compared.bound(bound.map(|goal| goal.bound), ratio));
                }
            }
        }
        rows.into_iter()
    }

    /// A figure that is not one of a load's, with what it should be.
    pub fn single(
        bench: &'static str,
        case: &'static str,
        subject: &'static str,
        metric: Metric,
        summary: &Summary,
        bound: Option<Bound>,
    ) -> Self {
        Self::alone(bench, case, subject, metric, summary).bound(bound, summary.median)
    }

    fn bound(self, bound: Option<Bound>, figure: f64) -> Self {
        Self { goal: bound.map(Bound::value), holds: bound.map(|bound| bound.holds(figure)), bound, ..self }
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
            bound: None,
        }
    }
}

/// All rows as a JSON array with a row on each line.
pub fn json(rows: &[Row]) -> serde_json::Result<String> {
    let lines = rows.iter().map(serde_json::to_string).collect::<serde_json::Result<Vec<_>>>()?;
    Ok(format!("[\n{}\n]\n", lines.join(",\n")))
}

/// A line for each case and subject under load, with what this is to the subjects it is compared with, then a line for each figure
/// of another kind.
pub fn table(rows: &[Row]) -> String {
    let mut out = String::new();
    let alone = |row: &&Row| row.against.is_none() && row.metric == Metric::CpuPerRequest;
    if rows.iter().any(|row| alone(&row)) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{:<17}{:<25}{:>28}{:>12}{:>9}{:>32}{:>9}  in terms of this",
            "case", "subject", "CPU us/request (min..max)", "behind it", "both", "requests/s (min..max)", "p99 us",
        );
    }
    let spread =
        |row: &Row, digits: usize| format!("{:.digits$} ({:.digits$}..{:.digits$})", row.value, row.min, row.max);
    for cpu in rows.iter().filter(alone) {
        let same = |row: &&Row| row.against.is_none() && (row.case, row.subject) == (cpu.case, cpu.subject);
        let other = |metric| rows.iter().filter(same).find(|row| row.metric == metric);
        let plain =
            |metric, digits: usize| other(metric).map(|row| format!("{:.digits$}", row.value)).unwrap_or_default();
        let _ = writeln!(
            out,
            "{:<17}{:<25}{:>28}{:>12}{:>9}{:>32}{:>9}  {}",
            cpu.case,
            cpu.subject,
            spread(cpu, 1),
            plain(Metric::CpuBehindPerRequest, 1),
            plain(Metric::CpuPerRequestWithOrigin, 1),
            other(Metric::RequestsPerSecond).map(|row| spread(row, 0)).unwrap_or_default(),
            plain(Metric::LatencyP99, 0),
            comparison(rows, cpu, |metric| Metric::OF_TURNS.contains(&metric)),
        );
    }
    for row in rows.iter().filter(|row| row.against.is_none() && !Metric::OF_TURNS.contains(&row.metric)) {
        let (figure, unit) = (spread(row, 2), row.metric.unit());
        let name = serde_json::to_value(row.metric).ok();
        let name = name.as_ref().and_then(|name| name.as_str()).unwrap_or_default();
        let compared = comparison(rows, row, |metric| metric == row.metric);
        let line = format!("{:<28}{:<25}{name:<26}{figure:>32} {unit}{}  {compared}", row.case, row.subject, goal(row));
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn comparison(rows: &[Row], peer: &Row, wanted: impl Fn(Metric) -> bool) -> String {
    let shown = |row: &&Row| {
        let always = row.metric == Metric::CpuPerRequest || !Metric::OF_TURNS.contains(&row.metric);
        row.case == peer.case
            && row.against == Some(peer.subject)
            && wanted(row.metric)
            && (always || row.goal.is_some())
    };
    let say = |row: &Row| {
        let figure = match row.metric {
            Metric::CpuPerRequest => "CPU ",
            Metric::CpuPerRequestWithOrigin => "both CPU ",
            Metric::RequestsPerSecond => "req/s ",
            Metric::LatencyP99 => "p99 ",
            _ => "",
        };
        Some(format!("{} {figure}{:.2}{}", row.subject, row.ratio?, goal(row)))
    };
    rows.iter().filter(shown).filter_map(say).collect::<Vec<_>>().join(", ")
}

fn goal(row: &Row) -> String {
    let Some(bound) = row.bound else { return String::new() };
    let holds = if row.holds == Some(true) { "holds" } else { "MISSED" };
    match bound {
        Bound::AtMost(most) => format!(" (goal: at most {most}; {holds})"),
        Bound::AtLeast(least) => format!(" (goal: at least {least}; {holds})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOALS: &[Goal] = &[
        cpu("hit", "peer", 1.35),
        cpu("hit", "other", 0.1),
        cpu("another", "peer", 0.0),
        Goal { metric: Metric::RequestsPerSecond, bound: Bound::AtLeast(0.7), ..cpu("hit", "peer", 0.0) },
    ];

    const fn cpu(case: &'static str, against: &'static str, at_most: f64) -> Goal {
        Goal { case, subject: "mine", against, metric: Metric::CpuPerRequest, bound: Bound::AtMost(at_most) }
    }

    fn rows() -> Vec<Row> {
        let mut figures = ["mine", "peer", "other"].map(Figures::new);
        for (round, base) in [50.0, 52.0, 48.0].into_iter().enumerate() {
            figures[0].add(base * 1.2, 0.0, 9000.0 + round as f64, 900.0);
            figures[1].add(base, 1.0, 12_000.0, 1000.0);
            figures[2].add(base * 2.0, base, 5_000.0, 2000.0);
        }
        Row::of_case("l1", "hit", 1, &figures, GOALS).collect()
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
        // Three subjects with five figures each, and the first subject's five in terms of two peers.
        assert_eq!(parsed.as_array().unwrap().len(), 15 + 10);
    }

    #[test]
    fn goals_are_for_a_figure_against_that_peer_in_that_case() {
        let goals: Vec<_> = rows().into_iter().filter_map(|row| Some((row.against?, row.metric, row.holds?))).collect();
        let rate = ("peer", Metric::RequestsPerSecond, true);
        assert_eq!(goals, [("peer", Metric::CpuPerRequest, true), ("other", Metric::CpuPerRequest, false), rate]);
    }

    #[test]
    fn the_table_has_a_line_for_each_subject_and_names_missed_goals() {
        let table = table(&rows());
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4, "{table}");
        assert!(lines[1].contains("60.0 (57.6..62.4)"), "{table}");
        assert!(
            lines[2].contains("mine CPU 1.20 (goal: at most 1.35; holds), mine req/s 0.75 (goal: at least 0.7; holds)"),
            "{table}"
        );
        assert!(lines[3].contains("mine CPU 0.60 (goal: at most 0.1; MISSED)"), "{table}");
    }

    #[test]
    fn a_case_without_rounds_or_peers_gives_what_there_is() {
        assert_eq!(Row::of_case("l1", "hit", 1, &[Figures::new("mine")], GOALS).count(), 0);
        let mut alone = Figures::new("mine");
        alone.add(1.0, 1.0, 1.0, 1.0);
        assert_eq!(Row::of_case("l1", "hit", 1, &[alone], GOALS).count(), 5);
    }

    #[test]
    fn every_subject_at_the_front_is_compared_with_those_behind() {
        let mut figures = ["mine", "other", "peer"].map(Figures::new);
        for (index, figures) in figures.iter_mut().enumerate() {
            figures.add(1.0 + index as f64, 0.0, 1.0, 1.0);
        }
        let rows: Vec<Row> = Row::of_case("l2", "hit", 2, &figures, &[]).collect();
        let compared = rows.iter().filter(|row| row.metric == Metric::CpuPerRequest);
        let compared: Vec<_> = compared.filter_map(|row| Some((row.subject, row.against?, row.ratio?))).collect();
        assert_eq!(compared, [("mine", "peer", 0.333), ("other", "peer", 0.667)]);
    }

    #[test]
    fn figures_of_another_kind_are_compared_on_lines_of_their_own() {
        let mut figures = ["mine", "peer"].map(Figures::new);
        for (figures, count) in figures.iter_mut().zip([10.0, 40.0]) {
            figures.push(Metric::AllocationsPerHit, count);
        }
        let goal = Goal { metric: Metric::AllocationsPerHit, ..cpu("hit", "peer", 1.0) };
        let rows: Vec<Row> = Row::of_case("origin", "hit", 1, &figures, &[goal]).collect();
        let table = table(&rows);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 2, "{table}");
        assert!(lines[0].contains("10.00 (10.00..10.00) 1"), "{table}");
        assert!(lines[1].ends_with("mine 0.25 (goal: at most 1; holds)"), "{table}");
    }

    #[test]
    fn single_figures_have_lines_and_goals_of_their_own() {
        let summary = Summary { median: 51.0, min: 0.0, max: 80.0 };
        let row = Row::single("purge", "p99", "two", Metric::StaleFor, &summary, Some(Bound::AtMost(50.0)));
        let text = table(&[row]);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("51.00 (0.00..80.00) ms (goal: at most 50; MISSED)"), "{text}");
    }
}
