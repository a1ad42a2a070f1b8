//! The page on disks: a loop device is prepared, let go and erased by a person at the console, with the real programs. systemd is played, which mounts what
//! it is told to; and of cryptsetup what takes device mapper: a key is tried in earnest, and another loop device shown in the place of the mapping.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use custodian::{inventory::Content, lang::t, sys::RealCommands, types::Lang};

use super::{Machine, PIN, Person, site, stick};
use crate::support::{
    lacking,
    loops::{Loops, unmount},
    mounts,
};

const NAME: &str = "ata-X_1";
/// The disk that backups go to.
const BACKUPS: &str = "ata-Y_2";
/// The smallest XFS is 300 MB; the images have holes.
const MIB: u64 = 512;
const MOUNT: &str = "var-lib-custodian-volumes-a1.mount";
const RECORDER: &str = "custodian-record.service";
/// Names of disks, `/run` and the folder for volumes are this machine's own.
const HERE: &str = "mount --make-rprivate /\nmount -t tmpfs none /dev/disk\nln -s \"$1\" /dev/disk/by-id\nmount -t tmpfs none /run\n\
                    mount -t tmpfs none /var/lib\nmkdir -p /var/lib/custodian/volumes/a1\nshift\nexec \"$@\"";
const PASSPHRASE: &str = "open sesame 1";
const REASON: &str = "the board has met";

fn possible() -> bool {
    let there = |tool: &str| Command::new("which").arg(tool).output().is_ok_and(|out| out.status.success());
    let tools = ["cryptsetup", "systemd-repart", "mkfs.xfs", "mkfs.ext4", "wipefs", "partx", "xfs_admin"];
    let missing: Vec<&str> = tools.into_iter().filter(|tool| !there(tool)).collect();
    if !missing.is_empty() {
        lacking(&format!("these programs are not installed: {missing:?}"));
    }
    mounts::possible() && missing.is_empty()
}

