//! Holds larder-core against another reading of RFC 9111, the crate http-cache-semantics, on random cases: is the response
//! stored, for how long is it fresh, does it answer a second request, and if not, what does the conditional request ask?
//!
//! Every disagreement has to be explained by one of `rules`, each with its section; what none explains is a bug of ours or
//! a rule to be found. A rule that no disagreement needs is stale and fails as well. A question is asked only where both
//! sides agree on those before it: what follows from a disagreement is not another one.

#![cfg(not(target_arch = "wasm32"))]

mod case;
mod rules;
mod sides;

use case::{Case, Dice};
use rules::{Question, Rule, Seen, rules};

const CASES: u64 = 40_000;
const SEED: u64 = 9111;

/// The first question on which the sides disagree.
fn disagreement(seen: &Seen<'_>) -> Option<Question> {
    let (ours, theirs) = (&seen.ours, &seen.theirs);
    if ours.stored != theirs.stored {
        return Some(Question::Stored);
    }
    if !ours.stored {
        return None;
    }
    if ours.fresh_for != theirs.fresh_for {
        return Some(Question::FreshFor);
    }
    if ours.reused != theirs.reused {
        return Some(Question::Reused);
    }
    match (&ours.conditions, &theirs.conditions) {
        (Some(ours), Some(theirs)) if ours != theirs => Some(Question::Conditions),
        _ => None,
    }
}

#[test]
fn every_disagreement_with_another_reading_of_the_rfc_has_its_rule() {
    println!("seed {SEED}");
    let policy = sides::policy();
    let mut dice = Dice::new(SEED);
    let (mut explained, mut needed) = (vec![0u32; rules().count()], vec![0u32; rules().count()]);
    let mut unexplained: Vec<String> = Vec::new();
    let (mut asked, mut stored, mut reused, mut conditional) = (0, 0, 0, 0);
    for number in 0..CASES {
        let case: Case = case::draw(&mut dice);
        let seen = Seen { ours: sides::ours(&policy, &case), theirs: sides::theirs(&case), case: &case };
        asked += 1;
        stored += u32::from(seen.ours.stored && seen.theirs.stored);
        reused += u32::from(seen.ours.reused && seen.theirs.reused);
        conditional += u32::from(seen.ours.conditions.iter().flatten().any(|(name, _)| *name == "if-none-match"));
        let Some(question) = disagreement(&seen) else { continue };
        let explains = |rule: &Rule| rule.question == question && (rule.explains)(&seen);
        let matching: Vec<usize> = (0..).zip(rules()).filter(|(_, rule)| explains(rule)).map(|(at, _)| at).collect();
        if matching.is_empty() {
            unexplained.push(format!(
                "case {number}, {question:?}:\n{case}  ours {:?}\n  theirs {:?}\n",
                seen.ours, seen.theirs
            ));
        }
        matching.iter().for_each(|at| explained[*at] += 1);
        if let [only] = matching.as_slice() {
            needed[*only] += 1;
        }
    }
    println!("{asked} cases, both stored {stored}, both reused {reused}, validated by entity tag {conditional}");
    for (at, rule) in (0..).zip(rules()) {
        println!("{:6} {:5} {:?}: {} ({})", explained[at], needed[at], rule.question, rule.name, rule.section);
    }
    let mut shown = String::new();
    for question in ["Stored", "FreshFor", "Reused", "Conditions"] {
        let label = format!(", {question}:");
        let about = unexplained.iter().filter(|text| text.contains(&label));
        shown.extend(about.take(4).map(String::as_str));
    }
    assert!(unexplained.is_empty(), "{} disagreements that no rule explains:\n{shown}", unexplained.len());
    let stale: Vec<&str> = (0..).zip(rules()).filter(|(at, _)| needed[*at] == 0).map(|(_, rule)| rule.name).collect();
    assert!(stale.is_empty(), "rules without a disagreement that they alone explain: {stale:?}");
    // The cases have to reach what is compared.
    assert!(stored > CASES as u32 / 5 && reused > CASES as u32 / 50 && conditional > CASES as u32 / 100);
}
