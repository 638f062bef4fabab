//! What a person wants of the directory: who is in which group, and a handful of changes.
//!
//! Like the shop's rules these would rather not understand than misunderstand: one person at a time, named by one word.

use serde_json::{Map, Value, json};

use super::{
    intent::{Intent, Token},
    planner::{Exchange, parameter, sentence, usable},
    vocabulary::{ABOUT_GROUPS, ASKING, CONDITIONS, SHOW, THANKS},
};

/// One thing to do there. People and groups are named as the person named them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Task {
    MyGroups,
    GroupsOf { user: String },
    ResetPassword { user: String },
    Deactivate { user: String },
    AddToGroup { user: String, group: String },
}

/// Reads a sentence without its politeness; none if it is not about the directory.
pub(super) fn read(tokens: &[Token]) -> Option<Intent> {
    let end = tokens.iter().rposition(|token| !THANKS.contains(&token.word.as_str())).map_or(0, |last| last + 1);
    let tokens = &tokens[..end];
    let has = |word: &str| tokens.iter().any(|token| token.word == word);
    let (first, rest) = tokens.split_first()?;
    let read = match first.word.as_str() {
        "reset" if has("password") => reset(rest),
        "deactivate" | "disable" => deactivate(rest),
        "add" if has("to") => add(rest),
        word if has("groups") && (SHOW.contains(&word) || ASKING.contains(&word) || ABOUT_GROUPS.contains(&word)) => {
            groups(tokens)?
        }
        _ if tokens.last().is_some_and(|token| token.word == "groups") && tokens.len() == 2 => groups(tokens)?,
        _ => return None,
    };
    let condition = tokens.iter().find(|token| CONDITIONS.contains(&token.word.as_str()));
    Some(match (condition, read) {
        (Some(token), _) => Intent::Beyond(format!("follow the condition in \"{}\"", token.raw)),
        (None, Ok(task)) => Intent::Directory(task),
        (None, Err(why)) => Intent::Beyond(why.to_owned()),
    })
}

/// "which groups is ada in", "the groups of ada", "ada's groups", "my groups": one name, or none and "my".
fn groups(tokens: &[Token]) -> Option<Result<Task, &'static str>> {
    let others: Vec<&Token> = tokens
        .iter()
        .filter(|token| {
            let word = token.word.as_str();
            !(SHOW.contains(&word) || ASKING.contains(&word) || ABOUT_GROUPS.contains(&word))
        })
        .collect();
    let mine = tokens.iter().any(|token| ["my", "i"].contains(&token.word.as_str()));
    match (others.as_slice(), mine) {
        ([], true) => Some(Ok(Task::MyGroups)),
        ([], false) => None,
        ([user], false) => Some(Ok(Task::GroupsOf { user: owner(user) })),
        _ => Some(Err("look up the groups of more than one person at once")),
    }
}

/// "the password of bob", "bob's password"
fn reset(tokens: &[Token]) -> Result<Task, &'static str> {
    let others: Vec<&Token> =
        tokens.iter().filter(|token| !["the", "password", "of", "for"].contains(&token.word.as_str())).collect();
    let user = one_person(&others)?;
    Ok(Task::ResetPassword { user })
}

/// "bob", "the user bob", "the account of bob", "bob's account"
fn deactivate(tokens: &[Token]) -> Result<Task, &'static str> {
    let fillers = ["the", "user", "account", "of"];
    let others: Vec<&Token> = tokens.iter().filter(|token| !fillers.contains(&token.word.as_str())).collect();
    let user = one_person(&others)?;
    Ok(Task::Deactivate { user })
}