fn sh(script: &str) -> String {
    let out = Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// A recorder whose site names a disk that is in it and empty, and another one that is not there.
struct World {
    machine: Machine,
    loops: Loops,
    device: PathBuf,
    made: bool,
}

impl World {
    fn new(unlock: &str) -> Self {
        let mut loops = Loops::new();
        let device = loops.disk(NAME, MIB, &[]);
        let inside = loops.disk("inside", MIB, &[]);
        let made = fs::create_dir("/dev/disk").is_ok();
        let of_site = |v1: &Path| {
            let site = site("first", &["one"], v1)
                .replace("[recorder.a]\n", &format!("[recorder.a]\nunlock = \"{unlock}\"\n"));
            format!(
                "{site}[[recorder.a.volume]]\nname = \"a1\"\ndisk = \"{NAME}\"\nsize = \"{MIB} MiB\"\n\
                 [backup]\nrecipients = [\"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"]\n\
                 at = \"02:30\"\nto = [{{ kind = \"disk\", disk = \"{BACKUPS}\" }}]\n"
            )
        };
        let machine = Machine::applied(&of_site, Self::here(&loops));
        let world = Self { machine, loops, device, made };
        world.programs(&inside);
        fs::write(world.machine.at("recording"), "").unwrap();
        world
    }

    /// custodian, on this machine.
    fn here(loops: &Loops) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec", HERE, "sh"]).arg(loops.path().join("by-id"));
        command.arg(env!("CARGO_BIN_EXE_custodian"));
        command
    }

    fn programs(&self, inside: &Path) {
        let play = |name: &str, script: &str| {
            let path = self.machine.at("bin").join(name);
            let real = Command::new("which").arg(name).output().unwrap();
            let real = String::from_utf8(real.stdout).unwrap();
            fs::write(&path, format!("#!/bin/sh\nreal={}\n{script}\n", real.trim())).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        let (dir, device, inside) = (self.machine.dir.path().display(), self.device.display(), inside.display());
        let sticks = fs::read_to_string(self.machine.at("bin/lsblk")).unwrap();
        fs::write(self.machine.at("sticks"), sticks).unwrap();
        // Of all disks only this one is the machine's.
        play("lsblk", &format!("case \"$*\" in *PARTLABEL*) . {dir}/sticks;; *) exec $real \"$@\" {device};; esac"));
        let at = "/var/lib/custodian/volumes/a1";
        play(
            "systemctl",
            &format!(
                "case $1 in start|stop) echo \"$@\" >> {dir}/systemd.log;; esac\n\
                 case \"$*\" in\n'is-active {RECORDER}') [ -e {dir}/recording ] && echo active || echo inactive;;\n\
                 'is-active {MOUNT}') mountpoint -q {at} && echo active || echo inactive;;\n\
                 'start {MOUNT}') if [ -e {dir}/open ]; then exec mount {inside} {at}; else exec mount {device}p1 {at}; fi;;\n\
                 'stop {MOUNT}') exec umount {at};;\n'stop {RECORDER}') rm {dir}/recording;;\n\
                 'start --no-block {RECORDER}') touch {dir}/recording;;\n\
                 'is-active '*) echo inactive; exit 3;;\n*) exit 3;;\nesac"
            ),
        );
        // The name of the mapping comes last. Keys are made cheap to try.
        play(
            "cryptsetup",
            &format!(
                "echo \"$*\" >> {dir}/asked\ncase \"$*\" in\n*/custodian-state) exit $(cat {dir}/key-fits);;\n*--test-passphrase*) exec $real \"$@\";;\n\
                 open*) [ ! -e {dir}/open ] || exit 5\n\
                 $real $(printf '%s\\n' \"$@\" | grep -v -e ^custodian- -e ^--allow-discards) --test-passphrase || exit $?\n\
                 touch {dir}/open;;\nclose*) rm {dir}/open;;\n\
                 luksFormat*) wipefs -aq {inside}; exec $real \"$@\";;\n\
                 luksAddKey*) exec $real \"$@\" --pbkdf pbkdf2 --pbkdf-force-iterations 1000;;\n\
                 *) exec $real \"$@\";;\nesac"
            ),
        );
        for program in ["mount", "mkfs.xfs"] {
            play(
                program,
                &format!(
                    "[ -d /run/custodian-preparing ] && ls /run/custodian-preparing >> {dir}/preparing\n\
                     case \"$*\" in */dev/mapper/*) [ -e {dir}/open ] || exit 32;; esac\n\
                     exec $real $(printf '%s\\n' \"$@\" | sed -e s,^/dev/mapper/custodian-a1$,{inside},)"
                ),
            );
        }
    }

    fn console(&self, lang: Lang) -> Person {
        self.machine.console_by(Self::here(&self.loops), lang)
    }

    /// What is on the disk, as others see it.
    fn content(&self) -> Content {
        self.loops.machine(&RealCommands).sheet(NAME, None).unwrap().disk.content
    }

    fn is_a1(&self, encrypted: bool) -> bool {
        matches!(self.content(), Content::Ours(v) if v.volume.as_str() == "a1" && v.encrypted == encrypted)
    }

    /// What was left for the ledger about the disk.
    fn told(&self) -> String {
        let left = fs::read_dir(self.machine.at("state/ledger-spool")).unwrap();
        let texts = left.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
        texts.filter(|text| text.contains(NAME)).collect()
    }

    /// Whether a file with this in it opens the disk.
    fn opens_with(&self, key: &[u8]) -> bool {
        let file = self.machine.at("key");
        fs::write(&file, key).unwrap();
        let mut open = Command::new("cryptsetup");
        open.args(["open", "--test-passphrase", "--type", "luks2", "--key-file"]).arg(&file);
        let done = open.arg(format!("{}p1", self.device.display())).status().unwrap();
        fs::remove_file(&file).unwrap();
        done.success()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        unmount(&self.device);
        if self.made {
            let _ = fs::remove_dir("/dev/disk");
        }
    }
}

impl Person {
    /// The beginning of a text on this disk, which stands on one line.
    fn of_disk(&self, key: &str) -> String {
        let text = t(self.lang, &format!("console.{key}"), &[("disk", NAME), ("volume", "a1")]);
        text.chars().take(24).collect::<String>().trim().to_owned()
    }

    /// Looks at the disk, to the end: what is said of it, which one can do this with.
    fn looks_at_the_disk(&mut self, last: &str) -> String {
        self.sees(&self.t("key_a"));
        self.types("s");
        let choose = self.t("disks_choose");
        let list = self.reads_to(&choose);
        assert!(list.contains(NAME) && !list.contains("inside"), "{list}");
        self.types("1");
        let last = self.t(last);
        self.reads_to(&last)
    }

