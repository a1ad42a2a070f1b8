//! An update to a second image; then one that does not come up: the machine falls back by itself and goes on recording.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use sha2::{Digest, Sha256};

use super::{segments, wait_until_recording, wait_until_well};
use crate::{
    image::{self, KEYS, NEXT},
    installed::installed,
    school::{CAMERAS, School, site},
    vm::{PowerOn, Vm},
};

/// What `custodian update status --json` says.
#[derive(Debug, serde::Deserialize)]
struct Status {
    running: Option<String>,
    on_probation: bool,
    refused: Vec<(String, String)>,
    fell_back: Option<String>,
}

fn status(vm: &mut Vm) -> Status {
    // Its exit code says whether something fell back.
    serde_json::from_str(&vm.ended("custodian update status --json").text()).expect("the state of updates")
}

/// Fetches a version, gives the school's consent, and lets the machine start with it: `how`.
fn update(vm: &mut Vm, from: &str, version: &str, how: &str) {
    vm.run(&format!(
        "set -e; mkdir -p /run/updates; mountpoint --quiet /run/updates || mount -o ro /dev/disk/by-id/virtio-EXTRA /run/updates
         custodian update fetch --from /run/updates/{from}
         custodian update consent {version} --reason 'a test'
         {how}"
    ));
}

/// By hand, at once.
const BY_HAND: &str = "custodian update apply --restart";
/// As the timer does it, with the service's sandbox, in the site's hours.
const BY_ITSELF: &str = "systemctl start --no-block custodian-update.service";

#[test]
fn an_update_comes_and_one_that_does_not_come_up_goes_by_itself() {
    let school = School::open();
    let (pc, folder) = installed("update");
    let (second, third) = versions(folder.path());
    let disk = folder.path().join("updates.raw");
    disk_of(&folder.path().join("updates"), &disk);
    let mut vm = pc.start(&PowerOn { extra: Some(&disk), ..school.power_on() });
    vm.wait_for_boot();
    wait_until_recording(&mut vm, &CAMERAS);
    let before = segments(&mut vm, CAMERAS[0]).remove(0);

    update(&mut vm, "good", &second, BY_HAND);
    vm.wait_for_boot();
    vm.wait("the new version to be a good one", 600, |vm| {
        let status = status(vm);
        (status.running.as_deref() == Some(&*second) && !status.on_probation).then_some(())
    });
    wait_until_well(&mut vm);
    wait_until_recording(&mut vm, &CAMERAS);

    // One whose kernel finds nothing to go on with. It is tried three times, each ends in a panic; nobody is at the machine.
    // Any hour will do. The school consents to it as it does to every version.
    let always = format!("{}[update]\nwindow = [\"00:00-24:00\"]\n", site(CAMERAS.len()));
    vm.put("/var/lib/custodian/etc/site.toml", always.as_bytes());
    vm.run("custodian apply --reason 'versions come at any hour'");
    update(&mut vm, "broken", &third, BY_ITSELF);
    vm.wait_for_boot_within(600);
    assert_eq!(vm.count_lines("not syncing"), 3, "times that it was tried");
    wait_until_well(&mut vm);
    wait_until_recording(&mut vm, &CAMERAS);
    // It is seen by who looks every ten minutes, two minutes after the start for the first time.
    let now = vm.wait("the machine to say what fell back", 400, |vm| {
        let status = status(vm);
        status.fell_back.is_some().then_some(status)
    });
    assert_eq!((now.running.as_deref(), now.on_probation), (Some(&*second), false));
    assert_eq!(now.refused, [(third.clone(), "fell-back".to_owned())]);
    assert_eq!(now.fell_back.as_deref(), Some(&*third));
    // It is not offered again, and the footage of the first version is there.
    assert_ne!(vm.ended("custodian update fetch --from /run/updates/broken").code, 0);
    let all = segments(&mut vm, CAMERAS[0]);
    assert!(all.iter().any(|s| s.path == before.path && s.start == before.start), "{before:?} of {all:?}");
    vm.cut();
}

