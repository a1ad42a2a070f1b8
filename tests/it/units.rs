//! The units, static and generated, before systemd's own judges. They need no systemd that runs.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use custodian::{
    plan::Units,
    services::paths::{self, Paths},
};

/// systemd's judge, if it is installed.
fn analyze(args: &[&str], files: &[PathBuf]) -> Option<Output> {
    let out = Command::new("systemd-analyze").args(args).args(files).env("LC_ALL", "C").output();
    if out.is_err() {
        crate::support::lacking("systemd-analyze is not installed");
    }
    out.ok()
}

fn modules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("modules/units")
}

/// The static services with the program of this build, in a folder.
fn services(dir: &Path) -> Vec<PathBuf> {
    let services = [
        "apply.service",
        "record.service",
        "web.service",
        "backup.service",
        "backup.timer",
        "verify.service",
        "verify.timer",
        "health.service",
        "health-secrets.service",
        "look.service",
        "look.timer",
        "good.service",
        "fetch.service",
        "fetch.timer",
        "update.service",
        "update.timer",
        "rescue.service",
        "rescue-serial.service",
        "console.service",
        "console-serial.service",
        "state.service",
        "install.service",
        "install-serial.service",
    ];
    let services = services.map(|s| format!("custodian-{s}"));
    let place = |name: &String| {
        let text = fs::read_to_string(modules().join(name)).unwrap();
        let text = text.replace("/usr/bin/custodian", env!("CARGO_BIN_EXE_custodian"));
        fs::write(dir.join(name), text).unwrap();
        dir.join(name)
    };
    services.iter().map(place).collect()
}

const SITE: &str = include_str!("../../image/site.example.toml");

const BACKUP: &str = r#"
[backup]
recipients = ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"]
at = "02:30"
to = [{ kind = "directory", path = "/mnt/na s %" }, { kind = "disk", disk = "usb-WD_My_Book_1" }]
"#;

fn generated(site: &str, recorder: &str) -> Units {
    let Ok(site) = custodian::site::parse(site, "site.toml") else { panic!("the example is wrong") };
    custodian::plan::units(&site, &recorder.parse().unwrap())
}

#[test]
fn systemd_finds_nothing_wrong_with_the_services() {
    let dir = tempfile::tempdir().unwrap();
    let files = services(dir.path());
    let Some(out) = analyze(&["verify", "--man=no"], &files) else { return };
    assert_eq!((out.status.code(), String::from_utf8_lossy(&out.stderr).trim()), (Some(0), ""));
}

#[test]
fn a_mistake_in_a_unit_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let files = services(dir.path());
    let text = fs::read_to_string(&files[1]).unwrap();
    fs::write(&files[1], text.replace("WatchdogSec=30", "WatchdogSecs=30")).unwrap();
    let Some(out) = analyze(&["verify", "--man=no"], &files) else { return };
    assert!(String::from_utf8_lossy(&out.stderr).contains("WatchdogSecs"));
}

/// Below 2.0 out of 10, for all but those that are root's: apply, the consoles, and what writes slots or restarts the machine.
#[test]
fn services_are_locked_up() {
    for service in ["record", "web", "backup", "verify", "health", "health-secrets", "look", "fetch"] {
        let file = modules().join(format!("custodian-{service}.service"));
        let judge = |threshold| analyze(&["security", "--offline=true", threshold], std::slice::from_ref(&file));
        let Some(out) = judge("--threshold=19") else { return };
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
        assert!(!judge("--threshold=1").unwrap().status.success(), "the judge can say no");
    }
}

/// The same program on a screen and on a serial line: what is locked up for one is for the other.
#[test]
fn both_consoles_are_the_same_but_for_their_terminals() {
    let read = |name: &str| fs::read_to_string(modules().join(name)).unwrap();
    let without = |text: &str| -> Vec<String> {
        let own = ["Description=", "Condition", "Conflicts=", "TTYVTDisallocate=", "# Only where the kernel"];
        let kept = text.lines().filter(|l| !own.iter().any(|o| l.starts_with(o)));
        kept.map(|l| l.replace("ttyS0", "tty1")).collect()
    };
    for page in ["console", "install"] {
        let serial = read(&format!("custodian-{page}-serial.service"));
        assert_eq!(without(&read(&format!("custodian-{page}.service"))), without(&serial));
        assert!(serial.contains("\nConditionKernelCommandLine=|console=ttyS0\n"), "never on a school's machine");
    }
}

