//! Whether another agent runs this program. Such a caller reads output and decides for itself, so the commands that hand
//! out credentials are closed to it; nobody is asked at the terminal, and errors are JSON.

/// The variables that coding agents set for the programs they start, and the agent's name.
const MARKS: &[(&str, &str)] = &[
    ("CLAUDECODE", "Claude Code"),
    ("CLAUDE_CODE_ENTRYPOINT", "Claude Code"),
    ("CODEX_SANDBOX", "Codex"),
    ("CODEX_THREAD_ID", "Codex"),
    ("CODEX_CI", "Codex"),
    ("CURSOR_AGENT", "Cursor"),
    ("GEMINI_CLI", "Gemini CLI"),
    ("OPENCODE", "OpenCode"),
    ("CLINE_ACTIVE", "Cline"),
    ("OPENCLAW_SHELL", "OpenClaw"),
    ("AI_AGENT", "another agent"),
    ("AGENT", "another agent"),
];

/// The agent that runs this program, as far as it says so.
pub(crate) fn calling_agent(get: impl Fn(&str) -> Option<String>) -> Option<&'static str> {
    let says_yes = |value: String| !matches!(value.as_str(), "" | "0" | "false");
    MARKS.iter().find(|(name, _)| get(name).is_some_and(says_yes)).map(|(_, agent)| *agent)
}

/// The variables by which an agent is known.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    MARKS.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_known_by_its_variables() {
        let with = |name: &'static str, value: &'static str| {
            calling_agent(move |asked| (asked == name).then(|| value.to_owned()))
        };
        assert_eq!(with("CLAUDECODE", "1"), Some("Claude Code"));
        assert_eq!(with("CODEX_SANDBOX", "seatbelt"), Some("Codex"));
        assert_eq!(with("AGENT", "goose"), Some("another agent"));
        assert_eq!(with("CLAUDECODE", "0"), None);
        assert_eq!(with("AGENTS", "1"), None);
        assert_eq!(calling_agent(|_| None), None);
    }
}
