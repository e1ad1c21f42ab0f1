//! The targets that run larder.wasm in wasmtime, with everything that is kept for them. Without libFuzzer.

mod replay;

#[test]
fn no_kept_input_breaks_a_property_of_the_module() {
    replay::all(true);
}