    /// Types the token that the page shows, wrong at first.
    fn types_the_token(&mut self) {
        let page = self.sees("> _");
        let is_token = |word: &&str| word.len() == 19 && word.split('-').all(|group| group.len() == 4);
        let mut words = page.split(|c: char| c != '-' && !c.is_ascii_alphanumeric());
        let token = words.rfind(|w| is_token(w)).unwrap_or_else(|| panic!("no token in {page}")).to_owned();
        let mut wrong = token.clone().into_bytes();
        wrong[18] = if wrong[18] == b'x' { b'y' } else { b'x' };
        self.types(&format!("{}\r", String::from_utf8(wrong).unwrap()));
        self.sees(&self.first_words("disks_token_wrong"));
        self.types(&format!("{token}\r"));
        self.sees(&self.t("pin_title"));
    }

    fn has_read(&mut self, words: &str) {
        self.sees(words);
        let leave = self.t("leave");
        self.reads_to(&leave);
        self.types("\r");
    }
}

/// The life of a disk that is not encrypted.
fn life(lang: Lang) {
    if !possible() {
        return;
    }
    let world = World::new("none");
    let mut person = world.console(lang);

    // Nothing is changed before all was typed.
    let about = person.looks_at_the_disk("disks_prepare");
    let erase = person.t("disks_erase");
    assert!(about.contains(&person.of_disk("disks_named")) && !about.contains(&format!("e {erase}")), "{about}");
    person.types("m");
    person.types_the_token();
    person.types("\x1b");
    person.sees(&person.t("key_a"));
    assert_eq!(
        (world.content(), world.told(), world.machine.log("systemd.log")),
        (Content::Empty, String::new(), String::new())
    );

    person.looks_at_the_disk("disks_prepare");
    person.types("m");
    person.types_the_token();
    person.types(&format!("{PIN}\r"));
    let in_use = person.first_words("disks_in_use");
    person.has_read(&in_use);
    person.sees(&person.t("key_a"));
    assert!(world.is_a1(false) && world.told().contains("prepared"), "{:?}", world.content());
    assert!(world.machine.log("preparing").contains("a1"), "systemd is kept from it meanwhile");
    assert_eq!(world.machine.log("systemd.log"), format!("start {MOUNT}\n"), "and takes it into use afterwards");

    // In use it is let go of, but not erased; the recorder stops for a moment.
    let about = person.looks_at_the_disk("disks_release");
    assert!(!about.contains(&format!("e {erase}")) && about.contains("/volumes/a1"), "{about}");
    person.types("r");
    person.sees(&person.t("pin_title"));
    person.types(&format!("{PIN}\r"));
    let released = person.of_disk("disks_released");
    person.has_read(&released);
    person.sees(&person.t("key_a"));
    let log = world.machine.log("systemd.log");
    let expected = format!("start {MOUNT}\nstop {RECORDER}\nstop {MOUNT}\nstart --no-block {RECORDER}\n");
    assert!(log == expected && world.told().contains("released"), "{log}");

    // Of what may be footage leadership has a word.
    let about = person.looks_at_the_disk("disks_erase");
    assert!(!about.contains(&format!("r {}", person.t("disks_release"))), "{about}");
    person.types("e");
    person.types_the_token();
    person.types(&format!("{PIN}\r"));
    person.sees(&person.t("sealed_title"));
    person.types(&format!("{REASON}\r"));
    person.sees(&person.first_words("sealed_ask"));
    person.types("aaaa-bbbb-cccc-dddd\r");
    person.sees(&person.first_words("factor_wrong_now"));
    person.types("\x1b");
    person.sees(&person.t("key_a"));
    assert!(world.is_a1(false) && !world.told().contains("erased"));
    person.looks_at_the_disk("disks_erase");
    person.types("e");
    person.types_the_token();
    person.types(&format!("{PIN}\r"));
    person.sees(&person.t("sealed_title"));
    person.types(&format!("{REASON}\r"));
    person.sees(&person.first_words("sealed_ask"));
    person.types(&format!("{}\r", world.machine.code.reveal()));
    let erased = person.of_disk("disks_erased");
    person.has_read(&erased);
    person.sees(&person.t("key_a"));
    assert_eq!(world.content(), Content::Empty);
    assert!(world.told().contains("leaders' sealed code") && world.machine.log("state/factors.json").contains(REASON));

    // On a disk that the site names there may be footage whatever is seen of it.
    sh(&format!("mkfs.ext4 -q -F {}", world.device.display()));
    let about = person.looks_at_the_disk("disks_erase");
    assert!(about.contains(&person.first_words("disks_not_empty")) && about.contains("ext4"), "{about}");
    person.types("e");
    person.types_the_token();
    person.types(&format!("{PIN}\r"));
    person.sees(&person.t("sealed_title"));
    person.types("\x1b");
    person.sees(&person.t("key_a"));
    assert_ne!(world.content(), Content::Empty);
    assert_eq!(world.machine.log("state/factors.json").matches(REASON).count(), 1);
    others(&world, &mut person);
}

