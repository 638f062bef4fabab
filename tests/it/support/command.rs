//! The program, started with a time limit that it cannot outlive.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    io::{Read, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{Child, ExitStatus, Stdio},
    sync::{Arc, Mutex, OnceLock},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{Home, one_spawn_at_a_time, wait_until};

/// Long enough for a busy machine, short enough to notice a program that hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// The built program in this home.
pub(crate) fn agentctl(home: &Home) -> Command {
    command(home, env!("CARGO_BIN_EXE_agentctl"))
}

/// Any program in this home.
pub(crate) fn command(home: &Home, program: impl Into<PathBuf>) -> Command {
    Command {
        program: program.into(),
        args: Vec::new(),
        env: home.env().clone(),
        dir: home.work(),
        stdin: None,
        limit: LIMIT,
    }
}

/// A program that is about to start.
pub(crate) struct Command {
    program: PathBuf,
    args: Vec<OsString>,
    env: BTreeMap<String, String>,
    dir: PathBuf,
    stdin: Option<Vec<u8>>,
    limit: Duration,
}

impl Command {
    /// Starts another program in the same home, such as a wrapper script; the one before becomes its last arguments.
    pub(crate) fn inside(mut self, wrapper: impl Into<PathBuf>) -> Self {
        let program = std::mem::replace(&mut self.program, wrapper.into());
        self.args.insert(0, program.into());
        self
    }

    /// Puts these arguments before the others.
    pub(crate) fn before<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.args.splice(0..0, args.into_iter().map(OsString::from));
        self
    }

    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub(crate) fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.args.extend(args.into_iter().map(OsString::from));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// What is piped in; without it there is an empty, closed standard input.
    pub(crate) fn stdin(mut self, text: &str) -> Self {
        self.stdin = Some(text.as_bytes().to_vec());
        self
    }

    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Output {
        self.start().finish()
    }

    /// Starts it and leaves it running; it is killed when the value is dropped.
    pub(crate) fn start(self) -> Running {
        let limit = self.limit;
        let input = self.stdin.clone();
        let mut command = self.into_std();
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let shown = format!("{command:?}");
        let mut child = {
            let _alone = one_spawn_at_a_time();
            command.spawn().unwrap_or_else(|error| panic!("{shown}: {error}"))
        };
        if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
            // A program that ends without reading its input is none of our business.
            thread::spawn(move || drop(pipe.write_all(&input)));
        }
        let stdout = Collected::from(child.stdout.take().unwrap());
        let stderr = Collected::from(child.stderr.take().unwrap());
        Running { child, stdout, stderr, started: Instant::now(), limit }
    }

    /// The plain command, for a terminal.
    pub(crate) fn into_std(self) -> std::process::Command {
        let mut command = std::process::Command::new(self.program);
        command.args(self.args).env_clear().envs(self.env).current_dir(self.dir);
        command
    }
}

/// What a stream has brought so far.
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Collected {
    fn from(mut stream: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut piece) {
                sink.lock().unwrap().extend_from_slice(&piece[..count]);
            }
        });
        Self { bytes, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    fn whole(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        String::from_utf8(self.bytes.lock().unwrap().clone()).expect("output that is UTF-8")
    }
}

/// A program that runs.
pub(crate) struct Running {
    child: Child,
    stdout: Collected,
    stderr: Collected,
    started: Instant,
    limit: Duration,
}

impl Running {
    /// What stands on stdout so far.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What stands on stderr so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until stderr holds this text.
    pub(crate) fn wait_for_stderr(&self, text: &str) -> String {
        self.wait_for(text, || self.stderr())
    }

    /// Waits until stdout holds this text.
    pub(crate) fn wait_for_stdout(&self, text: &str) -> String {
        self.wait_for(text, || self.stdout())
    }

