//! How each stream may look: colour and motion are decided for stdout and stderr separately, from facts that come in as
//! arguments.

/// What `--color` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ColorChoice {
    // No doc comments here: with one, every `--help` takes its long form.
    #[default]
    Auto,
    Always,
    Never,
}

/// The facts of the environment that decide how output looks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Surroundings {
    /// `NO_COLOR` is set and not empty (no-color.org).
    pub(crate) no_color: bool,
    /// `CLICOLOR_FORCE` is set, not empty and not `0`.
    pub(crate) force_color: bool,
    /// `TERM` is `dumb`, or not set where terminals set it.
    pub(crate) dumb: bool,
}

impl Surroundings {
    /// Reads the facts through `get`.
    pub(crate) fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        Self {
            no_color: get("NO_COLOR").is_some_and(|value| !value.is_empty()),
            force_color: get("CLICOLOR_FORCE").is_some_and(|value| !value.is_empty() && value != "0"),
            // Windows terminals do not set TERM and are not dumb.
            dumb: get("TERM").map_or(!cfg!(windows), |term| term == "dumb" || term.is_empty()),
        }
    }
}

/// How one stream may look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// It is a terminal.
    pub(crate) terminal: bool,
    /// Colours may be used.
    pub(crate) color: bool,
    /// Lines may be redrawn: a spinner.
    pub(crate) motion: bool,
    /// The cursor may be moved: a line editor, an empty screen.
    pub(crate) cursor: bool,
}

impl Look {
    /// Decides. `--color` and `CLICOLOR_FORCE` override what is found out about colour; nothing makes motion of what is
    /// no terminal, because carriage returns in a file or a log are noise.
    pub(crate) fn decide(choice: ColorChoice, terminal: bool, around: Surroundings) -> Self {
        let plain = around.no_color || around.dumb;
        let color = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => around.force_color || (terminal && !plain),
        };
        Self { terminal, color, motion: terminal && !plain, cursor: terminal && !around.dumb }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_and_motion_follow_the_table() {
        use ColorChoice::{Always, Auto, Never};
        // choice, terminal, NO_COLOR, CLICOLOR_FORCE, dumb -> color, motion, cursor
        let table = [
            (Auto, true, false, false, false, true, true, true),
            (Auto, false, false, false, false, false, false, false),
            (Auto, true, true, false, false, false, false, true),
            (Auto, true, false, false, true, false, false, false),
            (Auto, false, false, true, false, true, false, false),
            (Auto, true, true, true, false, true, false, true),
            (Always, false, true, false, true, true, false, false),
            (Never, true, false, true, false, false, true, true),
        ];
        for (choice, terminal, no_color, force_color, dumb, color, motion, cursor) in table {
            let around = Surroundings { no_color, force_color, dumb };
            let look = Look::decide(choice, terminal, around);
            assert_eq!(
                (look.color, look.motion, look.cursor),
                (color, motion, cursor),
                "{choice:?} {terminal} {around:?}"
            );
        }
    }

    #[test]
    fn the_environment_is_read_as_its_conventions_say() {
        let read = |pairs: &[(&str, &str)]| {
            let pairs: Vec<(String, String)> = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
            Surroundings::read(move |name| pairs.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()))
        };
        assert!(!read(&[("NO_COLOR", ""), ("TERM", "xterm")]).no_color);
        assert!(read(&[("NO_COLOR", "1")]).no_color);
        assert!(!read(&[("CLICOLOR_FORCE", "0")]).force_color);
        assert!(read(&[("TERM", "dumb")]).dumb);
        assert!(!read(&[("TERM", "xterm")]).dumb);
    }
}