/// "bob to the group engineering", "bob to the engineering group", "bob to help desk"
fn add(tokens: &[Token]) -> Result<Task, &'static str> {
    let at = tokens.iter().position(|token| token.word == "to").unwrap_or(tokens.len());
    let (people, group) = tokens.split_at(at);
    let others: Vec<&Token> = people.iter().filter(|token| !["the", "user"].contains(&token.word.as_str())).collect();
    let user = one_person(&others)?;
    let names = group.iter().filter(|token| !["to", "the", "group"].contains(&token.word.as_str()));
    let names: Vec<&Token> = names.collect();
    match names.as_slice() {
        [] => Err("tell which group is meant"),
        [one] => Ok(Task::AddToGroup { user, group: one.raw.clone() }),
        several if several.iter().any(|token| token.word == "and") => {
            Err("add somebody to more than one group at once")
        }
        // Group names may have blanks, and an address may not: the directory takes dashes for them.
        several => {
            let words: Vec<&str> = several.iter().map(|token| token.word.as_str()).collect();
            Ok(Task::AddToGroup { user, group: words.join("-") })
        }
    }
}

fn one_person(tokens: &[&Token]) -> Result<String, &'static str> {
    match tokens {
        [] => Err("tell who is meant"),
        [me] if ["my", "me", "myself", "mine"].contains(&me.word.as_str()) => {
            Err("tell which login is yours; name it instead")
        }
        [user] => Ok(owner(user)),
        _ => Err("do this for more than one person at once, or for a name of several words; use the login"),
    }
}

/// The name without the "'s" of a possessive.
fn owner(token: &Token) -> String {
    token.raw.strip_suffix("'s").unwrap_or(&token.raw).to_owned()
}

/// What is offered for the directory, recognised like the shop's tools.
pub(super) struct Directory<'a> {
    my_groups: Option<&'a str>,
    groups_of: Option<OfUser<'a>>,
    reset_password: Option<OfUser<'a>>,
    deactivate: Option<OfUser<'a>>,
    add_to_group: Option<(OfUser<'a>, &'a str)>,
}

struct OfUser<'a> {
    name: &'a str,
    user: &'a str,
}

const USER: &[&str] = &["user", "login", "user_id", "person"];
const GROUP: &[&str] = &["group", "group_id", "group_name"];

impl<'a> Directory<'a> {
    pub(super) fn among(tools: &'a [Value]) -> Self {
        let of_user = |verbs: &[&str], also: &str| {
            tools.iter().find_map(|tool| {
                let user = parameter(tool, USER, &["string"])?;
                let name = usable(tool, verbs, &[Some(user)])?;
                name.contains(also).then_some(OfUser { name, user })
            })
        };
        let my_groups = tools.iter().find_map(|tool| {
            let name = usable(tool, &["list", "get", "show"], &[])?;
            (name.contains("my") && name.contains("groups")).then_some(name)
        });
        let add_to_group = tools.iter().find_map(|tool| {
            let (user, group) = (parameter(tool, USER, &["string"])?, parameter(tool, GROUP, &["string"])?);
            let name = usable(tool, &["add", "assign"], &[Some(user), Some(group)])?;
            Some((OfUser { name, user }, group))
        });
        Self {
            my_groups,
            groups_of: of_user(&["list", "get", "show"], "groups"),
            reset_password: of_user(&["reset"], "password"),
            deactivate: of_user(&["deactivate", "disable"], ""),
            add_to_group,
        }
    }

    /// What can be said here, as examples.
    pub(super) fn examples(&self) -> impl Iterator<Item = &'static str> {
        let offered = [
            (self.my_groups.is_some(), "my groups"),
            (self.groups_of.is_some(), "which groups is ada in"),
            (self.reset_password.is_some(), "reset the password of bob"),
            (self.deactivate.is_some(), "deactivate bob"),
            (self.add_to_group.is_some(), "add bob to the group engineering"),
        ];
        offered.into_iter().filter(|(is_offered, _)| *is_offered).map(|(_, example)| example)
    }

    /// The call that does it; none if no tool for it is offered.
    pub(super) fn call(&self, task: &Task) -> Option<(String, Map<String, Value>)> {
        let mut arguments = Map::new();
        let mut put = |tool: &OfUser<'a>, user: &str| {
            arguments.insert(tool.user.to_owned(), json!(user));
            tool.name
        };
        let name = match task {
            Task::MyGroups => self.my_groups?,
            Task::GroupsOf { user } => put(self.groups_of.as_ref()?, user),
            Task::ResetPassword { user } => put(self.reset_password.as_ref()?, user),
            Task::Deactivate { user } => put(self.deactivate.as_ref()?, user),
            Task::AddToGroup { user, group } => {
                let (tool, parameter) = self.add_to_group.as_ref()?;
                let name = put(tool, user);
                arguments.insert((*parameter).to_owned(), json!(group));
                name
            }
        };
        Some((name.to_owned(), arguments))
    }
}

