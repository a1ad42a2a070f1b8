//! Root's look for health, at machines made of folders and at this one.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use custodian::{
    health::facts::{DiskAnswer, RootLook},
    inventory::Roots,
    services::health::look::{self, Apt, Eyes},
    sys::{FakeClock, FakeCommands, Output, RealFiles},
    types::WallNs,
};
use tempfile::TempDir;

const NOW: WallNs = WallNs(1_795_334_400_000_000_000);

/// A machine on which a site is in force.
struct Machine {
    dir: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { dir: tempfile::tempdir().unwrap() };
        for dir in ["state", "units", "v1", "dev", "by-id"] {
            fs::create_dir(machine.path(dir)).unwrap();
        }
        let site = format!(
            "[site]\nname = \"Trường Hoa Sen\"\ntimezone = \"Asia/Ho_Chi_Minh\"\n[area.y]\nname = \"Sân\"\nkind = \"public\"\n\
             [recorder.a]\nunlock = \"none\"\n[[recorder.a.volume]]\nname = \"v1\"\npath = \"{}\"\n\
             [camera.hoa]\nname = \"Cổng Hoa\"\narea = \"y\"\nmain = \"rtsp://127.0.0.1:9/1\"\nbitrate = \"2 Mbit/s\"\n",
            machine.path("v1").display()
        );
        fs::write(machine.path("site.toml"), site).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_custodian"));
        command.args(["apply", "--state", "state", "--unit-dir", "units"]).current_dir(machine.dir.path());
        let out = command.env_remove("CUSTODIAN_RECORDER").stdin(Stdio::null()).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Changes the site in force behind apply's back.
    fn edit(&self, change: impl FnOnce(String) -> String) {
        let path = self.path("state/current/site.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, change(text)).unwrap();
    }

    fn see(&self, commands: &dyn custodian::sys::Commands, before: Option<&RootLook>) -> RootLook {
        let roots = Roots {
            dev: self.path("dev"),
            by_id: self.path("by-id"),
            sys: self.path("sys"),
            state: self.path("state"),
            volumes: "/var/lib/custodian/volumes".into(),
        };
        let eyes = Eyes {
            files: &RealFiles,
            commands,
            clock: &FakeClock::at(NOW),
            roots,
            unit_dir: self.path("units"),
            apt: Apt { lists: self.path("lists"), installed: self.path("installed") },
        };
        eyes.see(&self.path("state"), before)
    }
}

/// The packet filter of this machine is somebody else's.
fn no_such_unit() -> Output {
    let stdout = b"Id=x\nLoadState=not-found\nActiveState=inactive\n".to_vec();
    Output { code: Some(0), stdout, ..Output::default() }
}

fn nothing_to_ask(program: &str) -> Output {
    assert_eq!(program, "systemctl", "a site without disks asks nobody else");
    no_such_unit()
}

#[test]
fn root_sees_what_is_in_force_and_what_drifts() {
    let machine = Machine::new();
    let commands = FakeCommands::new(|program, _: &[&str]| Ok(nothing_to_ask(program)));
    let look = machine.see(&commands, None);
    let generation = look.generation.clone().unwrap();
    let site = fs::read_to_string(machine.path("site.toml")).unwrap();
    assert_eq!((generation.number, generation.confirmed, generation.trial_until), (1, true, None));
    assert_eq!(generation.site, custodian::plan::digest(&site)[..16]);
    assert_eq!((look.at, look.disks.len(), &look.backups, &look.updates), (NOW, 0, &None, &None));
    assert_eq!(look.drift, [""; 0]);

    let unit = machine.path("units/custodian-record.service.d/site.conf");
    fs::write(&unit, fs::read_to_string(&unit).unwrap() + "Nice=19\n").unwrap();
    fs::remove_file(machine.path("units/custodian-health.service.d/site.conf")).unwrap();
    let drifted = machine.see(&commands, Some(&look));
    let lines = [
        "custodian-health.service.d/site.conf is missing",
        "custodian-record.service.d/site.conf is not as it was applied",
    ];
    assert_eq!(drifted.drift, lines);

    // An apply at work is none, until it is plain that it was cut short.
    let pending = serde_json::json!({ "to": 2, "made": true, "trial": false, "boot": null, "steps": [] }).to_string();
    fs::write(machine.path("state/pending.json"), pending).unwrap();
    let times = |seconds: i64| {
        let at = nix::sys::time::TimeVal::new(NOW.0 / 1_000_000_000 - seconds, 0);
        nix::sys::stat::utimes(&machine.path("state/pending.json"), &at, &at).unwrap();
    };
    times(30);
    assert_eq!(machine.see(&commands, Some(&look)).drift, [""; 0]);
    assert_eq!(machine.see(&commands, Some(&drifted)).drift, lines);
    times(700);
    assert_eq!(
        machine.see(&commands, Some(&look)).drift,
        ["generation 2 is not wholly in force: applying it was cut short"]
    );
    fs::remove_file(machine.path("state/pending.json")).unwrap();

    machine.edit(|text| text + "nonsense = 1\n");
    let broken = machine.see(&commands, None);
    assert!(
        broken.drift.contains(&"site.toml of generation 1 was changed after it was applied".to_owned()),
        "{:?}",
        broken.drift
    );
    fs::write(machine.path("state/current/plan.json"), "{").unwrap();
    let unknown = machine.see(&commands, None);
    assert_eq!((unknown.generation, unknown.drift), (None, vec!["the generation in force cannot be read".to_owned()]));
}

/// Disks as lsblk shows them: kernel name, and where their first partition is mounted.
fn lsblk(disks: &[(&str, Option<&str>)]) -> Vec<u8> {
    let one = |(name, at): &(&str, Option<&str>)| {
        serde_json::json!({ "name": name, "kname": name, "type": "disk", "size": 1000, "mountpoints": [null], "children": [
            { "name": format!("{name}1"), "kname": format!("{name}1"), "type": "part", "size": 900, "mountpoints": [at] },
        ] })
    };
    serde_json::json!({ "blockdevices": disks.iter().map(one).collect::<Vec<_>>() }).to_string().into_bytes()
}

#[test]
fn disks_are_asked_and_sleeping_ones_left_asleep() {
    let machine = Machine::new();
    for (id, name) in [("ata-A_1", "sda"), ("ata-B_2", "sdb"), ("ata-C_3", "sdc")] {
        fs::write(machine.path("dev").join(name), "").unwrap();
        symlink(machine.path("dev").join(name), machine.path("by-id").join(id)).unwrap();
    }
    machine.edit(|text| {
        let volume = |name: &str, disk: &str| {
            format!("[[recorder.a.volume]]\nname = \"{name}\"\ndisk = \"{disk}\"\nsize = \"1 TB\"\n")
        };
        let backup = "[backup]\nat = \"02:30\"\nto = { kind = \"directory\", path = \"/mnt/nas\" }\n\
                      recipients = [\"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"]\n";
        [text, volume("d1", "ata-A_1"), volume("d2", "ata-B_2"), volume("d3", "ata-GONE"), backup.into()].concat()
    });
    let at = |volume: &str| format!("/var/lib/custodian/volumes/{volume}");
    let (d1, d2) = (at("d1"), at("d2"));
    let answer = |out: Vec<u8>, code| Ok(Output { code: Some(code), stdout: out, stderr: String::new() });
    // What is mounted as d2 is the third disk, which is nobody's.
    let listed = lsblk(&[("sda", Some(&d1)), ("sdb", None), ("sdc", Some(&d2))]);
    let again = listed.clone();
    let commands = FakeCommands::new(move |program, args: &[&str]| {
        match (program, args.last().copied().unwrap_or_default()) {
            ("lsblk", _) => answer(listed.clone(), 0),
            ("smartctl", disk) if disk.ends_with("sda") => {
                let said = r#"{"smart_status":{"passed":false},"temperature":{"current":51},"ata_smart_attributes":{"table":[{"id":5,"raw":{"value":8}}]}}"#;
                answer(said.into(), 8)
            }
            // By smartctl(8), `-n standby`.
            ("smartctl", disk) if disk.ends_with("sdb") => {
                answer(br#"{"smartctl":{"exit_status":2},"device":{"name":"sdb"}}"#.to_vec(), 2)
            }
            ("systemctl", _) => Ok(no_such_unit()),
            (program, last) => panic!("{program} {last}"),
        }
    });
    let look = machine.see(&commands, None);
    let disk = |name: &str| look.disks[&name.parse().unwrap()].clone();
    let sick = disk("d1");
    assert_eq!(
        (sick.present, sick.smart_passed, sick.temperature, sick.bad_sectors),
        (true, Some(false), Some(51), Some(8))
    );
    let asleep = disk("d2");
    assert_eq!(
        (asleep.present, asleep.answer, asleep.smart_passed, asleep.temperature),
        (true, DiskAnswer::Asleep, None, None)
    );
    assert!(!disk("d3").present && look.disks.len() == 3, "a folder has no disk: {:?}", look.disks);
    assert!(
        look.drift.contains(&"volume d2: another disk than the site names is mounted".to_owned()),
        "{:?}",
        look.drift
    );
    assert!(!look.drift.iter().any(|line| line.contains("d1") || line.contains("d3")), "{:?}", look.drift);
    let asked = commands.asked();
    let smart: Vec<_> = asked.iter().filter(|line| line.starts_with("smartctl")).collect();
    assert!(smart.len() == 2 && smart.iter().all(|line| line.contains("-n standby")), "{asked:?}");
    let backups = look.backups.as_ref().unwrap();
    assert_eq!((backups.places.len(), &*backups.places[0].kind, backups.places[0].newest), (1, "directory", None));
    let text = serde_json::to_string(&look).unwrap();
    assert!(!text.contains("Hoa") && !text.contains("hoa") && !text.contains("rtsp"), "{text}");

    // The sick one does not answer any more, the one that sleeps had said that it was well.
    let hangs = FakeCommands::new(move |program, args: &[&str]| match (program, args.last().copied()) {
        ("lsblk", _) => answer(again.clone(), 0),
        (_, Some(disk)) if disk.ends_with("sdb") => answer(br#"{"smartctl":{"exit_status":2}}"#.to_vec(), 2),
        _ => Err(std::io::ErrorKind::TimedOut.into()),
    });
    let mut before = look.clone();
    before.disks.get_mut(&"d2".parse().unwrap()).unwrap().smart_passed = Some(true);
    let later = machine.see(&hangs, Some(&before));
    let disk = |name: &str| later.disks[&name.parse().unwrap()].clone();
    let (sick, asleep) = (disk("d1"), disk("d2"));
    assert_eq!(
        (sick.answer, sick.smart_passed, sick.bad_sectors, sick.temperature),
        (DiskAnswer::Failed, Some(false), Some(8), None)
    );
    assert_eq!((asleep.answer, asleep.smart_passed), (DiskAnswer::Asleep, Some(true)));

    // Where disks cannot be listed none is said to be gone.
    let blind = machine.see(&FakeCommands::new(|_, _: &[&str]| Err(std::io::ErrorKind::NotFound.into())), None);
    assert!(blind.disks.is_empty());
}

/// On this machine, whatever it is.
#[test]
fn a_look_is_left_for_everybody_to_read() {
    let machine = Machine::new();
    let to = machine.path("run/look.json");
    look::look(&machine.path("state"), &to).unwrap();
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o644);
    let read = |path: &Path| serde_json::from_slice::<RootLook>(&fs::read(path).unwrap()).unwrap();
    let first = read(&to);
    assert_eq!((first.format, first.generation.map(|g| g.number)), (1, Some(1)));
    // Again: another moment, the same machine.
    look::look(&machine.path("state"), &to).unwrap();
    let second = read(&to);
    assert!(second.at > first.at);
    assert_eq!((second.updates, second.drift), (first.updates, first.drift));
    assert_eq!(fs::read_dir(machine.path("run")).unwrap().count(), 1, "nothing unfinished is left");
}
