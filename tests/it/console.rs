//! A person at the console, on a real terminal: the programs that let a stick in are played, and mtools is real, on an image of a stick.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::{fd::AsFd as _, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use custodian::{
    console::page::width,
    factors::{Factors, Pin, SealedCode},
    lang::t,
    services::stick::{Stick, StickError},
    sys::{Commands, Output, RealClock, RealCommands, RealFiles},
    types::Lang,
};
use nix::{
    poll::{PollFd, PollFlags, poll},
    pty::{Winsize, openpty},
};
use tempfile::TempDir;

mod clock;
mod details;
mod disks;
mod updates;

const PIN: &str = "294173";
const COLUMNS: u16 = 80;
const ROWS: u16 = 25;

/// The password that is to be gone from the stick; it takes more than one cluster.
const OLD: &str = "[credentials.viewer]\nusername = \"u\"\npassword = \"xyzzy1\"\n";
const NEW: &str = "[credentials.viewer]\nusername = \"u\"\npassword = \"hunter2\"\n";

pub(super) fn mtools(image: &Path, program: &str, args: &[&str], input: &[u8]) -> Output {
    let image = image.to_str().unwrap();
    let args: Vec<&str> = ["-i", image].iter().chain(args).copied().collect();
    let out = RealCommands.run(program, &args, input, Duration::from_secs(20));
    out.unwrap_or_else(|e| panic!("{program}: {e}: tests/run installs mtools"))
}

/// A stick, as Windows formats it.
pub(super) fn stick(image: &Path, files: &[(&str, &[u8])]) {
    File::create(image).unwrap().set_len(80 << 20).unwrap();
    assert!(mtools(image, "mformat", &["-F", "-c", "2", "-v", "CUSTODIAN", "-T", "163840", "::"], b"").ok());
    for (name, text) in files {
        let out = mtools(image, "mcopy", &["-", &format!("::{name}")], text);
        assert!(out.ok(), "{out:?}");
    }
}

fn listed(image: &Path) -> String {
    String::from_utf8(mtools(image, "mdir", &["-b", "::"], b"").stdout).unwrap()
}

/// Plays all but mtools and what reads the machine: a stick that is there, and units that are run without a cage.
pub(super) struct Played {
    pub(super) device: String,
}

impl Commands for Played {
    fn run(&self, program: &str, args: &[&str], input: &[u8], limit: Duration) -> std::io::Result<Output> {
        let said = |text: String| Ok(Output { code: Some(0), stdout: text.into_bytes(), stderr: String::new() });
        match program {
            "usbguard" => Err(std::io::ErrorKind::NotFound.into()),
            "udevadm" => said(String::new()),
            "lsblk" => said(format!(
                r#"{{"blockdevices":[{{"name":"/dev/sdx","tran":"usb","label":null,"partlabel":null,"fstype":null,
                "children":[{{"name":"{}","tran":null,"label":"CUSTODIAN","partlabel":null,"fstype":"vfat"}}]}}]}}"#,
                self.device
            )),
            "systemd-run" => {
                let at = args.iter().position(|a| *a == "--").unwrap();
                RealCommands.run(args[at + 1], &args[at + 2..], input, limit)
            }
            other => panic!("{other}"),
        }
    }

    fn pour(
        &self,
        program: &str,
        args: &[&str],
        to: &mut dyn std::io::Write,
        limit: Duration,
    ) -> std::io::Result<Output> {
        assert_eq!(program, "systemd-run");
        let at = args.iter().position(|a| *a == "--").unwrap();
        RealCommands.pour(args[at + 1], &args[at + 2..], to, limit)
    }
}

