//! Chromium without a window, steered through chromedriver.

use std::{
    io::{BufRead as _, BufReader},
    panic::{AssertUnwindSafe, resume_unwind},
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures::FutureExt as _;
use tempfile::TempDir;
use thirtyfour::{ChromiumLikeCapabilities as _, DesiredCapabilities, WebDriver, prelude::WebDriverError};

use super::{one_spawn_at_a_time, peer_is_missing, program};

/// A running chromedriver, with a folder for the browser's own files.
pub(crate) struct Browser {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Browser {
    /// Starts chromedriver on a free port, or says what is missing.
    pub(crate) fn start() -> Option<Self> {
        let (Some(driver), Some(_)) = (program("chromedriver"), program("chromium")) else {
            peer_is_missing("chromium", "install chromium and chromium-driver");
            return None;
        };
        let mut command = Command::new(driver);
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = {
            let _alone = one_spawn_at_a_time();
            command.spawn().unwrap()
        };
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.into_iter().find_map(|line| {
            let port = line.split_once("started successfully on port ")?.1.trim_end_matches('.');
            port.parse().ok()
        });
        let port = port.expect("chromedriver says its port");
        Some(Self { child, port, folder: tempfile::tempdir().unwrap() })
    }

    /// Runs a visit to its end; the browser is closed afterwards, whatever came of it.
    pub(crate) fn visit<F>(&self, work: impl FnOnce(WebDriver) -> F)
    where
        F: Future<Output = Result<(), WebDriverError>>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut wanted = DesiredCapabilities::chrome();
            // In a container there is no sandbox and little shared memory; and a test's browser calls nobody at home.
            let profile = format!("--user-data-dir={}", self.folder.path().display());
            let arguments = [
                "--headless=new",
                "--no-sandbox",
                "--disable-dev-shm-usage",
                "--disable-gpu",
                "--disable-quic",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
                "--window-size=412,900",
                &profile,
            ];
            for argument in arguments {
                wanted.add_arg(argument).unwrap();
            }
            let driver = WebDriver::new(format!("http://127.0.0.1:{}", self.port), wanted).await.unwrap();
            driver.set_implicit_wait_timeout(Duration::from_secs(30)).await.unwrap();
            // A browser that is not closed stays behind, so a failed assertion has to wait for that.
            let came = AssertUnwindSafe(work(driver.clone())).catch_unwind().await;
            let seen = match &came {
                Ok(Ok(())) => String::new(),
                _ => driver.source().await.unwrap_or_default(),
            };
            driver.quit().await.unwrap();
            match came {
                Ok(came) => came.unwrap_or_else(|error| panic!("{error}\nthe page was\n{seen}")),
                Err(failed) => resume_unwind(failed),
            }
        });
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
