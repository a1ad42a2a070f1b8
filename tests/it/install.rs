//! Installing for real, onto loop devices: they take root, and a kernel with XFS and ext4. FAT and encryption take a kernel that has them, or device
//! mapper: here the EFI partition gets another file system, and the volumes `unlock = "none"`. Both are done in the virtual machine.

mod disks;
mod end;

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use custodian::{
    install::{self, Then},
    inventory::parted,
    ledger::{Log, Place},
    services::installing::{Accounts, Desk, Ended, Installer, Lock, Papers, Session, Stick},
    site,
    sys::{Commands, FakeClock, Output, RealCommands, RealFiles},
    types::WallNs,
};

use crate::support::{lacking, loops::Loops, mounts};

const SYSTEM: &str = "ata-System_1";
const FOOTAGE: &str = "ata-Footage_1";
const NOW: WallNs = WallNs(1_795_336_198_000_000_000);
const SITE: &str = "[site]\nname = \"Trường\"\nid = \"school\"\ntimezone = \"Asia/Ho_Chi_Minh\"\nlanguage = \"en\"\n\
    [area.yard]\nname = \"Sân\"\nkind = \"public\"\n[recorder.a]\nunlock = \"none\"\n\
    [[recorder.a.volume]]\nname = \"a1\"\ndisk = \"ata-Footage_1\"\nsize = \"500 MB\"\n\
    [camera.gate]\nname = \"Cổng\"\narea = \"yard\"\nmain = \"rtsp://192.0.2.1/1\"\nbitrate = \"0.02 Mbit/s\"\ncredentials = \"all\"\n\
    [health.pull]\nlisten = \"192.0.2.7:9443\"\ntoken_secret = \"pull\"\n";
const SECRETS: &str =
    "[credentials.all]\nusername = \"u\"\npassword = \"hush hush\"\n[secrets]\npull = \"murmur-murmur-murmur\"\n";
/// What changes something, or makes it seen.
const CHANGES: [&str; 7] = ["systemd-repart", "wipefs", "mkfs.ext4", "mkfs.vfat", "mkfs.xfs", "mount", "xfs_admin"];

fn possible() -> bool {
    let tools = [
        "openssl",
        "lsblk",
        "blkid",
        "systemd-repart",
        "mkfs.xfs",
        "xfs_admin",
        "partx",
        "wipefs",
        "mkfs.ext4",
        "mkfs.ext2",
    ];
    let there = |tool: &&str| Command::new("which").arg(tool).output().is_ok_and(|out| out.status.success());
    let missing: Vec<&str> = tools.into_iter().filter(|tool| !there(tool)).collect();
    if !missing.is_empty() {
        lacking(&format!("these programs are not installed: {missing:?}"));
    }
    mounts::possible() && missing.is_empty()
}

/// The machine's programs; disks have serial numbers, FAT is another file system, and from the nth change on there is no power.
struct Programs {
    serials: Vec<(PathBuf, &'static str)>,
    changes: Mutex<Vec<String>>,
    cut_at: usize,
}

impl Programs {
    fn changes(&self) -> Vec<String> {
        self.changes.lock().unwrap().clone()
    }
}

impl Commands for Programs {
    fn run(&self, program: &str, args: &[&str], input: &[u8], limit: Duration) -> io::Result<Output> {
        if CHANGES.contains(&program) {
            let mut changes = self.changes.lock().unwrap();
            changes.push(format!("{program} {}", args.join(" ")));
            if changes.len() > self.cut_at {
                return Err(io::Error::other("no power"));
            }
        }
        let other: Vec<&str> = match program {
            "mkfs.vfat" => vec!["-q", "-F", args.last().unwrap()],
            _ => args.iter().map(|arg| if *arg == "vfat" { "ext2" } else { arg }).collect(),
        };
        let real = if program == "mkfs.vfat" { "mkfs.ext2" } else { program };
        let mut out = RealCommands.run(real, &other, input, limit)?;
        if program == "lsblk" {
            let mut json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
            for disk in json["blockdevices"].as_array_mut().unwrap() {
                let at = Path::new("/dev").join(disk["kname"].as_str().unwrap());
                if let Some((_, serial)) = self.serials.iter().find(|(device, _)| *device == at) {
                    disk["serial"] = (*serial).into();
                }
            }
            out.stdout = json.to_string().into_bytes();
        }
        Ok(out)
    }
}

/// A desk at which nobody sits.
#[derive(Default)]
struct Nobody(Vec<String>);

impl Desk for Nobody {
    fn say(&mut self, text: &str) {
        self.0.push(text.to_owned());
    }
    fn ask(&mut self, prompt: &str) -> io::Result<Option<String>> {
        panic!("nobody is to be asked {prompt:?} after {:#?}", self.0)
    }
    fn copied(&mut self, _: u64, _: u64) {}
    fn wait(&mut self, _: Duration) {}
}

/// A machine with two empty disks, and a stick.
struct Bench {
    loops: Loops,
    system: PathBuf,
    footage: PathBuf,
    /// A disk that was put in later.
    other: Option<PathBuf>,
    stick: Stick,
    loader: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let mut loops = Loops::new();
        let system = loops.disk(SYSTEM, 8192, &[]);
        let footage = loops.disk(FOOTAGE, 512, &[]);
        let dir = loops.path().join("stick");
        fs::create_dir(&dir).unwrap();
        let file = |name: &str, len: usize| {
            let bytes: Vec<u8> = (0..len).map(|n| u8::try_from(n % 253).unwrap()).collect();
            fs::write(dir.join(name), bytes).unwrap();
            dir.join(name)
        };
        let data = dir.join("data");
        fs::create_dir(&data).unwrap();
        let loader = file("loader", 1000);
        let stick = Stick {
            disk: "none".into(),
            root: file("root", 5 << 20),
            verity: file("verity", 1 << 20),
            uki: file("uki", 100_000),
            data,
        };
        Self { loops, system, footage, other: None, stick, loader }
    }

