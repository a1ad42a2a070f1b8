//! What is said of a recorder, and when.

use super::*;
use crate::support::own::OwnCameras;

#[test]
fn a_recorder_at_work_is_well_and_one_that_hangs_is_seen_within_two_looks() {
    let cameras = OwnCameras::start(2);
    let site = cameras.site();
    site.add_to_last(HEALTH);
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    let health = Health::start(&site);
    let report = health.wait_until_well();
    assert_eq!(report.cameras.iter().map(|c| c.number).collect::<Vec<_>>(), [1, 2]);
    assert!(report.cameras.iter().all(|c| c.required && c.streams[0].newest_committed.is_some()), "{report:#?}");
    assert_eq!(report.checkpoints.len(), 1, "for witnesses");
    assert!(report.volumes.iter().all(|v| v.healthy && v.committed.is_some()), "{:#?}", report.volumes);
    assert!(report.cost_us < 50_000, "{} µs", report.cost_us);
    assert_eq!(report.machine.clock_offset, Some(-0.001_5));
    let names = |report: &Report| {
        let text = serde_json::to_string(report).unwrap();
        cameras.names.iter().filter(|name| text.contains(&format!("{name}\""))).count()
    };
    let masked: Report = health.get("/v1/masked").unwrap();
    assert_eq!((names(&report), names(&masked)), (2, 0));
    // Whoever may ask the socket needs no door.
    let curl = |path: &str| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-w", " %{http_code}", "--unix-socket"]).arg(site.path("state/run/health/health.sock"));
        let out = curl.arg(format!("http://health{path}")).output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    let said = curl("/healthz");
    assert!(["ok\n 200", "warn\n 200", "fail\n 503"].contains(&&*said), "{said}");
    let metrics = curl("/metrics");
    assert!(
        metrics.contains("\ncustodian_camera_last_committed_timestamp_seconds{") && metrics.ends_with(" 200"),
        "{metrics}"
    );
    assert!(health.memory() < 12 << 20, "{} KiB", health.memory() >> 10);

    // It is stopped in its tracks: the kernel still takes connections for it.
    let stopped = now();
    recorder.signal(Signal::SIGSTOP);
    health.sees(stopped, Probe::Recorder, "slow", Level::Fail);
    recorder.signal(Signal::SIGCONT);
    health.wait_until_well();
    let status = recorder.wait_until_recording(&cameras.names);
    assert!(status.volumes.iter().all(|v| v.healthy), "{status:#?}");

    // Health itself hangs: whoever asks is told so, and does not wait.
    kill(health.pid(), Signal::SIGSTOP).unwrap();
    let said = [
        ("en", &[][..], "The health service runs and does not answer"),
        ("zh", &["silence", "--list"], "健康服务在运行，但没有应答"),
    ];
    for (lang, args, words) in said {
        let began = now();
        let out = custodian_health_in(lang, &site, args);
        let text = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1), "{text}");
        assert!(text.contains(words) && text.contains("no answer within 5 s"), "{text}");
        assert!(now() < began + Duration::from_secs(15));
    }
    kill(health.pid(), Signal::SIGCONT).unwrap();
    health.stop();
    recorder.wait_until_recording(&cameras.names);
}

#[test]
fn a_recorder_that_is_killed_is_seen_within_two_looks_and_ages_go_on() {
    let cameras = OwnCameras::start(2);
    let site = cameras.site();
    site.add_to_last(HEALTH);
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    let health = Health::start(&site);
    health.wait_until_well();
    let killed = now();
    recorder.signal(Signal::SIGKILL);
    let _ = recorder.wait(SOON);
    health.sees(killed, Probe::Recorder, "down", Level::Fail);
    // Ages go on by what was on the disks, though nobody answers.
    let report = health.wait_for("footage to be late", |report| {
        report.findings.iter().any(|f| f.probe == Probe::Footage && f.level == Level::Fail)
    });
    assert!(report.recording.is_none());
    assert!(report.cameras.iter().all(|c| c.streams[0].newest_committed.is_some()), "{:#?}", report.cameras);
    let out = custodian_health(&site, &[]);
    assert_eq!(out.status.code(), Some(3));
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(text.contains("→") && text.contains(&cameras.names[0]), "{text}");

    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    // Footage was late, then missing, then there: that is held at its worst for a while.
    health.wait_for("the recorder to run", |report| {
        report.findings.iter().any(|f| f.probe == Probe::Recorder && f.level == Level::Ok && f.code == "runs")
    });
}