#[test]
fn files_of_a_real_file_system_are_read_written_and_wiped() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("stick");
    let secrets = format!("{NEW}# {}\n", "more ".repeat(2000));
    stick(
        &image,
        &[
            ("other.txt", &[b'o'; 5000]),
            ("site.toml", "\u{feff}name\r\n".as_bytes()),
            ("secrets.toml", secrets.as_bytes()),
        ],
    );
    let holds = |text: &str| {
        let all = fs::read(&image).unwrap();
        all.windows(text.len()).filter(|w| *w == text.as_bytes()).count()
    };
    let played = Played { device: image.display().to_string() };
    let opened = Stick::open(&played, &|_| ()).unwrap();
    assert_eq!(opened.read("site.toml").as_deref(), Ok("name\r\n"));
    assert_eq!(opened.read("secrets.toml").as_deref(), Ok(&*secrets));
    assert_eq!(opened.read("none.toml"), Err(StickError::NoFile("none.toml")));
    opened.write("receipt-a-20261126T062000Z.txt", "done\r\n").unwrap();
    opened.write("receipt-a-20261126T062000Z.txt", "done again\r\n").unwrap();
    assert_eq!(mtools(&image, "mtype", &["::receipt-a-20261126T062000Z.txt"], b"").stdout, b"done again\r\n");
    assert_eq!(holds("hunter2"), 1);
    opened.wipe("secrets.toml").unwrap();
    assert_eq!((holds("hunter2"), holds("more more")), (0, 0), "not even in clusters that are free");
    assert!(!listed(&image).contains("secrets"), "{}", listed(&image));
    assert_eq!(mtools(&image, "mtype", &["::other.txt"], b"").stdout, [b'o'; 5000], "and nothing else was hit");
    assert_eq!(opened.wipe("secrets.toml"), Err(StickError::NoFile("secrets.toml")));

    // What somebody else may have put there.
    assert!(mtools(&image, "mmd", &["::folder.toml"], b"").ok());
    assert_eq!(opened.read("folder.toml").as_deref(), Ok(""));
    let long = vec![b'x'; (1 << 20) + 1];
    assert!(mtools(&image, "mcopy", &["-", "::long.toml"], &long).ok());
    assert_eq!(opened.read("long.toml"), Err(StickError::TooLong("long.toml")));
    assert!(matches!(opened.wipe("long.toml"), Err(StickError::TooLong(_))));
    fs::write(&image, vec![0; 4 << 20]).unwrap();
    assert!(matches!(opened.read("site.toml"), Err(StickError::NotFat(_))));
    fs::remove_file(&image).unwrap();
    assert!(matches!(opened.read("site.toml"), Err(StickError::Gone(_))));
    assert!(matches!(opened.write("receipt.txt", "x"), Err(StickError::Written(_))));
}

fn site(name: &str, cameras: &[&str], volume: &Path) -> String {
    let head = format!(
        "[site]\nname = \"{name}\"\ntimezone = \"Asia/Ho_Chi_Minh\"\nlanguage = \"vi\"\n[area.y]\nname = \"Sân\"\n\
         kind = \"public\"\n[recorder.a]\n[[recorder.a.volume]]\nname = \"v1\"\npath = \"{}\"\n",
        volume.display()
    );
    let camera = |id: &&str| {
        format!(
            "[camera.{id}]\nname = \"{id}\"\narea = \"y\"\nmain = \"rtsp://127.0.0.1:9/{id}\"\ncredentials = \"viewer\"\nbitrate = \"2 Mbit/s\"\n"
        )
    };
    cameras.iter().map(camera).fold(head, |all, one| all + one.as_str())
}

/// A machine with generation 1, a PIN, and a stick beside it.
struct Machine {
    dir: TempDir,
    code: SealedCode,
}

impl Machine {
    fn new() -> Self {
        Self::with("")
    }

    /// With something more in its site.
    fn with(more: &str) -> Self {
        let site = |v1: &Path| site("first", &["one", "two"], v1) + more;
        Self::applied(&site, Command::new(env!("CARGO_BIN_EXE_custodian")))
    }

