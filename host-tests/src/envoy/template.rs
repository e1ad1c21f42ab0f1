//! Bootstrap files with placeholders: `${NAME}`, as `envsubst` reads them.
//!
//! One thing beyond `envsubst`: a value of several lines takes on the indentation of the line it stands in, so that a policy
//! file keeps its lines inside a YAML block scalar. Knows nothing of YAML.

use std::collections::BTreeMap;

/// Puts `values` into `template`.
///
/// # Errors
/// The first placeholder that has no value.
pub fn render(template: &str, values: &BTreeMap<String, String>) -> Result<String, String> {
    let mut out = String::with_capacity(template.len());
    for line in template.split_inclusive('\n') {
        // Comments may explain placeholders.
        if line.trim_start().starts_with('#') {
            out.push_str(line);
            continue;
        }
        let indentation: String = line.chars().take_while(|c| *c == ' ').collect();
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, tail) = after.split_once('}').ok_or_else(|| format!("no closing brace in {line:?}"))?;
            let value = values.get(name).ok_or_else(|| name.to_owned())?;
            out.push_str(before);
            out.push_str(&value.trim_end().replace('\n', &format!("\n{indentation}")));
            rest = tail;
        }
        out.push_str(rest);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_several_lines_is_indented_like_its_line() {
        let values =
            BTreeMap::from([("P".to_owned(), "{\n  \"a\": 1\n}\n".to_owned()), ("Q".to_owned(), "7".to_owned())]);
        let out = render("# ${X}\nport: ${Q}\nvalue: |\n  ${P}\nend: ${Q}${Q}\n", &values).unwrap();
        assert_eq!(out, "# ${X}\nport: 7\nvalue: |\n  {\n    \"a\": 1\n  }\nend: 77\n");
        assert_eq!(render("a: ${MISSING}", &values).unwrap_err(), "MISSING");
    }
}
