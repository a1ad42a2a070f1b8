//! A PC that QEMU emulates: firmware, TPM, disks, two networks, a screen, a keyboard. Nothing of it needs rights beyond a user's.

mod console;
mod hand;
mod pc;
mod qmp;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, ExitStatus},
    thread,
    time::Duration,
};

use custodian::sys::{Clock, Monotonic, RealClock};
use serde_json::json;

use self::{console::Console, hand::Hand, qmp::Qmp};
pub use self::{
    hand::Ended,
    pc::{Pc, PowerOn, SYSTEM, disks},
};

/// Between two looks at this machine.
const PACE: Duration = Duration::from_millis(50);
/// And into the emulated one: a command there is work that the rest of it waits for.
const PACE_WITHIN: Duration = Duration::from_secs(1);

/// OVMF with a TPM does not come back from every reset of an emulated PC; it says what it boots within ten seconds when it does. After so long
/// the button for a reset is pressed again, as a person would.
const FIRMWARE: Duration = Duration::from_mins(1);

/// Waits until `ready` has something to say. Panics after `limit`, naming what was waited for.
pub fn wait_for<T>(what: &str, limit: Duration, ready: impl FnMut() -> Option<T>) -> T {
    wait_at(PACE, what, limit, ready)
}

fn wait_at<T>(pace: Duration, what: &str, limit: Duration, mut ready: impl FnMut() -> Option<T>) -> T {
    let start = RealClock.monotonic().0;
    loop {
        if let Some(t) = ready() {
            return t;
        }
        assert!(RealClock.monotonic().0 - start < limit.as_nanos().try_into().unwrap(), "waited {limit:?} for {what}");
        thread::sleep(pace);
    }
}

/// Whether two screens show the same, but for a cursor that blinks.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).filter(|(a, b)| a != b).count() < 4000
}

/// Whether a screen is of one colour: somebody is about to draw on it. Three bytes are a pixel.
fn is_blank(screen: &[u8]) -> bool {
    screen.iter().zip(&screen[3.min(screen.len())..]).filter(|(a, b)| a != b).count() < 300
}