    fn programs(&self, cut_at: usize) -> Programs {
        let other = self.other.iter().map(|other| (other.clone(), "SYS2"));
        let serials =
            [(self.system.clone(), "SYS1"), (self.footage.clone(), "FOOT1")].into_iter().chain(other).collect();
        Programs { serials, changes: Mutex::default(), cut_at }
    }

    fn installer<'a>(&'a self, programs: &'a Programs, clock: &'a FakeClock) -> Installer<'a> {
        Installer {
            machine: custodian::services::disks::Machine { spool: None, ..self.loops.machine(programs) },
            stick: &self.stick,
            clock,
            version: "1.2.3".into(),
            loader: self.loader.clone(),
            lock: Lock::at(self.loops.path().join("install.lock")),
            accounts: Accounts::None,
        }
    }

    /// The codes as they are now: of a disk for the system, and of the disk for footage if it is new or unfinished.
    fn codes(&self, system: &str) -> (String, Option<String>) {
        let (programs, clock) = (self.programs(usize::MAX), FakeClock::at(NOW));
        let looked = self.installer(&programs, &clock).look().unwrap();
        let Ok(site) = site::parse(SITE, "site.toml") else { panic!("the site is wrong") };
        let recorder = site.recorder(&"a".parse().unwrap()).unwrap();
        let view = install::look(&looked.survey, &looked.parted, &site, recorder);
        let system = view.systems.iter().find(|c| c.by_id.as_deref() == Some(system)).unwrap();
        let new = match &view.footage[0].state {
            install::FootageState::New(token) | install::FootageState::Unfinished { now: token, .. } => {
                Some(token.to_string())
            }
            _ => None,
        };
        (system.token.as_ref().unwrap().to_string(), new)
    }

    /// install.toml with the codes as they are now, as a person writes it from facts.json.
    fn install_toml(&self) -> String {
        self.install_toml_for(SYSTEM, "SYS1")
    }

    fn install_toml_for(&self, system: &str, serial: &str) -> String {
        let (system, footage) = self.codes(system);
        let footage = footage.map(|token| format!("[[footage]]\nserial = \"FOOT1\"\ntoken = \"{token}\"\n"));
        format!(
            "recorder = \"a\"\npin = \"294173\"\nsheet_code = \"etjx-5zwc-n8fr-6g4d\"\nwipe_secrets = true\nthen = \"poweroff\"\n\
             [system]\nserial = \"{serial}\"\ntoken = \"{system}\"\n{}",
            footage.unwrap_or_default()
        )
    }

    /// The recovery sheets on the stick, the newest last.
    fn sheets(&self) -> Vec<PathBuf> {
        let all = fs::read_dir(&self.stick.data).unwrap().map(|e| e.unwrap().path());
        let mut all: Vec<_> = all.filter(|p| p.display().to_string().contains("/recovery-a-")).collect();
        all.sort_by_key(|path| fs::metadata(path).unwrap().modified().unwrap());
        all
    }

    fn run(&self, toml: &str, cut_at: usize) -> (Ended, String, Vec<String>) {
        self.run_for(SITE, toml, cut_at)
    }

    fn run_for(&self, site: &str, toml: &str, cut_at: usize) -> (Ended, String, Vec<String>) {
        let papers = Papers { site: Some(site.into()), secrets: Some(SECRETS.into()), install: Some(toml.into()) };
        let (programs, clock, mut desk) = (self.programs(cut_at), FakeClock::at(NOW), Nobody::default());
        let ended = Session::run(&mut desk, &self.installer(&programs, &clock), &papers, None);
        (ended, desk.0.join("\n"), programs.changes())
    }

    /// Mounts a partition of the system disk and looks into it.
    fn within<T>(&self, number: u8, look: impl FnOnce(&Path) -> T) -> T {
        self.mounted(&self.system, number, look)
    }

    /// The same for the disk for footage.
    fn footage_within<T>(&self, look: impl FnOnce(&Path) -> T) -> T {
        self.mounted(&self.footage, 1, look)
    }

    fn mounted<T>(&self, disk: &Path, number: u8, look: impl FnOnce(&Path) -> T) -> T {
        let at = self.loops.path().join("look");
        fs::create_dir(&at).unwrap();
        sh(&format!("mount {}p{number} {}", disk.display(), at.display()));
        let found = look(&at);
        sh(&format!("umount {0} && rmdir {0}", at.display()));
        found
    }

    /// It is installed: read by what nobody of this project wrote, and started as at the first boot.
    fn check(&self) {
        let disks = parted(&self.programs(usize::MAX), Path::new("/dev")).unwrap();
        let named = |disk: &Path| disks.iter().find(|d| Path::new("/dev").join(&d.name) == disk).unwrap().clone();
        let labels: Vec<String> = named(&self.system).parts.into_iter().filter_map(|p| p.label).collect();
        let expected =
            ["custodian-esp", "custodian_1.2.3", "custodian_1.2.3_verity", "_empty", "_empty", "custodian-state"];
        assert_eq!(labels, expected);
        assert_eq!(named(&self.footage).parts[0].label.as_deref(), Some("a1@school"));
        for (number, file) in [(2, &self.stick.root), (3, &self.stick.verity)] {
            sh(&format!("cmp -n $(stat -c %s {0}) {0} {1}p{number}", file.display(), self.system.display()));
        }
        self.within(1, |esp| {
            let read = |name: &str| fs::read(esp.join(name)).unwrap();
            assert_eq!(read("EFI/Linux/custodian_1.2.3.efi"), fs::read(&self.stick.uki).unwrap());
            assert_eq!(read("EFI/BOOT/BOOTX64.EFI"), fs::read(&self.loader).unwrap());
            assert_eq!(fs::read_dir(esp.join("EFI/Linux")).unwrap().count(), 1, "nothing unfinished starts");
        });
        let keys = self.within(6, |var| {
            let state = var.join("lib/custodian");
            let read = |name: &str| fs::read_to_string(state.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!((read("etc/site.toml").as_str(), read("etc/secrets.toml").as_str()), (SITE, SECRETS));
            assert_eq!(fs::read_link(state.join("current")).unwrap(), Path::new("generations/1"));
            assert_eq!(read("confirmed"), "1\n");
            assert!(read("factors.json").contains("pin"));
            let left: Vec<serde_json::Value> = fs::read_dir(state.join("ledger-spool"))
                .unwrap()
                .map(|e| serde_json::from_str(&fs::read_to_string(e.unwrap().path()).unwrap()).unwrap())
                .collect();
            assert!(left.iter().any(|e| e["what"]["kind"] == "volume" && e["what"]["event"] == "prepared"), "{left:?}");
            assert_eq!(left.iter().filter(|e| e["what"]["kind"] == "generation").count(), 1, "{left:?}");
            // The first start is like any other.
            let units = self.loops.path().join("units");
            let _ = fs::remove_dir_all(&units);
            fs::create_dir(&units).unwrap();
            let started = Command::new(env!("CARGO_BIN_EXE_custodian"))
                .args(["apply", "--activate", "--state"])
                .arg(&state)
                .arg("--unit-dir")
                .arg(&units)
                .output()
                .unwrap();
            assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
            assert!(units.join("var-lib-custodian-volumes-a1.mount").exists());
            keys(&state)
        });
        let on_stick: Vec<String> =
            fs::read_dir(&self.stick.data).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        let receipt = on_stick
            .iter()
            .find(|n| n.starts_with("receipt-a-") && n.strip_suffix(".txt").is_some())
            .expect("a receipt");
        let path = self.stick.data.join(receipt);
        let receipt = fs::read_to_string(&path).unwrap();
        assert!(receipt.contains("SYS1") && receipt.contains("FOOT1"), "{receipt}");
        let [ledger, pull] = keys;
        for line in [format!("  ledger: {ledger}\r\n"), format!("  pull: {pull}\r\n")] {
            assert!(receipt.contains(&line), "{line}: {receipt}");
        }
        let json: serde_json::Value = serde_json::from_slice(&fs::read(path.with_extension("json")).unwrap()).unwrap();
        assert_eq!(json["keys"], serde_json::json!([["ledger", ledger], ["pull", pull]]));
        let sheet = fs::read_to_string(self.sheets().last().unwrap()).unwrap();
        for secret in ["hush hush", "murmur", "294173", "etjx"] {
            assert!(!receipt.contains(secret) && !sheet.contains(secret), "{secret}");
        }
        let left: Vec<_> =
            fs::read_dir(self.loops.path().join("run")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| name == "custodian-disks.lock"), "{left:?} stays in /run");
    }
}

