//! Findings for programs.

use serde_json::{Value, json};

use super::{Checked, Finding, Totals};

/// One document about all files.
pub fn text(checked: &[Checked], totals: Totals) -> anyhow::Result<String> {
    let Totals { errors, warnings, notes, unread } = totals;
    let document = json!({
        "ok": errors == 0 && unread == 0,
        "errors": errors,
        "warnings": warnings,
        "notes": notes,
        "files": checked.iter().map(file).collect::<Vec<_>>(),
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn file(checked: &Checked) -> Value {
    json!({
        "file": checked.name,
        "unread": checked.unread,
        "findings": checked.findings.iter().map(finding).collect::<Vec<_>>(),
        "left_out": checked.left_out,
    })
}

/// One finding.
pub fn finding(finding: &Finding) -> Value {
    json!({
        "level": finding.level.word(),
        "id": finding.id,
        "message": finding.message,
        "help": finding.help,
        "path": finding.path,
        "line": finding.line,
        "column": finding.column,
        "bytes": { "from": finding.span.start, "to": finding.span.end },
    })
}
