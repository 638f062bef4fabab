//! Two policy files and the arguments of a call: they are read or refused, and together they are as strict as the stricter
//! one. Neither loosens the other, and none takes away the approval that a tool asks for by itself.

#![no_main]

use agentctl::{
    call::ActionId,
    money::Money,
    policy::{self, Action, Author, Policy, PolicyFile, Requirements, Spend, Spent},
};
use agentctl_fuzz::texts;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

/// What the policies say: no, ask, and no because of what was spent before.
fn verdict(files: &[&PolicyFile], action: &Action) -> [bool; 3] {
    let policy = Policy { files: files.iter().map(|file| (*file).clone()).collect(), per_run: Vec::new() };
    let applied = policy.judge(action);
    let asked = policy::approval(action, &applied);
    // What asks already is asked with its own words, whatever a rule says.
    if let Some(own) = &action.requirements.approval {
        assert_eq!(asked.as_ref().map(|asked| &asked.message), Some(&own.message));
    }
    let spent = Spent { per_day: 300.into(), per_run: 300.into() };
    [policy::denial(&applied).is_some(), asked.is_some(), policy.over(action, spent).is_some()]
}

fn action(arguments: &Map<String, Value>, effect: &'static str, spend: Spend) -> Option<Action> {
    let (tool, origin) = ("buy_product", "https://shop.example");
    Some(Action {
        id: ActionId::from_text("act_1"),
        tool: tool.to_owned(),
        toolset: "shop".to_owned(),
        effect,
        irreversible: effect == "irreversible",
        arguments: arguments.clone(),
        sensitive: Vec::new(),
        origin: origin.to_owned(),
        requirements: Requirements { spend, ..Requirements::default() },
        digest: Action::digest_of(tool, origin, arguments).ok()?,
    })
}

fuzz_target!(|data: &[u8]| {
    let [admin, user, arguments] = texts(data);
    let read = |author, text: &str| PolicyFile::parse(author, "policy.toml".into(), text).ok();
    let (admin, user) = (read(Author::Admin, &admin), read(Author::User, &user));
    let (Some(admin), Some(user)) = (admin, user) else { return };
    let arguments = match serde_json::from_str(&arguments) {
        Ok(Value::Object(arguments)) => arguments,
        _ => Map::from_iter([("product".to_owned(), "tea".into()), ("qty".to_owned(), 12.into())]),
    };
    let euros = |amount: u32| Spend::UpTo(Money { amount: amount.into(), currency: "EUR".to_owned() });
    for (effect, spend) in [("read", Spend::Nothing), ("reversible", Spend::AnyPrice), ("irreversible", euros(250))] {
        let Some(mut action) = action(&arguments, effect, spend) else { return };
        let [neither, one, other] = [&[][..], &[&admin], &[&user]].map(|files| verdict(files, &action));
        assert_eq!(neither, [false; 3]);
        let stricter: Vec<bool> = one.iter().zip(other).map(|(one, other)| *one || other).collect();
        for files in [[&admin, &user], [&user, &admin]] {
            assert_eq!(verdict(&files, &action)[..], stricter, "{admin:?} and {user:?} about {arguments:?}");
        }
        let ask = "[[rule]]\nname = \"ask\"\ndecision = \"require_approval\"";
        let ask = read(Author::Admin, ask).expect("a policy");
        let asks = Policy { files: vec![ask], per_run: Vec::new() };
        action.requirements.approval = policy::approval(&action, &asks.judge(&action));
        assert!(verdict(&[&admin, &user], &action)[1], "{admin:?} and {user:?} about {arguments:?}");
    }
});
