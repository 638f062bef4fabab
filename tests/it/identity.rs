//! A process acts for whom it began with: whoever logs in while it waits for its first words is somebody else.

use std::{io::Write as _, process::Stdio, time::Duration};

use crate::support::{Dev, Home, Terminal, agentctl, wait_until};

fn log_in(dev: &Dev, home: &Home, person: &str) {
    dev.auto("off", "off");
    let login = agentctl(home).args(["login", "--no-browser"]).start();
    login.wait_for_stderr("Waiting for you");
    dev.post("/logins/latest/approve", &serde_json::json!({ "person": person }));
    login.finish().code(0);
    dev.auto("off", "approve");
}

#[test]
fn a_shell_in_which_nothing_was_said_does_not_act_for_who_logs_in_later() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let mut chat = Terminal::sized(agentctl(&home).arg("chat"), 160, 40);
    chat.wait_for_prompt();
    log_in(&dev, &home, "grace");
    chat.say("buy 2 phones");
    chat.wait_for("somebody else has logged in here since this command began");
    chat.say("/exit");
    let (_, screen) = chat.finish();
    assert!(!screen.contains("Grace") && dev.history("model").is_empty() && dev.orders().is_empty(), "{screen}");
}

#[test]
fn a_run_that_still_reads_its_task_does_not_act_for_who_logs_in_later() {
    let dev = Dev::start();
    let home = dev.logged_in();
    for task in [&["run"][..], &["run", "buy 2 phones", "-"]] {
        log_in(&dev, &home, "ada");
        let mut command = agentctl(&home).args(task.iter().copied()).into_std();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = command.spawn().unwrap();
        let mut task = running.stdin.take().unwrap();
        task.write_all(b"buy 2 ").unwrap();
        let reads = || rustix::io::ioctl_fionread(&task).is_ok_and(|unread| unread == 0).then_some(());
        wait_until(Duration::from_secs(60), "that it reads its task", reads);
        log_in(&dev, &home, "grace");
        task.write_all(b"phones").unwrap();
        drop(task);
        let output = running.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("somebody else has logged in here since this command began"), "{said}");
        assert!(dev.history("model").is_empty() && dev.orders().is_empty(), "{said}");
    }
}

#[test]
fn who_could_not_be_known_at_the_beginning_is_named() {
    let dev = Dev::start();
    let home = dev.home();
    let mut chat = Terminal::sized(agentctl(&home).arg("chat"), 160, 40);
    chat.wait_for_prompt();
    log_in(&dev, &home, "grace");
    chat.say("what phones are there");
    chat.wait_for("Acting as Grace Hopper <grace@example.com>.");
    chat.wait_for("Finch Mini");
    chat.say("what phones are there");
    wait_until(Duration::from_secs(60), "two answers", || (dev.history("shop").len() > 1).then_some(()));
    chat.say("/exit");
    let (_, screen) = chat.finish();
    assert_eq!(screen.matches("Acting as").count(), 1, "{screen}");
}

#[test]
fn a_shell_that_was_there_when_the_stop_came_stays_stopped_though_nothing_was_said_in_it() {
    let dev = Dev::start();
    let home = dev.logged_in();
    let mut chat = Terminal::sized(agentctl(&home).arg("chat"), 160, 40);
    chat.wait_for_prompt();
    agentctl(&home).arg("panic").run().code(0);
    log_in(&dev, &home, "ada");
    chat.say("buy 2 phones");
    chat.wait_for("this process too; start it again");
    chat.say("/exit");
    chat.finish();
    assert!(dev.history("model").is_empty() && dev.orders().is_empty());
}