#[test]
fn a_recorder_that_never_started_is_told_with_and_without_the_service() {
    let cameras = OwnCameras::start(1);
    let site = cameras.site();
    site.add_to_last(HEALTH);
    let begun = now();
    let health = Health::start(&site);
    health.sees(begun, Probe::Recorder, "down", Level::Fail);
    let never = health.wait_for("footage that never came", |report| {
        report.findings.iter().any(|f| f.probe == Probe::Footage && f.level == Level::Fail)
    });
    assert_eq!(never.cameras[0].streams[0].newest_committed, None);
    health.stop();
    // Without the service a look is made, by whoever asks.
    let site_file = site.path("site.toml");
    let args = ["--json", "--recorder", "a", "--site", site_file.to_str().unwrap()];
    let out = custodian_health(&site, &args);
    assert_eq!(out.status.code(), Some(3), "{out:?}");
    assert!(String::from_utf8_lossy(&out.stderr).contains("health.sock"));
    let report: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let down = report["findings"].as_array().unwrap().iter().find(|f| f["code"] == "down").unwrap();
    for lang in ["vi", "zh", "en"] {
        for what in ["text", "todo"] {
            let text = down[what][lang].as_str().unwrap();
            assert!(text.len() > 10 && !text.contains("health.") && !text.contains('{'), "{what} {lang}: {text}");
        }
    }
    // A site that is not one is a fact, not the end.
    fs::write(site.path("site.toml"), "nonsense = 1").unwrap();
    let out = custodian_health(&site, &args);
    assert_eq!(out.status.code(), Some(3), "{out:?}");
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(text.contains("\"broken\"") && !text.contains("nonsense"), "{text}");
}

#[test]
fn a_camera_that_is_unplugged_and_a_volume_that_is_gone_are_named_and_the_others_are_not() {
    let (staying, going) = (OwnCameras::start(1), OwnCameras::start(1));
    let camera = |name: &str, of: &OwnCameras| (name.to_owned(), of.urls()[0].clone(), false);
    let site = Site::prepared(vec![camera("gate", &staying), camera("hall", &going)], staying.user(), |_| ());
    site.add_to_last(HEALTH);
    let recorder = site.record();
    recorder.wait_until_recording(&["gate".to_owned(), "hall".to_owned()]);
    let health = Health::start(&site);
    health.wait_until_well();

    let unplugged = now();
    drop(going);
    let hall = |f: &Finding| f.probe == Probe::Footage && f.code == "late" && f.subject.is_some();
    let report = health.wait_for("the hall to be late", |report| report.findings.iter().any(hall));
    let finding = report.findings.iter().find(|f| hall(f)).unwrap();
    let number = report.cameras.iter().find(|c| c.id.as_ref().is_some_and(|id| id.as_str() == "hall")).unwrap().number;
    assert_eq!(finding.subject, Some(custodian::types::wire::health::Subject::Camera(number)));
    assert_eq!(report.findings.iter().filter(|f| hall(f)).count(), 1, "the gate is recorded: {:#?}", report.findings);
    // It is late when its newest second is 12 s old; the recorder is told by its commits.
    let limit = Duration::from_secs(12 + 5) + 2 * INTERVAL;
    assert!(finding.since < unplugged + limit, "{} s", finding.since.since(unplugged) / 1_000_000_000);

    let status = recorder.status().unwrap();
    let gate = status.streams.iter().find(|s| s.camera.as_str() == "gate").unwrap();
    let volume = gate.volume.clone().unwrap();
    let gone = now();
    fs::rename(site.path(volume.as_str()), site.path("aside")).unwrap();
    wait_for("the recorder to see it", SOON, || {
        recorder.status()?.volumes.iter().any(|v| v.name == volume && !v.healthy).then_some(())
    });
    let failed = |f: &Finding| f.probe == Probe::Volume && f.level == Level::Fail;
    let report = health.wait_for("the volume to be named", |report| report.findings.iter().any(failed));
    let finding = report.findings.iter().find(|f| failed(f)).unwrap();
    // The recorder commits every 2 s.
    assert!(
        finding.since < gone + Duration::from_secs(5) + 2 * INTERVAL,
        "{} s",
        finding.since.since(gone) / 1_000_000_000
    );
    assert_eq!(finding.subject, Some(custodian::types::wire::health::Subject::Volume(volume.clone())));
    fs::rename(site.path("aside"), site.path(volume.as_str())).unwrap();
    health.wait_for("the volume to be back", |report| !report.findings.iter().any(failed));
    // The gate has gone on all the time.
    let timeline = recorder.timeline("gate");
    let missing: i64 = timeline.gaps.iter().map(|g| g.end.map_or(i64::MAX, |end| end.since(g.start))).sum();
    assert!(missing < 8_000_000_000, "{timeline:?}");
}
