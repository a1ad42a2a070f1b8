//! Backups and the monthly reading of footage, as services of a machine with a real systemd.

use super::*;

/// A disk with one partition and a file system that nobody of ours has made.
fn ordinary_disk(loops: &mut Loops, by_id: &str) -> Vec<(PathBuf, String)> {
    let device = loops.disk(by_id, 200, &[]).display().to_string();
    let run = |line: &str| {
        let out = std::process::Command::new("sh").args(["-ec", line]).output().unwrap();
        assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
    };
    let definitions = loops.path().join("repart.d");
    fs::create_dir(&definitions).unwrap();
    fs::write(definitions.join("backup.conf"), "[Partition]\nType=linux-generic\n").unwrap();
    let definitions = definitions.display();
    run(&format!(
        "systemd-repart --empty=require --dry-run=no --definitions={definitions} {device} && partx --update {device}"
    ));
    run(&format!("mkfs.ext4 -q {device}p1"));
    let partition = format!("{device}p1");
    symlink(&partition, loops.path().join(format!("by-id/{by_id}-part1"))).unwrap();
    let names = (loops.path().join("by-id"), "/dev/disk/by-id".into());
    vec![(device.clone().into(), device), (partition.clone().into(), partition), names]
}

#[test]
fn loop_backups_are_made_by_a_service_that_can_read_and_not_write() {
    if !possible() || !mounts::possible() {
        return;
    }
    let cameras = OwnCameras::start(1);
    let all = [(cameras.names[0].as_str(), cameras.urls()[0].as_str())];
    let appliance = Appliance::new(&cameras);
    let nas = appliance.path("nas");
    fs::create_dir(&nas).unwrap();
    let mut loops = Loops::new();
    let mut binds = ordinary_disk(&mut loops, "usb-B_1");
    binds.push((nas.clone(), "/srv/nas".into()));
    let machine = appliance.boot_with(&binds);
    let active = |unit: &str| String::from_utf8(machine.try_run(&["systemctl", "is-active", unit]).stdout).unwrap();
    assert_eq!(active("custodian-backup.timer").trim(), "inactive", "a site without backups has no timer");
    appliance.site(&all);
    machine.run(&["custodian", "volume", "init"]);
    machine.run(&["chown", "--recursive", "custodian-record:", "/srv/v1"]);
    machine.run(&["custodian", "apply"]);
    wait_until_recorded(&machine, &all);

    let key = age::x25519::Identity::generate();
    let site = appliance.path("etc/site.toml");
    let without = fs::read_to_string(&site).unwrap();
    let backup = format!(
        "\n[backup]\nareas = [\"y\"]\nrecipients = [\"{}\"]\nat = \"02:30\"\n\
         to = [{{ kind = \"directory\", path = \"/srv/nas\" }}, {{ kind = \"disk\", disk = \"usb-B_1\" }}]\n",
        key.to_public()
    );
    fs::write(&site, format!("{without}{backup}")).unwrap();
    let pid = recorder_pid(&machine);
    machine.run(&["custodian", "apply", "--reason", "the school wants backups"]);
    assert_eq!(active("custodian-backup.timer").trim(), "active");
    let times = machine.run(&["systemctl", "show", "--property=TimersCalendar", "custodian-backup.timer"]);
    assert!(times.contains("*-*-* 02:30:00 Asia/Ho_Chi_Minh ;") && times.matches("OnCalendar").count() == 1, "{times}");
    assert_eq!(recorder_pid(&machine), pid, "the recorder has nothing to do with it");

    // Closed files are backed up: a recorder that is started anew closes them.
    machine.run(&["systemctl", "restart", "custodian-record.service"]);
    let mounted = ["findmnt", "-no", "FSTYPE,OPTIONS", "/var/lib/custodian/backup-disks/usb-B_1"];
    let options = machine.run(&mounted);
    assert!(options.starts_with("ext4") && options.contains("nosuid,nodev,noexec"), "{options}");
    machine.run(&["custodian", "backup", "init", "--place", "2"]);
    machine.run(&["custodian", "backup", "init", "--same-disk"]);
    machine.run(&["systemctl", "start", "custodian-backup.service"]);
    let records: serde_json::Value =
        serde_json::from_str(&machine.run(&["custodian", "backup", "list", "--json"])).unwrap();
    assert_eq!(records[0]["outcome"], "complete", "{records:#}");
    assert_eq!(
        (&records[1]["outcome"], &records[1]["to"]),
        (&"complete".into(), &"disk:usb-B_1".into()),
        "{records:#}"
    );
    let kinds: Vec<&str> =
        records[0]["contents"].as_array().unwrap().iter().map(|c| c["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"footage") && kinds.contains(&"database"), "{kinds:?}");
    assert!(records[0]["ledger"].is_string(), "{records:#}");

    let may = |how: &str, path: &str| {
        machine.try_run(&["runuser", "--user", "custodian-backup", "--", "test", how, path]).status.success()
    };
    assert!(may("-r", "/var/lib/custodian/record/index.db") && !may("-w", "/var/lib/custodian/record/index.db"));
    assert!(may("-x", "/srv/v1/footage/") && !may("-w", "/srv/v1/footage"));
    assert!(!may("-w", "/var/lib/custodian/current/site.toml") && may("-w", "/srv/nas/custodian-a"));

    // Also while nobody records, when nobody has the index open.
    machine.run(&["systemctl", "stop", "custodian-record.service"]);
    machine.run(&["systemctl", "start", "custodian-backup.service"]);
    let records: serde_json::Value =
        serde_json::from_str(&machine.run(&["custodian", "backup", "list", "--json"])).unwrap();
    assert_eq!(
        (&records[2]["outcome"], &records[3]["outcome"]),
        (&"complete".into(), &"complete".into()),
        "{records:#}"
    );
    machine.run(&["systemctl", "start", "custodian-record.service"]);
    // What root does by hand is the service's afterwards.
    machine.run(&["custodian", "backup", "run"]);
    assert!(machine.run(&["custodian", "backup", "verify"]).contains("Damaged: 0."));
    machine.run(&["systemctl", "start", "custodian-backup.service"]);

    // A site that wants no backups any more: the disk is let go, and the recorder has nothing to do with it.
    let pid = recorder_pid(&machine);
    fs::write(&site, without).unwrap();
    machine.run(&["custodian", "apply", "--reason", "the school wants no backups"]);
    assert!(!machine.try_run(&mounted).status.success());
    assert_eq!(recorder_pid(&machine), pid);
    assert_eq!(active("custodian-backup.timer").trim(), "inactive");
    assert_eq!(failed_units(&machine), "");
    machine.cut();
}

#[test]
fn loop_footage_is_read_again_by_a_service_of_its_own() {
    if !possible() {
        return;
    }
    let cameras = OwnCameras::start(1);
    let all = [(cameras.names[0].as_str(), cameras.urls()[0].as_str())];
    let appliance = Appliance::new(&cameras);
    let machine = appliance.boot();
    appliance.site(&all);
    machine.run(&["custodian", "volume", "init", "v1"]);
    machine.run(&["chown", "--recursive", "custodian-record:", "/srv/v1"]);
    machine.run(&["custodian", "apply"]);
    wait_until_recorded(&machine, &all);
    assert!(machine.run(&["systemctl", "list-timers"]).contains("custodian-verify.timer"));
    let scrub = |ends: &str| {
        machine.try_run(&["systemctl", "start", "custodian-verify.service"]);
        let status =
            machine.run(&["systemctl", "show", "--property=ExecMainStatus", "--value", "custodian-verify.service"]);
        assert_eq!(
            status.trim(),
            ends,
            "{}",
            machine.run(&["journalctl", "--no-pager", "--unit=custodian-verify.service"])
        );
        let last: serde_json::Value =
            serde_json::from_slice(&fs::read(appliance.path("state/verify/last.json")).unwrap()).unwrap();
        machine.run(&["rm", "/var/lib/custodian/verify/scrub.json"]);
        last
    };
    // Beside the recorder, which takes up the word for the ledger.
    let last = scrub("0");
    assert_eq!((&last["found"], &last["interrupted"], &last["scope"]), (&0.into(), &false.into(), &"all".into()));
    assert!(last["segments"].as_u64() >= Some(1) && last["ledger"].as_u64() >= Some(1), "{last}");
    wait_for("the word in the ledger", Duration::from_secs(30), || {
        let shown = machine.try_run(&["custodian", "ledger", "show", "--kind", "verified", "--json"]);
        String::from_utf8_lossy(&shown.stdout).contains("verified").then_some(())
    });
    let may = |how: &str, path: &str| {
        machine.try_run(&["runuser", "--user", "custodian-verify", "--", "test", how, path]).status.success()
    };
    assert!(may("-r", "/srv/v1/custodian-volume.json") && !may("-w", "/srv/v1/custodian-volume.json"));
    assert!(!may("-w", "/var/lib/custodian/record/index.db") && !may("-w", "/var/lib/custodian/record"));
    assert!(!may("-w", "/run/custodian/control.sock"));

    // Without the recorder: its index is read as it lies.
    machine.run(&["systemctl", "stop", "custodian-record.service"]);
    for _ in 0..2 {
        let last = scrub("0");
        assert!(last["found"] == 0 && last["segments"].as_u64() >= Some(1), "{last}");
        // As SQLite leaves it when the last one who had it open has closed it.
        machine.run(&["sh", "-c", "rm -f /var/lib/custodian/record/index.db-*"]);
    }

    // Damage makes the unit fail.
    let file = machine.run(&["sh", "-c", "ls /srv/v1/footage/*/main/*/*.mp4 | head -n 1"]);
    machine.run(&["sh", "-c", &format!("printf x | dd of={} bs=1 seek=9000 conv=notrunc status=none", file.trim())]);
    let last = scrub("3");
    assert_eq!(last["findings"][0]["kind"], "fragment", "{last}");
    assert_eq!(last["findings"][0]["camera"], all[0].0);
    machine.cut();
}