    /// Waits for the first line on stdout; panics with stderr if the program ends before.
    pub(crate) fn first_line(&mut self) -> String {
        wait_until(self.limit, "a first line on stdout", || {
            if let Some((line, _)) = self.stdout().split_once('\n') {
                return Some(line.to_owned());
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended ({ended:?}) and said: {}", self.stderr());
            None
        })
    }

    fn wait_for(&self, text: &str, read: impl Fn() -> String) -> String {
        let start = Instant::now();
        loop {
            let seen = read();
            if seen.contains(text) {
                return seen;
            }
            let (out, err) = (self.stdout(), self.stderr());
            assert!(start.elapsed() < self.limit, "{text:?} never came; stdout:\n{out}\nstderr:\n{err}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name: `INT`, `TERM`, `HUP`, `KILL`, `STOP`, `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let line = format!("kill -{name} {}", self.child.id());
        let status = std::process::Command::new("/bin/sh").args(["-c", &line]).status().unwrap();
        assert!(status.success(), "{line}");
    }

    /// The same for a program that may have ended already.
    pub(crate) fn signal_if_running(&self, name: &str) {
        // What ended keeps its process id until it was waited for, so the signal reaches nobody else.
        let line = format!("kill -{name} {}", self.child.id());
        let _ = std::process::Command::new("/bin/sh").args(["-c", &line]).stderr(Stdio::null()).status();
    }

    /// Waits for the end; a program that outlives its limit is killed and the test fails.
    pub(crate) fn finish(mut self) -> Output {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if self.started.elapsed() > self.limit {
                let _ = self.child.kill();
                let _ = self.child.wait();
                panic!("it did not end in {:?}; stdout:\n{}\nstderr:\n{}", self.limit, self.stdout(), self.stderr());
            }
            thread::sleep(Duration::from_millis(2));
        };
        let took = self.started.elapsed();
        Output { stdout: self.stdout.whole(), stderr: self.stderr.whole(), status, took }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Everything a program has left behind.
pub(crate) struct Output {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) status: ExitStatus,
    pub(crate) took: Duration,
}

impl Output {
    /// Fails unless it ended with this code.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "the exit code\n{self}");
        self
    }

    /// Fails unless stdout holds all these texts.
    #[track_caller]
    pub(crate) fn out(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stdout.contains(text), "stdout lacks {text:?}\n{self}");
        }
        self
    }

    /// Fails unless stderr holds all these texts.
    #[track_caller]
    pub(crate) fn err(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stderr.contains(text), "stderr lacks {text:?}\n{self}");
        }
        self
    }

    /// Fails unless stdout is empty.
    #[track_caller]
    pub(crate) fn silent(self) -> Self {
        assert_eq!(self.stdout, "", "stdout\n{self}");
        self
    }

    /// The one JSON object on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout is not one JSON value: {error}\n{self}"))
    }

    /// The JSON objects on stdout, one a line.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}\n{self}"));
        let lines: Vec<Value> = self.stdout.lines().map(parse).collect();
        // Whatever a test looks for: no event of a run is outside its schema.
        for line in lines.iter().filter(|line| is_event(line)) {
            let wrong: Vec<String> = events().iter_errors(line).map(|error| error.to_string()).collect();
            assert!(wrong.is_empty(), "{line} is not as docs/events.schema.json says: {wrong:?}\n{self}");
        }
        lines
    }
}

/// Whether a line is of `run --json`.
fn is_event(line: &Value) -> bool {
    let kind = line["type"].as_str().and_then(|name| name.split_once('.'));
    kind.is_some_and(|(of, _)| ["run", "text", "model", "tool", "approval"].contains(&of))
}

fn events() -> &'static jsonschema::Validator {
    static EVENTS: OnceLock<jsonschema::Validator> = OnceLock::new();
    EVENTS.get_or_init(|| {
        let schema = serde_json::from_str(include_str!("../../../docs/events.schema.json")).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    })
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("code {code}"),
            (None, signal) => format!("signal {signal:?}"),
        };
        write!(f, "-- {end} after {:?}\n-- stdout\n{}\n-- stderr\n{}", self.took, self.stdout, self.stderr)
    }
}
