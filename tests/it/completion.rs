//! What the Tab key brings, in the real shells: words of the command line, and names that only this machine knows.

use std::{fs, path::Path};

use crate::support::{Dev, Home, Terminal, agentctl, command, peer_is_missing, program};

/// A home with two profiles and a run that waits, and the id of that run.
fn lived_in(dev: &Dev) -> (Home, String) {
    let mut home = dev.logged_in();
    let config = home.path().join("config.toml");
    fs::write(&config, "[profiles.default]\n[profiles.workshop]\n[profiles.\"$(reboot)\"]\n").unwrap();
    home.set("AGENTCTL_CONFIG", config.to_str().unwrap());
    let folder = Path::new(env!("CARGO_BIN_EXE_agentctl")).parent().unwrap().to_str().unwrap();
    home.set("PATH", &format!("{folder}:/usr/bin:/bin"));
    let output = agentctl(&home).args(["run", "--json", "--on-approval", "detach", "buy 2 phones"]).run().code(10);
    let run = output.lines().pop().unwrap()["run"].as_str().unwrap().to_owned();
    (home, run)
}

/// Starts a shell that has loaded the committed script in this way, and looks at what Tab makes of some lines.
fn completes(shell: &str, args: &[&str], load: &[&str]) {
    let Some(path) = program(shell) else {
        return peer_is_missing(shell, "install it by its name");
    };
    let dev = Dev::start();
    let (home, run) = lived_in(&dev);
    let asked = dev.get("/history");
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/completions");
    let typed = command(&home, path).args(args.iter().copied()).env("S", scripts).env("TERM", "xterm");
    let mut terminal = Terminal::sized(typed, 120, 40);
    for line in load {
        terminal.enter(line);
    }
    terminal.enter("echo rea''dy");
    terminal.wait_until("a shell that is ready", |screen| {
        let prompt = screen.lines().last().is_some_and(|line| line.trim_end().ends_with(['#', '$', '%', '>']));
        prompt && screen.lines().any(|line| line.trim() == "ready")
    });
    let lines = [
        ("agentctl resume run_", run.as_str()),
        ("agentctl tools show buy_", "buy_product"),
        ("agentctl -p work", "workshop"),
        ("agentctl run --tools search_products,buy_", "search_products,buy_product"),
        ("agentctl help exit", "exit-codes"),
        ("agentctl approvals aban", "abandon"),
    ];
    for (line, word) in lines {
        terminal.type_text(line);
        terminal.wait_for(line);
        terminal.type_text("\t");
        let whole = format!("{}{word} ", &line[..=line.rfind(' ').unwrap()]);
        terminal.wait_until(&whole, |screen| screen.lines().any(|line| format!("{line} ").contains(&whole)));
        // The line goes away again.
        terminal.control('u');
        terminal.wait_gone(&whole);
    }
    terminal.enter("exit 7");
    let (code, screen) = terminal.finish();
    assert_eq!(code, 7, "{screen}");
    assert!(dev.get("/history") == asked, "a Tab asks nobody");
}

#[test]
fn in_bash() {
    completes("bash", &["--norc", "--noprofile", "-i"], &["source $S/agentctl.bash"]);
}

#[test]
fn in_zsh() {
    completes("zsh", &["-f", "-i"], &["autoload -U compinit; compinit -u -D", "source $S/_agentctl"]);
}

/// As packages install it: one file for each function, which zsh reads when it is first needed.
#[test]
fn in_zsh_from_its_path_of_functions() {
    completes("zsh", &["-f", "-i"], &["fpath=($S $fpath); autoload -U compinit; compinit -u -D"]);
}

#[test]
fn in_fish() {
    completes("fish", &["--no-config", "-i"], &["source $S/agentctl.fish"]);
}

#[test]
fn a_tab_says_nothing_when_settings_are_broken() {
    let dev = Dev::start();
    let (home, run) = lived_in(&dev);
    let candidates = |words: &[&str]| {
        let asked = agentctl(&home).env("AGENTCTL_COMPLETE", "fish").args(["--", "agentctl"]);
        let output = asked.args(words.iter().copied()).run().code(0);
        assert_eq!(output.stderr, "", "{output}");
        output.stdout
    };
    let offered = candidates(&["-p", ""]);
    assert!(offered.contains("workshop\n") && !offered.contains("reboot"), "no word that a shell would run: {offered}");
    assert!(candidates(&["resume", ""]).contains(&format!("{run}\tbuy 2 phones\n")));
    assert!(candidates(&["chat", "--resume", ""]).contains(&format!("{run}\tbuy 2 phones\n")));
    assert!(candidates(&["-p", "workshop", "resume", ""]).contains(&run), "runs of all profiles are offered");
    fs::write(home.path().join("config.toml"), "no settings at all").unwrap();
    assert!(!candidates(&["resume", ""]).contains("run_"));
    assert!(candidates(&["appr"]).contains("approvals"));
}
