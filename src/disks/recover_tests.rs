use std::{fs, io, sync::Mutex, time::Duration};

use super::*;
use crate::sys::Output;

const KEY: &str = "cccjbcbj-dcdjecej-fcfjgcgj-hchjicij-jcjjkckj-lcljncnj-rcrjtctj-ucujvcvj";

/// Answers with an exit code for each command line, and remembers lines and inputs.
struct Answers {
    code: fn(&str) -> i32,
    lines: Mutex<Vec<(String, String)>>,
}

impl Answers {
    fn new(code: fn(&str) -> i32) -> Self {
        Self { code, lines: Mutex::default() }
    }
}

impl Commands for Answers {
    fn run(&self, program: &str, args: &[&str], input: &[u8], _limit: Duration) -> io::Result<Output> {
        let line = std::iter::once(&program).chain(args).copied().collect::<Vec<_>>().join(" ");
        let code = (self.code)(&line);
        // A file with a key lies there while the program runs.
        if let Some(file) = args.iter().find(|arg| arg.contains("custodian-key-")) {
            let path = file.strip_prefix("--unlock-key-file=").unwrap_or(file);
            assert_eq!(fs::read_to_string(path).unwrap(), KEY);
        }
        self.lines.lock().unwrap().push((line, String::from_utf8_lossy(input).into_owned()));
        Ok(Output { code: Some(code), stdout: Vec::new(), stderr: "its complaint".into() })
    }
}

fn disk() -> LockedDisk {
    LockedDisk { partition: "/dev/sda1".into(), volume: "a1".parse().unwrap() }
}

/// The lines of opening a volume and giving it another key; keys only as inputs.
fn lines(unlocking: &Unlocking, code: fn(&str) -> i32, opens: bool) -> Vec<(String, String)> {
    let dir = tempfile::tempdir().unwrap();
    let commands = Answers::new(code);
    let key: RecoveryKey = KEY.parse().unwrap();
    assert!(disk().fits(&commands, &key).unwrap());
    let open = disk().open(&commands, &key).unwrap();
    assert_eq!(open.file_system(), Path::new("/dev/mapper/custodian-a1"));
    assert_eq!(open.enroll(&commands, unlocking, &key, dir.path()).unwrap(), opens);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing temporary stays");
    let at = dir.path().display().to_string();
    let parts = regex_lite::Regex::new("custodian-key-[0-9a-f]+").unwrap();
    let neat = |line: &str| parts.replace_all(&line.replace(&at, "/run"), "custodian-key-X").into_owned();
    let lines = commands.lines.into_inner().unwrap();
    lines
        .into_iter()
        .map(|(line, input)| {
            assert!(!line.contains(KEY), "a secret among the arguments: {line}");
            (neat(&line), input)
        })
        .collect()
}

#[test]
fn a_key_is_tried_then_the_volume_is_opened_then_it_gets_a_key() {
    let with = |added: &[&str]| -> Vec<(String, String)> {
        let opened = [
            ("cryptsetup open --test-passphrase --type luks2 --disable-external-tokens --key-file - /dev/sda1", KEY),
            (
                "cryptsetup open --type luks2 --allow-discards --disable-external-tokens --key-file - /dev/sda1 custodian-a1",
                KEY,
            ),
        ];
        let added = added.iter().map(|line| (*line, ""));
        opened.into_iter().chain(added).map(|(line, input)| (line.to_owned(), input.to_owned())).collect()
    };
    let given = "systemd-cryptenroll --unlock-key-file=/run/custodian-key-X --tpm2-device=auto --tpm2-pcrs=7 \
                 --tpm2-public-key=/etc/systemd/key.pem --tpm2-public-key-pcrs=11 --wipe-slot=tpm2 /dev/sda1";
    let tried = "cryptsetup open --test-passphrase --type luks2 --token-only --token-type systemd-tpm2 /dev/sda1";
    let tpm = Unlocking::Tpm { public_key: "/etc/systemd/key.pem".into() };
    assert_eq!(lines(&tpm, |_| 0, true), with(&[given, tried]));
    // Another TPM's key for the same state of the firmware is in the way.
    let wiped = "systemd-cryptenroll --wipe-slot=tpm2 /dev/sda1";
    let fails = |line: &str| i32::from(line.contains("--token-only"));
    assert_eq!(lines(&tpm, fails, false), with(&[given, tried, wiped, given, tried]));
    assert_eq!(
        lines(&Unlocking::KeyFile("/media/key/custodian.key".into()), |_| 0, true),
        with(&[
            "cryptsetup luksAddKey --batch-mode --key-file /run/custodian-key-X /dev/sda1 /media/key/custodian.key",
            "cryptsetup open --test-passphrase --type luks2 --disable-external-tokens --key-file /media/key/custodian.key /dev/sda1"
        ])
    );
}

#[test]
fn what_this_machine_has_is_tried_without_opening() {
    let commands = Answers::new(|line| if line.contains("--token-only") { 0 } else { 2 });
    assert!(disk().opens(&commands, Own::Tpm).unwrap());
    assert!(!disk().opens(&commands, Own::KeyFile(Path::new("/k/custodian.key"))).unwrap());
    let lines: Vec<String> = commands.lines.into_inner().unwrap().into_iter().map(|(line, _)| line).collect();
    assert_eq!(
        lines,
        [
            "cryptsetup open --test-passphrase --type luks2 --token-only --token-type systemd-tpm2 /dev/sda1",
            "cryptsetup open --test-passphrase --type luks2 --disable-external-tokens --key-file /k/custodian.key /dev/sda1",
        ]
    );
    // A TPM fails in many manners, and none of them opens anything.
    assert!(!disk().opens(&Answers::new(|_| 1), Own::Tpm).unwrap());
}

#[test]
fn a_wrong_key_is_no_failure_and_a_failure_is_no_wrong_key() {
    let key = KEY.parse().unwrap();
    assert!(!disk().fits(&Answers::new(|_| 2), &key).unwrap());
    let broken = disk().fits(&Answers::new(|_| 4), &key).unwrap_err();
    assert_eq!(broken.to_string(), "cryptsetup failed: its complaint");
}
