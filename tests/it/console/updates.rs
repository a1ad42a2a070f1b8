//! A person at the console looks for another version, on a stick and on a server. The judge of signatures is played: `tests/it/update/` has the
//! real one.

use std::{fmt::Write as _, fs, process::Command};

use custodian::{
    lang::t,
    types::{Lang, merkle::Hash},
};
use sha2::{Digest as _, Sha256};

use super::{Machine, PIN, Person, mtools, stick};
use crate::support::mounts;

const SERVER: &str = "\n[update]\nurl = \"https://updates.example/custodian/\"\n";
/// The image that runs is another one, and this machine has not been updated in this boot.
const HERE: &str =
    "mount --make-rprivate /\nmount -t tmpfs tmpfs /run\nmount --bind \"$1\" /etc/os-release\nshift\nexec \"$@\"";

/// The files of a version; the played judge reads `signed` in the place of a signature.
fn version(version: &str, signed: &str) -> Vec<(String, Vec<u8>)> {
    let mut list = String::new();
    let mut files = Vec::new();
    for end in ["root.raw", "verity.raw", "efi"] {
        let (name, bytes) = (format!("custodian_{version}.{end}"), format!("{version}{end}").repeat(1000).into_bytes());
        writeln!(list, "{} *{name}", Hash(Sha256::digest(&bytes).into())).unwrap();
        files.push((name, bytes));
    }
    files.push(("SHA256SUMS".into(), list.into_bytes()));
    files.push(("SHA256SUMS.gpg".into(), signed.into()));
    files
}

/// A machine whose system is updated as a whole, and runs version 0.1.0.
struct Appliance(Machine);

impl Appliance {
    fn new() -> Self {
        let machine = Machine::with(SERVER);
        fs::write(machine.at("os-release"), "ID=custodian\nIMAGE_VERSION=0.1.0\n").unwrap();
        fs::create_dir(machine.at("server")).unwrap();
        let server = machine.at("server");
        let run = format!(
            "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift\n\
             case $1 in */systemd-pull) ;; *) exec \"$@\";; esac\n\
             case $6 in file://*) from=${{6#file://}};; *) from={}/${{6##*/}};; esac\n\
             case $4 in *=signature) grep -q vendor \"$from.gpg\" || {{ echo 'Signature verification failed.' >&2; exit 1; }};; esac\n\
             exec cp \"$from\" \"$7\"\n",
            server.display()
        );
        fs::write(machine.at("bin/systemd-run"), run).unwrap();
        Self(machine)
    }

    fn console(&self, lang: Lang) -> Person {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", HERE, "sh"]).arg(self.0.at("os-release"));
        command.arg(env!("CARGO_BIN_EXE_custodian"));
        self.0.console_by(command, lang)
    }

    fn lay(&self, files: &[(String, Vec<u8>)]) {
        let image = self.0.at("stick");
        stick(&image, &[]);
        assert!(mtools(&image, "mmd", &["::update"], b"").ok());
        for (name, bytes) in files {
            assert!(mtools(&image, "mcopy", &["-", &format!("::update/{name}")], bytes).ok());
        }
    }

    /// Version and stage of what waits.
    fn waits(&self) -> Option<(String, String)> {
        let state: serde_json::Value = serde_json::from_str(&self.0.log("state/updates/state.json")).ok()?;
        let text = |name: &str| state["candidate"][name].as_str().map(str::to_owned);
        text("version").zip(text("stage"))
    }
}

impl Person {
    /// The beginning of a text, which stands on one line.
    fn begin(&self, key: &str, v: &str) -> String {
        let text = t(self.lang, &format!("console.{key}"), &[("version", v), ("found", v), ("than", "0.1.0")]);
        text.chars().take(27).collect()
    }

    /// Presses a key on the page of updates.
    fn presses(&mut self, key: &str, words: &str) {
        self.sees(&self.t("key_a"));
        self.types("u");
        let words = self.t(words);
        self.reads_to(&words);
        self.types(key);
    }

