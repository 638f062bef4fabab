# `just check` is what CI runs.
check:
    .ci/run

# Formatting, clippy and cargo-deny, without the tests.
lint:
    .ci/run lint

# What needs only Rust; says what it skips.
test:
    cargo test --locked
