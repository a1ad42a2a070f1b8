use std::sync::Mutex;

use super::*;
use crate::{lang::raw, types::Lang};

const KEY: &str = "cccjbcbj-dcdjecej-fcfjgcgj-hchjicij-jcjjkckj-lcljncnj-rcrjtctj-ucujvcvj";

fn part(device: &str, label: &str, kind: &str, subsystem: Option<&str>) -> Part {
    Part {
        device: device.into(),
        label: Some(label.into()),
        id: None,
        kind: Some(kind.into()),
        content: Some(LABEL.into()),
        subsystem: subsystem.map(str::to_owned),
    }
}

fn disk(name: &str, booted: bool, labels: &[&str]) -> Parted {
    let parts = labels.iter().enumerate().map(|(n, l)| part(&format!("/dev/{name}{n}"), l, "ext4", None));
    let mounted = if booted { vec!["/".to_owned()] } else { vec!["/mnt".to_owned()] };
    Parted { name: name.into(), mounted, parts: parts.collect() }
}

#[test]
fn it_is_taken_from_the_disk_that_was_started_from_and_from_no_other() {
    let own = disk("sda", true, &["custodian_1", LABEL]);
    let other = disk("sdb", false, &["custodian_1", LABEL]);
    let bare = disk("sda", true, &["custodian_1"]);
    assert_eq!(find(&[disk("sdc", false, &["x"]), own.clone()]).unwrap().device, Path::new("/dev/sda1"));
    assert_eq!(find(&[own.clone(), other.clone()]), Err(StateError::Several { disks: "sda, sdb".into() }));
    assert_eq!(
        find(&[bare.clone(), other.clone()]),
        Err(StateError::Elsewhere { disk: "sda".into(), other: "sdb".into() })
    );
    assert_eq!(find(&[bare]), Err(StateError::None { disk: "sda".into() }));
    assert_eq!(find(&[disk("sda", true, &[LABEL, LABEL])]), Err(StateError::Several { disks: "sda".into() }));
    assert!(matches!(find(&[other]), Err(StateError::NotFound(_))));
}

/// A machine whose one disk is what `kind` and `subsystem` say, and on which these attempts to open it succeed.
struct Machine {
    kind: &'static str,
    subsystem: &'static str,
    opens: fn(&str) -> bool,
    fsck: i32,
    /// While a person is asked these sticks are put in, one after the other.
    comes: &'static [&'static str],
    dev: Mutex<PathBuf>,
    asked: Mutex<Vec<String>>,
}

impl Commands for Machine {
    /// The person thinks, and sticks come meanwhile.
    fn run_until(&self, program: &str, args: &[&str], enough: &mut dyn FnMut() -> bool) -> io::Result<Output> {
        assert!(!enough(), "nothing is otherwise than it was");
        for stick in self.comes {
            put_in(&self.dev.lock().unwrap(), stick);
            if enough() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            assert!(!enough(), "a stick is tried once");
        }
        self.run(program, args, b"", Duration::MAX)
    }

    fn run(&self, program: &str, args: &[&str], input: &[u8], limit: Duration) -> io::Result<Output> {
        let line = format!("{program} {}", args.join(" "));
        let input = if input.is_empty() { String::new() } else { format!(" < {}", String::from_utf8_lossy(input)) };
        let said = |code: i32, text: String| Ok(Output { code: Some(code), stdout: text.into(), stderr: "no".into() });
        let ok = |text: String| Ok(Output { code: Some(0), stdout: text.into(), stderr: String::new() });
        match program {
            "lsblk" => {
                return ok(r#"{"blockdevices":[{"name":"sda","kname":"sda","type":"disk","size":1000,"children":[
                    {"name":"sda1","kname":"sda1","type":"part","size":10,"mountpoints":["/"]}]}]}"#
                    .to_owned());
            }
            "blkid" => {
                return ok(format!(
                    "ID_FS_TYPE={}\nID_FS_LABEL={LABEL}\nID_FS_SUBSYSTEM={}\nID_PART_ENTRY_NAME={LABEL}\n",
                    self.kind, self.subsystem
                ));
            }
            _ => {}
        }
        self.asked.lock().unwrap().push(format!("{line}{input}"));
        let stick = fs::read_link(self.dev.lock().unwrap().join("disk/by-label").join(KEY_LABEL));
        let line = match &stick {
            Ok(stick) if line.contains(KEY_FILE) => format!("{line} of {}", stick.display()),
            _ => line,
        };
        match program {
            "mount" if !self.comes.is_empty() && stick.is_err() => said(32, String::new()),
            // A repair that is cut short is begun anew at each start.
            "fsck.ext4" if limit < Duration::MAX => Err(io::ErrorKind::TimedOut.into()),
            "fsck.ext4" => said(self.fsck, "found".into()),
            "mount" | "umount" => ok(String::new()),
            _ if (self.opens)(&line) => ok(String::new()),
            _ => said(1, String::new()),
        }
    }
}

