//! One changed byte of the root is refused; the state of a stolen disk shows nothing.

use std::{fs, path::Path, process::Command};

use crate::{
    cameras::USER,
    image,
    installed::{base, installed},
    school::{NAME, School, VOLUMES},
    vm::{Pc, PowerOn, SYSTEM},
};

#[test]
fn one_changed_byte_of_the_root_is_refused() {
    let school = School::open();
    let (pc, _folder) = installed("verity");
    let raw = pc.raw(SYSTEM);
    let slot = image::partitions(&raw);
    let root = slot.iter().find(|p| p.label.starts_with("custodian_") && !p.label.ends_with("_verity")).unwrap();
    fs::remove_file(&raw).unwrap();
    // In the superblock of erofs, which is at 1024: that is read by every boot.
    pc.change_byte(SYSTEM, root.start + 1024 + 64);
    let mut vm = pc.start(&school.power_on());
    let said = vm.wait_for_line(&["is corrupted", "Failed to mount", "not syncing"], 240);
    assert!(said.contains("verity") && said.contains("is corrupted"), "{said}");
    // Nothing of it runs: the root's side of the port would have said so.
    vm.wait_for_line(&["Rebooting", "reboot", "emergency", "not syncing", "Restarting system"], 300);
    assert!(!vm.has_booted(), "the changed root was booted");
    vm.cut();
}

#[test]
fn a_stolen_disk_shows_nothing_and_asks() {
    let school = School::open();
    let (pc, _folder) = installed("stolen");
    // With somebody who reads the bytes of its disks. What lies open is found so: the headers of what is encrypted.
    for (serial, open) in [
        (SYSTEM, "custodian-state"),
        (VOLUMES[0].1, "custodian:hoa-huong-duong"),
        (VOLUMES[1].1, "custodian:hoa-huong-duong"),
    ] {
        let file = Pc::at(&base()).file(serial);
        assert!(holds(&file, open), "{open} is not found on {serial}");
        for secret in [NAME, USER.1, "rtsp://10.20.1.11"] {
            assert!(!holds(&file, secret), "{serial} shows {secret}");
        }
    }

    // In another machine, one with a TPM of its own, and one without: it asks for the recovery key, and shows nothing else.
    let mut vm = pc.start(&PowerOn { without_tpm: true, ..school.power_on() });
    vm.wait_for_boot();
    vm.wait("the machine to ask for a key", 180, |vm| {
        let asked = vm.try_run("ls /run/systemd/ask-password", 60)?.text();
        asked.contains("ask.").then_some(())
    });
    assert_ne!(vm.ended("test -e /var/lib/custodian/current").code, 0);
    assert_ne!(vm.ended("systemctl is-active custodian-record.service").code, 0);
    let open = vm.run("lsblk --noheadings --list --output NAME,TYPE");
    assert!(!open.lines().any(|l| l.contains("crypt") && !l.contains("root")), "{open}");
    vm.cut();
}

/// Whether a text is somewhere in a file, as its bytes. A disk's file is made of whole blocks of the disk's bytes.
fn holds(file: &Path, what: &str) -> bool {
    let found = Command::new("grep")
        .args(["--quiet", "--text", "--fixed-strings", "-e", what])
        .arg(file)
        .env("LC_ALL", "C")
        .status();
    found.unwrap().success()
}