/// It prepares, lets go and erases disks, with programs that the image has.
#[test]
fn the_console_can_work_on_disks() {
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("image/mkosi/root/mkosi.conf");
    let packages = fs::read_to_string(image).unwrap();
    for package in
        ["cryptsetup-bin", "systemd-cryptsetup", "systemd-repart", "xfsprogs", "util-linux", "mount", "udev", "mtools"]
    {
        assert!(packages.lines().any(|l| l.trim() == package), "{package}");
    }
    for page in ["console", "console-serial"] {
        let unit = fs::read_to_string(modules().join(format!("custodian-{page}.service"))).unwrap();
        let shut = [
            "PrivateDevices=",
            "PrivateUsers=",
            "DevicePolicy=",
            "CapabilityBoundingSet=",
            "SystemCallFilter=",
            "ProtectSystem=",
            "ProtectClock=",
            "User=",
        ];
        let against: Vec<&str> = unit.lines().filter(|l| shut.iter().any(|key| l.starts_with(key))).collect();
        assert_eq!(against, [""; 0], "{page}");
    }
}

/// They compete with the recorder for processor and disks, and by their groups they could ask it for live pictures.
#[test]
fn what_runs_beside_the_recorder_stands_back() {
    for service in ["backup", "verify", "look", "fetch", "update"] {
        let unit = fs::read_to_string(modules().join(format!("custodian-{service}.service"))).unwrap();
        for line in ["CPUSchedulingPolicy=idle", "CPUWeight=idle", "IOSchedulingClass=idle", "IOWeight=10"] {
            assert!(unit.lines().any(|l| l == line), "{service}: {line}");
        }
        let in_group = unit.lines().any(|l| l.starts_with("SupplementaryGroups=custodian "));
        assert!(!in_group || unit.contains("\nInaccessiblePaths=-/run/custodian\n"), "{service}");
    }
}

#[test]
fn health_comes_to_what_the_recorder_says_of_itself_and_to_nothing_else() {
    let lines = |file: &str| -> Vec<Vec<String>> {
        let text = fs::read_to_string(modules().join(file)).unwrap();
        let words = |l: &str| l.split_whitespace().map(str::to_owned).collect();
        text.lines().filter(|l| !l.starts_with('#')).map(words).collect()
    };
    let users = lines("sysusers.d/custodian.conf");
    let members = users.iter().filter(|l| l[0] == "m").map(|l| (l[1].as_str(), l[2].as_str()));
    let (health, others): (Vec<_>, Vec<_>) = members.partition(|(user, _)| *user == "custodian-health");
    assert_eq!(health, [("custodian-health", "custodian-status")]);
    // Nobody else needs it, and the recorder's own group is not that of the folder.
    assert!(!others.is_empty() && others.iter().all(|(_, group)| *group != "custodian-status"), "{others:?}");
    let paths = Paths::new(paths::STATE);
    for (at, group) in [(paths.status_run(), "custodian-status"), (paths.run(), "custodian")] {
        let folders = lines("tmpfiles.d/custodian.conf");
        let folder = folders.iter().find(|l| *l[1] == *at.to_str().unwrap()).expect("it is made at boot");
        assert_eq!(folder[2..5], ["2750", "custodian-record", group]);
    }
    for path in [paths.status_socket(), paths.commits()] {
        assert_eq!(path.parent(), Some(&*paths.status_run()));
    }
    assert!(!paths.status_run().starts_with(paths.run()) && paths.media_socket().starts_with(paths.run()));
    let unit = fs::read_to_string(modules().join("custodian-record.service")).unwrap();
    let writable = unit.lines().find_map(|l| l.strip_prefix("ReadWritePaths=")).unwrap();
    assert!(writable.split(' ').any(|p| Path::new(p) == paths.status_run()), "{writable}");
}

#[test]
fn generated_units_are_understood() {
    for (recorder, unlock) in [("a", "tpm"), ("b", "none"), ("c", "passphrase"), ("a", "usb-key")] {
        let dir = tempfile::tempdir().unwrap();
        let mut files = services(dir.path());
        let site = SITE.replace("unlock = \"tpm\"", &format!("unlock = \"{unlock}\"")) + BACKUP;
        let units = generated(&site, recorder);
        assert!(units.keys().any(|n| custodian::plan::is_mount(n)), "{units:?}");
        assert_eq!(units.keys().any(|n| n.contains("unlock")), unlock != "none");
        for (name, text) in &units {
            let path = dir.path().join(name);
            if let Some((folder, _)) = name.split_once('/') {
                let _ = fs::create_dir(dir.path().join(folder));
            } else {
                files.push(path.clone());
            }
            // What opens disks is a package of its own in newer systems.
            fs::write(path, text.replace("/usr/lib/systemd/systemd-cryptsetup", "/bin/true")).unwrap();
        }
        let Some(out) = analyze(&["verify", "--man=no"], &files) else { return };
        assert_eq!((out.status.code(), String::from_utf8_lossy(&out.stderr).trim()), (Some(0), ""), "{unlock}");
    }
}

/// The name that systemd itself gives a path.
#[test]
fn names_are_those_that_systemd_gives() {
    for path in ["/var/lib/custodian/volumes/a-1", "/dev/disk/by-id/ata-WDC_WD120:x+y#z=@-part1", "/ổ đĩa/.x"] {
        let Ok(out) = Command::new("systemd-escape").args(["--path", path]).output() else { return };
        assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), custodian::plan::escape_path(path));
    }
}

