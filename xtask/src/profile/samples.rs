//! Stacks of samples, read from what `perf script --fields ip,sym,dso` prints: innermost first, a blank line between two.

use rustc_demangle::demangle;

/// Whose code a frame is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A function of the module.
    Module(String),
    /// V8 between Envoy and the module.
    Border,
    /// A library's or Envoy's own: its file's name.
    Native(String),
    /// The kernel's.
    Kernel(String),
}

/// One sample's stack, innermost first.
pub type Stack = Vec<Frame>;

/// Reads all samples. Lines that are no frames are passed over.
pub fn read(text: &str) -> Vec<Stack> {
    let stack = |block: &str| block.lines().filter_map(|line| frame(line.trim())).collect::<Stack>();
    text.split("\n\n").map(stack).filter(|stack| !stack.is_empty()).collect()
}

/// `<address> <symbol> (<file>)`
fn frame(line: &str) -> Option<Frame> {
    let (address, rest) = line.split_once(' ')?;
    u64::from_str_radix(address, 16).ok()?;
    let (symbol, file) = rest.trim().rsplit_once(" (")?;
    let file = file.strip_suffix(')')?;
    Some(match symbol.strip_prefix("JS:") {
        Some(function) => Frame::Module(name(function)),
        None if symbol.starts_with("Stub:") || is_map(file) || file.contains("anon") => Frame::Border,
        None if file.starts_with("[kernel") => Frame::Kernel(symbol.to_owned()),
        None => Frame::Native(file.rsplit('/').next().unwrap_or(file).to_owned()),
    })
}

/// V8's map of its code for perf.
fn is_map(file: &str) -> bool {
    file.rsplit('/').next().is_some_and(|name| name.starts_with("perf-") && name.ends_with(".map"))
}

/// `_ZN…-328-turbofan` as the source has it.
fn name(function: &str) -> String {
    let mangled = function.strip_suffix("-turbofan").or_else(|| function.strip_suffix("-liftoff")).unwrap_or(function);
    let mangled = mangled.rsplit_once('-').map_or(mangled, |(name, _)| name);
    let name = format!("{:#}", demangle(mangled));
    // Where a type implements a trait, the trait is long and the method says enough.
    name.replace("larder_plugin::", "").replace("larder_core::", "core::")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
\t         2faba9e [unknown] (/usr/bin/envoy)
\t    51a8bd0f2aa [unknown] (/run/perf-18392.map)
\t    51a8bd0f2bb JS:_ZN13larder_plugin5reply4send17hddb3719c3cf42432E-328-turbofan (/run/perf-18392.map)
\t    51a8bd0f2cc Stub:c-wasm-entry:iii:i (/run/perf-18392.map)

\tffffffff8201c815 tcp_ack ([kernel.kallsyms])
\t           fde9d __GI___writev (/usr/lib/x86_64-linux-gnu/libc.so.6)

";

    #[test]
    fn frames_are_told_apart_and_named() {
        let envoy = Frame::Native("envoy".into());
        let expected = vec![
            vec![envoy, Frame::Border, Frame::Module("reply::send".into()), Frame::Border],
            vec![Frame::Kernel("tcp_ack".into()), Frame::Native("libc.so.6".into())],
        ];
        assert_eq!(read(TEXT), expected);
    }

    #[test]
    fn what_is_no_frame_is_passed_over() {
        assert!(read("").is_empty());
        assert!(read("envoy 123 4.5: cpu-clock:\n\nzz [unknown] (x)\n").is_empty());
    }
}