/// The keys that the services of an installed machine find, as others see them: the ledger's, and the certificate's of the door.
fn keys(state: &Path) -> [String; 2] {
    let dir = state.join("record/ledger");
    let place = Place { dir: dir.clone(), credential: None, origin: "custodian/another/recorder/record".into() };
    let log = Log::open(Arc::new(RealFiles), &place).unwrap();
    assert_eq!(log.size(), 0, "nothing stands in it before the recorder has run");
    let ledger = fs::read_to_string(dir.join("public/vkey")).unwrap().trim_end().to_owned();
    assert!(ledger.starts_with("custodian/school/a/record+"), "{ledger}");
    let file = state.join("health/tls/pull.crt");
    let out = Command::new("openssl").args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(file).output();
    let said = String::from_utf8(out.unwrap().stdout).unwrap();
    [ledger, said.trim_end().split_once('=').expect("a fingerprint").1.to_owned()]
}

fn sh(script: &str) {
    let out = Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
}

const DONE: Ended = Ended::Done { then: Then::Poweroff, wait: Duration::ZERO };

#[test]
fn loop_an_installation_that_asks_nobody() {
    if !possible() {
        return;
    }
    let bench = Bench::new();
    let toml = bench.install_toml();
    for name in ["secrets.toml", "install.toml"] {
        fs::write(bench.stick.data.join(name), SECRETS).unwrap();
    }
    let (ended, said, changes) = bench.run(&toml, usize::MAX);
    assert_eq!(ended, DONE, "{said}");
    bench.check();
    for name in ["secrets.toml", "install.toml"] {
        assert!(!bench.stick.data.join(name).exists(), "{name} stays on the stick");
    }
    // The one file that starts the system comes after everything else that changes a disk.
    let last = changes.iter().rposition(|c| c.starts_with("mkfs") || c.starts_with("xfs_admin")).unwrap();
    assert!(changes[last].starts_with("mkfs.vfat"), "{changes:#?}");

    // Again: nothing is changed any more.
    let found = || bench.within(6, |var| keys(&var.join("lib/custodian")));
    let first = found();
    let (ended, said, changes) = bench.run(&toml, usize::MAX);
    assert_eq!(ended, DONE, "{said}");
    assert_eq!(found(), first);
    assert!(changes.iter().all(|c| c.starts_with("mount ")), "{changes:#?}");
    bench.check();

    // It has run: what install.json stood for is gone, and the same stick changes nothing.
    bench.within(6, |var| fs::remove_file(var.join("lib/custodian/install.json")).unwrap());
    let (ended, said, _) = bench.run(&toml, usize::MAX);
    assert_eq!(ended, Ended::Refused, "{said}");
    assert!(said.contains("is installed on disk"), "{said}");
    bench.check();

    // Whoever has read that, and gives the code of the disk as it is now, begins anew; the footage stays.
    let marker = || bench.footage_within(|at| fs::read_to_string(at.join("custodian-volume.json")).unwrap());
    let before = marker();
    let toml = bench.install_toml();
    // Cut short when the new table stands where the old one stood: what was in the old parts is not taken for the new ones'.
    let (ended, said, changes) = bench.run(&toml, 3);
    assert_eq!(ended, Ended::Failed, "{said}");
    assert!(changes[2].starts_with("systemd-repart") && changes[2].contains("--empty=force"), "{changes:#?}");
    let (ended, said, changes) = bench.run(&toml, usize::MAX);
    assert_eq!(ended, DONE, "{said}");
    assert!(said.contains("stays as it is, with its footage"), "{said}");
    assert!(!changes.iter().any(|c| c.starts_with("mkfs.xfs")), "{changes:#?}");
    assert_eq!(marker(), before);
    // It has run again. Its disk looks as it did, and its code is the same; the file that began it anew does so once.
    bench.within(6, |var| fs::remove_file(var.join("lib/custodian/install.json")).unwrap());
    let (ended, said, _) = bench.run(&toml, usize::MAX);
    assert_eq!(ended, Ended::Refused, "{said}");
    assert!(said.contains("is installed on disk"), "{said}");
}

