//! A terminal: what is compared is the screen that a person sees, not the bytes that drew it.

use std::{
    io::{Read as _, Write as _},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

pub(crate) use expectrl::process::unix::Signal;
use expectrl::process::{
    Process as _,
    unix::{PtyStream, UnixProcess, WaitStatus},
};

use super::{Command, one_spawn_at_a_time};

const LIMIT: Duration = Duration::from_secs(60);

/// A program on a terminal of its own.
pub(crate) struct Terminal {
    process: UnixProcess,
    keyboard: PtyStream,
    screen: Arc<Mutex<vt100::Parser>>,
    bells: Arc<AtomicUsize>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Terminal {
    /// Starts the program on a screen of 80 columns and 24 rows.
    pub(crate) fn start(command: Command) -> Self {
        Self::sized(command, 80, 24)
    }

    /// Starts the program on a screen of this size.
    pub(crate) fn sized(command: Command, columns: u16, rows: u16) -> Self {
        Self::of_kind(command.env("TERM", "xterm-256color"), columns, rows)
    }

    /// The same on a terminal of another kind, which the environment of the program names or does not name.
    pub(crate) fn of_kind(command: Command, columns: u16, rows: u16) -> Self {
        // The size and the echo that a person's terminal has are there before the program begins.
        let script = format!("/bin/stty echo cols {columns} rows {rows}; exec \"$0\" \"$@\"");
        let command = command.inside("/bin/sh").before(["-c", script.as_str()]).into_std();
        let mut process = {
            let _alone = one_spawn_at_a_time();
            UnixProcess::spawn_command(command).expect("a terminal")
        };
        // The crate gives it a size of its own when it has begun, which may come after the one above.
        process.set_window_size(columns, rows).expect("the size of the terminal");
        let keyboard = process.open_stream().unwrap();
        let mut output = process.open_stream().unwrap();
        let mut answers = process.open_stream().unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 1000)));
        let drawn = Arc::clone(&screen);
        let bells = Arc::<AtomicUsize>::default();
        let rung = Arc::clone(&bells);
        // The end of the program shows as an error on Linux and as an empty read elsewhere.
        let reader = thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut piece) {
                rung.fetch_add(piece[..count].iter().filter(|byte| **byte == 7).count(), Ordering::SeqCst);
                let mut screen = drawn.lock().unwrap();
                screen.process(&piece[..count]);
                // A real terminal answers where its cursor is; line editors wait for that.
                if piece[..count].windows(4).any(|four| four == b"\x1b[6n") {
                    let (row, column) = screen.screen().cursor_position();
                    let _ = write!(answers, "\x1b[{};{}R", row + 1, column + 1);
                }
            }
        });
        Self { process, keyboard, screen, bells, reader: Some(reader) }
    }

    /// How often it rang.
    pub(crate) fn bells(&self) -> usize {
        self.bells.load(Ordering::SeqCst)
    }

    /// What a person sees now.
    pub(crate) fn screen(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// The same row by row, as they stand there: a line that the terminal itself has broken is several.
    pub(crate) fn rows(&self) -> Vec<String> {
        let screen = self.screen.lock().unwrap();
        let (_, columns) = screen.screen().size();
        screen.screen().rows(0, columns).collect()
    }

    /// Waits until the screen shows this text, and returns the screen.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait_until(&format!("{text:?} on the screen"), |screen| screen.contains(text))
    }

    /// Waits until the screen does not show this text any more.
    #[track_caller]
    pub(crate) fn wait_gone(&self, text: &str) -> String {
        self.wait_until(&format!("{text:?} gone from the screen"), |screen| !screen.contains(text))
    }

    /// Waits until the screen is as it should be.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, right: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let screen = self.screen();
            if right(&screen) {
                return screen;
            }
            assert!(start.elapsed() < LIMIT, "waited for {what}; the screen is\n{screen}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for an empty prompt of the shell. What is typed before it is shown meets a terminal in another mode, where ^D
    /// means something else.
    #[track_caller]
    pub(crate) fn wait_for_prompt(&self) -> String {
        let empty = |screen: &str| screen.lines().last().is_some_and(|line| line.trim() == "agentctl>");
        self.wait_until("an empty prompt", empty)
    }

    /// Types this line at the prompt, when it is there. What is typed ahead is shown there then, but not sent.
    #[track_caller]
    pub(crate) fn say(&mut self, line: &str) {
        self.wait_for_prompt();
        self.enter(line);
    }

    /// Types a line at the prompt, waits for this text, once more than it was there, and for the next prompt, and returns
    /// the screen.
    #[track_caller]
    pub(crate) fn ask(&mut self, line: &str, answer: &str) -> String {
        let before = self.wait_for_prompt().matches(answer).count();
        self.enter(line);
        self.wait_until(&format!("{answer:?} anew"), |screen| screen.matches(answer).count() > before);
        self.wait_for_prompt()
    }

    /// Asks the shell for a purchase, and lets its approval wait behind the prompt.
    #[track_caller]
    pub(crate) fn buy_and_go_on(&mut self) {
        self.say("buy 2 phones");
        self.wait_for("Waiting for your approval");
        self.control('c');
        self.wait_for("stays open on your device");
        self.wait_for_prompt();
    }

    /// Leaves the shell with ^D; the screen stays readable in what is returned.
    #[track_caller]
    pub(crate) fn leave(mut self) -> String {
        self.wait_for_prompt();
        self.control('d');
        let (code, screen) = self.finish();
        assert_eq!(code, 0, "{screen}");
        screen
    }

    /// Types this text.
    pub(crate) fn type_text(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// Types this line and Enter.
    pub(crate) fn enter(&mut self, line: &str) {
        self.type_text(line);
        self.type_text("\r");
    }

    /// Types Ctrl and a letter: `'c'`, `'d'`, ...
    pub(crate) fn control(&mut self, letter: char) {
        let code = u8::try_from(letter.to_ascii_uppercase()).unwrap() & 0x1f;
        self.keyboard.write_all(&[code]).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// Gives the window another size.
    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        self.screen.lock().unwrap().screen_mut().set_size(rows, columns);
        self.process.set_window_size(columns, rows).expect("the size of the terminal");
    }

    /// Sends a signal to the program.
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.process.signal(signal).expect("a signal that can be sent");
    }

    /// Waits for the end and returns the exit code; the screen stays readable in the second value.
    #[track_caller]
    pub(crate) fn finish(mut self) -> (i32, String) {
        (self.end(|| ()), self.screen())
    }

    /// Waits for the end, does something again and again meanwhile, and returns the exit code.
    #[track_caller]
    pub(crate) fn end(&mut self, mut meanwhile: impl FnMut()) -> i32 {
        let start = Instant::now();
        loop {
            match self.process.status() {
                Ok(WaitStatus::Exited(_, code)) => {
                    if let Some(reader) = self.reader.take() {
                        reader.join().unwrap();
                    }
                    return code;
                }
                Ok(WaitStatus::Signaled(_, signal, _)) => {
                    panic!("it ended by {signal}; the screen is\n{}", self.screen())
                }
                _ => {}
            }
            assert!(start.elapsed() < LIMIT, "it did not end; the screen is\n{}", self.screen());
            meanwhile();
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.process.kill(Signal::SIGKILL);
    }
}
