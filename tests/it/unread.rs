//! Whoever started the program holds the other end of its stdout and does not read it. It ends all the same, when its time
//! is over or a signal says so.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::fd::AsFd as _,
    process::{Child, Stdio},
    time::Duration,
};

use serde_json::json;

use crate::support::{Command, Dev, agentctl, wait_until};

const LONG: Duration = Duration::from_secs(60);

/// A program that stands in a write.
struct Stuck(Child);

impl Stuck {
    fn start(command: Command, input: &str) -> Self {
        let mut command = command.into_std();
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut stuck = Self(child);
        stuck.0.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let pipe = stuck.0.stdout.as_ref().unwrap();
        let (mut held, mut still) = (0, 0);
        wait_until(LONG, "a pipe that is full, and stays so", || {
            let now = rustix::io::ioctl_fionread(pipe.as_fd()).unwrap();
            still = if std::mem::replace(&mut held, now) == now { still + 1 } else { 0 };
            (now > 32 << 10 && still > 40).then_some(())
        });
        stuck
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.0.id());
        assert!(std::process::Command::new("/bin/sh").args(["-c", &kill]).status().unwrap().success());
    }

    fn ends(mut self, code: i32, what: &str) {
        let status = wait_until(LONG, &format!("its end: {what}"), || self.0.try_wait().unwrap());
        assert_eq!(status.code(), Some(code), "{what}");
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nobody_reads_and_it_ends_when_it_is_told_to() {
    let long = "word ".repeat(40_000);
    for (args, input) in [(&["run", "go"] as &[&str], ""), (&["run", "--json", "go"], ""), (&["chat"], "go\n")] {
        let dev = Dev::scripted(json!([{ "text": long }, { "text": long }, { "text": long }, { "text": "At last." }]));
        let home = dev.logged_in();
        for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
            let stuck = Stuck::start(agentctl(&home).args(args.iter().copied()), input);
            stuck.signal(signal);
            stuck.ends(code, &format!("{args:?} {signal}"));
        }
        // Nothing is broken by it: the run goes on.
        agentctl(&home).args(["resume", "--last"]).run().code(0).out(&["At last."]);
        agentctl(&home).args(["audit", "verify"]).run().code(0);
    }
}

#[test]
fn nobody_reads_and_its_time_ends() {
    let dev = Dev::scripted(json!([{ "text": "word ".repeat(40_000) }]));
    let home = dev.logged_in();
    Stuck::start(agentctl(&home).args(["run", "--timeout", "15", "go"]), "").ends(124, "--timeout");
}

/// The same at a pipe that was named for the answer.
#[test]
fn nobody_reads_the_pipe_for_the_answer_and_it_ends() {
    let dev = Dev::scripted(json!([{ "text": "Here.", "repeat": 3 }]));
    let home = dev.logged_in();
    let pipe = home.work().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let run =
        |more: &[&str]| agentctl(&home).args(["run", "-q", "--output-last", "pipe", "go"]).args(more.iter().copied());
    run(&["--timeout", "10"]).run().code(124);
    let waiting = run(&[]).start();
    waiting.wait_for_stdout("Here.");
    waiting.signal("TERM");
    waiting.finish().code(143);
    let read = run(&[]).start();
    assert_eq!(fs::read_to_string(&pipe).unwrap(), "Here.\n");
    read.finish().code(0);
}

/// Who reads it slowly gets everything, also behind the end of the time.
#[test]
fn who_reads_the_pipe_for_the_answer_slowly_gets_everything() {
    let text = "word ".repeat(44_000);
    let dev = Dev::scripted(json!([{ "text": text }]));
    let home = dev.logged_in();
    let pipe = home.work().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let running = agentctl(&home).args(["run", "-q", "--timeout", "10", "--output-last", "pipe", "go"]).start();
    let (mut reader, mut read) = (fs::File::open(&pipe).unwrap(), Vec::new());
    // 220 kB, of which a pipe takes 64: the rest takes longer than the time.
    for _ in 0..36 {
        std::thread::sleep(Duration::from_millis(300));
        (&reader).take(4096).read_to_end(&mut read).unwrap();
    }
    reader.read_to_end(&mut read).unwrap();
    running.finish().code(0);
    assert_eq!(String::from_utf8(read).unwrap().trim_end(), text.trim_end());
}

/// Slow is not still: who reads gets everything.
#[test]
fn who_reads_slowly_gets_everything() {
    let text = "word ".repeat(40_000);
    let dev = Dev::scripted(json!([{ "text": text }]));
    let home = dev.logged_in();
    let mut stuck = Stuck::start(agentctl(&home).args(["run", "go"]), "");
    let mut read = String::new();
    stuck.0.stdout.take().unwrap().read_to_string(&mut read).unwrap();
    stuck.ends(0, "read at last");
    assert_eq!(read.trim_end(), text.trim_end());
}
