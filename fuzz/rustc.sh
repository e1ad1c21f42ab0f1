#!/bin/sh
# RUSTC_WRAPPER of `cargo xtask fuzz`: coverage counters go into our crates and into parsers that they hand bytes to, and into nothing
# else. Counters in wasmtime's compiler or in tokio would cost time and lead libFuzzer astray. Works with a stable compiler.
rustc=$1
shift
case " $* " in
*" --crate-name larder_core "* | *" --crate-name larder_node "* | *" --crate-name larder_host_tests "* | *" --crate-name larder_plugin "* | \
    *" --crate-name larder_fuzz "* | *" --crate-name httpdate "* | *" --crate-name sfv "*)
    set -- "$@" -C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=4 \
        -C llvm-args=-sanitizer-coverage-inline-8bit-counters
    case " $* " in
    # The host reads the module's counters out of its memory; nobody there takes tables and comparisons.
    *" wasm32-unknown-unknown "*) ;;
    *)
        set -- "$@" -C llvm-args=-sanitizer-coverage-pc-table -C llvm-args=-sanitizer-coverage-trace-compares
        ;;
    esac
    ;;
esac
exec "$rustc" "$@"
