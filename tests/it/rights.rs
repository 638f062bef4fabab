//! Other users of the machine: a folder of theirs in the place of ours, and settings that they may write.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::PathBuf,
};

use crate::support::{Dev, Home, Output, agentctl};

fn buy(home: &Home) -> Output {
    agentctl(home).args(["tools", "call", "buy_product", "--arg", "product=phones", "--arg", "qty=1"]).run()
}

#[test]
fn a_linked_folder_is_neither_filled_nor_closed() {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.auto("approve", "approve");
    buy(&home).code(0);
    let base = PathBuf::from(&home.env()["AGENTCTL_HOME"]);
    let theirs = home.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    fs::set_permissions(&theirs, Permissions::from_mode(0o755)).unwrap();
    for name in ["state", "data", "cache", "state/tokens"] {
        let (place, aside) = (base.join(name), home.path().join("aside"));
        let there = fs::rename(&place, &aside).is_ok();
        symlink(&theirs, &place).unwrap();
        let output = buy(&home);
        // Kept access tokens can be had again.
        if name != "state/tokens" {
            let hint = format!("put the real thing at {}", place.display());
            output.code(2).err(&["is a symbolic link", &hint]);
        }
        assert_eq!(fs::read_dir(&theirs).unwrap().count(), 0, "{name}");
        assert_eq!(fs::metadata(&theirs).unwrap().permissions().mode() & 0o777, 0o755, "{name}");
        fs::remove_file(&place).unwrap();
        if there {
            fs::rename(&aside, &place).unwrap();
        }
    }
    // The folder above them may be one: it is the person's own.
    let moved = home.path().join("moved");
    fs::rename(&base, &moved).unwrap();
    symlink(&moved, &base).unwrap();
    buy(&home).code(0);
}

#[test]
fn what_others_may_write_is_not_believed() {
    let dev = Dev::start();
    let home = dev.logged_in();
    dev.auto("approve", "approve");
    let base = PathBuf::from(&home.env()["AGENTCTL_HOME"]);
    fs::create_dir(base.join("toolsets")).unwrap();
    let toolset = "[toolset]\nname = \"own\"\ndescription = \"x\"\n[[tool]]\nname = \"look\"\ndescription = \"x\"\n\
                   effect = \"read\"\n[tool.request]\nmethod = \"GET\"\nurl = \"https://a.example/\"\n";
    fs::write(base.join("toolsets/own.toml"), toolset).unwrap();
    fs::write(base.join("config.toml"), "").unwrap();
    fs::write(base.join("policy.toml"), "").unwrap();
    let mode = |name: &str, mode| fs::set_permissions(base.join(name), Permissions::from_mode(mode)).unwrap();
    for (name, shut, open) in [
        ("config.toml", 0o644, 0o646),
        ("policy.toml", 0o644, 0o646),
        ("toolsets/own.toml", 0o644, 0o666),
        ("toolsets", 0o755, 0o777),
        (".", 0o700, 0o777),
    ] {
        mode(name, open);
        let path = base.join(name).components().collect::<PathBuf>();
        let path = path.display().to_string();
        let wrong = [format!("others may write to {path}"), format!("chmod go-w '{path}'")];
        let wrong: Vec<&str> = wrong.iter().map(String::as_str).collect();
        buy(&home).code(2).err(&wrong);
        agentctl(&home).arg("doctor").run().code(1).out(&wrong);
        mode(name, shut);
    }
    // Named by the person, and as decisive: which servers are believed, what holds, what opens the store.
    let named = |name: &str, content: &str| {
        fs::write(base.join(name), content).unwrap();
        mode(name, 0o666);
        base.join(name).display().to_string()
    };
    let ca = named("ca.pem", "");
    let output = agentctl(&home).arg("token").env("AGENTCTL_CA_FILE", &ca).run().code(2);
    output.err(&[&format!("others may write to {ca}"), "chmod go-w"]);
    let env = named("more.env", "");
    let output = agentctl(&home).args(["--env-file", &env, "token"]).run().code(2);
    output.err(&[&format!("others may write to {env}"), "chmod go-w"]);
    let key = named("store.key", "a key of more than thirty-two bytes");
    let login = agentctl(&home).args(["login", "--no-browser"]).env("AGENTCTL_STORE_PASSPHRASE", "");
    let other = base.join("new").display().to_string();
    let output = login.env("AGENTCTL_STORE_KEY_FILE", &key).env("AGENTCTL_HOME", &other).run().code(1);
    assert!(!output.stderr.contains("To log in"), "the person is asked although nothing could be kept\n{output}");
    output.err(&[&format!("others may write to {key}"), "chmod go-w"]);
    assert!(dev.history("ciba").is_empty() && dev.orders().is_empty());
    buy(&home).code(0);
}
