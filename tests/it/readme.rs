//! The script of the README, word for word.

use std::{fs, path::Path};

use thirtyfour::WebDriver;

use crate::{
    browser::{click, says, text_of},
    support::{Browser, Dev, Home, Output, command, peer_is_missing, program},
};

/// The line that stands for somebody's thumb.
const THUMB: &str = "curl -sf -H \"Authorization: Bearer $T\"";

/// The script, if what it is written with is there.
fn script() -> Option<String> {
    for name in ["jq", "curl"] {
        if program(name).is_none() {
            peer_is_missing(name, "install it by its name");
            return None;
        }
    }
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let chapter = readme.split("## Leave it, come back").nth(1).unwrap();
    Some(chapter.split("```sh\n").nth(1).unwrap().split("```").next().unwrap().to_owned())
}

/// A home in which the script finds what it says that it needs. Whoever logs in is let in at once.
fn home(dev: &Dev) -> Home {
    let mut home = dev.home();
    let folder = Path::new(env!("CARGO_BIN_EXE_agentctl")).parent().unwrap();
    home.set("PATH", &format!("{}:{}", folder.display(), std::env::var("PATH").unwrap()));
    home.set("M", dev.text("manage_url").trim_end_matches('/'));
    home.set("T", dev.text("manage_token"));
    dev.auto("approve", "off");
    home
}

fn run(home: &Home, script: &str) -> Output {
    command(home, "/bin/bash").args(["-euo", "pipefail", "-c", script]).run().code(0)
}

/// What the last push said.
fn message(dev: &Dev) -> String {
    let asked = dev.history("ciba");
    asked.iter().rev().find_map(|request| request["form"]["binding_message"].as_str()).unwrap().to_owned()
}

#[test]
fn the_script_runs_as_it_is_printed() {
    let Some(script) = script() else { return };
    let dev = Dev::start();
    let home = home(&dev);
    // Once with somebody who must log in first, and once with somebody who has.
    for orders in 1..=2 {
        let output = run(&home, &script);
        let placed = dev.orders();
        let pushes = dev.history("ciba").len();
        assert_eq!((placed.len(), pushes), (orders, orders), "{output}");
        let order = placed[orders - 1]["order_id"].as_str().unwrap();
        output.out(&[&format!("compare: {}\n", message(&dev)), "buy_product", "Ordered 2 x phones", order]);
    }
}

/// The same with a real thumb: the line that stands for it is left out, and a browser taps on the phone page.
#[test]
fn the_script_runs_with_the_phone_page() {
    let Some(script) = script() else { return };
    let Some(browser) = Browser::start() else { return };
    let (before, after) = script.split_once(THUMB).unwrap();
    let after = after.split_once('\n').unwrap().1;
    let dev = Dev::start();
    let home = home(&dev);
    let output = run(&home, before);
    let message = message(&dev);
    output.out(&[&format!("compare: {message}\n")]);
    assert!(dev.orders().is_empty());
    let phone = dev.text("phone_url").to_owned();
    browser.visit(async |driver: WebDriver| {
        driver.goto(&phone).await?;
        let text = text_of(&driver).await?;
        let code = message.rsplit('.').next().unwrap();
        assert!(text.contains(code), "the phone does not show {code}:\n{text}");
        click(&driver, "Approve").await?;
        says(&driver, "approved").await
    });
    let output = run(&home, after);
    let orders = dev.orders();
    assert_eq!(orders.len(), 1, "{output}");
    output.out(&["Ordered 2 x phones", orders[0]["order_id"].as_str().unwrap()]);
}