/// udev's link to a stick.
fn put_in(dev: &Path, stick: &str) {
    let labels = dev.join("disk/by-label");
    for dir in [dev, &dev.join("disk"), &labels] {
        if !dir.exists() {
            fs::create_dir(dir).unwrap();
        }
    }
    // As udev does: made beside, and put in the place of the old one.
    symlink(format!("../../{stick}"), labels.join(stick)).unwrap();
    fs::rename(labels.join(stick), labels.join(KEY_LABEL)).unwrap();
}

fn opened(machine: &Machine, with: Option<&str>) -> (Result<PathBuf, StateError>, Vec<String>, Option<Problem>) {
    opened_in(&tempfile::tempdir().unwrap(), machine, with)
}

fn opened_in(
    dir: &tempfile::TempDir,
    machine: &Machine,
    with: Option<&str>,
) -> (Result<PathBuf, StateError>, Vec<String>, Option<Problem>) {
    let run = dir.path().join("run");
    *machine.dev.lock().unwrap() = dir.path().join("dev");
    let opener = Opener { commands: machine, dev: dir.path().join("dev"), run: run.clone() };
    let result = match with {
        Some(key) => opener.open_with(&key.parse().unwrap()),
        None => opener.open(),
    };
    assert_eq!(result.is_ok(), fs::read_link(run.join("device")).is_ok(), "the link is there if it is open");
    let at = dir.path().display().to_string();
    let asked = machine.asked.lock().unwrap().iter().map(|l| l.replace(&at, "")).collect();
    let result = result.map(|p| Path::new("/").join(p.strip_prefix(dir.path()).unwrap_or(&p)));
    (result, asked, Problem::left(&run))
}

fn machine(kind: &'static str, subsystem: &'static str, opens: fn(&str) -> bool) -> Machine {
    Machine { kind, subsystem, opens, fsck: 0, comes: &[], dev: Mutex::default(), asked: Mutex::default() }
}

#[test]
fn what_opens_it_daily_comes_first_and_then_a_person() {
    let attach =
        |key: &str, options: &str| format!("{SYSTEMD_CRYPTSETUP} attach custodian-state /dev/sda1 {key} {options}");
    let tpm = attach("none", "luks,discard,tpm2-device=auto,headless=yes");
    let check = "fsck.ext4 -p /dev/mapper/custodian-state".to_owned();
    let (device, asked, problem) = opened(&machine("crypto_LUKS", "custodian-state:tpm", |_| true), None);
    assert_eq!((device.unwrap(), asked), ("/dev/mapper/custodian-state".into(), vec![tpm.clone(), check.clone()]));
    assert_eq!(problem, None);
    // The TPM refuses: whoever is there is asked, for a while.
    let by_person = machine("crypto_LUKS", "custodian-state:tpm", |line| !line.contains("tpm2"));
    let (device, asked, _) = opened(&by_person, None);
    assert!(device.is_ok());
    assert_eq!(asked, [tpm, attach("none", "luks,discard,tries=3,timeout=300"), check.clone()]);
    let (device, asked, _) = opened(&machine("crypto_LUKS", "custodian-state:usb-key", |_| true), None);
    assert!(device.is_ok());
    assert_eq!(
        asked,
        [
            "udevadm wait --timeout=30 /dev/disk/by-label/CUSTODIAN".to_owned(),
            "mount -t vfat -o ro,nodev,nosuid,noexec,dmask=0077,fmask=0177 LABEL=CUSTODIAN /run/stick".to_owned(),
            attach("/run/stick/custodian.key", "luks,discard,headless=yes"),
            "umount /run/stick".to_owned(),
            check.clone(),
        ]
    );
    // Its key does not fit: nobody may be there, so it is not asked for ever.
    let by_person = machine("crypto_LUKS", "custodian-state:usb-key", |line| !line.contains("custodian.key"));
    let (device, asked, _) = opened(&by_person, None);
    assert!(device.is_ok() && asked.contains(&attach("none", "luks,discard,tries=3,timeout=300")), "{asked:?}");
    let (_, asked, _) = opened(&machine("crypto_LUKS", "custodian-state:passphrase", |_| true), None);
    assert_eq!(asked, [attach("none", "luks,discard,tries=3"), check]);
    let (device, asked, _) = opened(&machine("ext4", "", |_| false), None);
    assert_eq!((device.unwrap(), asked), ("/dev/sda1".into(), vec!["fsck.ext4 -p /dev/sda1".to_owned()]));
}