/// Another disk in its place: one that the site does not name, and the one that backups go to.
fn others(world: &World, person: &mut Person) {
    let by_id = |name: &str| world.loops.path().join("by-id").join(name);
    let list = |person: &mut Person| {
        person.sees(&person.t("key_a"));
        person.types("s");
        let choose = person.t("disks_choose");
        person.reads_to(&choose)
    };
    let missing = person.of_disk("disks_missing");
    for (before, name, said) in [(NAME, "ata-Z_3", "disks_unnamed"), ("ata-Z_3", BACKUPS, "disks_backups")] {
        fs::rename(by_id(before), by_id(name)).unwrap();
        sh(&format!("mkfs.ext4 -q -F {}", world.device.display()));
        let page = list(person);
        assert!(page.contains(name) && page.contains(&missing), "{page}");
        person.types("1");
        let erase = person.t("disks_erase");
        let about = person.reads_to(&erase);
        assert!(about.contains(&person.of_disk(said)) && !about.contains(&person.t("disks_prepare")), "{about}");
        assert_eq!(about.contains(&format!("disk = \"{name}\"")), name != BACKUPS, "{about}");
        person.types("e");
        person.types_the_token();
        person.types(&format!("{PIN}\r"));
        if name == BACKUPS {
            person.sees(&person.t("sealed_title"));
            person.types("\x1b");
        } else {
            let erased = t(person.lang, "console.disks_erased", &[("disk", name)]);
            person.has_read(&erased.chars().take(24).collect::<String>());
        }
    }
    let page = list(person);
    assert!(page.contains("ext4"), "what backups go to is not erased without the code: {page}");
    person.types("\x1b");
    person.sees(&person.t("key_a"));
}

#[test]
fn loop_the_life_of_a_disk_in_vietnamese() {
    life(Lang::Vi);
}

#[test]
fn loop_the_life_of_a_disk_in_chinese() {
    life(Lang::Zh);
}

#[test]
fn loop_the_life_of_a_disk_in_english() {
    life(Lang::En);
}

/// The recovery key that a page shows, group by group.
fn key_on(page: &str) -> Vec<String> {
    let groups = page
        .split(|c: char| !c.is_ascii_lowercase())
        .filter(|w| w.len() == 8 && w.bytes().all(|b| b"cbdefghijklnrtuv".contains(&b)));
    let groups: Vec<String> = groups.map(str::to_owned).collect();
    assert_eq!(groups.len(), 8, "{page}");
    groups
}

