use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::sys::FakeCommands;

const STICK: &str = r#"7: block id 0951:1666 serial "1" name "A" hash "h" parent-hash "p" via-port "1-1" with-interface 08:06:50 with-connect-type "hotplug""#;

fn printed(text: &[u8]) -> Output {
    Output { code: Some(0), stdout: text.to_vec(), stderr: String::new() }
}

fn complained(text: &str) -> Output {
    Output { code: Some(1), stdout: Vec::new(), stderr: text.to_owned() }
}

fn disks(partitions: &str) -> String {
    let system = r#"{"name":"/dev/sda","tran":"sata","label":"CUSTODIAN","partlabel":null,"fstype":"vfat"}"#;
    let stick = format!(
        r#"{{"name":"/dev/sdb","tran":"usb","label":null,"partlabel":null,"fstype":null,"children":[{partitions}]}}"#
    );
    let all = if partitions.is_empty() { system.to_owned() } else { format!("{system},{stick}") };
    format!(r#"{{"blockdevices":[{all}]}}"#)
}

fn part(name: &str, label: &str, fs: &str) -> String {
    format!(r#"{{"name":"/dev/{name}","tran":null,"label":"{label}","partlabel":null,"fstype":"{fs}"}}"#)
}

/// A machine that keeps these devices out, and shows the partitions once it was told to let one in, after some looks.
struct Machine {
    kept_out: String,
    before: String,
    after: String,
    answer: fn(&[&str]) -> io::Result<Output>,
}

impl Machine {
    /// What opening and an act come to, and what was asked of programs.
    fn act<T>(&self, act: impl FnOnce(&Stick<'_>) -> Result<T, StickError>) -> (Result<T, StickError>, Vec<String>) {
        let looks = AtomicUsize::new(0);
        let allowed = AtomicUsize::new(0);
        let commands = FakeCommands::new(|program: &str, args: &[&str]| match (program, args[0]) {
            ("usbguard", "list-devices") => Ok(printed(self.kept_out.as_bytes())),
            ("usbguard", "allow-device") => {
                allowed.store(1, Ordering::SeqCst);
                Ok(printed("".as_bytes()))
            }
            ("usbguard" | "udevadm", _) => Ok(printed("".as_bytes())),
            ("lsblk", _) => {
                let there = allowed.load(Ordering::SeqCst) == 1 && looks.fetch_add(1, Ordering::SeqCst) > 2;
                Ok(printed(disks(if there { &self.after } else { &self.before }).as_bytes()))
            }
            ("systemd-run", _) => (self.answer)(args),
            other => panic!("{other:?}"),
        });
        let result = Stick::open(&commands, &|_| ()).and_then(|stick| act(&stick));
        (result, commands.asked())
    }
}

fn machine(kept_out: &str, after: &str) -> Machine {
    Machine {
        kept_out: kept_out.to_owned(),
        before: String::new(),
        after: after.to_owned(),
        answer: |_| Ok(printed("site".as_bytes())),
    }
}

fn open(machine: &Machine) -> Result<String, StickError> {
    machine.act(|stick| Ok(stick.device.clone())).0
}

#[test]
fn the_stick_that_was_plugged_in_is_let_in_read_and_kept_out_again() {
    let (read, asked) = machine(STICK, &part("sdb1", "CUSTODIAN", "vfat")).act(|stick| stick.read("site.toml"));
    assert_eq!(read.as_deref(), Ok("site"));
    let usb: Vec<&String> = asked.iter().filter(|a| a.starts_with("usbguard")).collect();
    assert_eq!(usb, ["usbguard list-devices --blocked", "usbguard allow-device 7", "usbguard block-device 7"]);
    let run = asked.iter().find(|a| a.starts_with("systemd-run")).unwrap();
    assert!(run.ends_with("--property=DeviceAllow=/dev/sdb1 r -- mcopy -n -i /dev/sdb1 ::site.toml -"), "{run}");
    for property in
        ["DynamicUser=yes", "PrivateNetwork=yes", "DevicePolicy=closed", "CapabilityBoundingSet= ", "RuntimeMaxSec=30s"]
    {
        assert!(run.contains(&format!("--property={property}")), "{property}");
    }
    assert_eq!(asked.last().map(String::as_str), Some("usbguard block-device 7"));
    // What it was let in for does not come to be: it is kept out all the same.
    let (read, asked) = machine(STICK, &part("sdb1", "WINDOWS", "ntfs")).act(|stick| stick.read("site.toml"));
    assert_eq!(read, Err(StickError::Label(vec!["WINDOWS".into()])));
    assert_eq!(asked.last().map(String::as_str), Some("usbguard block-device 7"));
}

#[test]
fn what_is_not_one_stick_of_ours_is_refused() {
    let ours = part("sdb1", "CUSTODIAN", "vfat");
    assert_eq!(open(&machine("", &ours)), Err(StickError::None));
    assert_eq!(open(&machine(&format!("{STICK}\n{}", STICK.replace("7:", "8:")), &ours)), Err(StickError::Several));
    let keyboard_too = STICK.replace("08:06:50", "{ 08:06:50 03:01:01 }");
    assert_eq!(open(&machine(&keyboard_too, &ours)), Err(StickError::Disguised("A".into())));
    let keyboard = STICK.replace("08:06:50", "03:01:01");
    assert_eq!(open(&machine(&keyboard, &ours)), Err(StickError::None));
    let twice = format!("{ours},{}", part("sdb2", "CUSTODIAN", "vfat"));
    assert_eq!(open(&machine(STICK, &twice)), Err(StickError::Several));
    assert_eq!(open(&machine(STICK, &part("sdb1", "CUSTODIAN", "ext4"))), Err(StickError::NotFat("ext4".into())));
    assert!(matches!(open(&machine(STICK, "")), Err(StickError::Gone(_))));
    // Nobody keeps sticks out, or one was let in by its site: there it is.
    let there = Machine { before: ours.clone(), ..machine("", "") };
    assert_eq!(open(&there).as_deref(), Ok("/dev/sdb1"));
    assert_eq!(open(&Machine { before: ours, ..machine(STICK, "") }), Err(StickError::Several));
}

#[test]
fn hostile_files_and_sticks_are_told_apart_in_words() {
    let ours = part("sdb1", "CUSTODIAN", "vfat");
    let read = |answer: fn(&[&str]) -> io::Result<Output>| {
        Machine { answer, ..machine(STICK, &ours) }.act(|stick| stick.read("site.toml")).0
    };
    assert_eq!(read(|_| Ok(printed("\u{feff}a".as_bytes()))).as_deref(), Ok("a"), "Windows' editor");
    assert_eq!(read(|_| Ok(complained("File \"::site.toml\" not found"))), Err(StickError::NoFile("site.toml")));
    assert_eq!(read(|_| Ok(complained("init :: non DOS media"))), Err(StickError::NotFat("–".into())));
    assert!(matches!(read(|_| Ok(complained("plain_io: Input/output error"))), Err(StickError::Gone(_))));
    assert!(matches!(read(|_| Err(io::ErrorKind::TimedOut.into())), Err(StickError::Gone(_))));
    assert!(matches!(read(|_| Err(io::ErrorKind::NotFound.into())), Err(StickError::Program(_))));
    assert!(matches!(read(|_| Ok(Output { code: Some(203), ..Output::default() })), Err(StickError::Program(_))));
    assert_eq!(read(|_| Ok(printed("x".repeat(LONGEST + 1).as_bytes()))), Err(StickError::TooLong("site.toml")));
    assert_eq!(read(|_| Ok(printed("x".repeat(LONGEST).as_bytes()))).map(|s| s.len()), Ok(LONGEST));
    assert_eq!(read(|_| Err(io::ErrorKind::InvalidData.into())), Err(StickError::TooLong("site.toml")));
    let utf16 = |_: &[&str]| Ok(Output { code: Some(0), stdout: b"\xff\xfea\0".to_vec(), stderr: String::new() });
    assert_eq!(read(utf16), Err(StickError::NoText("site.toml")));
    assert_eq!(read(|_| Ok(printed("a\0b".as_bytes()))), Err(StickError::NoText("site.toml")));
}

#[test]
fn a_full_stick_is_no_receipt() {
    let ours = part("sdb1", "CUSTODIAN", "vfat");
    let write = |answer: fn(&[&str]) -> io::Result<Output>| {
        Machine { answer, ..machine(STICK, &ours) }.act(|stick| stick.write("receipt.txt", "x"))
    };
    let (written, asked) = write(|_| Ok(printed("".as_bytes())));
    assert_eq!(written, Ok(()));
    assert!(
        asked
            .iter()
            .any(|a| a.ends_with("--property=DeviceAllow=/dev/sdb1 rw -- mcopy -o -i /dev/sdb1 - ::receipt.txt"))
    );
    let full = |_: &[&str]| Ok(Output { code: Some(0), stdout: Vec::new(), stderr: "Disk full".into() });
    assert_eq!(write(full).0, Err(StickError::Written("Disk full".into())));
    assert!(matches!(write(|_| Ok(complained("read-only"))).0, Err(StickError::Written(_))));
}

#[test]
fn a_large_file_is_copied_within_its_bounds_and_by_the_same_cage() {
    let ours = part("sdb1", "CUSTODIAN", "vfat");
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("copied");
    let copy = |answer: fn(&[&str]) -> io::Result<Output>, most: u64, goes_on: bool| {
        let _ = std::fs::remove_file(&to);
        let machine = Machine { answer, ..machine(STICK, &ours) };
        machine.act(|stick| stick.copy("update/x.raw", &to, most, &mut |_| goes_on))
    };
    let bytes = |_: &[&str]| Ok(printed("version".as_bytes()));
    let (copied, asked) = copy(bytes, 7, true);
    let hash = crate::types::merkle::Hash(<sha2::Sha256 as sha2::Digest>::digest("version").into());
    assert_eq!((copied, std::fs::read(&to).unwrap()), (Ok(hash), b"version".to_vec()));
    let run = asked.iter().find(|a| a.starts_with("systemd-run")).unwrap();
    let end =
        " --property=RuntimeMaxSec=3h --property=DeviceAllow=/dev/sdb1 r -- mcopy -n -i /dev/sdb1 ::update/x.raw -";
    assert!(run.ends_with(end) && run.contains("--property=DynamicUser=yes "), "{run}");
    assert_eq!(asked.last().map(String::as_str), Some("usbguard block-device 7"));
    let name = || "update/x.raw".to_owned();
    assert_eq!(copy(bytes, 6, true).0, Err(StickError::Longer(name())));
    assert_eq!(copy(bytes, 7, false).0, Err(StickError::Left));
    let fails = |answer| copy(answer, 7, true).0;
    assert_eq!(fails(|_| Ok(complained("File \"::update/x.raw\" not found"))), Err(StickError::Lacks(name())));
    assert_eq!(fails(|_| Ok(complained("init :: non DOS media"))), Err(StickError::NotFat("–".into())));
    assert!(matches!(fails(|_| Ok(complained("plain_io: Input/output error"))), Err(StickError::Gone(_))));
    assert!(matches!(fails(|_| Err(io::ErrorKind::TimedOut.into())), Err(StickError::Gone(_))));
    assert!(matches!(fails(|_| Ok(Output { code: Some(203), ..Output::default() })), Err(StickError::Program(_))));
    // Nothing that lies there is written over.
    std::fs::write(&to, "mine").unwrap();
    let machine = Machine { answer: bytes, ..machine(STICK, &ours) };
    let (copied, _) = machine.act(|stick| stick.copy("update/x.raw", &to, 7, &mut |_| true));
    assert!(matches!(copied, Err(StickError::Here(_))) && std::fs::read(&to).unwrap() == b"mine");
}
