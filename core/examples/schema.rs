//! Prints the JSON Schema of policy files, and with the argument `tests` that of files of test cases. `cargo xtask tidy --fix` writes
//! them to `policies/`.

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("tests") => print!("{}", larder_core::policy::case_schema_text()),
        _ => print!("{}", larder_core::policy::schema_text()),
    }
}