/// A disk that a passphrase opens, whose recovery key is given up, and then written down.
fn recovery_key(lang: Lang) {
    if !possible() {
        return;
    }
    let world = World::new("passphrase");
    let mut person = world.console(lang);
    let to_the_key = |person: &mut Person| {
        person.looks_at_the_disk("disks_prepare");
        person.types("m");
        person.types_the_token();
        person.types(&format!("{PIN}\r"));
        person.sees(&person.first_words("disks_passphrase"));
        person.types("short\r");
        person.sees(&person.first_words("disks_passphrase_bad"));
        person.types(&format!("{PASSPHRASE}\r"));
        person.sees(&person.first_words("disks_passphrase_again"));
        person.types(&format!("{PASSPHRASE}2\r"));
        person.sees(&person.first_words("disks_passphrase_differs"));
        person.types(&format!("{PASSPHRASE}\r"));
        person.sees(&person.first_words("disks_passphrase_again"));
        person.types(&format!("{PASSPHRASE}\r"));
        let written = person.t("disks_key_written");
        key_on(&person.sees(&written))
    };
    let given_up = to_the_key(&mut person);
    assert!(matches!(world.content(), Content::Foreign { .. }), "it is no volume yet: {:?}", world.content());
    // Escape alone gives up nothing.
    person.types("\x1b");
    person.sees(&person.t("disks_give_up"));
    person.types("\x1b");
    person.sees(&person.t("disks_key_written"));
    person.types("\x1b");
    person.sees(&person.t("disks_give_up"));
    person.types("x");
    let abandoned = person.first_words("disks_abandoned");
    person.has_read(&abandoned);
    person.sees(&person.t("key_a"));
    assert_eq!(world.content(), Content::Empty);
    assert!(!world.machine.at("open").exists() && !world.machine.log("systemd.log").contains("start"));

    let key = to_the_key(&mut person);
    assert_ne!(key, given_up);
    person.types("w");
    person.sees("> _");
    person.types(&format!("{}\r", key[6]));
    person.sees(&person.first_words("disks_key_differs"));
    person.types("w");
    person.sees("> _");
    assert!(matches!(world.content(), Content::Foreign { .. }), "it is no volume yet: {:?}", world.content());
    person.types(&format!("{}\r", key[7]));
    let in_use = person.first_words("disks_in_use");
    person.has_read(&in_use);
    person.sees(&person.t("key_a"));
    assert!(world.is_a1(true) && world.machine.at("open").exists(), "nobody is asked for the passphrase now");
    assert!(world.machine.log("systemd.log").ends_with(&format!("start {MOUNT}\n")));
    assert!(world.opens_with(key.join("-").as_bytes()) && world.opens_with(PASSPHRASE.as_bytes()));
    assert!(!world.opens_with(given_up.join("-").as_bytes()));

    // The key is on paper and nowhere else, and the passphrase was never shown.
    let shown = [&person.before[..], &person.seen].concat();
    assert!(!String::from_utf8_lossy(&shown).contains(PASSPHRASE));
    for secret in [&key[0], &given_up[0], PASSPHRASE] {
        let found = Command::new("grep").args(["-rl", secret]).arg(world.machine.dir.path()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&found.stdout), "", "{secret}");
    }
}

#[test]
fn loop_a_recovery_key_is_written_down_or_given_up_in_vietnamese() {
    recovery_key(Lang::Vi);
}

#[test]
fn loop_a_recovery_key_is_written_down_or_given_up_in_chinese() {
    recovery_key(Lang::Zh);
}

#[test]
fn loop_a_recovery_key_is_written_down_or_given_up_in_english() {
    recovery_key(Lang::En);
}

#[test]
fn loop_a_disk_is_prepared_with_the_key_on_the_stick() {
    if !possible() {
        return;
    }
    let world = World::new("usb-key");
    let mut person = world.console(Lang::En);
    let image = world.machine.at("stick");
    let to_the_stick = |person: &mut Person| {
        person.looks_at_the_disk("disks_prepare");
        person.types("m");
        person.types_the_token();
        person.types(&format!("{PIN}\r"));
        person.sees(&person.t("stick_ready"));
        person.types("y");
    };
    // Without the right one nothing is begun.
    for (files, said) in [(&[][..], "no custodian.key"), (&[("custodian.key", &b"short"[..])], "too short")] {
        stick(&image, files);
        to_the_stick(&mut person);
        person.has_read(said);
        person.sees(&person.t("key_a"));
        assert_eq!((world.content(), world.told()), (Content::Empty, String::new()));
    }
    // Bytes that no text has, and that end lines.
    let secret: Vec<u8> = (0..64).map(|n| [b'\n', 0, 0xff, n][usize::from(n % 4)]).collect();
    stick(&image, &[("custodian.key", &secret)]);
    // Another machine's: cryptsetup(8) says 2 of a key that does not fit.
    let fits = |code: &str| fs::write(world.machine.at("key-fits"), code).unwrap();
    fits("2");
    to_the_stick(&mut person);
    person.has_read(&person.first_words("disks_stick_other"));
    person.sees(&person.t("key_a"));
    assert_eq!((world.content(), world.told()), (Content::Empty, String::new()));
    fits("0");
    to_the_stick(&mut person);
    let key = key_on(&person.sees(&person.t("disks_key_written")));
    let usb = world.machine.log("usbguard.log");
    assert!(usb.ends_with("block-device 3\n"), "the stick is kept out again: {usb}");
    person.types("w");
    person.sees("> _");
    person.types(&format!("{}\r", key[7]));
    let in_use = person.first_words("disks_in_use");
    person.has_read(&in_use);
    person.sees(&person.t("key_a"));
    assert!(world.is_a1(true) && world.opens_with(&secret) && world.opens_with(key.join("-").as_bytes()));
}
