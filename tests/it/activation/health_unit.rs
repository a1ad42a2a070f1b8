//! The unit of health on a machine with a real systemd: whose it is, what it is handed, and what it cannot come to. In the program's place
//! stands one that tries.

use super::*;

const UNITS: [&str; 3] = ["custodian-health.service", "custodian-health-secrets.service", "custodian-look.service"];

/// Root's look: reads what is other users', asks for disks, writes one folder and no disk.
const LOOK: &str = "set -e\ncat /var/lib/custodian/backups/any /var/lib/custodian/current/secrets.toml > /dev/null\n\
                    lsblk --json > /run/custodian-look/look.json\n\
                    for path in /var/lib/custodian/stray /run/stray /srv/v1/stray; do ! touch $path 2> /dev/null; done\n\
                    test -z \"$(ls /run/custodian 2> /dev/null)\"\n";

/// What health must not be able to read, in its sandbox or outside of it.
const NEVER: [&str; 8] = [
    "/srv/v1/footage",
    "/var/lib/custodian/record/index.db",
    "/var/lib/custodian/record/ledger",
    "/var/lib/custodian/current/secrets.toml",
    "/var/lib/custodian/current/site.toml",
    "/var/lib/custodian/backups/any",
    "/run/custodian/media.sock",
    "/run/custodian/control.sock",
];

/// Tries everything, says what came of it, and that it is ready.
fn probe() -> String {
    format!(
        "exec > /var/lib/custodian/health/seen\nid -un\nid -nG | tr ' ' '\\n' | sort\ncat $CREDENTIALS_DIRECTORY/site.toml | head -n 2\n\
         cat $CREDENTIALS_DIRECTORY/custodian.health-secrets\necho\necho recorder $CUSTODIAN_RECORDER\n\
         for path in {}; do test -r $path && echo CAN READ $path; done\n\
         for path in /run/custodian-status /var/lib/custodian/verify /run/custodian-look; do ls $path > /dev/null || echo CANNOT LIST $path; done\n\
         touch /var/lib/custodian/ledger-spool/of-health /run/custodian-health/of-health || echo CANNOT WRITE\n\
         touch /var/lib/custodian/stray /run/custodian-status/stray /var/lib/custodian/verify/stray 2> /dev/null && echo CAN WRITE\n\
         test -r /proc/meminfo || echo NO MEMORY\nsystemctl list-units --failed > /dev/null || echo NO MANAGER\necho end\nsystemd-notify --ready\nexec sleep infinity\n",
        NEVER.join(" ")
    )
}

