//! The unit of health on a machine with a real systemd: whose it is, what it is handed, and what it cannot come to. In the program's place
//! stands one that tries.

use super::*;

const UNITS: [&str; 2] = ["custodian-health.service", "custodian-health-secrets.service"];

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
        "exec > /var/lib/custodian/health/seen\nid -un\nid -nG\ncat $CREDENTIALS_DIRECTORY/site.toml | head -n 2\n\
         cat $CREDENTIALS_DIRECTORY/custodian.health-secrets\necho\necho recorder $CUSTODIAN_RECORDER\n\
         for path in {}; do test -r $path && echo CAN READ $path; done\n\
         for path in /run/custodian-status /var/lib/custodian/verify /run/custodian-look; do ls $path > /dev/null || echo CANNOT LIST $path; done\n\
         touch /var/lib/custodian/ledger-spool/of-health /run/custodian-health/of-health || echo CANNOT WRITE\n\
         touch /var/lib/custodian/stray /run/custodian-status/stray /var/lib/custodian/verify/stray 2> /dev/null && echo CAN WRITE\n\
         test -r /proc/meminfo || echo NO MEMORY\necho end\nsystemd-notify --ready\nexec sleep infinity\n",
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
    for (folder, files) in [
        ("health", [("probe.sh", probe()), ("probe.conf", "[Service]\nNotifyAccess=all\nWatchdogSec=0\nExecStart=\nExecStart=/bin/sh /etc/systemd/system/custodian-health.service.d/probe.sh\n".into())]),
        // As the program does: of secrets.toml what [health] names.
        ("secrets", [("probe.sh", "date +%N > /run/credstore/when\ngrep -A1 secrets /var/lib/custodian/current/secrets.toml > /run/credstore/custodian.health-secrets || rm -f /run/credstore/custodian.health-secrets\n".into()), ("probe.conf", "[Service]\nExecStart=\nExecStart=/bin/sh /etc/systemd/system/custodian-health-secrets.service.d/probe.sh\n".into())]),
    ] {
        fs::create_dir(appliance.path(folder)).unwrap();
        for (name, text) in files {
            fs::write(appliance.path(folder).join(name), text).unwrap();
        }
    }
    symlink(format!("../{}", UNITS[0]), appliance.path("wants").join(UNITS[0])).unwrap();
    let mut more: Vec<(PathBuf, String)> =
        UNITS.iter().map(|unit| (modules().join(unit), format!("/etc/systemd/system/{unit}"))).collect();
    more.push((appliance.path("health"), "/etc/systemd/system/custodian-health.service.d".into()));
    more.push((appliance.path("secrets"), "/etc/systemd/system/custodian-health-secrets.service.d".into()));
    let machine = appliance.boot_with(&more);

    // Without a site it runs, and is handed nothing.
    let active = |unit: &str| String::from_utf8(machine.try_run(&["systemctl", "is-active", unit]).stdout).unwrap();
    wait_for("health to run", Duration::from_secs(30), || (active(UNITS[0]).trim() == "active").then_some(()));
    let seen = || fs::read_to_string(appliance.path("state/health/seen")).unwrap();
    let groups = "custodian-health\ncustodian-health custodian-status custodian-spool\n";
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
    for path in NEVER {
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
    fs::write(appliance.path("health/probe.sh"), "exit 1\n").unwrap();
    let recorder = recorder_pid(&machine);
    fs::write(&site, fs::read_to_string(&site).unwrap() + "[health.warn]\nnewest = \"20 s\"\n").unwrap();
    let said = machine.run(&["custodian", "apply"]);
    assert!(said.contains("Generation 2 is in force."), "{said}");
    assert_eq!(recorder_pid(&machine), recorder);
}
