//! Command lines and their words, one file each in tests/cmd: usage errors, versions, hints.
//!
//! `TRYCMD=overwrite cargo test --test it cmd` writes down what is said now; read the difference before committing it.

#[test]
fn command_lines_are_answered_as_written_down() {
    trycmd::TestCases::new()
        .register_bin("agentctl", std::path::Path::new(env!("CARGO_BIN_EXE_agentctl")))
        .env("HOME", "/nonexistent")
        .insert_var("[VERSION]", env!("CARGO_PKG_VERSION"))
        .unwrap()
        .case("tests/cmd/*.toml");
}
