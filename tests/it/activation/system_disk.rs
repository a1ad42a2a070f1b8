//! The system disk is lost: a fresh machine with a real systemd, the site's files, and the disks of the one before.

use super::*;

const DISKS: [(&str, &str); 2] = [("d-1", "ata-X_1"), ("d-2", "ata-X_2")];

/// What the machine's index has, by volume and file.
fn segments(machine: &Machine) -> Vec<(String, String)> {
    let shown = machine.run(&["custodian", "segments", "--json"]);
    let shown: Vec<serde_json::Value> = serde_json::from_str(&shown).unwrap();
    let text = |s: &serde_json::Value, key: &str| s[key].as_str().unwrap().to_owned();
    shown.iter().map(|s| (text(s, "volume"), text(s, "path"))).collect()
}

#[test]
fn loop_a_fresh_machine_goes_on_with_the_disks_of_one_that_lost_its_system_disk() {
    if !possible() || !mounts::xfs_possible() {
        return;
    }
    let cameras = OwnCameras::start(2);
    let all: Vec<(&str, &str)> =
        cameras.names.iter().map(String::as_str).zip(cameras.urls().iter().map(String::as_str)).collect();
    let appliance = Appliance::new(&cameras);
    let mut loops = Loops::new();
    let mut binds: Vec<_> = DISKS.iter().flat_map(|(volume, by_id)| disk(&mut loops, volume, by_id)).collect();
    binds.sort();
    binds.dedup();
    // Two disks, and no folder beside the system; a camera on each.
    appliance.site_with(&DISKS, &all);
    let path = appliance.path("etc/site.toml");
    let site = fs::read_to_string(&path).unwrap().replace("2 Mbit/s", "10 kbit/s");
    let site = site.replace("[[recorder.a.volume]]\nname = \"v1\"\npath = \"/srv/v1\"\n", "");
    let site = site.replacen("volume = \"v1\"", "volume = \"d-1\"", 1).replace("volume = \"v1\"", "volume = \"d-2\"");
    fs::write(&path, site).unwrap();

    let machine = appliance.boot_with(&binds);
    DISKS.iter().for_each(|(_, by_id)| give_to_the_recorder(&machine, by_id));
    machine.run(&["custodian", "apply"]);
    wait_until_recorded(&machine, &all);
    let user = machine.run(&["id", "-u", "custodian-record"]);
    machine.run(&["systemctl", "stop", "custodian-record.service"]);
    let before = segments(&machine);
    let volumes: std::collections::BTreeSet<&str> = before.iter().map(|(volume, _)| volume.as_str()).collect();
    assert_eq!(volumes.into_iter().collect::<Vec<_>>(), ["d-1", "d-2"]);
    let last = machine.run(&["custodian", "ledger", "checkpoint"]);
    machine.cut();

    // Nothing is left of it but the disks; site.toml and the passwords come from the paper folder.
    fs::remove_dir_all(appliance.path("state")).unwrap();
    fs::create_dir(appliance.path("state")).unwrap();
    let machine = appliance.boot_with(&binds);
    assert!(!machine.try_run(&["custodian", "segments"]).status.success(), "it knows nothing");
    assert_eq!(machine.run(&["id", "-u", "custodian-record"]), user, "or footage would not be its own");
    let found: serde_json::Value = serde_json::from_str(&machine.run(&["custodian", "inventory", "--json"])).unwrap();
    for (volume, by_id) in DISKS {
        let disk = found["disks"].as_array().unwrap().iter().find(|d| d["by_id"][0] == by_id).unwrap();
        let content = [&disk["content"]["state"], &disk["content"]["site"], &disk["content"]["volume"]];
        assert_eq!(content, ["ours", "school", volume], "{disk}");
    }
    let said = machine.run(&["custodian", "apply"]);
    assert!(said.contains("Generation 1 is in force."), "{said}");
    // It was so quick that what was recorded before looks fresh: each camera has a file more.
    wait_for("footage of all cameras", Duration::from_mins(1), || {
        (segments(&machine).len() >= before.len() + all.len()).then_some(())
    });
    wait_until_recorded(&machine, &all);
    for unit in ["custodian-record.service", "custodian-web.service"] {
        assert_eq!(machine.run(&["systemctl", "is-active", unit]).trim(), "active");
    }
    assert_eq!(failed_units(&machine), "");

    // What was recorded before is there, as the same recordings, with a gap that says why.
    let now = segments(&machine);
    assert!(before.iter().all(|file| now.contains(file)), "{before:?} in {now:?}");
    for (camera, _) in &all {
        let gaps = machine.run(&["custodian", "gaps", "--json", "--camera", camera]);
        let gaps: Vec<serde_json::Value> = serde_json::from_str(&gaps).unwrap();
        assert_eq!((gaps.len(), &gaps[0]["cause"]["kind"]), (1, &"restart".into()), "{gaps:?}");
    }

    // The new ledger begins with what the old one said last.
    let shown = machine.run(&["custodian", "ledger", "show", "--all", "--json"]);
    let shown: Vec<serde_json::Value> = serde_json::from_str(&shown).unwrap();
    let first = &shown[0]["entry"];
    assert_eq!((&first["kind"], &first["predecessor"]["checkpoint"]), (&"log-begins".into(), &last.into()), "{first}");
    machine.run(&["systemctl", "stop", "custodian-record.service"]);
    machine.run(&["custodian", "ledger", "verify"]);
    machine.cut();
}
