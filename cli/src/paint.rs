//! Writing to people: colour on a terminal only, and never where NO_COLOR is set.

use std::io::{IsTerminal, Write};

use anyhow::Context;

/// Writes to standard output. Whoever read it may have gone, which is an error and no crash.
pub fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to standard output")
}

/// Whether standard output takes colour.
#[derive(Clone, Copy, Debug)]
pub struct Paint(bool);

impl Paint {
    /// For standard output.
    pub fn of_stdout() -> Self {
        Self(std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none())
    }

    /// Without colour.
    #[cfg(feature = "test")]
    pub const fn plain() -> Self {
        Self(false)
    }

    /// Whether there is a terminal to paint on.
    pub fn is_on(self) -> bool {
        self.0
    }

    /// What went well.
    pub fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    /// What did not.
    pub fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    /// A heading.
    pub fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
