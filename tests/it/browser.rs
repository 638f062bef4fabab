//! A person's browser: activates the device code and taps Approve on the phone page.

use std::time::Duration;

use thirtyfour::{By, WebDriver, error::WebDriverResult};

use crate::support::{Browser, Dev, agentctl, wait_until};

async fn click(driver: &WebDriver, text: &str) -> WebDriverResult<()> {
    let path = format!(
        "//button[contains(normalize-space(.), '{text}')] | //input[@type='submit' and contains(@value, '{text}')]"
    );
    driver.find(By::XPath(path)).await?.click().await
}

/// Presses the first of these buttons that the page has, until the page says `end`.
async fn click_through(driver: &WebDriver, buttons: &[&str], end: &str) -> WebDriverResult<()> {
    for _ in 0..6 {
        let text = driver.find(By::Tag("body")).await?.text().await?;
        if text.to_lowercase().contains(end) {
            return Ok(());
        }
        let button = buttons.iter().find(|button| text.contains(**button)).unwrap_or(&buttons[0]);
        click(driver, button).await?;
    }
    panic!("the page never said {end:?}");
}

/// Waits until the page says `what`, whatever the case.
async fn says(driver: &WebDriver, what: &str) -> WebDriverResult<()> {
    let path =
        format!("//body[contains(translate(., 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '{what}')]");
    driver.find(By::XPath(path)).await.map(drop)
}

#[test]
fn a_login_and_a_purchase_by_hand() {
    let Some(browser) = Browser::start() else { return };
    let dev = Dev::start();
    let home = dev.home();

    let login = agentctl(&home).args(["login", "--no-browser"]).start();
    let shown = login.wait_for_stderr("check that it shows the code");
    let address =
        shown.lines().map(str::trim).find(|line| line.starts_with("http") && line.contains("user_code=")).unwrap();
    browser.visit(async |driver: WebDriver| {
        driver.goto(address).await?;
        click_through(
            &driver,
            &["Allow", "Accept", "Approve", "Confirm", "Continue", "Log in", "Ada Lovelace"],
            "you are logged in",
        )
        .await
    });
    login.finish().code(0).silent().err(&["Logged in as"]);

    let run = agentctl(&home).args(["run", "buy 2 phones"]).start();
    let shown = run.wait_for_stderr("Check that it shows:");
    let message = shown.split("Check that it shows:").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let phone = dev.text("phone_url").to_owned();
    browser.visit(async |driver: WebDriver| {
        driver.goto(&phone).await?;
        let text = driver.find(By::Tag("body")).await?.text().await?;
        let shown = message.split('.').all(|part| text.contains(part));
        assert!(shown, "the phone does not show {message}:\n{text}");
        assert!(text.contains("phones"), "the phone does not show the details:\n{text}");
        click(&driver, "Approve").await?;
        // The page says so by itself. A browser that is closed before has perhaps not sent the form.
        says(&driver, "approved").await
    });
    run.finish().code(0).err(&["Approved"]);
    assert_eq!(dev.orders().len(), 1);
}

#[test]
fn the_phone_page_updates_by_itself_and_denies() {
    let Some(browser) = Browser::start() else { return };
    let dev = Dev::start();
    let home = dev.home();
    dev.auto("approve", "off");
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    let phone = dev.text("phone_url").to_owned();
    browser.visit(async |driver: WebDriver| {
        driver.goto(&phone).await?;
        let text = driver.find(By::Tag("body")).await?.text().await?;
        assert!(!text.contains("phones"), "{text}");
        let run = agentctl(&home).args(["run", "buy 2 phones"]).start();
        run.wait_for_stderr("Check that it shows:");
        // Nobody touches the page; the button comes to it.
        click(&driver, "Deny").await?;
        let output = tokio_blocking(move || run.finish()).await;
        output.code(11).err(&["Denied"]);
        Ok(())
    });
    let none = wait_until(Duration::from_secs(1), "the orders", || Some(dev.orders()));
    assert!(none.is_empty());
}

/// Waits beside the browser's own traffic.
async fn tokio_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}
