//! Prints the JSON Schema of policy files: `cargo run -p larder-core --example schema --features schema > policies/schema.json`.

fn main() {
    print!("{}", larder_core::policy::schema_text());
}
