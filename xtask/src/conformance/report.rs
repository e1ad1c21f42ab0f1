//! The table: what passed by group and kind, why the rest did not, and where peers stand.

use super::suite::{Kind, Outcome};

const KINDS: [Kind; 3] = [Kind::Required, Kind::Optimal, Kind::Check];

/// Required and optimal tests that peers pass, of the 365 tests (160 required, 105 optimal) that the suite's repository had at
/// b55b8bd. Some were measured for this project on one machine in 2026-11, others are the suite's published results ("published").
const PEERS: [(&str, u32, u32); 9] = [
    ("Apache httpd 2.4.64 (published)", 141, 69),
    ("Varnish 7.1", 138, 49),
    ("Traffic Server 9.2", 138, 76),
    ("Caddy + Souin 0.16 (published)", 138, 44),
    ("Squid 5.7", 137, 58),
    ("Envoy 1.40 native cache filter v1", 135, 44),
    ("Envoy 1.40 native cache_v2", 132, 42),
    ("nginx 1.22", 116, 65),
    ("Envoy 1.40 without a cache", 95, 1),
];
const PEERS_REQUIRED: usize = 160;
const PEERS_OPTIMAL: usize = 105;

/// The whole report.
pub fn table(outcome: &Outcome) -> String {
    let mut out = format!("{:<56} {:>9} {:>9} {:>9}\n", "group", "required", "optimal", "check");
    let cell = |passed: usize, all: usize| if all == 0 { "-".to_owned() } else { format!("{passed}/{all}") };
    let mut totals = [(0, 0); 3];
    for group in &outcome.groups {
        let mut cells = Vec::new();
        for (kind, total) in KINDS.iter().zip(&mut totals) {
            let tests = group.tests.iter().filter(|test| test.kind == *kind);
            let passed = tests.clone().filter(|test| outcome.failure(test).is_none()).count();
            let all = tests.count();
            *total = (total.0 + passed, total.1 + all);
            cells.push(format!("{:>9}", cell(passed, all)));
        }
        out.push_str(&format!("{:<56} {}\n", group.name, cells.join(" ")));
        for test in &group.tests {
            if let Some(why) = outcome.failure(test) {
                let mark = if test.kind == Kind::Check { "no" } else { "fails" };
                out.push_str(&format!("    {mark} {}: {why}\n", test.id));
            }
        }
    }
    let cells: Vec<String> = totals.iter().map(|(passed, all)| format!("{:>9}", cell(*passed, *all))).collect();
    out.push_str(&format!("\n{:<56} {}\n", "all", cells.join(" ")));
    if (totals[0].1, totals[1].1) == (PEERS_REQUIRED, PEERS_OPTIMAL) {
        for (name, required, optimal) in PEERS {
            out.push_str(&format!("{name:<56} {required:>9} {optimal:>9}\n"));
        }
    } else {
        out.push_str("(Peers were measured with the suite's main branch, which has other tests: --suite FOLDER.)\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::suite::tests::outcome;
    use super::*;

    #[test]
    fn groups_are_counted_by_kind_and_failures_explained() {
        let text =
            table(&outcome(r#"{"a":true,"b":["Assertion","Response 2 comes from cache"],"c":["Setup","x"],"d":true}"#));
        let row = text.lines().find(|line| line.starts_with("Group")).unwrap();
        assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["Group", "2/2", "0/1", "0/1"]);
        assert!(text.contains("    fails b: Response 2 comes from cache\n"));
        assert!(text.contains("    no c: while preparing: x\n"));
    }
}
