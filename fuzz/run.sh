#!/bin/bash
# Runs the fuzz targets, each from its committed seeds, and stops at the first crash.
#
#   fuzz/run.sh [SECONDS [TARGET...]]      10 seconds each, all of them
#
# What is found on the way is kept in target/fuzz/corpus; an input that crashes stands in target/fuzz/TARGET-crash-...,
# and is a new seed once it is mended. With a nightly compiler, `cargo fuzz run TARGET` does the same under sanitizers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1:-10}
shift || true
targets=("$@")
if [ "${#targets[@]}" = 0 ]; then
    for source in fuzz/targets/*.rs; do targets+=("$(basename "$source" .rs)"); done
fi

export RUSTC_WORKSPACE_WRAPPER=$PWD/fuzz/rustc-with-coverage
cargo build --locked --package agentctl-fuzz

for target in "${targets[@]}"; do
    corpus=target/fuzz/corpus/$target
    mkdir -p "$corpus"
    # Malformed input is the point: what the program says about it would be all one sees.
    log=target/fuzz/$target.log
    if "target/debug/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="target/fuzz/$target-" "$corpus" "fuzz/seeds/$target" > "$log" 2>&1; then
        printf '%-14s %9s runs, %s\n' "$target" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
            "$(grep -o 'cov: [0-9]*' "$log" | tail -1)"
    else
        tail -60 "$log"
        echo "fuzz target $target failed"
        exit 1
    fi
done
