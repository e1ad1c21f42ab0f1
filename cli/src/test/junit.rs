//! Results as JUnit XML, which is what CI servers read: a suite for each file, a test for each case.

use std::fmt::{self, Write as _};

use larder_host_tests::scenario::Failure;

use super::files::Why;
use super::{Ran, RanCase, Results};

/// The whole document.
pub fn text(results: &Results) -> String {
    let (all, failed, errors) = (results.cases().count(), results.failed(), results.unusable.len());
    let took: f64 = results.cases().map(|case| case.took.as_secs_f64()).sum();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        text,
        "<testsuites name=\"larder test\" tests=\"{}\" failures=\"{failed}\" errors=\"{errors}\" time=\"{took:.3}\">",
        all + errors
    );
    for ran in &results.ran {
        suite(&mut text, ran);
    }
    for file in &results.unusable {
        let name = Escaped(&file.name);
        let why = match &file.why {
            Why::Unread(why) => why.clone(),
            Why::Errors(_, errors) => errors.in_file(&file.name).to_string(),
        };
        let _ = writeln!(
            text,
            "  <testsuite name=\"{name}\" tests=\"1\" failures=\"0\" errors=\"1\">\n    \
             <testcase classname=\"{name}\" name=\"the file can be read\">\n      \
             <error message=\"cannot be used\">{}</error>\n    </testcase>\n  </testsuite>",
            Escaped(&why)
        );
    }
    text.push_str("</testsuites>\n");
    text
}

fn suite(text: &mut String, ran: &Ran) {
    let failed = ran.cases.iter().filter(|case| case.failure.is_some()).count();
    let took: f64 = ran.cases.iter().map(|case| case.took.as_secs_f64()).sum();
    let _ = writeln!(
        text,
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" errors=\"0\" time=\"{took:.3}\">",
        Escaped(&ran.file),
        ran.cases.len()
    );
    for case in &ran.cases {
        let RanCase { name, line, took, failure } = case;
        let _ = write!(
            text,
            "    <testcase classname=\"{0}\" name=\"{1}\" file=\"{0}\" line=\"{line}\" time=\"{2:.3}\"",
            Escaped(&ran.file),
            Escaped(name),
            took.as_secs_f64()
        );
        match failure {
            None => text.push_str("/>\n"),
            Some(failure) => {
                let first = failure.differences.first();
                let message = first.map(|first| format!("expected {}, got {}", first.expected, first.found));
                let _ = writeln!(
                    text,
                    ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
                    Escaped(&message.unwrap_or_default()),
                    Escaped(&all(&ran.file, failure))
                );
            }
        }
    }
    text.push_str("  </testsuite>\n");
}

fn all(file: &str, failure: &Failure) -> String {
    let mut text = format!("{file}:{}: {}\n", failure.line, failure.step);
    for difference in &failure.differences {
        let line = difference.line.unwrap_or(failure.line);
        let _ = writeln!(text, "line {line}\n  expected  {}\n  got       {}", difference.expected, difference.found);
    }
    failure.context.iter().for_each(|line| {
        let _ = writeln!(text, "| {line}");
    });
    text
}

/// A text in XML. What XML 1.0 cannot say at all (control characters) is replaced.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\n' | '\t' => f.write_char(c)?,
                c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Escaped;

    #[test]
    fn whatever_is_said_is_xml() {
        assert_eq!(Escaped("<a b=\"c\">&\0\n").to_string(), "&lt;a b=&quot;c&quot;&gt;&amp;\u{fffd}\n");
    }
}
