//! The terminal of the shell: as it was found, and as it is between two lines.
//!
//! While an answer comes nothing is echoed into it. What is typed or pasted meanwhile waits in the terminal until the next
//! line begins, and stands in it then: nothing is sent that nobody has read again.

use std::io::{self, Write as _};

/// Marks around what is pasted, on and off (XTerm Control Sequences, "Bracketed Paste Mode").
const PASTES_MARKED: &[u8] = b"\x1b[?2004h";
const PASTES_PLAIN: &[u8] = b"\x1b[?2004l";
const PASTE_BEGINS: &str = "\x1b[200~";
const PASTE_ENDS: &str = "\x1b[201~";

/// The terminal at stdin.
#[derive(Clone, Debug)]
pub(crate) struct Tty(system::Found);

impl Tty {
    /// As it is now, which is how it is left.
    pub(crate) fn find() -> Self {
        Self(system::Found::look())
    }

    /// For the time between two lines: nothing is echoed, and pastes stay marked.
    pub(crate) fn hush(&self) {
        if self.0.hush() {
            say(PASTES_MARKED);
        }
    }

    /// What was typed or pasted since the last line, as text. The line editor has to read next.
    pub(crate) fn typed_ahead(&self) -> String {
        text(&String::from_utf8_lossy(&self.0.take_input()))
    }

    /// The first whole line that was typed while the terminal was as it was found, shown at this prompt. The others stay
    /// in the terminal.
    pub(crate) fn first_line(&self, prompt: &str) -> Option<String> {
        let line = text(&String::from_utf8_lossy(&self.0.take_line()?));
        say(format!("{prompt}{line}\n").as_bytes());
        Some(line)
    }

    /// As it was found.
    pub(crate) fn restore(&self) {
        if self.0.restore() {
            say(PASTES_PLAIN);
        }
    }

    /// The shipped program aborts when it panics, and then nobody else restores the terminal.
    pub(crate) fn restore_on_panic(&self) {
        let (tty, before) = (self.clone(), std::panic::take_hook());
        std::panic::set_hook(Box::new(move |info| {
            tty.restore();
            before(info);
        }));
    }
}

fn say(sequence: &[u8]) {
    // Nobody is left to be told that the terminal is gone.
    let _ = io::stdout().write_all(sequence).and_then(|()| io::stdout().flush());
}

/// A paste has begun and not ended.
#[cfg_attr(not(unix), expect(dead_code, reason = "nothing is typed ahead there"))]
fn in_a_paste(bytes: &[u8]) -> bool {
    let last = |mark: &str| bytes.windows(mark.len()).rposition(|piece| piece == mark.as_bytes());
    last(PASTE_BEGINS) > last(PASTE_ENDS)
}

/// The characters among these keys. Line ends at both ends go: they were Enter.
fn text(keys: &str) -> String {
    let keys = keys.replace(PASTE_BEGINS, "").replace(PASTE_ENDS, "").replace("\r\n", "\n").replace('\r', "\n");
    let (mut text, mut rest) = (String::with_capacity(keys.len()), keys.chars());
    while let Some(key) = rest.next() {
        match key {
            '\x1b' => skip_sequence(&mut rest),
            '\n' | '\t' => text.push(key),
            '\x7f' | '\x08' => drop(text.pop()),
            key if key.is_control() => {}
            key => text.push(key),
        }
    }
    text.trim_matches('\n').to_owned()
}

/// The rest of what an arrow or another key sends.
fn skip_sequence(rest: &mut std::str::Chars<'_>) {
    match rest.next() {
        Some('[') => _ = rest.find(|c| ('@'..='~').contains(c)),
        Some('O') => _ = rest.next(),
        _ => {}
    }
}

#[cfg(unix)]
mod system {
    use std::io;

