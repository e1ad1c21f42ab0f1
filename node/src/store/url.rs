//! A store's URL in its parts, with errors that name the part which is wrong and say what may stand there.
//!
//! Knows the form that all have in common (`scheme:rest?parameter=value&…`) and what sizes and spans look like, but none of the
//! stores. Errors never repeat the whole URL: it may contain a password.

use std::time::Duration;

use super::StoreError;

/// Why a store could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Something in the URL is not as it has to be.
    #[error("store URL: {part} is {given:?}; expected {expected}")]
    Wrong {
        /// Which part.
        part: String,
        /// What stands there.
        given: String,
        /// What may stand there.
        expected: String,
    },
    /// The URL is right, and the store cannot be opened.
    #[error("store {0}")]
    Store(#[from] StoreError),
}

impl OpenError {
    pub(crate) fn wrong(part: impl Into<String>, given: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Wrong { part: part.into(), given: given.into(), expected: expected.into() }
    }
}

/// A URL cut into its parts.
#[derive(Debug)]
pub(crate) struct StoreUrl<'a> {
    pub scheme: &'a str,
    /// Between `scheme:` and `?`, as it is.
    pub rest: &'a str,
    pub parameters: Parameters,
}

impl<'a> StoreUrl<'a> {
    pub fn parse(text: &'a str) -> Result<Self, OpenError> {
        let Some((scheme, rest)) = text.split_once(':') else {
            // What has no colon has no password either.
            return Err(OpenError::wrong("the scheme", text, "scheme: in front, as in memory: or disk:/path"));
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let given = url::form_urlencoded::parse(query.as_bytes()).into_owned().map(Some).collect();
        Ok(Self { scheme, rest, parameters: Parameters { given, known: Vec::new() } })
    }
}

/// A URL's parameters. Each is asked for by name; `finish` then finds those that nobody asked for.
#[derive(Debug)]
pub(crate) struct Parameters {
    given: Vec<Option<(String, String)>>,
    known: Vec<&'static str>,
}

impl Parameters {
    /// A size, such as `256MiB`.
    pub fn size(&mut self, name: &'static str, default: u64, least: u64) -> Result<u64, OpenError> {
        let Some(given) = self.take(name)? else { return Ok(default) };
        size(&given).filter(|size| *size >= least).ok_or_else(|| {
            let expected =
                format!("a size of {least} bytes at least, such as 256MiB (units: KiB, MiB, GiB, TiB; none is bytes)");
            OpenError::wrong(format!("parameter {name}"), given, expected)
        })
    }

    /// A span, such as `250ms`.
    pub fn span(&mut self, name: &'static str, default: Duration) -> Result<Duration, OpenError> {
        let Some(given) = self.take(name)? else { return Ok(default) };
        let in_range = |span: &Duration| (Duration::from_millis(1)..=Duration::from_secs(3600)).contains(span);
        span(&given).filter(in_range).ok_or_else(|| {
            OpenError::wrong(
                format!("parameter {name}"),
                given,
                "a span from 1ms to 1h, such as 250ms (units: ms, s, m, h)",
            )
        })
    }

    /// A number within bounds.
    pub fn number(
        &mut self,
        name: &'static str,
        default: usize,
        least: usize,
        most: usize,
    ) -> Result<usize, OpenError> {
        let Some(given) = self.take(name)? else { return Ok(default) };
        given.parse().ok().filter(|number| (least..=most).contains(number)).ok_or_else(|| {
            OpenError::wrong(format!("parameter {name}"), given, format!("a number from {least} to {most}"))
        })
    }

    /// A parameter's text, if it is there. Every parameter a store knows is asked for before `finish`.
    pub fn take(&mut self, name: &'static str) -> Result<Option<String>, OpenError> {
        self.known.push(name);
        let mut found = self.given.iter_mut().filter(|given| given.as_ref().is_some_and(|(other, _)| other == name));
        let value = found.next().and_then(Option::take).map(|(_, value)| value);
        match found.next() {
            None => Ok(value),
            Some(_) => Err(OpenError::wrong("a parameter", name, "each parameter once")),
        }
    }

    /// All parameters have been asked for: another is an error.
    pub fn finish(self) -> Result<(), OpenError> {
        let Some((name, _)) = self.given.into_iter().flatten().next() else { return Ok(()) };
        Err(OpenError::wrong("a parameter", name, format!("one of: {}", self.known.join(", "))))
    }
}

fn size(text: &str) -> Option<u64> {
    let (number, unit) = number_and_unit(text)?;
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

fn span(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text)?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(unit_ms).map(Duration::from_millis)
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_spans() {
        for (text, expected) in [
            ("0", Some(0)),
            ("17", Some(17)),
            ("17B", Some(17)),
            ("3KiB", Some(3072)),
            ("256MiB", Some(256 << 20)),
            ("10GiB", Some(10 << 30)),
            ("2TiB", Some(2 << 40)),
            ("99999999TiB", None),
            ("1MB", None),
            ("MiB", None),
            ("-1", None),
            ("1.5GiB", None),
            ("", None),
        ] {
            assert_eq!(size(text), expected, "{text}");
        }
        for (text, expected) in
            [("250ms", Some(250)), ("2s", Some(2000)), ("1m", Some(60_000)), ("1", None), ("ms", None)]
        {
            assert_eq!(span(text), expected.map(Duration::from_millis), "{text}");
        }
    }
}
