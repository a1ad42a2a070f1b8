//! Updates with Debian's own systemd-sysupdate, on a disk that is a file, from directories that gpg has signed. What needs a firmware, a loader
//! and a root of its own (which partition is the root's, the loader's partition, counting) is the boot tests' business: here it is
//! put in by hand.
#![expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a method of a type with a lifetime is no such function"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use custodian::{
    sys::{Commands, Output, RealClock, RealFiles},
    types::merkle::Hash,
    update::{Machine, Stage, Target, Tries, UpdateError, Updates, Version, Word, folder_url, judge},
};
use sha2::{Digest as _, Sha256};

use crate::support::trixie::{self, InTrixie};

mod stick;

/// The table of a disk: the loader's partition, two slots, the state. MiB at which each begins, and how many it has.
const PARTS: [(&str, &str, u64, u64); 6] = [
    ("C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "custodian-esp", 1, 4),
    ("4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709", "custodian_0.1.0", 5, 8),
    ("2C7357ED-EBD2-46D9-AEC1-23D437EC2BF5", "custodian_0.1.0_verity", 13, 2),
    ("4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709", "_empty", 15, 8),
    ("2C7357ED-EBD2-46D9-AEC1-23D437EC2BF5", "_empty", 23, 2),
    ("0FC63DAF-8483-4772-8E79-3D69D8477DE4", "custodian-state", 25, 6),
];
const MIB: usize = 1 << 20;

/// The image's own.
fn definitions() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("image/files/usr/lib/sysupdate.d")
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let blocks = (0..).flat_map(|n: u64| Sha256::digest([seed.to_be_bytes(), n.to_be_bytes()].concat()));
    blocks.take(len).collect()
}

