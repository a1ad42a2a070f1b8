//! The system disk is lost: a machine that knows nothing, with the volumes of before.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command,
    sync::{Arc, atomic::Ordering},
};

use custodian::{
    store::{
        format::{self, CloseBuilder},
        layout,
    },
    sys::{Clock as _, RealClock},
    types::{CauseKind, Fragment, Run, WallNs},
};

use crate::{
    footage::{Media, SECOND, fragments, run},
    support::{
        mounts::fuse_possible,
        own::OwnCameras,
        passthrough::Passthrough,
        recorder::{Recorder, Site},
        wait_for,
        watch::{check_index, limit, stop, wait_for_problem, wait_until_healthy},
    },
};

/// All that is not on a volume is gone.
fn lose_the_system_disk(site: &Site) {
    fs::remove_dir_all(site.path("state")).unwrap();
    fs::create_dir(site.path("state")).unwrap();
}

fn record_some<'a>(recorder: Recorder<'a>, cameras: &[String]) -> Recorder<'a> {
    recorder.wait_until_recording(cameras);
    wait_for("some footage", limit(30), || {
        let long = |c: &String| recorder.timeline(c).footage.last().is_some_and(|f| f.len_ns() > 3 * SECOND);
        cameras.iter().all(long).then_some(())
    });
    recorder
}

/// Segments as the index lists them, by their files.
fn listed(site: &Site) -> BTreeMap<String, serde_json::Value> {
    site.list("segments").into_iter().map(|s| (format!("{}{}", s["volume"], s["path"]), s)).collect()
}

/// The streams that a camera's files belong to.
fn streams(recorder: &Recorder, camera: &str) -> Vec<String> {
    let mut streams: Vec<String> = recorder.fragments(camera).segments.iter().map(|s| s.stream.to_string()).collect();
    streams.dedup();
    streams
}

#[test]
fn a_new_machine_goes_on_with_the_recordings_of_the_old_one() {
    let cameras = OwnCameras::start(4);
    let site = cameras.site();
    site.apply(&[]);
    let recorder = record_some(site.record_applied(), &cameras.names);
    let old: Vec<_> = cameras.names.iter().map(|c| streams(&recorder, c)).collect();
    stop(recorder);
    let before = listed(&site);

    lose_the_system_disk(&site);
    // The first site is applied at once: there is nothing to go back to, so there is no trial.
    site.apply(&[]);
    assert!(!site.path("state/trial.json").exists());
    let recorder = record_some(site.record_applied(), &cameras.names);
    for (camera, old) in cameras.names.iter().zip(&old) {
        wait_for(&format!("what {camera} had"), limit(30), || {
            (recorder.timeline(camera).footage.len() == 2).then_some(())
        });
        assert_eq!(&streams(&recorder, camera), old, "{camera} is the same recording");
        let gaps = recorder.timeline(camera).gaps;
        assert!(gaps.len() == 1 && gaps[0].cause.kind == CauseKind::Restart, "{camera}: {gaps:?}");
    }
    stop(recorder);
    let after = listed(&site);
    assert!(before.iter().all(|(file, row)| after.get(file) == Some(row)), "all that was known is known again");
    check_index(&site);
}

