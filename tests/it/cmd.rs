//! Command lines and their words, one file each in tests/cmd: usage errors, versions, hints.
//!
//! `TRYCMD=overwrite cargo test --test it cmd` writes down what is said now; read the difference before committing it.

#[test]
fn command_lines_are_answered_as_written_down() {
    let cases = trycmd::TestCases::new();
    // Whoever starts these tests may be an agent, which gets other words.
    for name in [
        "CLAUDECODE",
        "CLAUDE_CODE_ENTRYPOINT",
        "CODEX_SANDBOX",
        "CODEX_THREAD_ID",
        "CODEX_CI",
        "CURSOR_AGENT",
        "GEMINI_CLI",
        "OPENCODE",
        "CLINE_ACTIVE",
        "OPENCLAW_SHELL",
        "AI_AGENT",
        "AGENT",
    ] {
        cases.env(name, "");
    }
    cases
        .register_bin("agentctl", std::path::Path::new(env!("CARGO_BIN_EXE_agentctl")))
        .env("HOME", "/nonexistent")
        .insert_var("[VERSION]", env!("CARGO_PKG_VERSION"))
        .unwrap()
        .case("tests/cmd/*.toml");
}
