//! What the recorder leaves as evidence of its commits, and how long it says that footage is missing.

use std::fs;

use custodian::{
    sys::{Clock as _, RealClock},
    types::{
        CameraId, StreamKind, WallNs,
        wire::health::{Committed, GapSeconds},
    },
};
use nix::sys::signal::Signal;

use crate::support::{
    own::OwnCameras,
    recorder::{Recorder, Site},
    wait_for,
    watch::{limit, stop},
};

const SECOND: i64 = 1_000_000_000;

/// What lies there of a volume.
fn committed(site: &Site, volume: &str) -> Option<Committed> {
    let text = fs::read(site.path("state/run/status/commit").join(format!("{volume}.json"))).ok()?;
    let committed: Committed = serde_json::from_slice(&text).expect("whole, whenever it is read");
    assert_eq!(committed.volume.as_str(), volume);
    Some(committed)
}

fn newest_of(committed: &Committed, camera: &CameraId) -> Option<WallNs> {
    committed.streams.iter().find(|s| s.camera == *camera && s.stream == StreamKind::Main).map(|s| s.newest)
}

fn newest(site: &Site, volume: &str, camera: &CameraId) -> Option<WallNs> {
    newest_of(&committed(site, volume)?, camera)
}

/// A camera on each volume.
fn one_on_each(recorder: &Recorder, cameras: &OwnCameras) -> Vec<(String, CameraId)> {
    let status = recorder.wait_until_recording(&cameras.names);
    let mut all: Vec<_> =
        status.streams.iter().filter_map(|s| Some((s.volume.as_ref()?.to_string(), &s.camera))).collect();
    all.sort();
    all.dedup_by(|a, b| a.0 == b.0);
    assert_eq!(all.len(), 2, "cameras are spread over volumes");
    all.into_iter().map(|(volume, camera)| (volume, camera.clone())).collect()
}

#[test]
fn evidence_of_commits_gets_newer_while_cameras_are_recorded_and_stays_when_the_recorder_dies() {
    let cameras = OwnCameras::start(2);
    let site = cameras.site();
    let folder = site.path("state/run/status/commit");
    let recorder = site.record();
    let on = one_on_each(&recorder, &cameras);
    for (volume, camera) in &on {
        let mut seen: Vec<(WallNs, WallNs)> = Vec::new();
        wait_for("three commits", limit(40), || {
            // Of one reading: the next one may be of the next commit.
            let committed = committed(&site, volume)?;
            let (at, newest) = (committed.at, newest_of(&committed, camera)?);
            let now = RealClock.wall();
            assert!(newest <= at.offset(SECOND) && at <= now, "{newest} {at} {now}");
            if seen.last().is_none_or(|(before, _)| *before != at) {
                seen.push((at, newest));
            }
            // No more than a commit behind what the recorder says.
            let says = recorder.status()?;
            let said = says.streams.iter().find(|s| s.camera == *camera)?.newest_committed?;
            assert!(said.since(newest) < 8 * SECOND, "{volume}: {newest}, {said}");
            let said = says.volumes.iter().find(|v| v.name.as_str() == volume)?.committed?;
            assert!((0..8 * SECOND).contains(&said.since(at)), "{volume}: {at}, {said}");
            (seen.len() == 3).then_some(())
        });
        for pair in seen.windows(2) {
            // As it is written every 2 s at most, and a commit lies behind it each time.
            assert!(pair[1].0.since(pair[0].0) >= 2 * SECOND && pair[1].1 > pair[0].1, "{volume}: {seen:?}");
        }
    }
    recorder.signal(Signal::SIGKILL);
    recorder.wait(limit(20));
    let left: Vec<_> = on.iter().map(|(volume, _)| fs::read(folder.join(format!("{volume}.json"))).unwrap()).collect();

    // It told the truth: the disks have that much.
    site.reindex();
    let segments = site.list("segments");
    for (volume, camera) in &on {
        let ends = segments.iter().filter(|s| s["camera"] == camera.as_str()).filter_map(|s| s["end"].as_i64());
        let (newest, has) = (newest(&site, volume, camera).unwrap(), WallNs(ends.max().expect("footage")));
        assert!(has >= newest, "{camera}: evidence up to {newest}, footage up to {has}");
    }

    // Of the next recorder, what is there of a volume that the site has not is not evidence; the rest stays until it is newer.
    fs::write(folder.join("gone.json"), &left[0]).unwrap();
    let recorder = site.record();
    wait_for("another commit", limit(40), || (fs::read(folder.join("v1.json")).unwrap() != left[0]).then_some(()));
    assert!(!folder.join("gone.json").exists());
    assert!(
        newest(&site, "v1", &on[0].1)
            > serde_json::from_slice::<Committed>(&left[0]).unwrap().streams.first().map(|s| s.newest)
    );

    // What keeps it from being noted keeps nobody from recording. An orderly stop notes the last commit.
    let aside = site.path("state/run/status/aside");
    fs::rename(&folder, &aside).unwrap();
    fs::write(&folder, "in the way").unwrap();
    wait_for("a word in the log", limit(20), || site.log().contains("cannot be noted").then_some(()));
    let before = recorder.status().unwrap();
    wait_for("footage all the same", limit(20), || {
        let now = recorder.status()?;
        assert!(now.volumes.iter().all(|v| v.healthy));
        let goes_on = |camera: &CameraId| {
            let of =
                |s: &custodian::types::wire::Status| s.streams.iter().find(|s| s.camera == *camera)?.newest_committed;
            of(&now) > of(&before).map(|t| t.offset(4 * SECOND))
        };
        on.iter().all(|(_, camera)| goes_on(camera)).then_some(())
    });
    assert_eq!(site.log().matches("cannot be noted").count(), 1);
    fs::remove_file(&folder).unwrap();
    wait_for("its end in the log", limit(20), || site.log().contains("is noted in").then_some(()));
    stop(recorder);
    let segments = site.list("segments");
    for (volume, camera) in &on {
        let ends = segments.iter().filter(|s| s["camera"] == camera.as_str()).filter_map(|s| s["end"].as_i64());
        assert_eq!(newest(&site, volume, camera), ends.max().map(WallNs), "{camera}");
    }
}

