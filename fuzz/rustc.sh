#!/bin/sh
# RUSTC_WORKSPACE_WRAPPER of `cargo xtask fuzz`: coverage counters go into our crates that read bytes, and into nothing else. Counters in
# wasmtime's compiler or in tokio would cost time and lead libFuzzer astray. Cargo keeps what comes out of it apart from what tests use, and
# takes all other crates from them. Works with a stable compiler.
rustc=$1
shift
case " $* " in
*" --crate-name larder_core "* | *" --crate-name larder_node "* | *" --crate-name larder_host_tests "* | *" --crate-name larder_plugin "* | \
    *" --crate-name larder_fuzz "*)
    set -- "$@" -C passes=sancov-module -C llvm-args=-sanitizer-coverage-inline-8bit-counters
    case " $* " in
    # The host reads the module's counters out of its memory; nobody there takes tables, comparisons and where pointers to functions lead
    # (level 4). The constructor of the counters tells it where they are, by a call that the linker leaves open.
    *" wasm32-unknown-unknown "*)
        set -- "$@" -C llvm-args=-sanitizer-coverage-level=3
        case " $* " in
        *" --crate-name larder_plugin "*) set -- "$@" -C link-arg=--allow-undefined ;;
        esac
        ;;
    *)
        set -- "$@" -C llvm-args=-sanitizer-coverage-level=4 -C llvm-args=-sanitizer-coverage-pc-table \
            -C llvm-args=-sanitizer-coverage-trace-compares
        ;;
    esac
    ;;
esac
exec "$rustc" "$@"
