# `just check` is what CI runs.
check:
    .ci/run

# Formatting, clippy and cargo-deny, without the tests.
lint:
    .ci/run lint

# What needs only Rust; says what it skips.
test:
    cargo test --locked

# The fuzz targets, each for so many seconds (fuzz/run.sh).
fuzz seconds="60" *targets:
    fuzz/run.sh {{ seconds }} {{ targets }}

# Whether a dependency has a known weakness; fetches RustSec's database.
advisories:
    cargo deny --locked --workspace check advisories

# What is shipped, with the list of its dependencies inside (`cargo install --locked cargo-auditable`), which `cargo audit bin`
# and other scanners read.
dist:
    cargo auditable build --locked --profile dist

# Takes one protection after the other out and sees whether the tests notice; `just mutants guard audit` for some.
mutants *names:
    tests/mutations/run.py {{names}}

# N bad days instead of the few hundred of `just test`: what goes wrong, when the process dies, what the person answers.
sweep N="3000":
    AGENTCTL_SWEEP={{N}} cargo test --locked --test it -- faults:: --nocapture

# agentctl beside aichat, codex, opencode, llm and curl, in turn: docs/performance.md. `just peers --only agentctl,curl` for some.
peers *args:
    cargo build --locked --profile dist
    benches/peers/run.py {{args}}

# The program's own limits, each beside the least that it could cost: the second table of docs/performance.md. About ten minutes.
bench:
    cargo build --locked --profile dist
    cargo bench --locked --profile dist --bench audit
    cargo bench --locked --profile dist --bench many
    python3 benches/resume.py
    python3 benches/purchase.py