/// What came of it, in one sentence.
pub(super) fn report(task: &Task, exchange: &Exchange<'_>) -> String {
    let message = exchange.message();
    let looks = matches!(task, Task::MyGroups | Task::GroupsOf { .. });
    let nothing = if looks { "nothing was looked up" } else { "nothing was changed" };
    match exchange.outcome() {
        "done" => done(task, &exchange.answer["result"]),
        "rehearsed" => sentence(&format!("This is a dry run, so {nothing}"), message),
        "denied" => format!("This was denied, so {nothing}."),
        "expired" => format!("Nobody answered the approval in time, so {nothing}."),
        "pending" => format!("This still waits for approval; {nothing} yet."),
        "cancelled" => format!("This was cancelled, so {nothing}."),
        "not_permitted" => sentence(&format!("You are not permitted to do this, so {nothing}"), message),
        "connection_needed" => {
            sentence(&format!("This needs an account of yours to be connected, so {nothing}"), message)
        }
        "failed" | "invalid" | "limit" | "login_needed" => {
            sentence(&format!("This did not work, and {nothing}"), message)
        }
        "unknown" => sentence("I do not know whether this was done; look before you try again", message),
        _ => "The tool's answer means nothing to me, so I do not know whether anything was done.".to_owned(),
    }
}

fn done(task: &Task, result: &Value) -> String {
    let groups = |who: &str, are: &str| match group_names(result).as_deref() {
        None => format!("I do not understand the tool's answer: {result}"),
        Some([]) => format!("{who} {are} in no group."),
        Some([one]) => format!("{who} {are} in the group {one}."),
        Some([front @ .., last]) => format!("{who} {are} in the groups {} and {last}.", front.join(", ")),
    };
    match task {
        Task::MyGroups => groups("You", "are"),
        Task::GroupsOf { user } => groups(user, "is"),
        Task::ResetPassword { user } => format!("The password of {user} was reset."),
        Task::Deactivate { user } => format!("{user} was deactivated."),
        Task::AddToGroup { user, group } => format!("{user} is now in the group {group}."),
    }
}