/// The users that the units name exist, and the folders that they write to are made for them.
#[test]
fn users_and_folders_of_the_units_are_declared() {
    let read = |name: &str| fs::read_to_string(modules().join(name)).unwrap();
    let (users, folders) = (read("sysusers.d/custodian.conf"), read("tmpfiles.d/custodian.conf"));
    for service in ["record", "web", "backup", "verify", "health", "health-secrets", "look", "fetch"] {
        for line in read(&format!("custodian-{service}.service")).lines() {
            let declared = |kind: &str, name: &str| users.lines().any(|l| l.starts_with(&format!("{kind} {name} ")));
            match line.split_once('=') {
                Some(("User", user)) => assert!(declared("u", user), "user {user}"),
                // A user brings a group of its own name.
                Some(("Group", group)) => assert!(declared("u", group), "group {group}"),
                Some(("SupplementaryGroups", groups)) => {
                    // That one systemd brings along: who may read the journal.
                    for group in groups.split(' ').filter(|group| (service, *group) != ("health", "systemd-journal")) {
                        assert!(declared("g", group) || declared("u", group), "group {group}");
                    }
                }
                Some(("ReadWritePaths", paths)) => {
                    for path in paths.split(' ') {
                        assert!(folders.lines().any(|l| l.starts_with(&format!("d {path} "))), "folder {path}");
                    }
                }
                _ => {}
            }
        }
    }
}

/// In rescue mode the image's own /var is there, which is read-only. What systemd makes in it for a service has to be there already.
#[test]
fn services_start_on_the_images_own_var() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = tempfile::tempdir().unwrap();
    for folder in ["var", "var/cache", "var/cache/left"] {
        fs::create_dir(root.path().join(folder)).unwrap();
    }
    fs::write(root.path().join("var/left"), "").unwrap();
    let script = "import sys, pathlib; from parts import root; root.empty_var(pathlib.Path(sys.argv[1]))";
    let out = Command::new("python3")
        .args(["-B", "-c", script])
        .arg(root.path())
        .current_dir(repository.join("image"))
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let var = root.path().join("var");
    let mode = |path: &str| fs::metadata(var.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("tmp"), mode("lib/systemd/linger")), (0o1777, 0o755));
    assert!(!var.join("cache").exists() && !var.join("left").exists());
    let chrony = fs::read_dir(repository.join("modules/system/usr/lib/systemd/system/chrony.service.d")).unwrap();
    let mut texts = chrony.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    assert!(texts.any(|text| text.contains("\nConditionKernelCommandLine=!custodian.rescue\n")));
}

/// systemd's own shells for a system that does not come up are not there: the rescue console is, as in rescue mode.
#[test]
fn in_place_of_shells_there_is_the_rescue_console() {
    let read = |path: &str| fs::read_to_string(modules().join(path)).unwrap();
    let [emergency, rescue] = ["emergency", "rescue"]
        .map(|unit| read(&format!("../system/usr/lib/systemd/system/{unit}.service.d/custodian.conf")));
    assert_eq!(emergency, rescue);
    let own = read("custodian-rescue.service");
    let settings = |text: &str| -> Vec<String> {
        let keys = ["ExecStart=", "Restart", "Standard", "TTY"];
        text.lines().filter(|l| keys.iter().any(|k| l.starts_with(k))).map(str::to_owned).collect()
    };
    let mut replaced = settings(&emergency);
    // What is empty takes the shell away.
    assert_eq!(replaced.remove(0), "ExecStart=");
    assert_eq!(replaced, settings(&own));
    // What is protected below /sys is writable where the loader's choice is kept.
    assert!(!own.contains("ProtectKernelTunables") || own.contains("\nReadWritePaths=-/sys/firmware/efi/efivars\n"));
    let serial = read("custodian-rescue-serial.service");
    let without = |text: &str| -> Vec<String> {
        let other =
            |l: &&str| !["#", "Condition", "Description", "Conflicts", "TTY", "Utmp"].iter().any(|k| l.starts_with(k));
        text.lines().filter(other).map(str::to_owned).collect()
    };
    assert_eq!(without(&serial), without(&own));
    assert!(serial.contains("\nConditionKernelCommandLine=|console=ttyS0\n"), "never on a school's machine");
}

/// A start that is counted is proven by nothing else, and in whatever state it ends.
#[test]
fn what_proves_a_version_waits_for_nothing_and_is_waited_for() {
    let unit = fs::read_to_string(modules().join("custodian-good.service")).unwrap();
    for line in [
        "DefaultDependencies=no",
        "Before=boot-complete.target",
        "IgnoreOnIsolate=yes",
        "RequiredBy=boot-complete.target",
    ] {
        assert!(unit.lines().any(|l| l == line), "{line}");
    }
    // A condition that is not met counts as success.
    assert!(!unit.contains("\nAfter=") && !unit.contains("\nCondition") && !unit.contains("\nRestart="));
}