    fn gives_the_pin(&mut self) {
        self.sees(&self.t("pin_title"));
        self.types(&format!("{PIN}\r"));
    }

    /// Has the stick looked at.
    fn looks_at_the_stick(&mut self) {
        self.presses("s", "update_stick");
        self.sees(&self.t("stick_ready"));
        self.types("y");
        self.gives_the_pin();
    }

    /// Says the school's word.
    fn decides(&mut self, key: &str, words: &str) {
        self.presses(key, words);
        self.sees("> _");
        self.types("the board has met\r");
        self.gives_the_pin();
        self.sees(&self.begin("update_done", "0.2.0"));
        self.types("\r");
    }
}

#[test]
fn versions_are_looked_for_on_a_stick_and_on_the_server_in_each_language() {
    if !mounts::possible() {
        return;
    }
    for lang in Lang::ALL {
        let appliance = Appliance::new();
        let mut person = appliance.console(lang);
        let waits = |version: &str, stage: &str| assert_eq!(appliance.waits(), Some((version.into(), stage.into())));
        let says = |person: &mut Person, key: &str, v: &str| {
            let begin = person.begin(key, v);
            person.sees(&begin);
            person.types("\r");
        };

        // Nothing is let in, and nothing asked of the server, without the PIN.
        appliance.lay(&version("0.2.0", "vendor"));
        person.presses("s", "update_stick");
        person.sees(&person.t("stick_ready"));
        person.types("y");
        person.sees(&person.t("pin_title"));
        person.types("\x1b");
        person.presses("f", "update_server");
        person.sees(&person.t("pin_title"));
        person.types("\x1b");
        person.sees(&person.t("key_a"));
        assert_eq!((appliance.0.log("usbguard.log"), appliance.waits()), (String::new(), None));

        person.looks_at_the_stick();
        says(&mut person, "update_offered", "0.2.0");
        waits("0.2.0", "offered");
        let usb = appliance.0.log("usbguard.log");
        assert_eq!(usb, "list-devices --blocked\nallow-device 3\nblock-device 3\n");
        person.decides("c", "update_consent");
        waits("0.2.0", "consented");

        // What is wrong is said, and leaves it as it is.
        let mut cut = version("0.3.0", "vendor");
        cut.retain(|(name, _)| !name.ends_with(".efi"));
        for (files, key, v) in [
            (version("0.3.0", "somebody"), "update_not_signed", ""),
            (Vec::new(), "stick_no_update", ""),
            (version("0.1.0", "vendor"), "update_not_newer", "0.1.0"),
        ] {
            appliance.lay(&files);
            person.looks_at_the_stick();
            says(&mut person, key, v);
            waits("0.2.0", "consented");
        }
        appliance.lay(&cut);
        person.looks_at_the_stick();
        person.sees("update/custodian_0.3.0.efi");
        person.types("\r");
        waits("0.2.0", "consented");
        appliance.lay(&version("0.2.0", "vendor"));
        person.looks_at_the_stick();
        says(&mut person, "update_offered_already", "0.2.0");

        // Refused, and wanted all the same.
        person.decides("r", "update_refuse");
        assert_eq!(appliance.waits(), None);
        person.looks_at_the_stick();
        person.sees(&person.begin("update_was_refused", "0.2.0"));
        assert_eq!(appliance.waits(), None);
        person.types("o");
        person.gives_the_pin();
        says(&mut person, "update_offered", "0.2.0");
        waits("0.2.0", "offered");
        assert!(!appliance.0.at("allowed").exists(), "the stick is kept out");

        // A newer one on the server.
        for (name, bytes) in version("0.3.0", "vendor") {
            fs::write(appliance.0.at("server").join(name), bytes).unwrap();
        }
        person.presses("f", "update_server");
        person.gives_the_pin();
        says(&mut person, "update_offered", "0.3.0");
        waits("0.3.0", "offered");
        person.sees(&person.t("key_a"));
    }
}
