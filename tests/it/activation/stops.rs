//! How a machine goes down.

use super::*;

/// What is tried too early is tried for nothing: "target is busy", in each journal of each restart.
#[test]
fn loop_disks_are_let_go_of_after_the_recorder_has_stopped() {
    if !possible() || !mounts::possible() {
        return;
    }
    let cameras = OwnCameras::start(1);
    let all = [(cameras.names[0].as_str(), cameras.urls()[0].as_str())];
    let appliance = Appliance::new(&cameras);
    let mut loops = Loops::new();
    let mut binds = disk(&mut loops, "d-1", "ata-X_1");
    let journal = appliance.path("journal");
    fs::create_dir(&journal).unwrap();
    binds.push((journal.clone(), "/var/log/journal".into()));
    let machine = appliance.boot_with(&binds);
    give_to_the_recorder(&machine, "ata-X_1");
    appliance.site_with(&[("d-1", "ata-X_1")], &all);
    let site = appliance.path("etc/site.toml");
    let text = fs::read_to_string(&site).unwrap();
    // What is promised has to fit on a small disk.
    let text = text.replace("volume = \"v1\"", "volume = \"d-1\"").replace("2 Mbit/s", "0.02 Mbit/s");
    fs::write(&site, text).unwrap();
    machine.run(&["custodian", "volume", "init", "v1"]);
    machine.run(&["chown", "--recursive", "custodian-record:", "/srv/v1"]);
    machine.run(&["custodian", "apply"]);
    wait_until_recorded(&machine, &all);
    machine.power_off();

    let said = std::process::Command::new("journalctl")
        .args(["--no-pager", "--output=cat", "--directory"])
        .arg(&journal)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let at = |what: &str| said.rfind(what).unwrap_or_else(|| panic!("no {what:?} in {said}"));
    assert!(at("Stopped custodian-record.service") < at("Unmounting var-lib-custodian-volumes-d"), "{said}");
    assert!(!said.contains("d-1: target is busy"), "{said}");
}
