//! A profile as text: who has how much of the time, the module's callbacks, its functions, and who asks the host for how much.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::samples::{Frame, Stack};

/// Renders a profile with so many functions in each list.
pub fn text(samples: &[Stack], top: usize) -> String {
    let tables = Tables::of(samples);
    let percent = |count: u64| 100.0 * count as f64 / samples.len().max(1) as f64;
    let mut out = format!("{} samples\n", samples.len());
    let mut list = |title: &str, counts: &BTreeMap<String, u64>, top: usize| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "\n{title}");
        for (name, count) in sorted(counts).into_iter().take(top) {
            let _ = writeln!(out, "{:6.2}%  {name}", percent(count));
        }
    };
    list("who", &tables.layers, usize::MAX);
    list("callbacks, with what they call", &tables.callbacks, usize::MAX);
    list("the module's functions by themselves", &tables.own, top);
    list("the module's functions with what they call", &tables.with_callees, top);
    list("time in the host, by who asks for it", &tables.host, top.min(12));
    list("the kernel's functions by themselves", &tables.kernel, top.min(12));
    out
}

#[derive(Debug, Default)]
struct Tables {
    layers: BTreeMap<String, u64>,
    callbacks: BTreeMap<String, u64>,
    own: BTreeMap<String, u64>,
    with_callees: BTreeMap<String, u64>,
    host: BTreeMap<String, u64>,
    kernel: BTreeMap<String, u64>,
}

impl Tables {
    fn of(samples: &[Stack]) -> Self {
        let mut tables = Self::default();
        samples.iter().for_each(|stack| tables.add(stack));
        tables
    }

    fn add(&mut self, stack: &Stack) {
        let note = |counts: &mut BTreeMap<String, u64>, name: &str| *counts.entry(name.to_owned()).or_default() += 1;
        let functions =
            || stack.iter().filter_map(|frame| if let Frame::Module(name) = frame { Some(name) } else { None });
        let innermost = functions().next();
        let layer = match (stack.first(), innermost) {
            (Some(Frame::Module(name)), _) => {
                note(&mut self.own, name);
                "the module"
            }
            (_, Some(name)) => {
                note(&mut self.host, name);
                "host calls of the module (V8's border, Envoy, and what they call)"
            }
            (Some(Frame::Kernel(_)), None) => "the kernel",
            (Some(Frame::Border), None) => "V8's border",
            (Some(Frame::Native(file)), None) => file,
            (None, None) => return,
        };
        note(&mut self.layers, layer);
        if let Some(Frame::Kernel(name)) = stack.first() {
            note(&mut self.kernel, name);
        }
        // The outermost one: the module calls itself, too.
        if let Some(callback) = functions().rfind(|name| name.starts_with("proxy_on_")) {
            note(&mut self.callbacks, callback);
        }
        for name in functions().collect::<BTreeSet<_>>() {
            note(&mut self.with_callees, name);
        }
    }
}

fn sorted(counts: &BTreeMap<String, u64>) -> Vec<(&str, u64)> {
    let mut counts: Vec<(&str, u64)> = counts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_the_innermost_frames_and_its_callers_have_it_too() {
        let module = |name: &str| Frame::Module(name.into());
        let envoy = || Frame::Native("envoy".into());
        let samples = vec![
            vec![module("send"), module("proxy_on_request_headers"), Frame::Border, envoy()],
            vec![envoy(), Frame::Border, module("send"), module("proxy_on_request_headers"), Frame::Border, envoy()],
            vec![envoy()],
            vec![Frame::Kernel("tcp_ack".into()), envoy()],
        ];
        let tables = Tables::of(&samples);
        assert_eq!(tables.own, BTreeMap::from([("send".into(), 1)]));
        assert_eq!(tables.host, BTreeMap::from([("send".into(), 1)]));
        assert_eq!(tables.callbacks, BTreeMap::from([("proxy_on_request_headers".into(), 2)]));
        assert_eq!(tables.with_callees["send"], 2);
        assert_eq!(tables.layers["envoy"], 1);
        assert!(text(&samples, 5).contains("25.00%  the kernel\n"), "{}", text(&samples, 5));
    }
}