    /// With this site, which names the folder for its first volume, applied by custodian as this command starts it.
    fn applied(site: &dyn Fn(&Path) -> String, mut apply: Command) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["state", "state/etc", "units", "v1", "bin"] {
            fs::create_dir(at(name)).unwrap();
        }
        fs::write(at("site.toml"), site(&at("v1"))).unwrap();
        fs::write(at("secrets.toml"), OLD).unwrap();
        fs::set_permissions(at("secrets.toml"), fs::Permissions::from_mode(0o600)).unwrap();
        apply.arg("apply").arg("--state").arg(at("state")).arg("--unit-dir").arg(at("units")).current_dir(dir.path());
        let out = apply.stdin(Stdio::null()).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let code = SealedCode::make().unwrap();
        let factors = Factors::new(&RealFiles, &RealClock, &at("state"), "");
        factors.create(&Pin::choose(PIN).unwrap(), &code).unwrap();
        let machine = Self { dir, code };
        machine.programs();
        machine
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Played programs, in front of the real ones: the stick is seen once it was let in.
    fn programs(&self) {
        let dir = self.dir.path().display();
        let play = |name: &str, script: &str| {
            let path = self.at("bin").join(name);
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        let device = r#"3: block id 0951:1666 serial "1" name "Stick" hash "h" parent-hash "p" via-port "1-1" with-interface 08:06:50 with-connect-type "hotplug""#;
        play(
            "usbguard",
            &format!(
                "echo \"$@\" >> {dir}/usbguard.log\ncase $1 in\nlist-devices) echo '{device}';;\n\
                 allow-device) touch {dir}/allowed;;\nblock-device) rm {dir}/allowed;;\nesac"
            ),
        );
        let seen = format!(
            r#"{{"name":"/dev/sdx","tran":"usb","label":null,"partlabel":null,"fstype":null,"children":[{{"name":"{dir}/stick","tran":null,"label":"CUSTODIAN","partlabel":null,"fstype":"vfat"}}]}}"#
        );
        play(
            "lsblk",
            &format!(
                "case \"$*\" in\n*PARTLABEL*) if [ -e {dir}/allowed ]; then s='{seen}'; fi; echo \"{{\\\"blockdevices\\\":[\"\"$s\"\"]}}\";;\n\
                 *) echo '{{\"blockdevices\":[]}}';;\nesac"
            ),
        );
        play("udevadm", "");
        play("systemd-run", "while [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\"");
        play(
            "systemctl",
            &format!(
                "case \"$1 $2\" in\n'poweroff ') echo \"$@\" >> {dir}/systemctl.log;;\n\
                 'is-active chronyd.service') [ -e {dir}/serves ];;\n\
                 'stop chronyd.service'|'start chronyd.service') echo \"$@\" >> {dir}/clock.log;;\n*) exit 1;;\nesac"
            ),
        );
        play(
            "timedatectl",
            &format!(
                "case $1 in\nshow) cat {dir}/synchronised;;\nset-time) echo \"$@\" >> {dir}/clock.log;;\n*) exit 1;;\nesac"
            ),
        );
    }

    fn console(&self, lang: Lang) -> Person {
        self.console_by(Command::new(env!("CARGO_BIN_EXE_custodian")), lang)
    }

    /// The console as a command starts it.
    fn console_by(&self, console: Command, lang: Lang) -> Person {
        Person::sits_down(console, &self.at("state"), &self.at("units"), &self.at("bin"), lang)
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap_or_default()
    }

    fn generation(&self) -> String {
        fs::read_link(self.at("state/current")).unwrap().display().to_string()
    }
}

/// Somebody at the terminal.
pub(crate) struct Person {
    console: Child,
    terminal: File,
    seen: Vec<u8>,
    /// All that was shown before.
    before: Vec<u8>,
    lang: Lang,
}

impl Person {
    /// At the console that a command starts, with these programs in front of the real ones.
    pub(crate) fn sits_down(mut console: Command, state: &Path, units: &Path, bin: &Path, lang: Lang) -> Self {
        let size = Winsize { ws_row: ROWS, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        console.args(["--lang", lang.as_str(), "console", "--state"]).arg(state);
        console.arg("--unit-dir").arg(units);
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        console.env("PATH", path).env("CUSTODIAN_SCREEN", "console").env("MTOOLS_SKIP_CHECK", "1");
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let console = console.stdin(end()).stdout(end()).stderr(Stdio::null()).spawn().unwrap();
        Self { console, terminal: File::from(pty.master), seen: Vec::new(), before: Vec::new(), lang }
    }

    pub(crate) fn t(&self, key: &str) -> String {
        t(self.lang, &format!("console.{key}"), &[])
    }

    /// The first words of a text, which stand in one line whatever follows them.
    pub(crate) fn first_words(&self, key: &str) -> String {
        let text = self.t(key);
        text.split('{').next().unwrap().chars().take(20).collect::<String>().trim().to_owned()
    }

    /// The page that is shown, line by line. It fits the screen.
    fn page(&self) -> String {
        let all = String::from_utf8_lossy(&self.seen);
        // The last one that is whole: each begins at the top.
        let mut pages = all.rsplit("\x1b[?25l\x1b[H");
        let page = pages.next().unwrap_or_default();
        let mut text = String::new();
        let mut letters = page.chars();
        while let Some(c) = letters.next() {
            if c == '\x1b' {
                assert_eq!(letters.next(), Some('['));
                // Codes as bterm reads them: one number at most.
                let code: String = letters.by_ref().take_while(|c| !c.is_ascii_alphabetic()).collect();
                assert!(code.chars().all(|c| c.is_ascii_digit()), "{code}");
            } else if c != '\r' {
                text.push(c);
            }
        }
        assert!(text.lines().count() <= usize::from(ROWS), "{text}");
        for line in text.lines() {
            assert!(width(line) <= usize::from(COLUMNS), "{line}");
        }
        text
    }

    /// Waits until the page says this.
    pub(crate) fn sees(&mut self, words: &str) -> String {
        self.sees_one(&[words])
    }

    fn sees_one(&mut self, words: &[&str]) -> String {
        #[expect(clippy::disallowed_methods, reason = "a limit on a real process, by real time")]
        let now = Instant::now;
        let start = now();
        loop {
            let mut ready = [PollFd::new(self.terminal.as_fd(), PollFlags::POLLIN)];
            if poll(&mut ready, 50_u16).unwrap() > 0 {
                let mut bytes = [0; 8192];
                let n = self.terminal.read(&mut bytes).unwrap();
                self.seen.extend(&bytes[..n]);
            } else if words.iter().any(|w| self.page().contains(w)) {
                return self.page();
            }
            assert!(now() - start < Duration::from_mins(1), "no {words:?} in\n{}", self.page());
        }
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    /// Reads the pages of a text to the last one, which says this at its foot.
    fn reads_to(&mut self, foot: &str) -> String {
        let mut all = String::new();
        let read_on = self.t("read_on");
        loop {
            let page = self.sees_one(&[foot, &read_on]);
            all.push_str(&page);
            if !page.contains(&read_on) {
                return all;
            }
            self.before.append(&mut self.seen);
            self.types("\r");
        }
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        self.console.kill().unwrap();
        self.console.wait().unwrap();
    }
}

#[test]
fn a_site_is_applied_from_a_stick_in_each_language() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    for lang in Lang::ALL {
        let machine = Machine::new();
        let image = machine.at("stick");
        // A camera less, which wants leadership's word, and another password.
        let new = site("second", &["one"], &machine.at("v1"));
        stick(&image, &[("site.toml", new.as_bytes()), ("secrets.toml", NEW.as_bytes())]);
        let mut person = machine.console(lang);
        person.sees(&person.t("key_a"));
        person.sees("first");
        person.types("a");
        person.sees(&person.t("stick_ready"));
        assert_eq!(machine.log("usbguard.log"), "", "nothing is let in before a person asks");
        person.types("y");
        let plan = person.reads_to(&person.t("try"));
        assert!(plan.contains("two") && plan.contains("second"), "{plan}");
        person.types("y");
        person.sees(&person.t("pin_title"));
        person.types("294174\r");
        person.sees(&person.t("factor_wrong_now"));
        person.types(&format!("{PIN}\r"));
        person.sees(&person.t("sealed_title"));
        person.types("the gate is walled up\r");
        person.sees("> _");
        let code = machine.code.reveal();
        person.types(&format!("{}\r", code.to_uppercase()));
        person.sees(&person.t("wipe_not"));
        person.types("w");
        let words: String = person.t("wiped").chars().take(20).collect();
        person.sees(&words);
        person.types("\r");
        person.sees(&person.t("key_a"));

        assert_eq!(machine.generation(), "generations/2");
        let meta: serde_json::Value = serde_json::from_str(&machine.log("state/current/meta.json")).unwrap();
        assert_eq!(meta["word"]["who"], "leaders' sealed code");
        assert_eq!((&meta["word"]["reason"], &meta["by"]), (&"the gate is walled up".into(), &"console".into()));
        assert_eq!(machine.log("state/current/secrets.toml"), NEW);
        assert_eq!(machine.log("state/etc/site.toml"), new);
        let usb = machine.log("usbguard.log");
        assert_eq!(usb, "list-devices --blocked\nallow-device 3\nblock-device 3\n");
        // All that was ever shown has neither code nor PIN nor password in it.
        let shown = [&person.before[..], &person.seen].concat();
        let shown = String::from_utf8_lossy(&shown).to_lowercase();
        for secret in [PIN, &code, "hunter2", "xyzzy1"] {
            assert!(!shown.contains(secret), "{secret}");
        }
        let raw = fs::read(&image).unwrap();
        assert!(!raw.windows(7).any(|w| w == b"hunter2"));
        let names = listed(&image);
        let receipt = names
            .lines()
            .find(|l| l.contains("receipt-a-") && !l.contains(".json"))
            .unwrap_or_else(|| panic!("{names}"));
        let paper = mtools(&image, "mtype", &[receipt], b"");
        let paper = String::from_utf8(paper.stdout).unwrap();
        assert!(paper.contains("second") && paper.contains("\r\n") && !paper.contains("hunter2"), "{paper}");
        assert!(names.contains(".json") && !names.contains("secrets"), "{names}");

        // Here no image runs, which the page on updates says.
        person.types("u");
        person.sees(&t(lang, "update_cli.no_image", &[]).chars().take(30).collect::<String>());
        person.types("\x1b");
        person.sees(&person.t("key_a"));

        // Languages are changed by a key, and switching off wants the PIN.
        let next = (Lang::ALL.iter().position(|l| *l == lang).unwrap() + 1) % 3;
        person.types(&(next + 1).to_string());
        person.lang = Lang::ALL[next];
        person.sees(&person.t("key_p"));
        person.types("p");
        person.sees(&person.t("pin_title"));
        person.types("\x1b");
        person.sees(&person.t("key_a"));
        assert_eq!(machine.log("systemctl.log"), "");
        person.types("p");
        person.sees(&person.t("pin_title"));
        person.types(&format!("{PIN}\r"));
        crate::support::wait_for("the order", Duration::from_secs(20), || {
            (machine.log("systemctl.log") == "poweroff\n").then_some(())
        });
    }
}

#[test]
fn what_is_wrong_on_a_stick_changes_nothing() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let machine = Machine::new();
    let image = machine.at("stick");
    let good = site("second", &["one", "two"], &machine.at("v1"));
    let wrong = good.replace("timezone", "timezon");
    let long = vec![b'#'; 2 << 20];
    let mut person = machine.console(Lang::En);
    for (files, said) in [
        (&[("other.toml", good.as_bytes())][..], "no site.toml"),
        (&[("site.toml", wrong.as_bytes())], "timezon"),
        (&[("site.toml", &long)], "longer than 1 MB"),
        (&[("site.toml", b"\xff\xfes\0i\0")], "no text in UTF-8"),
        (&[("site.toml", good.as_bytes()), ("secrets.toml", b"[credentials.other]\n")], "secrets.toml"),
    ] {
        stick(&image, files);
        person.sees(&person.t("key_a"));
        person.types("a");
        person.sees(&person.t("stick_ready"));
        person.types("y");
        let page = person.sees(said);
        person.types("\x1b");
        person.sees(&person.t("key_a"));
        assert!(!machine.at("allowed").exists(), "it is kept out again: {page}");
        assert_eq!(machine.generation(), "generations/1");
    }
    // Whoever turns back before the PIN has changed nothing either.
    stick(&image, &[("site.toml", good.as_bytes())]);
    person.types("a");
    person.sees(&person.t("stick_ready"));
    person.types("y");
    person.reads_to(&person.t("try"));
    person.types("y");
    person.sees(&person.t("pin_title"));
    person.types("\x1b");
    person.sees(&person.t("key_a"));
    assert_eq!(machine.generation(), "generations/1");
    assert!(!machine.at("allowed").exists() && !listed(&image).contains("receipt"));
}
