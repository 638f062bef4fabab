//! `config get`, `set`, `unset`, `edit` and `profile`.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::support::{Home, Terminal, agentctl};

const FILE: &str = "# mine\nprofile = \"work\"\n\n[profiles.work]\nissuer = \"https://a.example\" # the old one\n\n\
                    [profiles.play]\nissuer = \"https://b.example\"\n";

fn file(home: &Home) -> PathBuf {
    home.path().join("agentctl/config.toml")
}

fn text(home: &Home) -> String {
    fs::read_to_string(file(home)).unwrap()
}

/// A home with that file.
fn home() -> Home {
    let home = Home::new();
    fs::create_dir(home.path().join("agentctl")).unwrap();
    fs::write(file(&home), FILE).unwrap();
    home
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_setting_is_set_read_and_taken_away() {
    let home = home();
    let get = |args: &[&str]| agentctl(&home).args(["config", "get"]).args(args.iter().copied()).run();
    let args = ["config", "set", "issuer", "https://c.example", "limits.max_turns", "7"];
    agentctl(&home).args(args).run().code(0).err(&["issuer of work: https://c.example"]);
    let expected = FILE.replace("https://a.example", "https://c.example");
    assert!(text(&home).starts_with("# mine\n") && text(&home).contains("\"https://c.example\" # the old one\n"));
    assert_eq!(text(&home).replace("\n[profiles.work.limits]\nmax_turns = 7\n", ""), expected);
    assert_eq!(mode(&file(&home)), 0o600);
    get(&["limits.max_turns"]).code(0).out(&["7\n"]);
    get(&["issuer", "-p", "play"]).code(0).out(&["https://b.example\n"]);
    let row = get(&["issuer", "--json"]).code(0).json();
    assert_eq!((&row["name"], &row["value"]), (&"issuer".into(), &"https://c.example".into()));
    assert_eq!(row["source"], format!("profile in {}", file(&home).display()));
    agentctl(&home).args(["config", "unset", "limits.max_turns"]).run().code(0);
    get(&["limits.max_turns"]).code(0).out(&["20\n"]);
    agentctl(&home)
        .args(["config", "unset", "limits.max_turns"])
        .run()
        .code(1)
        .err(&["is not set in the profile work"]);
    get(&["audience"]).code(1).err(&["audience is not set"]);
    get(&["isuer"]).code(2).err(&["did you mean issuer?"]);
    // A profile that is not there yet, and a file that is not.
    let empty = Home::new();
    let made = agentctl(&empty).args(["config", "set", "-p", "new", "store", "file", "--json"]).run().code(0).json();
    assert_eq!((&made["profile"], &made["settings"][0]["name"]), (&"new".into(), &"store".into()));
    assert_eq!((text(&empty).as_str(), mode(&file(&empty))), ("[profiles.new]\nstore = \"file\"\n", 0o600));
}

#[test]
fn what_cannot_be_is_not_written() {
    let mut home = home();
    for (args, why) in [
        (vec!["isuer", "https://c.example"], "did you mean issuer?"),
        (vec!["issuer", "http://c.example"], "has to be https"),
        (vec!["store", "drawer"], "is not a store"),
        (vec!["bell", "loud"], "bell is true or false"),
        (vec!["limits.pushes_per_minute", "500"], "is not between"),
        (vec!["bell", "false", "store"], "store has no value"),
        (vec!["model.prices.prompt", "1"], "missing field"),
        (vec!["model.api_key", "hunter2"], "config set-key"),
        (vec!["approval.client_secret", "hunter2"], "config client-key"),
        (vec!["profile", "play"], "agentctl profile use"),
    ] {
        let output = agentctl(&home).args(["config", "set"]).args(args).run().code(2).err(&[why]);
        assert!(!output.to_string().contains("hunter2"), "{output}");
        assert_eq!(text(&home), FILE, "{why}");
    }
    // Also what a variable hides for the moment is looked at.
    home.set("AGENTCTL_ISSUER", "https://env.example");
    agentctl(&home).args(["config", "set", "issuer", "nonsense"]).run().code(2).err(&["is not a URL"]);
    assert_eq!(text(&home), FILE);
    let set = agentctl(&home).args(["config", "set", "issuer", "https://c.example"]).run().code(0);
    set.err(&["AGENTCTL_ISSUER is set in the environment, and wins"]);
}

/// An agent may set a model, and may not loosen what it is held by.
#[test]
fn an_agent_does_not_change_what_guards_the_person() {
    let mut home = home();
    home.set("CLAUDECODE", "1");
    for (key, value) in [("token_for_agents", "true"), ("permission", "none"), ("binding", "code")] {
        agentctl(&home).args(["config", "set", key, value]).run().code(13);
        agentctl(&home).args(["config", "unset", key]).run().code(13);
    }
    agentctl(&home).args(["config", "edit"]).run().code(2);
    assert_eq!(text(&home), FILE);
    agentctl(&home).args(["config", "set", "model.name", "m"]).run().code(0);
    // Nor by a whole file, new or in the place of this one.
    let init = ["config", "init", "--issuer", "https://t.example", "--client-id", "x"];
    let before = fs::read_to_string(file(&home)).unwrap();
    agentctl(&home).args(init).arg("--yes").run().code(13).err(&["what an agent may do"]);
    assert_eq!(fs::read_to_string(file(&home)).unwrap(), before);
    let empty = Home::new();
    let init_as_agent = |more: &[&str]| agentctl(&empty).env("CLAUDECODE", "1").args(init).args(more.iter().copied());
    init_as_agent(&["--permission", "none"]).run().code(13).err(&["what an agent may do"]);
    assert!(!file(&empty).exists());
    init_as_agent(&[]).run().code(0);
    home.unset("CLAUDECODE");
    agentctl(&home).args(init).arg("--yes").run().code(0);
    fs::write(file(&home), before).unwrap();
    agentctl(&home).args(["config", "set", "token_for_agents", "true"]).run().code(0);
}

#[test]
fn profiles_are_listed_and_chosen() {
    let mut home = home();
    agentctl(&home)
        .args(["profile", "list"])
        .run()
        .code(0)
        .out(&["* work  https://a.example\n  play  https://b.example\n"]);
    agentctl(&home).args(["profile", "use", "paly"]).run().code(2).err(&["did you mean play?"]);
    agentctl(&home).args(["profile", "use", "play"]).run().code(0);
    assert_eq!(text(&home), FILE.replace("\"work\"", "\"play\""));
    let listed = agentctl(&home).args(["profile", "list", "--json"]).run().code(0).json();
    assert_eq!(
        listed["profiles"][1],
        serde_json::json!({ "name": "play", "used": true, "issuer": "https://b.example" })
    );
    home.set("AGENTCTL_PROFILE", "work");
    agentctl(&home).args(["profile", "list"]).run().code(0).out(&["* work"]);
    agentctl(&home).args(["profile", "use", "play"]).run().code(0).err(&["work is named by AGENTCTL_PROFILE"]);
    agentctl(&Home::new()).args(["profile", "list"]).run().code(0).err(&["There is no profile"]);
    // One that cannot be loaded is not chosen: every command would fail.
    home.unset("AGENTCTL_PROFILE");
    let broken = format!("{FILE}[profiles.bad]\nissuer = \"nonsense\"\n");
    fs::write(file(&home), &broken).unwrap();
    agentctl(&home).args(["profile", "use", "bad"]).run().code(2).err(&["nothing was changed"]);
    assert_eq!(text(&home), broken);
}

/// An editor that writes this text, and tells which of our variables it sees.
fn editor(home: &mut Home, text: &str) {
    let script = home.path().join("editor");
    fs::write(&script, format!("#!/bin/sh\necho \"key:$OPENAI_API_KEY.\"\nprintf '{text}' > \"$2\"\n")).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    home.set("EDITOR", &format!("{} --wait", script.display()));
}

#[test]
fn the_file_is_edited_as_a_copy() {
    let mut home = home();
    home.set("OPENAI_API_KEY", "hunter2");
    agentctl(&home).args(["config", "edit"]).run().code(2).err(&["a person at a terminal"]);
    let edit = |home: &Home| Terminal::sized(agentctl(home).args(["config", "edit"]), 100, 30);
    editor(&mut home, "nonsense\\n");
    let mut terminal = edit(&home);
    terminal.wait_for("Edit again? [Y/n]");
    assert_eq!(text(&home), FILE);
    terminal.enter("n");
    let (code, screen) = terminal.finish();
    let copy = home.path().join("agentctl/config.edit.toml");
    assert!(code == 2 && screen.contains("what you wrote is in") && screen.contains("key:."), "{screen}");
    assert_eq!((fs::read_to_string(&copy).unwrap().as_str(), mode(&copy)), ("nonsense\n", 0o600));
    editor(&mut home, "[profiles.default]\\nbell = false\\n");
    let (code, screen) = edit(&home).finish();
    assert!(code == 0 && screen.contains("Going on with") && screen.contains("Wrote"), "{screen}");
    assert_eq!((text(&home).as_str(), mode(&file(&home))), ("[profiles.default]\nbell = false\n", 0o600));
    assert!(!copy.exists());
    let (code, screen) = edit(&home).finish();
    assert!(code == 0 && screen.contains("Nothing was changed") && !copy.exists(), "{screen}");
    home.set("EDITOR", "/nonexistent/editor");
    let (code, screen) = edit(&home).finish();
    assert!(code == 2 && screen.contains("set VISUAL or EDITOR"), "{screen}");
}