/// So many seconds.
pub fn limit(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A port of loopback that is free now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A PC that is switched on. Dropped, it loses power.
pub struct Vm {
    qemu: Child,
    tpm: Option<Child>,
    qmp: Qmp,
    hand: Hand,
    console: Console,
    dir: PathBuf,
}

impl Vm {
    /// Waits until the system on it has begun to boot, from the root file system on: commands can be run then.
    pub fn wait_for_boot(&mut self) {
        self.wait_for_boot_within(240);
    }

    /// The same, where others may fail before.
    pub fn wait_for_boot_within(&mut self, seconds: u64) {
        let mut silent: Option<(usize, Monotonic)> = None;
        self.wait("the system to boot", seconds, |vm| {
            let booted = vm.hand.booted();
            let text = vm.console.text();
            if !text.lines().last().is_some_and(|l| l.contains("reboot:") || l.contains("Rebooting in")) {
                silent = None;
            } else if silent.is_none_or(|(before, _)| before != text.len()) {
                silent = Some((text.len(), RealClock.monotonic()));
            } else if let Some((_, since)) = silent
                && RealClock.monotonic().since(since) > FIRMWARE
            {
                vm.console.note("reboot: ordered again by the test, since the firmware says nothing");
                vm.qmp.ask("system_reset", &json!({}));
            }
            booted
        });
    }

    /// Whether the system on it has begun to boot since that was waited for.
    pub fn has_booted(&mut self) -> bool {
        self.hand.booted().is_some()
    }

    /// Waits for something of this machine. It is an error if it goes off meanwhile.
    pub fn wait<T>(&mut self, what: &str, seconds: u64, mut ready: impl FnMut(&mut Self) -> Option<T>) -> T {
        wait_at(PACE_WITHIN, what, limit(seconds), || {
            let found = ready(self);
            if found.is_none()
                && let Some(status) = self.qemu.try_wait().unwrap()
            {
                panic!("waiting for {what}, the machine went off: {status}");
            }
            found
        })
    }

    /// Waits for a line on the serial console that holds one of these words, and returns it.
    pub fn wait_for_line(&mut self, words: &[&str], seconds: u64) -> String {
        self.wait(&format!("a line with one of {words:?}"), seconds, |vm| vm.line(words))
    }

    /// The first line of the serial console with one of these words.
    pub fn line(&self, words: &[&str]) -> Option<String> {
        self.console.text().lines().find(|l| words.iter().any(|w| l.contains(w))).map(str::to_owned)
    }

    /// How many lines of the serial console hold that.
    pub fn count_lines(&self, word: &str) -> usize {
        self.console.text().lines().filter(|l| l.contains(word)).count()
    }

    /// Waits until systemd says that it is done with starting, and returns how: `running` if all is well.
    pub fn wait_until_started(&mut self) -> String {
        self.wait("the system to have started", 240, |vm| {
            let state = vm.try_run("systemctl is-system-running", 60)?.text();
            matches!(state.trim(), "running" | "degraded" | "maintenance").then(|| state.trim().to_owned())
        })
    }

    /// Runs a script as root, however it ends; `None` if it does not.
    pub fn try_run(&mut self, script: &str, seconds: u64) -> Option<Ended> {
        self.hand.run(script, &[], limit(seconds))
    }

    /// What a script prints that must end well.
    pub fn run(&mut self, script: &str) -> String {
        String::from_utf8_lossy(&self.fetch(script)).into_owned()
    }

    /// The bytes that a script prints that must end well.
    pub fn fetch(&mut self, script: &str) -> Vec<u8> {
        let ended = self.ended(script);
        assert_eq!(ended.code, 0, "{script}: {}{}", ended.text(), ended.err);
        ended.out
    }

    /// How a script ended, which must do so.
    pub fn ended(&mut self, script: &str) -> Ended {
        self.try_run(script, 240).unwrap_or_else(|| panic!("no answer to {script}"))
    }

    /// What a program prints as JSON; it must end well.
    pub fn json<T: serde::de::DeserializeOwned>(&mut self, script: &str) -> T {
        let out = self.run(script);
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{script}: {e}: {out}"))
    }

    /// Puts a file into the machine, readable by root only.
    pub fn put(&mut self, path: &str, bytes: &[u8]) {
        let script = format!("umask 077; cat >{path}");
        let ended = self.hand.run(&script, bytes, limit(120)).unwrap_or_else(|| panic!("no answer to {script}"));
        assert_eq!(ended.code, 0, "{script}: {}", ended.err);
    }

    /// What a port of the machine's own loopback answers to a request: its first bytes, so many at most. The image has no program that asks; a
    /// shell that does is brought along.
    pub fn ask_port(&mut self, port: u16, request: &str, most: usize) -> String {
        const SHELL: &str = "/run/custodian-test/bash";
        if self.ended(&format!("test -x {SHELL}")).code != 0 {
            self.put(SHELL, &fs::read("/bin/bash").unwrap());
            self.run(&format!("chmod 700 {SHELL}"));
        }
        let request = request.replace('\n', "\\r\\n");
        self.run(&format!(
            "{SHELL} -c \"exec 3<>/dev/tcp/127.0.0.1/{port}; printf '{request}' >&3; head -c {most} <&3\""
        ))
    }

    /// Types at the keyboard.
    pub fn type_text(&mut self, text: &str) {
        self.qmp.type_text(text);
    }

    /// Takes a picture of the screen.
    pub fn picture(&mut self, to: &Path) {
        self.qmp.picture(to, "png");
    }

    /// Waits until the screen stands still and shows something else than before; returns its pixels.
    pub fn wait_for_screen(&mut self, before: &[u8]) -> Vec<u8> {
        let mut last = Vec::new();
        self.wait("another screen", 240, |vm| {
            let file = vm.dir.join("screen.ppm");
            vm.qmp.picture(&file, "ppm");
            let now = fs::read(file).unwrap();
            let last = std::mem::replace(&mut last, now.clone());
            thread::sleep(Duration::from_secs(1));
            (same(&last, &now) && !same(before, &now) && !is_blank(&now)).then_some(now)
        })
    }

    /// Plugs a stick into the running machine.
    pub fn plug_stick(&mut self, stick: &Path) {
        let file = json!({ "driver": "file", "filename": stick });
        self.qmp.ask("blockdev-add", &json!({ "driver": "raw", "node-name": "stick-file", "file": file }));
        let device = json!({ "driver": "usb-storage", "bus": "usb.0", "drive": "stick-file", "removable": true, "id": pc::STICK });
        self.qmp.ask("device_add", &device);
    }

    /// Pulls the stick.
    pub fn pull_stick(&mut self) {
        self.qmp.ask("device_del", &json!({ "id": pc::STICK }));
    }

    /// Pulls the plug: nothing that the system has not flushed need be on its disks.
    pub fn cut(mut self) {
        self.end();
    }

    /// Orders an orderly end and waits for it.
    pub fn power_off(mut self) {
        // The service that answers ends too.
        self.run("systemctl --no-block poweroff");
        self.wait_until_off(120);
    }

    /// Waits until it goes off by itself.
    pub fn wait_until_off(&mut self, seconds: u64) -> ExitStatus {
        wait_for("the machine to go off", limit(seconds), || self.qemu.try_wait().unwrap())
    }

    fn end(&mut self) {
        for child in [Some(&mut self.qemu), self.tpm.as_mut()].into_iter().flatten() {
            // It may have ended already, which is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        if thread::panicking() {
            // What it shows and says is what a person would look at.
            let last = self.try_run("systemctl --failed --no-legend; journalctl -b -p notice --no-pager -n 60", 20);
            let shown = self.dir.join("screen.png");
            if self.qemu.try_wait().is_ok_and(|ended| ended.is_none()) {
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.qmp.picture(&shown, "png")));
            }
            let journal = last.map_or_else(|| "it does not answer".to_owned(), |e| e.text());
            let _ = fs::write(self.dir.join("journal"), &journal);
            #[expect(clippy::print_stderr, reason = "beside the panic's message")]
            {
                eprintln!(
                    "the machine's serial line:\n{}\nits journal:\n{journal}\nkept in {}",
                    self.console.tail(60),
                    self.dir.display()
                );
            }
        }
        self.end();
    }
}
