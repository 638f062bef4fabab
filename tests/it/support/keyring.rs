//! gnome-keyring on a session bus of its own (tests/peers/with-keyring.sh).

use std::{
    cell::Cell,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::RwLockReadGuard,
};

use super::{Dev, Home, agentctl, calm, one_spawn_at_a_time, peer_is_missing, program};

/// A running Secret Service; it ends when its standard input is closed.
pub(crate) struct Keyring {
    child: Child,
    _stdin: ChildStdin,
    bus: String,
    /// The daemon's process id; while it is held up it cannot be asked for on the bus.
    daemon: u32,
    hanging: Cell<bool>,
    _calm: RwLockReadGuard<'static, ()>,
}

impl Keyring {
    /// Starts an unlocked keyring, or says what is missing.
    pub(crate) fn start() -> Option<Self> {
        let calm = calm();
        for needed in ["gnome-keyring-daemon", "dbus-run-session", "dbus-send"] {
            if program(needed).is_none() {
                peer_is_missing(needed, "install gnome-keyring, dbus-daemon and dbus-bin");
                return None;
            }
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/with-keyring.sh");
        let mut command = Command::new(script);
        command.args(["/bin/sh", "-c", "echo \"$DBUS_SESSION_BUS_ADDRESS\"; exec cat > /dev/null"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = {
            let _alone = one_spawn_at_a_time();
            command.spawn().unwrap()
        };
        let stdin = child.stdin.take().unwrap();
        let mut bus = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut bus).unwrap();
        assert!(bus.starts_with("unix:"), "the keyring's bus is {bus:?}");
        let bus = bus.trim().to_owned();
        let daemon = "org.freedesktop.DBus.GetConnectionUnixProcessID";
        let daemon = ask(
            &bus,
            &["--dest=org.freedesktop.DBus", "/org/freedesktop/DBus", daemon, "string:org.freedesktop.secrets"],
        );
        let daemon = daemon.split_whitespace().last().and_then(|id| id.parse().ok()).expect("the daemon's process id");
        Some(Self { child, _stdin: stdin, bus, hanging: Cell::new(false), daemon, _calm: calm })
    }

    /// Lets the programs of this home keep their secrets here.
    pub(crate) fn serve(&self, home: &mut Home) {
        home.set("DBUS_SESSION_BUS_ADDRESS", &self.bus);
        home.set("AGENTCTL_STORE", "keyring");
        home.unset("AGENTCTL_STORE_PASSPHRASE");
    }

    /// A home of somebody whose login is kept here; approvals wait for whoever the test sends.
    #[track_caller]
    pub(crate) fn logged_in(&self, dev: &Dev) -> Home {
        let mut home = dev.home();
        self.serve(&mut home);
        dev.auto("approve", "off");
        agentctl(&home).args(["login", "--no-browser"]).run().code(0).silent().err(&["Secret Service"]);
        home
    }

    /// Locks the collection, as a screen lock may do.
    pub(crate) fn lock(&self) {
        let service = "org.freedesktop.Secret.Service.Lock";
        ask(
            &self.bus,
            &[
                "--dest=org.freedesktop.secrets",
                "/org/freedesktop/secrets",
                service,
                "array:objpath:/org/freedesktop/secrets/aliases/default",
            ],
        );
    }

    /// How many items there are, which the Secret Service tells anyone on the bus.
    pub(crate) fn items(&self) -> usize {
        let get = "org.freedesktop.DBus.Properties.Get";
        let (interface, property) = ("string:org.freedesktop.Secret.Collection", "string:Items");
        let answer = ask(
            &self.bus,
            &["--dest=org.freedesktop.secrets", "/org/freedesktop/secrets/aliases/default", get, interface, property],
        );
        answer.matches("object path").count()
    }

    /// Takes every item away, as a person can who cleans up.
    pub(crate) fn empty(&self) {
        let get = "org.freedesktop.DBus.Properties.Get";
        let (interface, property) = ("string:org.freedesktop.Secret.Collection", "string:Items");
        let collection = "/org/freedesktop/secrets/aliases/default";
        let answer = ask(&self.bus, &["--dest=org.freedesktop.secrets", collection, get, interface, property]);
        let paths = answer.lines().filter_map(|line| line.trim().strip_prefix("object path \""));
        for path in paths.filter_map(|path| path.strip_suffix('"')) {
            ask(&self.bus, &["--dest=org.freedesktop.secrets", path, "org.freedesktop.Secret.Item.Delete"]);
        }
        assert_eq!(self.items(), 0);
    }

    /// Stops the daemon in its tracks: calls to it hang.
    pub(crate) fn hang(&self) {
        self.hanging.set(true);
        assert!(self.signal("STOP"), "the keyring could not be stopped");
    }

    /// Lets the daemon go on.
    pub(crate) fn recover(&self) {
        self.hanging.set(false);
        assert!(self.signal("CONT"), "the keyring could not go on");
    }

    fn signal(&self, name: &str) -> bool {
        let line = format!("kill -{name} {}", self.daemon);
        Command::new("/bin/sh").args(["-c", &line]).status().is_ok_and(|status| status.success())
    }
}

/// Asks something on the bus.
fn ask(bus: &str, call: &[&str]) -> String {
    let mut command = Command::new("dbus-send");
    command.args(["--session", "--print-reply"]).args(call).env("DBUS_SESSION_BUS_ADDRESS", bus);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{call:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl Drop for Keyring {
    fn drop(&mut self) {
        // A daemon that is held up could not end. Closing its input lets the script clean up behind itself; it is not
        // waited for.
        if self.hanging.get() {
            self.signal("CONT");
        }
        let _ = self.child.try_wait();
    }
}