#[test]
fn loop_an_installation_that_is_cut_short_is_finished_by_the_next() {
    if !possible() {
        return;
    }
    let whole = Bench::new();
    let (_, _, changes) = whole.run(&whole.install_toml(), usize::MAX);
    drop(whole);
    assert!(changes.len() > 10, "{changes:#?}");
    for (cut_at, at) in changes.iter().enumerate() {
        let bench = Bench::new();
        let toml = bench.install_toml();
        let (ended, said, _) = bench.run(&toml, cut_at);
        // The last mounts only look whether all is there.
        assert_ne!(ended, DONE, "cut at {at}: {said}");
        assert!(said.contains("no power"), "cut at {at}: {said}");
        let (ended, said, _) = bench.run(&toml, usize::MAX);
        assert_eq!(ended, DONE, "after a cut at {at}: {said}");
        bench.check();
    }
}

#[test]
fn loop_a_stick_that_is_pulled_or_full_ends_it_before_the_disk_starts() {
    if !possible() {
        return;
    }
    let bench = Bench::new();
    let toml = bench.install_toml();
    let starts = || bench.within(1, |esp| esp.join("EFI/Linux/custodian_1.2.3.efi").exists());
    // Pulled: what is to be copied cannot be read, and the kernel knows no such disk any more.
    let away = bench.stick.verity.with_extension("away");
    fs::rename(&bench.stick.verity, &away).unwrap();
    let (ended, said, changes) = bench.run(&toml, usize::MAX);
    assert_eq!(ended, Ended::Failed, "{said}");
    assert!(said.contains("The stick was pulled") && !changes.iter().any(|c| c.contains("mkfs.vfat")), "{said}");
    fs::rename(&away, &bench.stick.verity).unwrap();
    // Full: keys would be lost with the sheet.
    sh(&format!("mount -t tmpfs -o size=4k none {0}; head -c 4096 /dev/zero > {0}/photo", bench.stick.data.display()));
    let (ended, said, changes) = bench.run(&toml, usize::MAX);
    sh(&format!("umount {}", bench.stick.data.display()));
    assert_eq!(ended, Ended::Failed, "{said}");
    assert!(said.contains("recovery-a-") && said.contains("cannot be written to the stick"), "{said}");
    assert!(!changes.iter().any(|c| c.contains("mkfs.vfat")), "{changes:#?}");
    let (ended, said, changes) = bench.run(&toml, usize::MAX);
    assert_eq!(ended, DONE, "{said}");
    assert!(!changes.iter().any(|c| c.starts_with("mkfs.xfs") || c.starts_with("systemd-repart")), "{changes:#?}");
    assert!(starts());
    bench.check();
}

#[test]
fn loop_a_machine_without_a_tpm_is_refused_before_anything_is_written() {
    if !possible() || Path::new("/dev/tpmrm0").exists() {
        return;
    }
    let bench = Bench::new();
    let toml = bench.install_toml();
    let (ended, said, changes) = bench.run_for(&SITE.replace("\"none\"", "\"tpm\""), &toml, usize::MAX);
    assert_eq!(ended, Ended::Refused, "{said}");
    assert!(said.contains("write unlock = \"usb-key\"") && changes.is_empty(), "{said} {changes:?}");
}
