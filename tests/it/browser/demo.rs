//! The demo as a newcomer sees it: one command, then the address that it prints. Takes the README's picture.

use std::{
    fs,
    io::{BufRead, BufReader, Read as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::driver::Browser;

/// The eight simulated cameras on the wall, as the README shows them. `CUSTODIAN_PICTURES=1` takes it anew.
const PICTURE: &str = "docs/img/demo.png";

struct Demo {
    process: Child,
    address: String,
}

impl Demo {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_custodian"))
            .args(["demo", "--listen", "127.0.0.1:0", "--lang", "vi"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split_whitespace().find(|w| w.starts_with("http://")).expect("an address").to_owned();
        Self { process, address }
    }

    /// Ends it as Ctrl-C does.
    fn stop(mut self) {
        kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGINT).unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

const LIVE: &str = "const v = [...document.querySelectorAll('video')]; \
    return v.length === 8 && v.every((v) => v.readyState >= 2 && !v.paused && v.currentTime > 1 && \
        v.buffered.end(v.buffered.length - 1) - v.currentTime < 0.8) && \
        [...document.querySelectorAll('.badge')].every((b) => /0[.,][0-9]/.test(b.textContent))";

const PLAYS: &str = "const v = [...document.querySelectorAll('video')]; \
    return v.length === 2 && v.every((v) => v.readyState >= 2 && v.currentTime > 0)";

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_sees_cameras_live_and_recorded() {
    let demo = Demo::start();
    let browser = Browser::start().await;
    browser.goto(&demo.address).await;
    browser.holds("eight live pictures", LIVE).await;
    if std::env::var_os("CUSTODIAN_PICTURES").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PICTURE);
        fs::write(path, browser.picture().await).unwrap();
    }
    // What was live is recorded: at the end of the first fragments it can be played.
    let first = "const r = await fetch('/api/timeline?camera=gate-1&camera=street-1&from=0&to=9000000000000000000'); \
        const t = await r.json(); return t.every((t) => t.newest > t.footage[0].start) ? t[0].footage[0].start : null";
    let start = browser.until("footage", first, serde_json::Value::is_number).await;
    browser.goto(&format!("{}playback?camera=gate-1,street-1&t={start}", demo.address)).await;
    browser.holds("two cameras played back", PLAYS).await;
    browser.quit().await;
    demo.stop();
}

#[test]
fn the_readme_shows_the_wall() {
    let picture = fs::File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join(PICTURE)).unwrap();
    let mut head = [0; 8];
    picture.take(8).read_exact(&mut head).unwrap();
    assert_eq!(head, *b"\x89PNG\r\n\x1a\n");
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    assert!(readme.contains(PICTURE));
}
