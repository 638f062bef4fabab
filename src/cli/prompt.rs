//! Where the task of a `run` comes from: the arguments, or stdin when that was asked for.

use std::io::{self, IsTerminal as _, Read as _};

use tokio::sync::oneshot;

use super::failure::{Failure, Kind};

/// The longest task that is read.
const LIMIT: u64 = 1024 * 1024;

/// Where to take the task from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The arguments said it.
    Arguments(String),
    /// It is to be read from stdin, to its end.
    Stdin,
    /// Nobody said anything, and a terminal is not read without being asked.
    Missing,
}

/// Decides from the arguments and from whether stdin is a terminal.
pub(crate) fn source(words: &[String], stdin_is_terminal: bool) -> Source {
    match words {
        [] if stdin_is_terminal => Source::Missing,
        [] => Source::Stdin,
        [dash] if dash == "-" => Source::Stdin,
        words => Source::Arguments(words.join(" ")),
    }
}

/// The task itself.
pub(crate) async fn read(words: &[String]) -> Result<String, Failure> {
    let missing = || {
        Failure::new(Kind::Usage, "there is no task to run")
            .hint("give it as an argument, such as `agentctl run \"buy 2 phones\"`, or pipe it in")
    };
    let text = match source(words, io::stdin().is_terminal()) {
        Source::Arguments(text) => text,
        Source::Stdin => stdin().await?,
        Source::Missing => return Err(missing()),
    };
    let text = text.trim();
    if text.is_empty() { Err(missing()) } else { Ok(text.to_owned()) }
}

/// All of stdin. It is read on a thread of its own, so that a signal or a time-out need not wait for whoever holds the
/// other end of the pipe.
pub(crate) async fn stdin() -> Result<String, Failure> {
    let (done, text) = oneshot::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = io::stdin().lock().take(LIMIT + 1).read_to_end(&mut bytes);
        let _ = done.send(read.map(|_| bytes));
    });
    let bytes = match text.await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => return Err(Failure::caused(Kind::Failed, "read the task from stdin", &error)),
        Err(_) => return Err(Failure::new(Kind::Failed, "failed to read the task from stdin")),
    };
    if bytes.len() as u64 > LIMIT {
        return Err(Failure::new(Kind::Usage, "the task on stdin is longer than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| Failure::new(Kind::Usage, "the task on stdin is not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stdin_is_read_only_when_asked_to() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(source(&[], true), Source::Missing);
        assert_eq!(source(&[], false), Source::Stdin);
        for terminal in [true, false] {
            assert_eq!(source(&words(&["-"]), terminal), Source::Stdin);
            assert_eq!(source(&words(&["buy 2 phones"]), terminal), Source::Arguments("buy 2 phones".into()));
            assert_eq!(source(&words(&["buy", "2", "phones"]), terminal), Source::Arguments("buy 2 phones".into()));
            assert_eq!(source(&words(&["-", "x"]), terminal), Source::Arguments("- x".into()));
        }
    }
}