/// Lets an outage last.
fn pass(seconds: i64) {
    let began = RealClock.wall();
    wait_for("time to pass", limit(20), || (RealClock.wall().since(began) > seconds * SECOND).then_some(()));
}

/// Seconds without footage of a camera.
fn missing(recorder: &Recorder, camera: &str, from: WallNs, to: WallNs) -> Option<f64> {
    let path = format!("/v1/gaps?from={}&to={}", from.0, to.0);
    let gaps: Vec<GapSeconds> = recorder.try_get("status.sock", &path)?;
    assert_eq!(gaps.len(), 2, "of each camera that is to be recorded: {gaps:?}");
    let mut of = gaps.iter().filter(|g| g.camera.as_str() == camera && g.stream == StreamKind::Main);
    Some(of.next()?.seconds).filter(|_| of.next().is_none())
}

#[test]
fn an_outage_is_counted_in_seconds_and_what_the_site_wants_is_not() {
    let cameras = OwnCameras::start(2);
    let site = cameras.site();
    let began = RealClock.wall();
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    let running = RealClock.wall();
    let [first, last] = [&cameras.names[0], &cameras.names[1]];
    assert_eq!(missing(&recorder, last, began.offset(-SECOND), running), Some(0.0), "before there was any footage");

    // A camera leaves the site for a moment, and comes back: that is as the site wants it.
    site.write(|name| name != last);
    recorder.signal(Signal::SIGHUP);
    wait_for("a site without it", limit(20), || (recorder.status()?.streams.len() == 1).then_some(()));
    let path = format!("/v1/gaps?from=0&to={}", i64::MAX);
    let gaps: Vec<GapSeconds> = recorder.try_get("status.sock", &path).unwrap();
    assert_eq!(gaps.iter().map(|g| g.camera.as_str()).collect::<Vec<_>>(), [first]);
    pass(3);
    site.write(|_| true);
    recorder.signal(Signal::SIGHUP);
    let runs = |camera: &str| recorder.timeline(camera).footage.len();
    wait_for("another run", limit(30), || (runs(last) == 2).then_some(()));
    let back = RealClock.wall();
    assert_eq!(missing(&recorder, last, running, back), Some(0.0));

    // The recorder dies and comes back: all of that is missing, in each part of the time that it lasted.
    recorder.signal(Signal::SIGKILL);
    recorder.wait(limit(20));
    pass(4);
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    for camera in &cameras.names {
        let gap = wait_for("the gap to be known", limit(30), || {
            let all = recorder.timeline(camera).gaps;
            all.into_iter().find(|g| g.start > running && g.cause.kind == custodian::types::CauseKind::Restart)
        });
        let end = gap.end.expect("an end");
        let length = end.since(gap.start) as f64 / 1e9;
        assert!(length >= 4.0, "{camera}: {gap:?}");
        let to = RealClock.wall();
        let all = missing(&recorder, camera, running, to).unwrap();
        assert!((all - length).abs() < 0.2, "{camera}: {all} s, {gap:?}");
        let middle = gap.start.offset(end.since(gap.start) / 2);
        let parts = [(running, middle), (middle, to)].map(|(from, to)| missing(&recorder, camera, from, to).unwrap());
        assert!(
            (parts[0] + parts[1] - all).abs() < 0.001 && parts.iter().all(|p| *p > 1.0),
            "{camera}: {parts:?}, {all}"
        );
        // The status counts the same day.
        let status = recorder.status().unwrap();
        let day = status.streams.iter().find(|s| s.camera.as_str() == camera).unwrap().gap_seconds_day;
        assert!((day - all).abs() < 0.2, "{camera}: {day} s, {all} s");
    }

    // Cameras that are away: what lasts is counted up to now, and the future is not.
    let (names, away) = (cameras.names.clone(), RealClock.wall());
    let later = away.offset(3600 * SECOND);
    drop(cameras);
    for camera in &names {
        wait_for("three seconds more", limit(30), || {
            let seconds = missing(&recorder, camera, away, later)?;
            let passed = RealClock.wall().since(away) as f64 / 1e9;
            assert!(seconds <= passed, "{seconds} of {passed}");
            (seconds > 3.0).then_some(())
        });
    }

    // What is not understood is refused.
    for query in ["", "?from=1", "?from=2&to=1", "?from=x&to=1"] {
        let answer: Option<Vec<GapSeconds>> = recorder.try_get("status.sock", &format!("/v1/gaps{query}"));
        assert_eq!(answer, None, "{query}");
    }
    stop(recorder);
}
