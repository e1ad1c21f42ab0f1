//! An explanation for people.

use larder_core::Fields;
use larder_core::decide::lifetime::Lifetime;
use larder_core::exchange::Edit;
use larder_core::explain::{Again, Explanation, Question, Sent, Step, Verdict, Went};

use crate::paint::Paint;

/// Width of what is before a step's text.
const INDENT: usize = 22;

/// Everything, in the order in which it happens.
pub fn text(question: &Question<'_>, told: &Explanation, assumed: bool, paint: Paint) -> String {
    let request = &question.request;
    let url = format!("{} {}://{}{}", request.method, request.scheme, request.authority, request.target);
    let mut out = vec![paint.strong(&clean(&url)), String::new()];
    for (number, step) in told.steps.iter().enumerate() {
        out.extend(step_lines(number + 1, step, paint));
    }
    out.push(String::new());
    let verdict = verdict(&told.verdict);
    let good = matches!(told.verdict, Verdict::Stored(_));
    out.push(if good { paint.good(&verdict) } else { paint.bad(&verdict) });
    if assumed {
        out.push("(The origin's response is assumed: 200 without any field about caching. --response and --status say otherwise.)".to_owned());
    }
    if let Some(key) = &told.key {
        out.extend([String::new(), paint.strong("Key")]);
        let parts =
            key.parts.iter().map(|part| (part.name.as_str(), part.value.as_deref().unwrap_or("(absent)").to_owned()));
        out.extend(parts.map(|(name, value)| pair(name, &value)));
        for (name, value) in &key.vary {
            let value = value.as_ref().map_or_else(|| "(absent)".to_owned(), |value| lossy(value));
            out.push(pair(&format!("variant {name}"), &value));
        }
        out.push(pair("in the cluster", &key.name));
        out.push(pair("purged by", &key.url));
        out.extend(key.tags.iter().map(|tag| pair("purged by tag", tag)));
    }
    if let Some(forwarded) = &told.forwarded {
        out.extend([String::new(), paint.strong("To the origin")]);
        out.push(clean(&format!("  {} {}", forwarded.method, forwarded.target)));
        out.extend(field_lines(&forwarded.fields));
    }
    if let Some(sent) = &told.sent {
        out.extend([String::new(), paint.strong("To the client")]);
        out.extend(sent_lines(sent));
    }
    match &told.again {
        Again::FromCache(sent) => {
            out.extend([String::new(), paint.strong("To the next who asks, from the cache")]);
            out.extend(sent_lines(sent));
        }
        Again::Origin(edits) if matches!(told.verdict, Verdict::Stored(_)) => {
            out.extend([String::new(), paint.strong("For the next who asks, the origin is asked again")]);
            out.extend(edits.iter().map(edit_line));
        }
        _ => {}
    }
    if !told.ways.is_empty() {
        out.extend([String::new(), paint.strong("Later requests would be answered from the cache if")]);
        for way in &told.ways {
            let changes: Vec<&str> = way.0.iter().map(|change| change.what.as_str()).collect();
            out.push(format!("  - {}", clean(&changes.join(", and "))));
        }
    }
    out.join("\n") + "\n"
}

fn step_lines(number: usize, step: &Step, paint: Paint) -> Vec<String> {
    let about = format!("{:<17}", step.about);
    let about = match step.went {
        Went::On => paint.good(&about),
        Went::Stop => paint.bad(&about),
        Went::Told => about,
    };
    let because: Vec<String> = step.because.iter().map(ToString::to_string).collect();
    vec![format!("{number:>3}. {about}{}", clean(&step.text)), format!("{:INDENT$}{}", "", clean(&because.join("; ")))]
}

/// The verdict in a sentence.
pub fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Bypassed(reason) => format!("The cache is not used: {}.", reason.as_str()),
        Verdict::NotStored(reason) => format!("The response is not stored: {}.", reason.as_str()),
        Verdict::Stored(lifetime) => stored(lifetime),
        Verdict::Answered(status) => format!("Answered with {status}, without asking the origin."),
        _ => "Nothing is known of it.".to_owned(),
    }
}

fn stored(lifetime: &Lifetime) -> String {
    if lifetime.always_validate {
        return "The response is stored, and the origin is asked before each use.".to_owned();
    }
    match lifetime.fresh_for.get() {
        0 => "The response is stored, and stale at once.".to_owned(),
        seconds => format!("The response is stored, fresh until it is {seconds} s old."),
    }
}

fn pair(name: &str, value: &str) -> String {
    format!("  {:<26} {}", clean(name), clean(value))
}

fn sent_lines(sent: &Sent) -> Vec<String> {
    std::iter::once(format!("  {}", sent.status)).chain(field_lines(&sent.fields)).collect()
}

fn field_lines(fields: &Fields) -> Vec<String> {
    fields.iter().map(|line| clean(&format!("  {}: {}", line.name, lossy(&line.value)))).collect()
}

fn edit_line(edit: &Edit) -> String {
    clean(&match edit {
        Edit::Remove(name) => format!("  without {name}"),
        Edit::Set(name, value) | Edit::Add(name, value) => format!("  with {name}: {}", lossy(value)),
        Edit::Target(target) => format!("  for {target}"),
        _ => "  by another route".to_owned(),
    })
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Without control characters, which a terminal would obey.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
