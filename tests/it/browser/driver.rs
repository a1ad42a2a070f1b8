//! Chromium, headless, by chromedriver.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::{By, CapabilitiesHelper, ChromiumLikeCapabilities, DesiredCapabilities, WebDriver, WebElement};

use super::PATIENCE;

/// A browser with a fresh profile. [`Browser::quit`] ends it; a test that fails leaves that to the drop of its driver process.
pub struct Browser {
    driver: WebDriver,
    address: String,
    process: Child,
    _profile: TempDir,
}

impl Browser {
    pub async fn start() -> Self {
        Self::sized(1366, 768).await
    }

    pub async fn sized(width: u32, height: u32) -> Self {
        let mut process =
            Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines
            .find_map(|line| {
                Some(line.unwrap().split_once("successfully on port ")?.1.trim_end_matches('.').to_owned())
            })
            .expect("chromedriver says its port");
        // It must never block on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let profile = TempDir::new().unwrap();
        let mut wanted = DesiredCapabilities::chrome();
        for flag in [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
        ] {
            wanted.add_arg(flag).unwrap();
        }
        wanted.add_arg(&format!("--user-data-dir={}", profile.path().display())).unwrap();
        wanted.add_arg(&format!("--window-size={width},{height}")).unwrap();
        wanted.set("goog:loggingPrefs", json!({ "browser": "ALL" })).unwrap();
        let address = format!("http://127.0.0.1:{port}");
        let driver = WebDriver::new(&address, wanted).await.expect("Chromium starts");
        Self { driver, address, process, _profile: profile }
    }

    pub async fn goto(&self, url: &str) {
        self.driver.goto(url).await.unwrap();
    }

    /// Runs a script that returns a JSON value.
    pub async fn js(&self, script: &str) -> Value {
        match self.driver.execute(script, vec![]).await {
            Ok(answer) => answer.json().clone(),
            Err(e) => panic!("{script}: {e}"),
        }
    }

    /// Runs `script` until its value is one that `good` likes.
    pub async fn until(&self, what: &str, script: &str, good: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let waiting = async {
            loop {
                last = self.js(script).await;
                if good(&last) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let came = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        let console = if came { Vec::new() } else { self.console().await };
        assert!(came, "{what} did not come about; at last {last}; the console: {console:?}");
        last
    }

    /// Waits until the script's value is `true`.
    pub async fn holds(&self, what: &str, script: &str) {
        self.until(what, script, |v| v == &Value::Bool(true)).await;
    }

    pub async fn find(&self, css: &str) -> WebElement {
        self.driver.find(By::Css(css)).await.unwrap()
    }

    /// What the browser had to complain of since the last call: [level, text].
    pub async fn console(&self) -> Vec<String> {
        let url = format!("{}/session/{}/se/log", self.address, self.driver.session_id());
        let answer = reqwest::Client::new().post(url).json(&json!({ "type": "browser" })).send().await.unwrap();
        let body: Value = answer.json().await.unwrap();
        let entries = body["value"].as_array().cloned().unwrap_or_default();
        entries
            .iter()
            .map(|e| format!("{} {}", e["level"].as_str().unwrap_or(""), e["message"].as_str().unwrap_or("")))
            .collect()
    }

    /// Complaints that are none of the page's own debugging notes.
    pub async fn complaints(&self) -> Vec<String> {
        self.console().await.into_iter().filter(|line| !line.starts_with("DEBUG")).collect()
    }

    /// What it shows, as PNG.
    pub async fn picture(&self) -> Vec<u8> {
        self.driver.screenshot_as_png().await.unwrap()
    }

    pub async fn quit(mut self) {
        self.driver.clone().quit().await.unwrap();
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // After a failed test; chromedriver ends its browser when it is asked to end.
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
            let _ = self.process.wait();
        }
    }
}

/// JavaScript that reads the number of the picture that a video shows, from the strip along its upper edge: see
/// `fake::clip`. Has the form of an expression on `v`.
pub const PICTURE: &str = r"
  const picture = (v) => {
    if (v.videoWidth === 0) return -1;
    const c = document.createElement('canvas');
    c.width = v.videoWidth; c.height = v.videoHeight;
    const pen = c.getContext('2d', { willReadFrequently: true });
    pen.drawImage(v, 0, 0);
    let n = 0;
    for (let bit = 0; bit < 16; bit += 1) {
      const p = pen.getImageData(Math.floor(((bit + 0.5) * c.width) / 16), Math.floor(c.height / 20), 1, 1).data;
      if (p[0] > 128) n |= 1 << bit;
    }
    return n;
  };
  const videos = () => [...document.querySelectorAll('video')];
";