    use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr};

    /// In tenths of a second: how long nothing has to come after something was typed, ...
    const PAUSE: u8 = 1;
    /// ... and how long the end of a paste may keep itself waiting.
    const PASTE: u8 = 20;

    #[derive(Clone, Debug)]
    pub(super) struct Found(Option<Termios>);

    impl Found {
        pub(super) fn look() -> Self {
            Self(tcgetattr(io::stdin()).ok())
        }

        pub(super) fn hush(&self) -> bool {
            self.set(|modes| modes.local_modes.remove(LocalModes::ECHO))
        }

        pub(super) fn restore(&self) -> bool {
            self.set(|_| {})
        }

        /// Lines are not waited for, as the line editor does not either.
        pub(super) fn take_input(&self) -> Vec<u8> {
            let (mut input, mut piece, mut pause) = (Vec::new(), [0; 4096], 0);
            while self.wait_at_most(pause)
                && let Ok(count @ 1..) = rustix::io::read(io::stdin(), &mut piece)
            {
                input.extend_from_slice(&piece[..count]);
                pause = if super::in_a_paste(&input) { PASTE } else { PAUSE };
            }
            input
        }

        /// A terminal that edits lines itself gives one a read, and counts only whole ones as there.
        pub(super) fn take_line(&self) -> Option<Vec<u8>> {
            let edits = self.0.as_ref()?.local_modes.contains(LocalModes::ICANON);
            if !edits || rustix::io::ioctl_fionread(io::stdin()).unwrap_or(0) == 0 {
                return None;
            }
            let mut line = vec![0; 4096]; // no terminal keeps a longer one
            let count = rustix::io::read(io::stdin(), &mut line).ok().filter(|count| *count > 0)?;
            line.truncate(count);
            Some(line)
        }

        fn wait_at_most(&self, tenths: u8) -> bool {
            self.set(|modes| {
                modes.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
                modes.special_codes[SpecialCodeIndex::VMIN] = 0;
                modes.special_codes[SpecialCodeIndex::VTIME] = tenths;
            })
        }

        /// Sets the modes that were found with this change. Who is not in the foreground leaves them alone: it would be
        /// stopped, and the shell has set its own.
        fn set(&self, change: impl Fn(&mut Termios)) -> bool {
            let Some(found) = &self.0 else { return false };
            let mut modes = found.clone();
            change(&mut modes);
            tcgetpgrp(io::stdin()).is_ok_and(|group| group == rustix::process::getpgrp())
                && tcsetattr(io::stdin(), OptionalActions::Now, &modes).is_ok()
        }
    }
}

#[cfg(not(unix))]
mod system {
    #[derive(Clone, Debug)]
    pub(super) struct Found;

    impl Found {
        pub(super) fn look() -> Self {
            Self
        }

        pub(super) fn hush(&self) -> bool {
            false
        }

        pub(super) fn restore(&self) -> bool {
            false
        }

        pub(super) fn take_input(&self) -> Vec<u8> {
            Vec::new()
        }

        pub(super) fn take_line(&self) -> Option<Vec<u8>> {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_text() {
        for (keys, expected) in [
            ("", ""),
            ("buy 2\r", "buy 2"),
            ("\n\none\r\ntwo\rthree\n", "one\ntwo\nthree"),
            ("\x1b[200~mail:\r/system obey\r\x1b[201~", "mail:\n/system obey"),
            ("go\x1b[A\x1bOB\x1b[1;5C on\x1b", "go on"),
            ("phonez\x7fs\x04\0", "phones"),
            ("\x7f\x1b[", ""),
        ] {
            assert_eq!(text(keys), expected, "{keys:?}");
        }
    }

    #[test]
    fn a_paste_is_taken_whole() {
        for (keys, open) in [
            ("typed", false),
            ("\x1b[200~half", true),
            ("\x1b[200~whole\x1b[201~", false),
            ("\x1b[200~a\x1b[201~\x1b[200~b", true),
        ] {
            assert_eq!(in_a_paste(keys.as_bytes()), open, "{keys:?}");
        }
    }
}
