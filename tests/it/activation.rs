//! Applying on a machine with a real systemd: the services in their sandboxes, trials that end by themselves, reboots.

mod health_unit;
mod journal;
mod network;
mod services;
mod stops;
mod system_disk;

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use custodian::{
    disks::{Unlocking, Wanted},
    sys::{RealClock, RealCommands},
    types::{
        ByteSize,
        wire::{Status, StreamState, StreamStatus},
    },
};
use tempfile::TempDir;

use crate::support::{
    container::{Machine, possible},
    loops::Loops,
    mounts,
    own::OwnCameras,
    wait_for,
};

/// What outlives a reboot of the machine: its state folder, a folder for footage, and the site's files.
struct Appliance {
    dir: TempDir,
    secrets: String,
}

fn modules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("modules/units")
}

const SERVICES: [&str; 4] =
    ["custodian-apply.service", "custodian-record.service", "custodian-web.service", "custodian-backup.timer"];
const VERIFY: [&str; 2] = ["custodian-verify.service", "custodian-verify.timer"];

impl Appliance {
    fn new(cameras: &OwnCameras) -> Self {
        let (user, password) = cameras.user();
        let secrets = format!("[credentials.viewer]\nusername = \"{user}\"\npassword = \"{password}\"\n");
        let appliance = Self { dir: tempfile::tempdir().unwrap(), secrets };
        for folder in ["state", "v1", "etc", "wants", "timers", "web", "record"] {
            fs::create_dir(appliance.path(folder)).unwrap();
        }
        // The services' users come to all of it.
        fs::set_permissions(appliance.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for service in SERVICES {
            symlink(format!("../{service}"), appliance.path("wants").join(service)).unwrap();
        }
        symlink(format!("../{}", VERIFY[1]), appliance.path("timers").join(VERIFY[1])).unwrap();
        // The machine shares the network of this one, where the usual port may be taken.
        let listen = "[Service]\nExecStart=\nExecStart=/usr/bin/custodian web --listen 127.0.0.1:0 \
                      --site /var/lib/custodian/current/site.toml --state /var/lib/custodian\n";
        fs::write(appliance.path("web/listen.conf"), listen).unwrap();
        fs::write(appliance.path("record/watchdog.conf"), "[Service]\nWatchdogSec=3\n").unwrap();
        appliance
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn boot(&self) -> Machine {
        self.boot_with(&[])
    }

    fn boot_with(&self, more: &[(PathBuf, String)]) -> Machine {
        let binds = self.binds(more);
        let binds: Vec<(PathBuf, &str)> = binds.iter().map(|(here, there)| (here.clone(), there.as_str())).collect();
        Machine::boot(self.dir.path(), &binds)
    }

    fn binds(&self, more: &[(PathBuf, String)]) -> Vec<(PathBuf, String)> {
        let mut binds: Vec<(PathBuf, String)> = vec![
            (env!("CARGO_BIN_EXE_custodian").into(), "/usr/bin/custodian".into()),
            (self.path("state"), "/var/lib/custodian".into()),
            (self.path("v1"), "/srv/v1".into()),
            (self.path("etc"), "/etc/custodian".into()),
            (self.path("wants"), "/etc/systemd/system/multi-user.target.wants".into()),
            (self.path("timers"), "/etc/systemd/system/timers.target.wants".into()),
            (self.path("web"), "/etc/systemd/system/custodian-web.service.d".into()),
            (self.path("record"), "/etc/systemd/system/custodian-record.service.d".into()),
            (modules().join("sysusers.d/custodian.conf"), "/usr/lib/sysusers.d/custodian.conf".into()),
            (modules().join("tmpfiles.d/custodian.conf"), "/usr/lib/tmpfiles.d/custodian.conf".into()),
        ];
        binds.extend_from_slice(more);
        let units = SERVICES.into_iter().chain(["custodian-backup.service"]).chain(VERIFY);
        binds.extend(units.map(|s| (modules().join(s), format!("/etc/systemd/system/{s}"))));
        binds
    }

    /// The site: a folder and these cameras.
    fn site(&self, cameras: &[(&str, &str)]) {
        self.site_with(&[], cameras);
    }

    fn site_with(&self, disks: &[(&str, &str)], cameras: &[(&str, &str)]) {
        let mut text = String::from(
            "[site]\nid = \"school\"\nname = \"x\"\ntimezone = \"Asia/Ho_Chi_Minh\"\nlanguage = \"en\"\n[area.y]\nname = \"Sân\"\n\
             kind = \"public\"\n[recorder.a]\nunlock = \"none\"\n[[recorder.a.volume]]\nname = \"v1\"\npath = \"/srv/v1\"\n",
        );
        for (name, disk) in disks {
            text += "[[recorder.a.volume]]\nsize = \"512 MiB\"\nname = \"";
            text += name;
            text += "\"\ndisk = \"";
            text += disk;
            text += "\"\n";
        }
        for (id, url) in cameras {
            text += "[camera.";
            text += id;
            text += "]\narea = \"y\"\ncredentials = \"viewer\"\nbitrate = \"2 Mbit/s\"\nvolume = \"v1\"\nname = \"";
            text += id;
            text += "\"\nmain = \"";
            text += url;
            text += "\"\n";
        }
        fs::write(self.path("etc/site.toml"), text).unwrap();
        fs::write(self.path("etc/secrets.toml"), &self.secrets).unwrap();
        fs::set_permissions(self.path("etc/secrets.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    }
}

fn status(machine: &Machine) -> Option<Status> {
    serde_json::from_slice(&machine.try_run(&["custodian", "status", "--json"]).stdout).ok()
}

fn wait_until_recorded(machine: &Machine, cameras: &[(&str, &str)]) {
    wait_for("footage of all cameras", Duration::from_mins(1), || {
        let status = status(machine)?;
        let recorded = |(id, _): &(&str, &str)| {
            // Not footage of before a reboot.
            let fresh = |newest| status.now.since(newest) < 8_000_000_000;
            let recorded = |s: &&StreamStatus| s.state == StreamState::Running && s.newest_committed.is_some_and(fresh);
            status.streams.iter().filter(|s| s.camera.as_str() == *id).any(|s| recorded(&s))
        };
        cameras.iter().all(recorded).then_some(())
    });
}

fn recorder_pid(machine: &Machine) -> String {
    machine.run(&["systemctl", "show", "--property=MainPID", "--value", "custodian-record.service"]).trim().to_owned()
}

fn current(machine: &Machine) -> String {
    machine.run(&["readlink", "/var/lib/custodian/current"]).trim().replace("generations/", "")
}

fn failed_units(machine: &Machine) -> String {
    machine
        .run(&["systemctl", "list-units", "--failed", "--plain", "--no-legend", "custodian*", "*.mount"])
        .trim()
        .to_owned()
}

fn no_gaps(machine: &Machine, camera: &str) {
    assert_eq!(machine.run(&["custodian", "gaps", "--json", "--camera", camera]).trim(), "[]");
}

#[test]
fn loop_a_machine_applies_tries_reboots_and_goes_back() {
    if !possible() {
        return;
    }
    #[expect(clippy::disallowed_methods, reason = "how long real processes take")]
    let now = Instant::now;
    let cameras = OwnCameras::start(3);
    let all: Vec<(&str, &str)> =
        cameras.names.iter().map(String::as_str).zip(cameras.urls().iter().map(String::as_str)).collect();
    let appliance = Appliance::new(&cameras);
    let machine = appliance.boot();
    let state = |unit: &str| String::from_utf8(machine.try_run(&["systemctl", "is-active", unit]).stdout).unwrap();
    assert_eq!(state("custodian-record.service").trim(), "inactive", "without a site there is nothing to record");

    // The first site. Its folder is prepared by hand, and given to the recorder.
    appliance.site(&all[..2]);
    machine.run(&["custodian", "volume", "init", "v1"]);
    machine.run(&["chown", "--recursive", "custodian-record:", "/srv/v1"]);
    let said = machine.run(&["custodian", "apply"]);
    assert!(said.contains("Generation 1 is in force."), "{said}");
    wait_until_recorded(&machine, &all[..2]);
    assert_eq!(state("custodian-web.service").trim(), "active");
    let may = |user: &str, how: &str, path: &str| {
        machine.try_run(&["runuser", "--user", user, "--", "test", how, path]).status.success()
    };
    assert!(may("custodian-web", "-w", "/run/custodian/media.sock"));
    assert!(!may("custodian-web", "-w", "/run/custodian/control.sock"));
    assert!(!may("custodian-web", "-r", "/var/lib/custodian/current/secrets.toml"));
    assert!(may("custodian-record", "-r", "/var/lib/custodian/current/secrets.toml"));
    assert!(!may("custodian-record", "-w", "/var/lib/custodian"), "or it could say what root puts in force");

    // Who reports how the recorder is asks for that, sees what was committed, and comes to nothing else.
    wait_for("what was committed", Duration::from_secs(10), || {
        may("custodian-health", "-r", "/run/custodian-status/commit/v1.json").then_some(())
    });
    assert!(may("custodian-health", "-w", "/run/custodian-status/status.sock"));
    assert!(!may("custodian-health", "-w", "/run/custodian-status/commit"));
    for way in ["/run/custodian", "/var/lib/custodian/record", "/var/lib/custodian/current/site.toml"] {
        assert!(!may("custodian-health", "-r", way) && !may("custodian-health", "-x", way), "{way}");
    }
    assert!(!may("custodian-web", "-w", "/run/custodian-status/status.sock"));
    assert_eq!(machine.run(&["id", "-nG", "custodian-health"]).trim(), "custodian-health custodian-status");
    wait_for("the line that systemd shows", Duration::from_secs(30), || {
        let line = machine.run(&["systemctl", "show", "--property=StatusText", "--value", "custodian-record.service"]);
        (line.trim() == "recording 2 of 2 streams; 1 of 1 volumes").then_some(())
    });

    assert_eq!(failed_units(&machine), "");

    // No change: at once.
    let began = now();
    assert!(machine.run(&["custodian", "apply"]).contains("Nothing to do"));
    let nothing = began.elapsed();

    // A third camera: the same process, and the others lose nothing.
    let pid = recorder_pid(&machine);
    appliance.site(&all);
    let began = now();
    machine.run(&["custodian", "apply"]);
    wait_for("the third camera to run", Duration::from_secs(30), || {
        let status = status(&machine)?;
        status.streams.iter().any(|s| s.camera.as_str() == all[2].0 && s.state == StreamState::Running).then_some(())
    });
    let added = began.elapsed();
    wait_until_recorded(&machine, &all);
    assert_eq!(recorder_pid(&machine), pid);
    all[..2].iter().for_each(|c| no_gaps(&machine, c.0));
    #[expect(clippy::print_stderr, reason = "a figure")]
    {
        eprintln!("nothing to do: {nothing:?}; a camera more, running: {added:?}");
    }
    assert!(nothing < Duration::from_secs(2) && added < Duration::from_secs(10), "{nothing:?}, {added:?}");

    // A trial of a wrong address: it cannot be confirmed, and ends by itself.
    appliance.site(&[all[0], all[1], (all[2].0, "rtsp://127.0.0.1:9/none")]);
    assert!(machine.run(&["custodian", "apply", "--try", "30s"]).contains("On trial until"));
    assert_eq!(current(&machine), "3");
    let refused = machine.try_run(&["custodian", "confirm", "--lang", "en"]);
    let refused = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.contains(&format!("{} has no footage on disk since the change", all[2].0)), "{refused}");
    wait_for("the trial to end by itself", Duration::from_mins(1), || (current(&machine) == "2").then_some(()));
    wait_for("the site that the recorder has", Duration::from_secs(20), || {
        let status = status(&machine)?;
        status.streams.iter().all(|s| s.state == StreamState::Running).then_some(())
    });
    assert_eq!(recorder_pid(&machine), pid);
    all[..2].iter().for_each(|c| no_gaps(&machine, c.0));

    // A trial that a power cut falls into: it goes on, and can be confirmed.
    appliance.site(&all[..2]);
    machine.run(&["custodian", "apply", "--try", "10m", "--reason", "the third one has moved"]);
    assert_eq!(current(&machine), "4");
    machine.cut();
    let machine = appliance.boot();
    wait_until_recorded(&machine, &all[..2]);
    assert_eq!((current(&machine).as_str(), failed_units(&machine).as_str()), ("4", ""));
    assert!(machine.run(&["systemctl", "list-timers", "--all"]).contains("custodian-trial-4.timer"));
    let confirmed = machine.run(&["custodian", "confirm"]);
    assert!(confirmed.contains("Generation 4 is confirmed."), "{confirmed}");
    assert!(!machine.run(&["systemctl", "list-timers", "--all"]).contains("custodian-trial"));

    // A recorder that hangs is started anew: after the 3 s that it has here, and the 1 s between two of them.
    let pid = recorder_pid(&machine);
    machine.run(&["kill", "-STOP", &pid]);
    wait_for("another recorder", Duration::from_secs(10), || {
        let other = recorder_pid(&machine);
        (other != pid && other != "0").then_some(())
    });
    wait_until_recorded(&machine, &all[..2]);

    // What came into force is in the ledger, the end of the trial too: left by root, taken up by the recorder's user.
    wait_for("the generations in the ledger", Duration::from_secs(20), || {
        let shown = machine.run(&["custodian", "ledger", "show", "--all", "--kind", "generation", "--json"]);
        let shown: Vec<serde_json::Value> = serde_json::from_str(&shown).unwrap();
        let numbers: Vec<u64> = shown.iter().filter_map(|e| e["entry"]["number"].as_u64()).collect();
        (numbers == [1, 2, 3, 2, 4]).then_some(())
    });
    machine.run(&["systemctl", "stop", "custodian-record.service"]);
    machine.run(&["custodian", "ledger", "verify"]);
    let key = "/var/lib/custodian/record/ledger/key";
    assert_eq!(machine.run(&["stat", "--format=%a %U", key]).trim(), "600 custodian-record");
    for (how, path) in [("-w", "/var/lib/custodian/ledger-spool"), ("-r", "/var/lib/custodian/record/ledger/public")] {
        assert!(!machine.try_run(&["runuser", "--user", "custodian-web", "--", "test", how, path]).status.success());
    }

    // Who reads footage or speaks to stores leaves entries of their own, and no other's: neither can it remove what root has left.
    let spool = "/var/lib/custodian/ledger-spool";
    let looks = machine.run(&["stat", "--format=%a %U %G", spool]);
    assert_eq!(looks.trim(), "3770 custodian-record custodian-spool");
    machine.run(&["touch", "/var/lib/custodian/ledger-spool/of-root"]);
    for user in ["custodian-verify", "custodian-backup"] {
        let (own, of_root) = (format!("{spool}/{user}"), format!("{spool}/of-root"));
        let may =
            |does: &[&str]| machine.try_run(&[&["runuser", "--user", user, "--"], does].concat()).status.success();
        assert!(may(&["touch", &own]) && !may(&["rm", &of_root]) && !may(&["mv", &of_root, &own]), "{user}");
        machine.run(&["runuser", "--user", "custodian-record", "--", "rm", &own]);
    }
    machine.run(&[
        "runuser",
        "--user",
        "custodian-record",
        "--",
        "mv",
        &format!("{spool}/of-root"),
        &format!("{spool}/named"),
    ]);
    machine.run(&["rm", &format!("{spool}/named")]);

    // A key that the machine holds is the one that counts: another one than the log's is refused, with its own it goes on.
    machine.run(&[
        "sh",
        "-c",
        "mkdir -p /etc/credstore && head -c 32 /dev/urandom > /etc/credstore/custodian.ledger-key",
    ]);
    machine.run(&["systemctl", "start", "custodian-record.service"]);
    let problem = wait_for("a problem", Duration::from_secs(20), || status(&machine)?.ledger?.problem);
    assert!(problem.contains("is not the one that this log is signed with"), "{problem}");
    let own = "mv /var/lib/custodian/record/ledger/key /etc/credstore/custodian.ledger-key";
    machine.run(&["sh", "-c", own]);
    machine.run(&["systemctl", "restart", "custodian-record.service"]);
    wait_for("the ledger to go on", Duration::from_secs(20), || {
        let ledger = status(&machine)?.ledger?;
        (ledger.problem.is_none() && ledger.entries.is_some()).then_some(())
    });
    machine.run(&["systemctl", "stop", "custodian-record.service"]);
    machine.run(&["custodian", "ledger", "verify"]);
    machine.cut();
}

/// A disk of ours for a volume of the site, on a loop device, and how another machine sees it.
fn disk(loops: &mut Loops, volume: &str, by_id: &str) -> Vec<(PathBuf, String)> {
    let device = loops.disk(by_id, 512, &[]);
    let machine = loops.machine(&RealCommands);
    let (site, volume) = ("school".into(), volume.parse().unwrap());
    let wanted = Wanted { site, volume, size: ByteSize(512 << 20), removable: false };
    let token = machine.sheet(by_id, Some(&wanted)).unwrap().init.unwrap();
    machine.init(by_id, &wanted, &token, Unlocking::None, &RealClock).unwrap();
    let partition = format!("{}p1", device.display());
    symlink(&partition, loops.path().join(format!("by-id/{by_id}-part1"))).unwrap();
    let node = |path: &str| (path.into(), path.into());
    let names = (loops.path().join("by-id"), "/dev/disk/by-id".into());
    vec![node(&device.display().to_string()), node(&partition), names]
}

/// The machine that prepared the disk had no such user.
fn give_to_the_recorder(machine: &Machine, by_id: &str) {
    machine.run(&["mount", "-t", "xfs", &format!("/dev/disk/by-id/{by_id}-part1"), "/mnt"]);
    machine.run(&["chown", "--recursive", "custodian-record:", "/mnt"]);
    machine.run(&["umount", "/mnt"]);
}

#[test]
fn loop_a_disk_comes_dies_returns_and_goes_beside_a_recorder_at_work() {
    if !possible() || !mounts::possible() {
        return;
    }
    #[expect(clippy::disallowed_methods, reason = "how long real processes take")]
    let now = Instant::now;
    let cameras = OwnCameras::start(1);
    let all = [(cameras.names[0].as_str(), cameras.urls()[0].as_str())];
    let appliance = Appliance::new(&cameras);
    let mut loops = Loops::new();
    let disk = disk(&mut loops, "d-1", "ata-X_1");
    let machine = appliance.boot_with(&disk);
    give_to_the_recorder(&machine, "ata-X_1");
    appliance.site(&all);
    machine.run(&["custodian", "volume", "init"]);
    machine.run(&["chown", "--recursive", "custodian-record:", "/srv/v1"]);
    machine.run(&["custodian", "apply"]);
    wait_until_recorded(&machine, &all);
    let pid = recorder_pid(&machine);

    // It comes: mounted where the recorder in its sandbox sees it, without a restart.
    let with_disk = [("d-1", "ata-X_1")];
    appliance.site_with(&with_disk, &all);
    machine.run(&["custodian", "apply"]);
    let findmnt = ["findmnt", "-no", "FSTYPE,OPTIONS", "/var/lib/custodian/volumes/d-1"];
    let options = machine.run(&findmnt);
    assert!(options.starts_with("xfs") && options.contains("nosuid,nodev,noexec,noatime"), "{options}");
    let healthy = |machine: &Machine| {
        wait_for("the volume to be used", Duration::from_secs(30), || {
            let status = status(machine)?;
            status.volumes.iter().any(|v| v.name.as_str() == "d-1" && v.healthy).then_some(())
        });
    };
    healthy(&machine);
    assert_eq!(recorder_pid(&machine), pid);
    no_gaps(&machine, all[0].0);
    machine.run(&["systemctl", "stop", "custodian-record.service"]);
    machine.cut();

    // It is dead: booting waits for nothing, and the site can be changed.
    let began = now();
    let machine = appliance.boot();
    assert!(began.elapsed() < Duration::from_secs(14), "a disk that is not there holds up booting");
    wait_until_recorded(&machine, &all);
    assert!(!machine.try_run(&findmnt).status.success());
    machine.cut();

    // It returns: the boot mounts it.
    let machine = appliance.boot_with(&disk);
    healthy(&machine);
    wait_until_recorded(&machine, &all);
    assert_eq!(failed_units(&machine), "");

    // It goes: let go by a recorder that begins anew.
    let pid = recorder_pid(&machine);
    appliance.site(&all);
    machine.run(&["custodian", "apply", "--reason", "the disk is wanted elsewhere"]);
    assert!(!machine.try_run(&findmnt).status.success(), "it is let go");
    wait_until_recorded(&machine, &all);
    assert_ne!(recorder_pid(&machine), pid);
    assert_eq!(failed_units(&machine), "");
    machine.cut();
}
