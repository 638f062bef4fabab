//! A person's browser: activates the device code, taps Approve on the phone page, and connects an account.

use std::time::Duration;

use serde_json::{Value, json};
use thirtyfour::{By, WebDriver, error::WebDriverResult};

use crate::support::{Browser, Dev, Fake, Reply, agentctl, call};

/// The text of the page, which may renew itself while it is read.
pub(crate) async fn text_of(driver: &WebDriver) -> WebDriverResult<String> {
    for _ in 0..20 {
        if let Ok(text) = driver.find(By::Tag("body")).await?.text().await {
            return Ok(text);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    driver.find(By::Tag("body")).await?.text().await
}

pub(crate) async fn click(driver: &WebDriver, text: &str) -> WebDriverResult<()> {
    let path = format!(
        "//button[contains(normalize-space(.), '{text}')] | //input[@type='submit' and contains(@value, '{text}')]"
    );
    // A page that renews itself may do so between the look and the click, and each kind of that has an error of its own.
    for _ in 0..20 {
        if driver.find(By::XPath(path.as_str())).await?.click().await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    driver.find(By::XPath(path)).await?.click().await
}

/// Presses the first of these buttons that the page has, until the page says `end`.
async fn click_through(driver: &WebDriver, buttons: &[&str], end: &str) -> WebDriverResult<()> {
    for _ in 0..6 {
        let text = text_of(driver).await?;
        if text.to_lowercase().contains(end) {
            return Ok(());
        }
        let button = buttons.iter().find(|button| text.contains(**button)).unwrap_or(&buttons[0]);
        click(driver, button).await?;
    }
    panic!("the page never said {end:?}");
}

/// Waits until the page says `what`, whatever the case.
pub(crate) async fn says(driver: &WebDriver, what: &str) -> WebDriverResult<()> {
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
        let text = text_of(&driver).await?;
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
        let text = text_of(&driver).await?;
        assert!(!text.contains("phones"), "{text}");
        let run = agentctl(&home).args(["run", "buy 2 phones"]).start();
        run.wait_for_stderr("Check that it shows:");
        // Nobody touches the page; the button comes to it.
        click(&driver, "Deny").await?;
        let output = tokio_blocking(move || run.finish()).await;
        output.code(11).err(&["Denied"]);
        Ok(())
    });
    assert!(dev.orders().is_empty());
}

#[test]
fn the_phone_page_shows_the_time_that_the_server_counts() {
    let Some(browser) = Browser::start() else { return };
    let dev = Dev::start();
    let home = dev.logged_in();
    let phone = dev.text("phone_url").to_owned();
    let run = agentctl(&home).args(["run", "buy 2 phones"]).start();
    run.wait_for_stderr("Check that it shows:");
    browser.visit(async |driver: WebDriver| {
        driver.goto(&phone).await?;
        says(&driver, "open for another").await?;
        // As after a sleep: what the page shows is long out of date.
        let stale = "for (const time of document.querySelectorAll('time')) \
                     { time.dataset.left = 9000; time.textContent = '150:00'; }";
        driver.execute(stale, Vec::new()).await?;
        says(&driver, "open for another 4:").await
    });
    dev.post("/approvals/latest/deny", &json!({}));
    run.finish().code(11);
}

/// The page of the pretend third party, from the call that begins it to the account that works.
#[test]
fn an_account_is_connected_and_refused_by_hand() {
    let Some(browser) = Browser::start() else { return };
    let dev = Dev::start();
    let home = dev.home();
    dev.auto("approve", "off");
    agentctl(&home).args(["login", "--no-browser"]).run().code(0);
    dev.post("/connections", &json!({"person": "ada", "connection": "okta", "scopes": ["okta.groups.read"]}));
    // What the browser is sent back to: the client's own listener.
    let listener = Fake::start();
    listener.always("GET", "/callback", Reply::text(200, "text/html", "<body>back again</body>"));
    listener.always("GET", "/favicon.ico", Reply::text(404, "text/plain", ""));
    let back = format!("{}/callback", listener.url());

    let issuer = dev.text("issuer");
    let audience = format!("{issuer}me/");
    let scope = "create:me:connected_accounts";
    let token = agentctl(&home).args(["token", "--audience", &audience, "--scope", scope]).run().code(0).stdout;
    let bearer = format!("Bearer {}", token.trim());
    let api = |path: &str, body: Value| {
        let url = format!("{issuer}me/v1/connected-accounts/{path}");
        let answer = call("POST", &url, &[("authorization", &bearer)], Some(&body));
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    };
    let visit = |button: &'static str| {
        let wanted = json!({"connection": "okta", "redirect_uri": back, "state": "s1", "scopes": ["okta.users.read"]});
        let begun = api("connect", wanted);
        let address = format!("{}?ticket={}", text(&begun["connect_uri"]), text(&begun["connect_params"]["ticket"]));
        let mut came_back = String::new();
        browser.visit(async |driver: WebDriver| {
            driver.goto(&address).await?;
            let shown = text_of(&driver).await?;
            for said in ["Oktopus Directory", "Ada Lovelace", "okta.users.read", "okta.groups.read"] {
                assert!(shown.contains(said), "no {said} in\n{shown}");
            }
            driver.find(By::Id(button)).await?.click().await?;
            says(&driver, "back again").await?;
            came_back = driver.current_url().await?.to_string();
            Ok(())
        });
        assert!(came_back.starts_with(&back) && came_back.contains("state=s1"), "{came_back}");
        (text(&begun["auth_session"]).to_owned(), came_back)
    };
    let (_, refused) = visit("deny");
    assert!(refused.contains("error=access_denied") && !refused.contains("connect_code"), "{refused}");
    agentctl(&home).args(["run", "my groups"]).run().code(5);
    let (auth_session, allowed) = visit("allow");
    let code = allowed.split(['?', '&']).find_map(|pair| pair.strip_prefix("connect_code=")).unwrap();
    let account = api("complete", json!({"auth_session": auth_session, "connect_code": code, "redirect_uri": back}));
    assert_eq!(account["scopes"], json!(["okta.groups.read", "okta.users.read"]));
    agentctl(&home).args(["run", "my groups"]).run().code(0).out(&["Everyone", "Engineering"]);
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Waits beside the browser's own traffic.
async fn tokio_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}
