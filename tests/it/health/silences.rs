//! Work that is announced, and what the ledger hears.

use custodian::ledger::SilenceChange;

use super::*;
use crate::support::own::OwnCameras;

fn alarms(site: &Site) -> Vec<(String, Level)> {
    let of = |what| match what {
        What::Alarm { probe, level, .. } => Some((probe, level)),
        _ => None,
    };
    // What the machine that tests run on is like comes and goes.
    let of_machine = |(probe, _): &(String, Level)| MACHINE.iter().any(|p| p.as_str() == probe);
    entries(site, "alarm").into_iter().filter_map(of).filter(|alarm| !of_machine(alarm)).collect()
}

fn waiting(site: &Site) -> usize {
    fs::read_dir(site.path("state/ledger-spool")).map_or(0, |dir| {
        dir.filter(|e| !e.as_ref().unwrap().file_name().to_string_lossy().ends_with(".refused")).count()
    })
}

#[test]
fn announced_work_ends_by_itself_and_nobody_is_alarmed_meanwhile() {
    let cameras = OwnCameras::start(1);
    let site = cameras.site();
    site.add_to_last(HEALTH);
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    let health = Health::start(&site);
    health.wait_until_well();

    // What cannot be announced is refused, and said why.
    let refused = |args: &[&str], why: &str| {
        let out = custodian_health(&site, &[&["silence"], args].concat());
        let said = String::from_utf8(out.stderr).unwrap();
        assert!(!out.status.success() && said.contains(why), "{args:?}: {said}");
    };
    refused(&["--for", "8d", "--reason", "x"], "7 days at most");
    refused(&["--for", "2h"], "--reason");
    refused(&["--for", "2h", "--reason", "x", "--camera", "nobody"], "no camera nobody");
    refused(&["--end", "abcd"], "no work abcd");

    let out = custodian_health(
        &site,
        &[
            "silence",
            "--for",
            "45s",
            "--reason",
            "a new switch",
            "--by",
            "Lan",
            "--probe",
            "footage",
            "--probe",
            "recorder",
        ],
    );
    assert!(out.status.success(), "{out:?}");
    let listed = String::from_utf8(custodian_health(&site, &["silence", "--list"]).stdout).unwrap();
    assert!(listed.contains("Lan") && listed.contains("a new switch"), "{listed}");
    let masked: Report = health.get("/v1/masked").unwrap();
    assert_eq!((masked.silences.len(), masked.silences[0].by.as_str()), (1, ""));

    // Nobody is alarmed meanwhile, and the report shows it all the same.
    recorder.signal(Signal::SIGSTOP);
    let report = health.wait_for("the recorder to be slow", |report| {
        report.findings.iter().any(|f| f.code == "slow" && f.silenced.is_some())
    });
    assert!(report.troubles().iter().all(|f| f.probe != Probe::Recorder), "{:#?}", report.troubles());
    recorder.signal(Signal::SIGCONT);
    health.wait_until_well();
    wait_for("the announcement's end", Duration::from_mins(2), || {
        health.report().filter(|report| report.silences.is_empty()).map(drop)
    });
    wait_for("the ledger to hear of it", SOON, || (entries(&site, "silence").len() == 2).then_some(()));
    let heard: Vec<_> = entries(&site, "silence")
        .into_iter()
        .map(|what| match what {
            What::Silence { change, by, probes, .. } => (change, by.is_some(), probes),
            other => panic!("{other:?}"),
        })
        .collect();
    let probes = || vec!["footage".to_owned(), "recorder".to_owned()];
    assert_eq!(heard, [(SilenceChange::Begun, true, probes()), (SilenceChange::Ended, false, probes())]);
    assert!(alarms(&site).iter().all(|(probe, _)| probe != "recorder"), "{:?}", alarms(&site));
}

#[test]
fn each_turn_is_told_to_the_ledger_once_over_restarts_of_the_service_and_the_recorder() {
    let cameras = OwnCameras::start(1);
    let site = cameras.site();
    site.add_to_last(HEALTH);
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    let health = Health::start(&site);
    health.wait_until_well();
    recorder.signal(Signal::SIGKILL);
    let _ = recorder.wait(SOON);
    health.wait_for("the recorder to be down", |report| report.findings.iter().any(|f| f.code == "down"));
    wait_for("it to be left for the ledger", SOON, || (waiting(&site) > 0).then_some(()));
    health.stop();
    let health = Health::start(&site);
    let again = now();
    health.wait_for("another look", |report| report.at > again && report.findings.iter().any(|f| f.code == "down"));
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    health.wait_until_well();
    let of_recorder = || alarms(&site).into_iter().filter(|(probe, _)| probe == "recorder").collect::<Vec<_>>();
    wait_for("both to be in the ledger", SOON, || (of_recorder().len() >= 2 && waiting(&site) == 0).then_some(()));
    assert_eq!(of_recorder(), [("recorder".to_owned(), Level::Fail), ("recorder".to_owned(), Level::Ok)]);
    // What was known of cameras is known still.
    assert_eq!(health.report().unwrap().cameras[0].number, 1);
    health.stop();
}

#[test]
fn announced_work_can_be_ended_by_a_word() {
    let cameras = OwnCameras::start(1);
    let site = cameras.site();
    site.add_to_last(HEALTH);
    let health = Health::start(&site);
    health.wait_for("a look", |_| true);
    let out = custodian_health(&site, &["silence", "--for", "1d", "--reason", "x", "--by", "Lan", "--json"]);
    assert!(out.status.success(), "{out:?}");
    let id = serde_json::from_slice::<serde_json::Value>(&out.stdout).unwrap()["id"].as_str().unwrap().to_owned();
    health.wait_for("the announcement", |report| report.silences.len() == 1);
    // Not even health itself forgets it when it is killed.
    let mut health = health;
    health.child.kill().unwrap();
    health.child.wait().unwrap();
    let health = Health::start(&site);
    health.wait_for("the announcement", |report| report.silences.len() == 1);
    let out = custodian_health(&site, &["silence", "--end", &id[..8], "--by", "Mai"]);
    assert!(out.status.success(), "{out:?}");
    health.wait_for("its end", |report| report.silences.is_empty());
    let left: Vec<String> = fs::read_dir(site.path("state/ledger-spool"))
        .unwrap()
        .filter_map(|e| fs::read_to_string(e.unwrap().path()).ok())
        .filter(|text| text.contains("\"silence\""))
        .collect();
    assert_eq!(left.len(), 2, "begun and ended wait for the recorder");
    let left = left.concat();
    assert!(!left.contains("Lan") && !left.contains("Mai"), "{left}");
    // Only who runs it may: the control socket is nobody else's.
    let control = site.path("state/run/health/health-control.sock");
    assert_eq!(fs::metadata(control).unwrap().permissions().mode() & 0o777, 0o600);
}
