//! The shell's own commands: their names, what they take and their help.

use crate::config;

/// What a command's argument is, for completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Takes {
    /// None, or one that nothing is known about.
    Nothing,
    /// A command's name.
    Command,
    /// A tool's name, then its arguments.
    Call,
    /// A run's id.
    Run,
    /// A name of a model.
    Model,
    /// A file to write.
    File,
}

/// A command of the shell.
#[derive(Debug)]
pub(in crate::cli) struct Command {
    /// With its slash.
    pub(in crate::cli) name: &'static str,
    /// What may stand behind it, as help shows it.
    pub(in crate::cli) arguments: &'static str,
    /// A line of help.
    pub(in crate::cli) does: &'static str,
    /// What `/help NAME` says beside that.
    pub(in crate::cli) more: &'static str,
    pub(in crate::cli) takes: Takes,
    /// Only a person may give it: what comes through a pipe may be anybody's text.
    pub(in crate::cli) at_terminal: bool,
}

const fn command(name: &'static str, does: &'static str, more: &'static str) -> Command {
    Command { name, arguments: "", does, more, takes: Takes::Nothing, at_terminal: false }
}

impl Command {
    const fn with(mut self, arguments: &'static str, takes: Takes) -> Self {
        self.arguments = arguments;
        self.takes = takes;
        self
    }

    const fn for_people(mut self) -> Self {
        self.at_terminal = true;
        self
    }
}

/// All of them, in the order of `/help`.
pub(in crate::cli) const COMMANDS: &[Command] = &[
    command("/help", "this list, or more about one command", "").with("[COMMAND]", Takes::Command),
    command("/tools", "what the agent can do", "The tools of the profile; those with an effect ask you first."),
    command(
        "/can",
        "whether a call would run, and your device ring",
        "Nothing is done. Arguments are name=value, with quotes around what has spaces, or one JSON object:\n\
         /can buy_product product=phones qty=2\n/can buy_product {\"product\": \"phones\", \"qty\": 2}",
    )
    .with("TOOL [NAME=VALUE...]", Takes::Call),
    command("/approvals", "what waits for your answer", "Answers are given on your device, never here."),
    command(
        "/abandon",
        "give up what waits in this conversation, or is approved and not done",
        "Your device may still show it; answering it does nothing any more. A yes that you gave is used for nothing.",
    ),
    command(
        "/resume",
        "go on with another conversation",
        "RUN is an id or its beginning, or a number of /runs; without it you choose from a list. The conversation that you\n\
         leave is kept; the one that you take up keeps to what it was told (`agentctl runs show`).",
    )
    .with("[RUN]", Takes::Run)
    .for_people(),
    command("/runs", "the conversations that were used last", "/resume takes their numbers. `agentctl runs list` has all of them, `runs delete` removes one."),
    command("/new", "begin another conversation", "The one that you leave is kept; /resume goes back to it."),
    command("/clear", "the same with an empty screen", "^L empties the screen and keeps the conversation."),
    command(
        "/model",
        "the model that answers, or another one",
        "A name of [profiles.NAME.models], or one that the same server knows. The conversation goes along.",
    )
    .with("[NAME]", Takes::Model)
    .for_people(),
    command("/whoami", "who you are here", ""),
    command(
        "/usage",
        "tokens and cost",
        "What this shell has used, as the model's server counts; what it costs needs model.prices in the profile.",
    ),
    command(
        "/save",
        "write the conversation into a file",
        "As Markdown, in a file that only you can read. One that is there is replaced only if you say so.",
    )
    .with("FILE", Takes::File)
    .for_people(),
    command(
        "/compact",
        "let the model sum up what was said, to make room",
        "From then on the model reads the summary instead of the messages; the saved conversation keeps all of them.",
    ),
    command(
        "/system",
        "what the model is told in addition",
        "/system Answer in French.    /system off takes it away.\nIt holds for this conversation and for the next ones of this shell.",
    )
    .with("[TEXT]", Takes::Nothing)
    .for_people(),
    command("/exit", "leave (so does ^D)", ""),
];

/// The command of this name.
pub(in crate::cli) fn find(name: &str) -> Option<&'static Command> {
    let name = if name == "/quit" { "/exit" } else { name };
    COMMANDS.iter().find(|command| command.name == name)
}

/// Whether a line is for the shell. The path of a file is not.
pub(super) fn is_command(line: &str) -> bool {
    line.strip_prefix('/').is_some_and(|rest| !rest.split_whitespace().next().is_some_and(|word| word.contains('/')))
}

/// What may have been meant.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    // The beginning of a single name is that name.
    let mut begun = COMMANDS.iter().filter(|command| name.len() > 1 && command.name.starts_with(name));
    match (begun.next(), begun.next()) {
        (Some(one), None) => Some(one.name),
        _ => config::nearest(name, COMMANDS.iter().map(|command| command.name)),
    }
}

/// The words of a line, as simple shells read them: quotes keep spaces, a backslash keeps the next character.
pub(super) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(chars.next()),
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_falls_into_words() {
        assert_eq!(
            words(r#" a  b=c d="two words" 'x "y"' e\ f "" "#),
            ["a", "b=c", "d=two words", "x \"y\"", "e f", ""]
        );
        assert_eq!(words("  "), Vec::<String>::new());
        assert_eq!(words("\"open"), ["open"]);
    }

    #[test]
    fn a_path_is_no_command() {
        for (line, expected) in
            [("/help", true), ("/nonsense x", true), ("/", true), ("/etc/hosts says", false), ("a", false)]
        {
            assert_eq!(is_command(line), expected, "{line}");
        }
    }

    #[test]
    fn what_was_meant_is_found() {
        let table = [("/hlep", "/help"), ("/mod", "/model"), ("/exti", "/exit"), ("/compct", "/compact"), ("/a", "")];
        for (typed, meant) in table {
            assert_eq!(nearest(typed).unwrap_or_default(), meant, "{typed}");
        }
        assert_eq!(nearest("/whatever"), None);
        assert_eq!(find("/quit").map(|command| command.name), Some("/exit"));
    }
}