#[test]
fn loop_health_is_handed_what_it_may_know_and_comes_to_nothing_else() {
    if !possible() {
        return;
    }
    let cameras = OwnCameras::start(1);
    let all = [(cameras.names[0].as_str(), cameras.urls()[0].as_str())];
    let appliance = Appliance::new(&cameras);
    let mut more = Vec::new();
    // As the program does: of secrets.toml what [health] names.
    let prepare = "date +%N > /run/credstore/when\ncd /run/credstore\nfrom=/var/lib/custodian/current/secrets.toml\n\
                   grep -A1 secrets $from > custodian.health-secrets || rm -f custodian.health-secrets\n";
    let programs = [(probe(), "NotifyAccess=all\nWatchdogSec=0\n"), (prepare.into(), ""), (LOOK.into(), "")];
    for (unit, (program, more_of_unit)) in UNITS.into_iter().zip(programs) {
        let (folder, there) = (appliance.path(unit), format!("/etc/systemd/system/{unit}.d"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("probe.sh"), program).unwrap();
        let instead = format!("[Service]\n{more_of_unit}ExecStart=\nExecStart=/bin/sh {there}/probe.sh\n");
        fs::write(folder.join("probe.conf"), instead).unwrap();
        more.push((folder, there));
        more.push((modules().join(unit), format!("/etc/systemd/system/{unit}")));
    }
    symlink(format!("../{}", UNITS[0]), appliance.path("wants").join(UNITS[0])).unwrap();
    let machine = appliance.boot_with(&more);

    // Without a site it runs, and is handed nothing.
    let active = |unit: &str| String::from_utf8(machine.try_run(&["systemctl", "is-active", unit]).stdout).unwrap();
    wait_for("health to run", Duration::from_secs(30), || (active(UNITS[0]).trim() == "active").then_some(()));
    let seen = || fs::read_to_string(appliance.path("state/health/seen")).unwrap();
    let groups = "custodian-health\ncustodian-health\ncustodian-spool\ncustodian-status\n";
    assert_eq!(seen(), format!("{groups}nonenone\nrecorder\nend\n"));

    // A site is applied: it begins anew with that, while the recorder records.
    appliance.site(&all);
    let (site, secrets) = (appliance.path("etc/site.toml"), appliance.path("etc/secrets.toml"));
    let push = "\n[health.push]\nkind = \"http\"\nurl_secret = \"up\"\n";
    fs::write(&site, fs::read_to_string(&site).unwrap() + push).unwrap();
    fs::write(&secrets, fs::read_to_string(&secrets).unwrap() + "[secrets]\nup = \"https://up.example.vn/x\"\n")
        .unwrap();
    machine.run(&["custodian", "volume", "init"]);
    machine.run(&["chown", "--recursive", "custodian-record:", "/srv/v1"]);
    machine.run(&["custodian", "apply"]);
    let handed = "[site]\nid = \"school\"\n[secrets]\nup = \"https://up.example.vn/x\"\n\nrecorder a\nend\n";
    assert_eq!(seen(), format!("{groups}{handed}"));
    wait_until_recorded(&machine, &all);
    let may = |user: &str, how: &str, path: &str| {
        machine.try_run(&["runuser", "--user", user, "--", "test", how, path]).status.success()
    };
    machine.run(&["touch", "/var/lib/custodian/backups/any"]);
    let begun_anew = || {
        fs::remove_file(appliance.path("state/health/seen")).unwrap();
        machine.run(&["systemctl", "restart", UNITS[0]]);
        seen()
    };
    // Now that all of it is there.
    assert_eq!(begun_anew(), format!("{groups}{handed}"));
    // The school has made the folder for footage, and whoever likes may list that; the recorder's files are its own.
    let segments = machine.run(&["find", "/srv/v1/footage", "-name", "*.mp4"]);
    let segment = segments.lines().next().expect("one is being written");
    for path in NEVER.into_iter().skip(1).chain([segment]) {
        assert!(machine.try_run(&["test", "-e", path]).status.success(), "{path} is there");
        assert!(!may("custodian-health", "-r", path), "by its user alone it may read {path}");
    }
    assert!(!may("custodian-health", "-r", "/run/credstore") && !may("custodian-health", "-x", "/run/credstore"));
    assert!(
        may("custodian-web", "-x", "/run/custodian-health") && !may("custodian-web", "-w", "/run/custodian-health")
    );
    assert!(!may("custodian-web", "-x", "/var/lib/custodian/health"));
    let looks = machine.run(&["stat", "--format=%U %G", "/run/custodian-health/of-health"]);
    assert_eq!(looks.trim(), "custodian-health custodian", "sockets made there are for the pages too");
    // What it leaves the recorder can read and remove; backups and the verifier can leave entries as before.
    let left = machine.run(&["stat", "--format=%U %G", "/var/lib/custodian/ledger-spool/of-health"]);
    assert_eq!(left.trim(), "custodian-health custodian-spool");
    for user in ["custodian-backup", "custodian-verify"] {
        assert!(may(user, "-w", "/var/lib/custodian/ledger-spool"), "{user}");
    }
    assert!(!may("custodian-web", "-w", "/var/lib/custodian/ledger-spool"));
    machine.run(&["runuser", "--user", "custodian-record", "--", "rm", "/var/lib/custodian/ledger-spool/of-health"]);

    machine.run(&["systemctl", "start", UNITS[2]]);
    let looked = machine.run(&["runuser", "--user", "custodian-health", "--", "cat", "/run/custodian-look/look.json"]);
    assert!(looked.contains("blockdevices"), "{looked}");

    // The recorder's end is not its own.
    let pid = || machine.run(&["systemctl", "show", "--property=MainPID", "--value", UNITS[0]]);
    let before = pid();
    machine.run(&["systemctl", "stop", "custodian-record.service"]);
    assert_eq!((active(UNITS[0]).trim(), pid()), ("active", before.clone()));
    machine.run(&["systemctl", "start", "custodian-record.service"]);
    // When it dies it begins anew, and is handed everything anew.
    let when = || machine.run(&["cat", "/run/credstore/when"]);
    let prepared = when();
    machine.run(&["kill", "-KILL", before.trim()]);
    wait_for("another one", Duration::from_secs(30), || {
        let now = pid();
        (now != before && now.trim() != "0" && active(UNITS[0]).trim() == "active").then_some(())
    });
    assert_ne!(when(), prepared);

    // One that does not start holds up no site, and leaves the recorder alone.
    fs::write(appliance.path(UNITS[0]).join("probe.sh"), "exit 1\n").unwrap();
    let recorder = recorder_pid(&machine);
    fs::write(&site, fs::read_to_string(&site).unwrap() + "[health.warn]\nnewest = \"20 s\"\n").unwrap();
    let said = machine.run(&["custodian", "apply"]);
    assert!(said.contains("Generation 2 is in force."), "{said}");
    assert_eq!(recorder_pid(&machine), recorder);
}

/// The units as they are.
#[test]
fn loop_health_runs_is_handed_its_secrets_and_hears_of_roots_look() {
    if !possible() {
        return;
    }
    let cameras = OwnCameras::start(1);
    let all = [(cameras.names[0].as_str(), cameras.urls()[0].as_str())];
    let appliance = Appliance::new(&cameras);
    symlink(format!("../{}", UNITS[0]), appliance.path("wants").join(UNITS[0])).unwrap();
    let more: Vec<(PathBuf, String)> =
        UNITS.iter().map(|unit| (modules().join(unit), format!("/etc/systemd/system/{unit}"))).collect();
    let machine = appliance.boot_with(&more);
    let report = || -> Option<serde_json::Value> {
        serde_json::from_slice(&machine.try_run(&["custodian", "health", "--json"]).stdout).ok()
    };
    let active = |unit: &str| String::from_utf8(machine.try_run(&["systemctl", "is-active", unit]).stdout).unwrap();
    wait_for("health to run", Duration::from_secs(30), || (active(UNITS[0]).trim() == "active").then_some(()));
    let prepared = "/run/credstore/custodian.health-secrets";
    assert!(!machine.try_run(&["test", "-e", prepared]).status.success(), "without a site nothing is handed over");

    appliance.site(&all);
    let (site, secrets) = (appliance.path("etc/site.toml"), appliance.path("etc/secrets.toml"));
    let push = "\n[health]\ninterval = \"5 s\"\n[health.push]\nkind = \"http\"\nurl_secret = \"up\"\n";
    fs::write(&site, fs::read_to_string(&site).unwrap() + push).unwrap();
    fs::write(&secrets, fs::read_to_string(&secrets).unwrap() + "[secrets]\nup = \"http://127.0.0.1:9/x\"\n").unwrap();
    machine.run(&["custodian", "volume", "init"]);
    machine.run(&["chown", "--recursive", "custodian-record:", "/srv/v1"]);
    machine.run(&["custodian", "apply"]);
    assert_eq!(machine.run(&["cat", prepared]), "[secrets]\nup = \"http://127.0.0.1:9/x\"\n");
    machine.run(&["systemctl", "start", UNITS[2]]);
    let seen = wait_for("a report that knows of root's look", Duration::from_mins(1), || {
        report().filter(|r| r["generation"]["number"] == 1 && r["recording"].is_array())
    });
    assert_eq!(seen["generation"]["confirmed"], true);
    let of = |property: &str| {
        let line = machine.run(&["systemctl", "show", "--value", "--property", property, UNITS[0]]);
        line.trim().to_owned()
    };
    assert_eq!((of("NRestarts").as_str(), active(UNITS[0]).trim()), ("0", "active"));
    assert_eq!(failed_units(&machine), "");
}