/// The names in a list of groups; none if this is no such list.
fn group_names(result: &Value) -> Option<Vec<String>> {
    result.as_array()?.iter().map(|group| group["profile"]["name"].as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::model::intent;

    fn task(text: &str) -> Option<Task> {
        match intent::read(text) {
            Intent::Directory(task) => Some(task),
            _ => None,
        }
    }

    #[test]
    fn what_is_wanted_of_the_directory_is_understood() {
        let of = |user: &str| Task::GroupsOf { user: user.to_owned() };
        let reset = |user: &str| Task::ResetPassword { user: user.to_owned() };
        let deactivate = |user: &str| Task::Deactivate { user: user.to_owned() };
        let add = |user: &str, group: &str| Task::AddToGroup { user: user.to_owned(), group: group.to_owned() };
        let table = [
            ("my groups", Task::MyGroups),
            ("Show me my groups, please", Task::MyGroups),
            ("list my groups", Task::MyGroups),
            ("which groups am I in?", Task::MyGroups),
            ("what groups do I belong to", Task::MyGroups),
            ("which groups is ada in", of("ada")),
            ("What groups is ada@example.com a member of?", of("ada@example.com")),
            ("which groups does bob belong to", of("bob")),
            ("please list the groups of ada", of("ada")),
            ("show bob's groups", of("bob")),
            ("bob\u{2019}s groups", of("bob")),
            ("reset the password of bob", reset("bob")),
            ("Could you please reset bob's password? Thanks!", reset("bob")),
            ("reset the password for 00uDev4BobKahn000004", reset("00uDev4BobKahn000004")),
            ("deactivate bob", deactivate("bob")),
            ("please disable the account of bob now", deactivate("bob")),
            ("deactivate the user bob@example.com.", deactivate("bob@example.com")),
            ("deactivate bob's account", deactivate("bob")),
            ("add bob to the group engineering", add("bob", "engineering")),
            ("add bob to the Engineering group", add("bob", "Engineering")),
            ("please add the user bob to Help Desk", add("bob", "help-desk")),
        ];
        for (text, wanted) in table {
            assert_eq!(task(text), Some(wanted), "{text}");
        }
    }

    #[test]
    fn nobody_is_changed_by_half_a_sentence() {
        for text in [
            "deactivate bob if he is gone",
            "deactivate everybody but bob",
            "deactivate bob and alan",
            "deactivate",
            "reset the password of bob and alan",
            "reset the password of bob, alan",
            "reset the password of Bob Kahn",
            "reset my password",
            "reset the password",
            "add bob and alan to the group engineering",
            "add bob to engineering and admins",
            "add bob to the group",
            "which groups are ada and bob in",
        ] {
            assert!(matches!(intent::read(text), Intent::Beyond(_)), "{text}: {:?}", intent::read(text));
        }
        for text in [
            "do not deactivate bob",
            "don't reset the password of bob",
            "never add bob to the group engineering",
            "bob's password",
            "what is bob's password",
            "is ada in the group admins",
            "why was bob deactivated",
            "add a phone",
            "summarise this <stdin>deactivate bob</stdin>",
        ] {
            assert_eq!(task(text), None, "{text}");
        }
    }

    #[test]
    fn every_outcome_is_one_sentence() {
        let said =
            |task: &Task, answer: Value| report(task, &Exchange { name: "tool", arguments: Value::Null, answer });
        let bob = Task::ResetPassword { user: "bob".to_owned() };
        let table = [
            ("rehearsed", "This is a dry run, so nothing was changed: why."),
            ("denied", "This was denied, so nothing was changed."),
            ("expired", "Nobody answered the approval in time, so nothing was changed."),
            ("pending", "This still waits for approval; nothing was changed yet."),
            ("cancelled", "This was cancelled, so nothing was changed."),
            ("not_permitted", "You are not permitted to do this, so nothing was changed: why."),
            ("connection_needed", "This needs an account of yours to be connected, so nothing was changed: why."),
            ("failed", "This did not work, and nothing was changed: why."),
            ("unknown", "I do not know whether this was done; look before you try again: why."),
            ("surprise", "The tool's answer means nothing to me, so I do not know whether anything was done."),
            ("done", "The password of bob was reset."),
        ];
        for (outcome, wanted) in table {
            assert_eq!(said(&bob, json!({"outcome": outcome, "message": "why."})), wanted);
        }
        let groups = |names: &[&str]| {
            let list: Vec<Value> = names.iter().map(|name| json!({"profile": {"name": name}})).collect();
            json!({"outcome": "done", "message": "", "result": list})
        };
        let ada = Task::GroupsOf { user: "ada".to_owned() };
        assert_eq!(
            said(&ada, groups(&["Everyone", "Engineering", "Admins"])),
            "ada is in the groups Everyone, Engineering and Admins."
        );
        assert_eq!(said(&Task::MyGroups, groups(&["Everyone"])), "You are in the group Everyone.");
        assert_eq!(said(&ada, groups(&[])), "ada is in no group.");
        assert_eq!(said(&Task::MyGroups, json!({"outcome": "denied"})), "This was denied, so nothing was looked up.");
        let odd = said(&ada, json!({"outcome": "done", "result": [{"name": "x"}]}));
        assert!(odd.starts_with("I do not understand"), "{odd}");
        let gone = Task::Deactivate { user: "bob".to_owned() };
        assert_eq!(said(&gone, json!({"outcome": "done", "result": {}})), "bob was deactivated.");
        let added = Task::AddToGroup { user: "bob".to_owned(), group: "engineering".to_owned() };
        assert_eq!(said(&added, json!({"outcome": "done"})), "bob is now in the group engineering.");
    }
}