#[test]
fn a_stick_that_is_put_in_while_a_person_is_asked_opens_it() {
    // How often the stick's key was tried, and whether a person has answered.
    let of = |comes, opens| {
        let machine = Machine { comes, ..machine("crypto_LUKS", "custodian-state:usb-key", opens) };
        let (device, asked, _) = opened(&machine, None);
        let count = |what: &str| asked.iter().filter(|line| line.contains(what)).count();
        assert_eq!((count("mount -t vfat"), count("umount")), (1 + comes.len(), comes.len()), "{asked:?}");
        (device.map_err(|e| e.exit_code()), count("/run/stick/custodian.key"), count("timeout=300") > 0)
    };
    let device = || Ok(PathBuf::from("/dev/mapper/custodian-state"));
    assert_eq!(of(&["own"], |line| line.ends_with("/own")), (device(), 1, false));
    assert_eq!(of(&["other", "own"], |line| line.ends_with("/own")), (device(), 2, false));
    assert_eq!(of(&["other"], |line| line.ends_with("timeout=300")), (device(), 1, true));
    assert_eq!(of(&["other"], |_| false), (Err(4), 1, true));
}

#[test]
fn a_recovery_key_asks_nobody() {
    let (device, asked, _) = opened(&machine("crypto_LUKS", "custodian-state:tpm", |_| true), Some(KEY));
    assert_eq!(device.unwrap(), Path::new("/dev/mapper/custodian-state"));
    let begin = ["open --test-passphrase --type luks2", "open --type luks2 --allow-discards"];
    let opens = begin.map(|b| format!("cryptsetup {b} --disable-external-tokens --key-file - /dev/sda1"));
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert_eq!(asked[0], format!("{} < {KEY}", opens[0]));
    assert_eq!(asked[1], format!("{} custodian-state < {KEY}", opens[1]));
    let (device, asked, problem) = opened(&machine("crypto_LUKS", "custodian-state:tpm", |_| false), Some(KEY));
    assert!(matches!(device, Err(StateError::Locked { .. })) && asked.len() == 1, "{asked:?}");
    assert!(problem.is_some());
    // That it is open lets nobody in who has no key.
    let dir = tempfile::tempdir().unwrap();
    for at in ["dev", "dev/mapper"] {
        fs::create_dir(dir.path().join(at)).unwrap();
    }
    fs::write(dir.path().join("dev/mapper").join(LABEL), "").unwrap();
    let (device, asked, _) = opened_in(&dir, &machine("crypto_LUKS", "custodian-state:tpm", |_| false), Some(KEY));
    assert!(matches!(device, Err(StateError::Locked { .. })) && asked.len() == 1, "{asked:?}");
    let (device, asked, _) = opened_in(&dir, &machine("crypto_LUKS", "custodian-state:tpm", |_| true), Some(KEY));
    assert!(device.is_ok() && asked.len() == 2 && asked[1].starts_with("fsck.ext4"), "{asked:?}");
    let (device, asked, _) = opened_in(&dir, &machine("crypto_LUKS", "custodian-state:tpm", |_| false), None);
    assert!(device.is_ok() && asked.len() == 1, "at the start it is a matter of course: {asked:?}");
}

#[test]
fn what_keeps_it_closed_is_said_and_left_for_the_rescue_console() {
    let locked = opened(&machine("crypto_LUKS", "custodian-state:passphrase", |_| false), None);
    let strange = opened(&machine("ntfs", "", |_| true), None);
    let damaged = opened(&Machine { fsck: 4, ..machine("ext4", "", |_| true) }, None);
    for ((result, _, problem), code) in [(locked, 4), (strange, 3), (damaged, 5)] {
        let e = result.unwrap_err();
        assert_eq!(e.exit_code(), code, "{e}");
        let problem = problem.expect("it is left");
        assert_eq!(problem, Problem::of(&e));
        for lang in Lang::ALL {
            assert!(!problem.text(lang).contains('{') && !problem.text(lang).starts_with("state."), "{e}");
        }
    }
    let repaired = opened(&Machine { fsck: 1, ..machine("ext4", "", |_| true) }, None);
    assert!(repaired.0.is_ok());
    for key in ["none", "elsewhere", "several", "not_found", "failed"] {
        assert!(raw(Lang::En, &format!("state.{key}")).is_some(), "{key}");
    }
}