/// Lays out the second version and a third one that is broken, in `updates/good` and `updates/broken`; returns their names.
fn versions(dir: &Path) -> (String, String) {
    let built = image::built(NEXT).join("update");
    let updates = dir.join("updates");
    let (good, broken) = (updates.join("good"), updates.join("broken"));
    for folder in [&updates, &good, &broken] {
        fs::create_dir(folder).unwrap();
    }
    let names: Vec<String> =
        fs::read_dir(&built).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    let version = |name: &String| Some(name.strip_prefix("custodian_")?.strip_suffix(".root.raw")?.to_owned());
    let second = names.iter().find_map(version).unwrap_or_else(|| panic!("no version in {}", built.display()));
    // As long, and newer.
    let mut third = second.clone();
    let last = third.pop().and_then(|c| c.to_digit(10)).filter(|d| *d < 9).expect("a digit at the end");
    third += &(last + 1).to_string();
    for name in &names {
        fs::copy(built.join(name), good.join(name)).unwrap();
    }
    let mut sums = String::new();
    for part in ["efi", "root.raw", "verity.raw"] {
        let mut bytes = fs::read(built.join(format!("custodian_{second}.{part}"))).unwrap();
        if part == "efi" {
            rename(&mut bytes, &second, &third);
            spoil_initrd(&mut bytes);
        }
        let name = format!("custodian_{third}.{part}");
        let hash: String = Sha256::digest(&bytes)
            .iter()
            .flat_map(|b| [b >> 4, b & 15])
            .map(|d| char::from_digit(d.into(), 16).unwrap())
            .collect();
        writeln!(sums, "{hash}  {name}").unwrap();
        fs::write(broken.join(name), bytes).unwrap();
    }
    fs::write(broken.join("SHA256SUMS"), sums).unwrap();
    sign(&broken.join("SHA256SUMS"), dir);
    (second, third)
}

/// Another version's name in all texts of a kernel image.
fn rename(bytes: &mut [u8], from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let marks = [format!("custodian_{from}"), format!("VERSION=\"{from}\""), format!("VERSION_ID=\"{from}\"")];
    for mark in marks {
        let at: Vec<usize> =
            bytes.windows(mark.len()).enumerate().filter(|(_, w)| *w == mark.as_bytes()).map(|(i, _)| i).collect();
        assert!(!at.is_empty(), "{mark} is not in the kernel image");
        for i in at {
            bytes[i..i + mark.len()].copy_from_slice(mark.replace(from, to).as_bytes());
        }
    }
}

/// Overwrites the beginning of the section `.initrd` of a kernel image, a PE file.
fn spoil_initrd(bytes: &mut [u8]) {
    let number = |bytes: &[u8], at: usize, len: usize| {
        bytes[at..at + len].iter().rev().fold(0usize, |n, b| n << 8 | usize::from(*b))
    };
    let head = number(bytes, 0x3c, 4);
    let (sections, first) = (number(bytes, head + 6, 2), head + 24 + number(bytes, head + 20, 2));
    let found = (0..sections).map(|n| first + 40 * n).find(|at| bytes[*at..].starts_with(b".initrd\0"));
    let start = number(bytes, found.expect("a section .initrd") + 20, 4);
    bytes[start..start + 4096].fill(0xa5);
}

/// Signs as the vendor does.
fn sign(file: &Path, dir: &Path) {
    let home = dir.join("gnupg");
    fs::create_dir(&home).unwrap();
    let script = format!(
        "set -e; export GNUPGHOME={0}; chmod 700 $GNUPGHOME; gpg --batch --quiet --import {1}; gpg --batch --quiet --detach-sign --output {2}.gpg {2}; gpgconf --kill all",
        home.display(),
        image::built(KEYS).join("update.secret.asc").display(),
        file.display()
    );
    assert!(Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).status().unwrap().success(), "gpg");
}

/// A disk with an ext4 of a folder's files.
fn disk_of(folder: &Path, to: &Path) {
    let made =
        Command::new("mke2fs").args(["-q", "-t", "ext4", "-d"]).arg(folder).arg(to).arg("600M").status().unwrap();
    assert!(made.success(), "mke2fs");
}
