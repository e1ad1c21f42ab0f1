//! Why two readings differ: every rule says what it explains as narrowly as it can, and where the RFC says so.
//!
//! Most are mistakes or choices of the other side; where ours is the choice, the comment says so.

mod freshness;
mod reuse;
mod storing;

use larder_core::Timestamp;
use larder_core::field::date;

use crate::case::{ARRIVAL, Case};
use crate::sides::Answers;

/// A question to both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    Stored,
    FreshFor,
    Reused,
    Conditions,
}

/// A case and what was answered.
pub struct Seen<'a> {
    pub case: &'a Case,
    pub ours: Answers,
    pub theirs: Answers,
}

/// A rule that explains disagreements on one question.
pub struct Rule {
    pub name: &'static str,
    pub section: &'static str,
    pub question: Question,
    pub explains: fn(&Seen<'_>) -> bool,
}

/// All of them.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    storing::RULES.iter().chain(freshness::RULES).chain(reuse::RULES)
}

/// A directive of the response that only a reader who folds case sees (RFC 9111 5.2 MUST).
fn is_in_other_case(case: &Case) -> bool {
    ["No-Store", "MAX-AGE=60", "Private"].iter().any(|member| case.says(member))
}

/// What the other side takes for directives with one name and two arguments, and then for `must-revalidate`: such
/// directives, one of them in quotes, and quoted arguments however often they stand there alike.
fn contradicts_itself(case: &Case) -> bool {
    let in_quotes = case.says("ext=\"a, max-age=5, b\"") && case.names("max-age");
    let mut seen: Vec<&str> = Vec::new();
    in_quotes
        || case.members().filter(|said| !said.is_empty()).any(|said| {
            let name = said.split('=').next();
            let again =
                seen.iter().any(|other| other.split('=').next() == name && (*other != said || said.contains('"')));
            seen.push(said);
            again
        })
}

/// A lifetime that is none: the strictest reading is that there is one and it is over.
fn says_no_number(case: &Case) -> bool {
    ["max-age", "max-age=", "max-age=abc", "max-age=-1", "max-age=1.5", "max-age= 60", "s-maxage", "s-maxage=abc"]
        .iter()
        .any(|member| case.says(member))
}

impl Case {
    /// `Age` as the other side reads it.
    fn said_age(&self) -> u64 {
        self.all("age").next().and_then(|value| value.parse().ok()).unwrap_or_default()
    }

    /// An Age that the other side does not read.
    fn has_odd_age(&self) -> bool {
        self.all("age").next().is_some_and(|age| ["5, 700", "5;x", "99999999999999999999"].contains(&age))
    }

    /// RFC 9111 4.2.3: corrected_initial_age, for an Age that both sides read alike.
    fn initial_age(&self) -> u64 {
        let date =
            self.all("date").next().and_then(|value| date::parse(value.as_bytes(), Timestamp::from_secs(ARRIVAL)));
        let apparent = date.map_or(0, |date| ARRIVAL.saturating_sub(date.as_secs()));
        apparent.max(self.said_age().saturating_add(self.delay))
    }

    /// The part of it that Age does not say.
    fn unseen_age(&self) -> u64 {
        self.initial_age() - self.said_age()
    }
}