/// A machine: Debian's programs, a disk, an update directory, keys.
struct World {
    programs: InTrixie,
    dir: PathBuf,
    _dir: tempfile::TempDir,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "these folders are on no disk of a recorder")]
    fn new() -> Option<Self> {
        let root = trixie::root()?;
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().to_owned();
        for folder in
            ["over/usr/lib/systemd", "over/etc", "source", "esp/EFI/Linux", "state/spool", "run", "keys", "other-keys"]
        {
            fs::create_dir_all(dir.join(folder)).unwrap();
        }
        let world = Self { programs: InTrixie { root, dir: dir.clone() }, dir, _dir: temp };
        world.runs("0.1.0");
        fs::write(world.dir.join("esp/EFI/Linux/custodian_0.1.0.efi"), "uki").unwrap();
        for keys in ["keys", "other-keys"] {
            world.gpg(keys, &["--passphrase", "", "--quick-gen-key", "custodian's test", "ed25519", "sign", "never"]);
        }
        world.gpg("keys", &["--output", &world.at("over/usr/lib/systemd/import-pubring.gpg"), "--export"]);
        world.partition();
        Some(world)
    }

    fn at(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    fn gpg(&self, keys: &str, args: &[&str]) {
        use std::os::unix::fs::PermissionsExt as _;
        let home = self.dir.join(keys);
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
        let out =
            Command::new("gpg").arg("--homedir").arg(&home).args(["--batch", "--quiet"]).args(args).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    fn runs(&self, version: &str) {
        let text = format!("ID=custodian\nIMAGE_ID=custodian\nIMAGE_VERSION={version}\n");
        fs::write(self.dir.join("over/etc/os-release"), text).unwrap();
    }

    fn partition(&self) {
        fs::write(self.dir.join("disk.img"), noise(1, 32 * MIB)).unwrap();
        let line = |(kind, name, at, size): (&str, &str, u64, u64)| {
            format!("start={at}MiB, size={size}MiB, type={kind}, name=\"{name}\"\n")
        };
        let table = [vec!["label: gpt\n".to_owned()], PARTS.map(line).to_vec()].concat().concat();
        let args = ["--quiet", "--wipe=never", "--wipe-partitions=never", &self.at("disk.img")];
        let out = self.programs.run("sfdisk", &args, table.as_bytes(), Duration::from_secs(30)).unwrap();
        assert!(out.ok(), "{}", out.stderr);
    }

    fn disk(&self) -> Vec<u8> {
        fs::read(self.dir.join("disk.img")).unwrap()
    }

    /// The names of its partitions.
    fn names(&self) -> Vec<String> {
        let out = self.programs.run("sfdisk", &["--dump", &self.at("disk.img")], b"", Duration::from_secs(30)).unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        text.lines().filter_map(|l| Some(l.split_once("name=\"")?.1.split_once('"')?.0.to_owned())).collect()
    }

    /// Fills the update directory, signed with these keys.
    fn publish(&self, version: &str, keys: &str, root_len: usize) {
        let source = self.dir.join("source");
        fs::remove_dir_all(&source).unwrap();
        fs::create_dir(&source).unwrap();
        let parts = [(".root.raw", root_len), (".verity.raw", MIB), (".efi", MIB / 4)];
        let mut list = String::new();
        for (n, (end, len)) in (2..).zip(parts) {
            let (name, bytes) = (format!("custodian_{version}{end}"), noise(n, len));
            let hash = Hash(Sha256::digest(&bytes).into());
            writeln!(list, "{hash} *{name}").unwrap();
            fs::write(source.join(name), bytes).unwrap();
        }
        fs::write(source.join("SHA256SUMS"), list).unwrap();
        self.gpg(
            keys,
            &["--detach-sign", "--output", &self.at("source/SHA256SUMS.gpg"), &self.at("source/SHA256SUMS")],
        );
    }

    fn with<T>(&self, act: impl FnOnce(&Updates<'_>) -> T) -> T {
        let free = |_: &Path| Ok(64 << 30);
        let machine = Machine {
            commands: self,
            files: &RealFiles,
            os_release: self.dir.join("over/etc/os-release"),
            boot: "this".into(),
            definitions: definitions(),
            run: self.dir.join("run"),
        };
        act(&Updates {
            machine,
            files: &RealFiles,
            clock: &RealClock,
            free: &free,
            dir: self.dir.join("state/updates"),
            spool: self.dir.join("state/spool"),
            ledger: self.dir.join("state/ledger"),
        })
    }

    fn fetch(&self) -> Result<Version, UpdateError> {
        let url = folder_url(&self.dir.join("source")).unwrap();
        self.with(|u| u.fetch(&url, None)).map(|fetched| fetched.version)
    }

    fn consent(&self, version: &Version) {
        let word = Word { by: "lan".into(), reason: "a test".into() };
        assert!(self.with(|u| u.consent(version, word)).unwrap());
    }

    /// What is not to be offered: said with these words, and nothing of it stays.
    fn refuses(&self, words: &str) {
        let said = self.fetch().unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
        assert!(self.with(|u| u.look()).unwrap().0.candidate.is_none());
        let left: Vec<_> =
            fs::read_dir(self.dir.join("state/updates")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| name == "state.json"), "{left:?}");
    }
}

/// This machine's disk and loader are files; all else is done by Debian's programs.
impl Commands for World {
    fn run(&self, program: &str, args: &[&str], input: &[u8], limit: Duration) -> io::Result<Output> {
        let says = |text: &str| Ok(Output { code: Some(0), stdout: text.into(), stderr: String::new() });
        match program {
            "bootctl" => return says(&self.at("esp")),
            "/usr/lib/systemd/systemd-bless-boot" => return says("clean\n"),
            "/usr/lib/systemd/systemd-sysupdate" => {
                for entry in fs::read_dir(self.dir.join("run/sysupdate.d"))? {
                    let path = entry?.path();
                    let text = fs::read_to_string(&path)?;
                    let text = text.replace("Path=auto", &format!("Path={}", self.at("disk.img")));
                    let text = text
                        .replace("Path=/EFI/Linux\nPathRelativeTo=boot", &format!("Path={}", self.at("esp/EFI/Linux")));
                    fs::write(&path, text)?;
                }
            }
            _ => {}
        }
        self.programs.run(program, args, input, limit)
    }
}

#[test]
fn a_signed_version_is_written_to_the_other_slot_and_nothing_else_is_touched() {
    let Some(world) = World::new() else { return };
    world.publish("0.2.0", "keys", 5 * MIB + 512);
    let before = world.disk();
    let version = world.fetch().unwrap();
    assert_eq!(version.as_str(), "0.2.0");
    assert!(matches!(world.with(|u| u.apply()), Err(UpdateError::NoConsent { .. })));
    assert_eq!(world.disk(), before);
    world.consent(&version);
    assert_eq!(fs::read_dir(world.dir.join("state/spool")).unwrap().count(), 1, "the ledger knows first");
    assert_eq!(world.disk(), before);
    world.with(|u| u.apply()).unwrap();
    let after = world.disk();
    let of = |disk: &[u8], n: usize| {
        let (_, _, at, size) = PARTS[n];
        disk[usize::try_from(at).unwrap() * MIB..][..usize::try_from(size).unwrap() * MIB].to_vec()
    };
    for kept in [0, 1, 2, 5] {
        assert!(of(&before, kept) == of(&after, kept), "{}", PARTS[kept].1);
    }
    for (slot, end) in [(3, "root.raw"), (4, "verity.raw")] {
        let payload = fs::read(world.dir.join(format!("source/custodian_0.2.0.{end}"))).unwrap();
        assert!(of(&after, slot).starts_with(&payload), "{end}");
    }
    assert_eq!(
        world.names(),
        [
            "custodian-esp",
            "custodian_0.1.0",
            "custodian_0.1.0_verity",
            "custodian_0.2.0",
            "custodian_0.2.0_verity",
            "custodian-state"
        ]
    );
    let entries = world.with(|u| u.machine.entries()).unwrap();
    let entries: Vec<_> = entries.iter().map(|e| (e.version.as_str(), e.tries)).collect();
    assert_eq!(entries, [("0.2.0", Tries::Left(3)), ("0.1.0", Tries::NotCounted)]);
    let state = world.with(|u| u.look()).unwrap().0;
    assert_eq!(state.candidate.map(|c| c.stage), Some(Stage::Applied));

    // It runs, and the next version takes the place of the one before it: what runs is protected.
    world.runs("0.2.0");
    world.with(|u| u.good()).unwrap();
    world.publish("0.3.0", "keys", MIB);
    let version = world.fetch().unwrap();
    world.consent(&version);
    world.with(|u| u.apply()).unwrap();
    let names = world.names();
    assert_eq!(names[1..5], ["custodian_0.3.0", "custodian_0.3.0_verity", "custodian_0.2.0", "custodian_0.2.0_verity"]);
    for kept in [0, 3, 4, 5] {
        assert!(of(&after, kept) == of(&world.disk(), kept), "{}", PARTS[kept].1);
    }
}

#[test]
fn what_is_not_as_it_was_signed_is_not_offered() {
    let Some(world) = World::new() else { return };
    world.publish("0.2.0", "other-keys", MIB);
    world.refuses("verification failed");
    world.publish("0.2.0", "keys", MIB);
    let list = world.dir.join("source/SHA256SUMS");
    let text = fs::read_to_string(&list).unwrap();
    fs::write(&list, text.replace("custodian_0.2.0", "custodian_0.9.0")).unwrap();
    world.refuses("verification failed");
    fs::write(&list, text).unwrap();
    fs::remove_file(world.dir.join("source/SHA256SUMS.gpg")).unwrap();
    world.refuses("cannot");
    for end in ["root.raw", "verity.raw", "efi"] {
        world.publish("0.2.0", "keys", MIB);
        let file = world.dir.join(format!("source/custodian_0.2.0.{end}"));
        let mut bytes = fs::read(&file).unwrap();
        bytes[MIB / 8] ^= 1;
        fs::write(&file, bytes).unwrap();
        world.refuses("tampered");
    }
    world.publish("0.1.0", "keys", MIB);
    world.refuses("no newer than 0.1.0");
    world.publish("0.0.9", "keys", MIB);
    world.refuses("no newer than 0.1.0");
    world.publish("0.2.0", "keys", MIB);
    assert_eq!(world.fetch().unwrap().as_str(), "0.2.0");
}

#[test]
fn what_changes_after_the_consent_is_not_written() {
    let Some(world) = World::new() else { return };
    world.publish("0.2.0", "keys", MIB);
    let version = world.fetch().unwrap();
    world.consent(&version);
    let before = (world.disk(), world.names());
    let offered = world.dir.join("state/updates/offered");
    let root = offered.join("custodian_0.2.0.root.raw");
    let right = fs::read(&root).unwrap();
    fs::write(&root, noise(77, MIB)).unwrap();
    assert!(matches!(world.with(|u| u.apply()), Err(UpdateError::Program { .. })));
    // What was being written to the other slot is not called a version, and the loader does not know it.
    assert_eq!(world.names(), before.1);
    assert_eq!(world.with(|u| u.machine.entries()).unwrap().len(), 1);
    fs::write(&root, right).unwrap();
    let list = offered.join("SHA256SUMS");
    let text = fs::read_to_string(&list).unwrap();
    fs::write(&list, text.clone() + "\n").unwrap();
    assert!(matches!(world.with(|u| u.apply()), Err(UpdateError::OtherFiles { .. })));
    fs::write(&list, text).unwrap();
    world.with(|u| u.apply()).unwrap();
    assert_eq!(world.names()[3], "custodian_0.2.0");
}

#[test]
fn a_version_that_is_too_long_for_its_slot_is_not_started() {
    let Some(world) = World::new() else { return };
    world.publish("0.2.0", "keys", 9 * MIB);
    let version = world.fetch().unwrap();
    world.consent(&version);
    let before = world.disk();
    let said = world.with(|u| u.apply()).unwrap_err().to_string();
    assert!(said.contains("it cannot be written"), "{said}");
    assert_eq!(world.with(|u| u.machine.entries()).unwrap().len(), 1);
    let state = &before[25 * MIB..31 * MIB];
    assert!(world.disk()[25 * MIB..31 * MIB] == *state, "what lies behind the slot is not written over");
    assert!(world.disk()[5 * MIB..15 * MIB] == before[5 * MIB..15 * MIB], "nor what runs");
}

/// A small file system for what is fetched.
#[test]
fn a_disk_that_gets_full_while_it_is_fetched_keeps_nothing_of_it() {
    let Some(world) = World::new() else { return };
    if !crate::support::mounts::possible() {
        return;
    }
    let updates = world.dir.join("state/updates");
    fs::create_dir(&updates).unwrap();
    let _mount = crate::support::mounts::Mount::ext4(&updates, 4);
    fs::remove_dir(updates.join("lost+found")).unwrap();
    world.publish("0.2.0", "keys", 5 * MIB);
    // systemd-pull calls it so.
    world.refuses("Failed to write file");
    world.publish("0.2.0", "keys", MIB);
    assert_eq!(world.fetch().unwrap().as_str(), "0.2.0");
}

#[test]
fn the_images_definitions_name_slots_and_the_kernel_image_and_nothing_else() {
    let names = fs::read_dir(definitions()).unwrap().map(|entry| entry.unwrap().path());
    let mut targets: Vec<_> =
        names.map(|file| judge(&fs::read_to_string(file).unwrap()).expect("a definition")).collect();
    targets.sort();
    assert_eq!(targets, [Target::Root, Target::Verity, Target::Kernel]);
}

/// A version that is on trial may be left at any time. What it has written must be such that the version before reads it: so no version
/// writes anything else, ever.
#[test]
fn nothing_is_written_that_the_version_before_could_not_read() {
    let number = |text: &str, name: &str| -> Option<u32> {
        let at = text.find(&format!("const {name}: "))?;
        text[at..].split_once(" = ")?.1.split_once(';')?.0.parse().ok()
    };
    let table = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/formats.txt")).unwrap();
    let released: BTreeMap<&str, u32> = table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once(' ').map(|(file, n)| (file, n.parse().unwrap())).unwrap())
        .collect();
    let mut seen = BTreeSet::new();
    for (file, text) in crate::layering::sources() {
        let Some(format) = number(&text, "FORMAT") else { continue };
        let wants = number(&text, "MIN_READER").unwrap_or(format);
        // What the version before does not know at all it need not read.
        let Some(reads) = released.get(file.as_str()) else { continue };
        assert!(wants <= *reads, "{file} writes what wants a reader of {wants}, and the version before reads {reads}");
        seen.insert(file);
    }
    let known: BTreeSet<String> = released.keys().map(|file| (*file).to_owned()).collect();
    assert_eq!(seen, known, "each thing that the version before has kept is kept still");
    assert_eq!((number("x const FORMAT: u16 = 12;", "FORMAT"), number("", "FORMAT")), (Some(12), None));
}