/// What `custodian ledger` prints.
fn ledger(site: &Site, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_custodian"));
    command.arg("ledger").args(args).arg("--state").arg(site.path("state"));
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn entries(site: &Site) -> Vec<serde_json::Value> {
    let all: Vec<serde_json::Value> = serde_json::from_str(&ledger(site, &["show", "--all", "--json"])).unwrap();
    all.into_iter().map(|mut e| e["entry"].take()).collect()
}

/// The checkpoint that lies on a volume.
fn laid_on(volume: &Path) -> serde_json::Value {
    let text = fs::read(volume.join("custodian-ledger.json")).unwrap();
    serde_json::from_slice::<serde_json::Value>(&text).unwrap()["checkpoint"].take()
}

#[test]
fn the_new_ledger_begins_with_the_newest_checkpoint_that_the_volumes_have() {
    let cameras = OwnCameras::start(2);
    let site = cameras.site();
    stop(record_some(site.record(), &cameras.names));
    // Whichever of the two knows more, and whichever comes first: the log waits for the other one, recording does not.
    for (newer, older, late) in [("v1", "v2", "v1"), ("v2", "v1", "v1")] {
        let [newer, older, there, away] = [newer, older, late, "away"].map(|name| site.path(name));
        fs::rename(&older, &away).unwrap();
        let before = entries(&site).len() as u64;
        let recorder = record_some(site.record(), &cameras.names);
        wait_for("the log to go on", limit(60), || recorder.status()?.ledger?.entries.filter(|n| *n > before));
        stop(recorder);
        fs::rename(&away, &older).unwrap();
        let newest = ledger(&site, &["checkpoint"]);
        assert_eq!(laid_on(&newer), newest.as_str());
        assert_ne!(laid_on(&older), newest.as_str());

        lose_the_system_disk(&site);
        fs::rename(&there, &away).unwrap();
        let recorder = record_some(site.record(), &cameras.names);
        fs::rename(&away, &there).unwrap();
        wait_until_healthy(&recorder, late);
        wait_for("the new log", limit(60), || recorder.status()?.ledger?.entries.filter(|n| *n > 0));
        stop(recorder);
        let entries = entries(&site);
        let first = [&entries[0]["kind"], &entries[0]["predecessor"]["checkpoint"]];
        assert_eq!(first, ["log-begins", newest.as_str()]);
        // Both volumes have a checkpoint of the new log now, and the old one stands in it: nothing is lost by that.
        let now = ledger(&site, &["checkpoint"]);
        assert_eq!([laid_on(&newer), laid_on(&older)], [now.as_str(), now.as_str()]);
        ledger(&site, &["verify"]);
    }
}

/// Puts closed segments of a camera on a volume, `count` of them, that end before now. Of two seconds and one picture each.
fn put_segments(volume: &Path, camera: &str, media: &Media, count: u32) -> Run {
    let start = RealClock.wall().offset(-i64::from(count + 10) * 2 * SECOND);
    let run = Arc::new(run(7, camera, media, start, None));
    let one = fragments(&run, media, 1).remove(0);
    for seq in 0..count {
        let by = i64::from(seq) * 2 * SECOND;
        let span = custodian::types::Span { start: one.span.start.offset(by), end: one.span.end.offset(by) };
        let mut samples = one.samples.clone();
        samples.iter_mut().for_each(|s| s.dts += u64::from(seq) * 180_000);
        put_segment(volume, &Fragment { seq, number: seq, span, samples, ..one.clone() });
    }
    (*run).clone()
}

#[expect(clippy::disallowed_methods, reason = "folders of a test's own volume")]
fn put_segment(volume: &Path, fragment: &Fragment) {
    let (run, seq) = (&fragment.run, fragment.seq);
    let mut bytes = format::segment_head(run, seq);
    let mut close = CloseBuilder::new(run, seq);
    let encoded = format::encode_fragment(fragment).unwrap();
    close.push(encoded.entry_at(bytes.len() as u64), &[]);
    bytes.extend_from_slice(&encoded.head);
    fragment.samples.iter().for_each(|s| bytes.extend_from_slice(&s.data));
    bytes.extend(close.finish(false));
    let path = layout::segment_path(&run.stream.camera, run.stream.kind, fragment.span.start, run.id, seq);
    let path = volume.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Segments on the old disk.
const MANY: u32 = 2000;

#[test]
fn recording_begins_before_the_volumes_have_been_read() {
    if !fuse_possible() {
        return;
    }
    let cameras = OwnCameras::start(2);
    let mut disk = None;
    // A disk that takes its time: three milliseconds for each reading.
    let site = cameras.site_with(|site| {
        fs::create_dir(site.path("behind")).unwrap();
        fs::create_dir(site.path("behind/v1")).unwrap();
        disk = Some(Passthrough::mount(&site.path("behind/v1"), &site.path("v1")));
    });
    let disk = disk.unwrap();
    let camera = &cameras.names[0];
    let old = put_segments(&site.path("behind/v1"), camera, &Media::synthetic(50, 50, 100), MANY);
    disk.faults().slow.store(3000, Ordering::SeqCst);

    let recorder = site.record();
    let born = RealClock.wall();
    let status = recorder.wait_until_recording(&cameras.names);
    let done = || site.log().contains("volume v1: ");
    assert!(!done(), "footage is on the disk while that of before is still being read");
    let began = RealClock.wall().since(born);
    let home = status.streams.iter().find(|s| s.camera.as_str() == camera && s.recorded).unwrap();
    assert_eq!(
        home.volume.as_ref().map(custodian::types::VolumeName::as_str),
        Some("v1"),
        "on the very disk that is being read"
    );
    assert_eq!(streams(&recorder, camera), [old.stream.id.to_string()]);
    wait_for("the look at the volume", limit(120), || done().then_some(()));
    let took = RealClock.wall().since(born);
    #[expect(clippy::print_stderr, reason = "a figure")]
    {
        let seconds = |ns: i64| ns as f64 / 1e9;
        eprintln!("recording after {:.1} s, all read after {:.1} s", seconds(began), seconds(took));
    }
    assert!(took > 2 * began, "the disk was not slow enough to prove anything");
    let footage = recorder.timeline(camera).footage;
    assert_eq!(footage.first().map(|f| f.start), Some(old.start));
    disk.faults().heal();
    disk.faults().slow.store(0, Ordering::SeqCst);
    stop(recorder);
    assert!(site.list("segments").len() > MANY as usize);
    check_index(&site);
}

#[test]
fn volumes_that_come_one_after_the_other_bring_their_cameras_recordings() {
    let cameras = OwnCameras::start(4);
    let site = cameras.site();
    let recorder = record_some(site.record(), &cameras.names);
    let old: Vec<_> = cameras.names.iter().map(|c| streams(&recorder, c)).collect();
    stop(recorder);
    let before = listed(&site);
    let [v2, away] = ["v2", "away"].map(|name| site.path(name));
    fs::rename(&v2, &away).unwrap();

    // The volume that is there knows the cameras of the other one, too.
    lose_the_system_disk(&site);
    let recorder = record_some(site.record(), &cameras.names);
    wait_for_problem(&recorder, "v2", "no folder");
    let now: Vec<_> = cameras.names.iter().map(|c| streams(&recorder, c)).collect();
    assert_eq!(now, old);
    fs::rename(&away, &v2).unwrap();
    wait_until_healthy(&recorder, "v2");
    for camera in &cameras.names {
        wait_for(&format!("what {camera} had"), limit(30), || {
            (recorder.timeline(camera).footage.len() == 2).then_some(())
        });
    }
    stop(recorder);
    let after = listed(&site);
    assert!(before.iter().all(|(file, row)| after.get(file) == Some(row)), "all that was known is known again");
    check_index(&site);
}

#[test]
fn a_camera_that_had_to_begin_anew_goes_on_with_what_comes_late() {
    let cameras = OwnCameras::start(2);
    let site = cameras.site();
    let recorder = record_some(site.record(), &cameras.names);
    let old: Vec<_> = cameras.names.iter().map(|c| streams(&recorder, c)).collect();
    stop(recorder);
    // Only a volume that has never seen them is there at first.
    let [v1, v2, away] = ["v1", "v2", "away"].map(|name| site.path(name));
    let on_v2: Vec<usize> = (0..2).filter(|i| v2.join("footage").join(&cameras.names[*i]).exists()).collect();
    let [late] = on_v2.as_slice() else { panic!("one camera on each volume: {on_v2:?}") };
    let camera = &cameras.names[*late];
    fs::rename(&v2, &away).unwrap();
    fs::remove_file(v1.join("custodian-streams.json")).unwrap();
    lose_the_system_disk(&site);

    let recorder = record_some(site.record(), &cameras.names);
    assert_ne!(streams(&recorder, camera), old[*late], "nobody knows it yet");
    fs::rename(&away, &v2).unwrap();
    wait_until_healthy(&recorder, "v2");
    let since = RealClock.wall();
    wait_for("it to go on with its recording", limit(30), || {
        let newest: WallNs = recorder.timeline(camera).footage.last()?.end;
        (newest > since && streams(&recorder, camera) == old[*late]).then_some(())
    });
    let timeline = recorder.timeline(camera);
    assert_eq!((timeline.footage.len(), timeline.gaps.len()), (2, 1), "{timeline:?}");
    // What it recorded in between is there, under a name of its own.
    let beside =
        recorder.cameras().into_iter().find(|c| c.starts_with(&format!("{camera}-")) && c.len() == camera.len() + 9);
    let beside = beside.expect("a name of its own");
    assert!(!recorder.timeline(&beside).footage.is_empty());
    stop(recorder);
    check_index(&site);
    let recorder = record_some(site.record(), &cameras.names);
    assert_eq!(streams(&recorder, camera), old[*late]);
    stop(recorder);
}
