//! Making room, and stopping where there is none.

use std::path::Path;

use custodian::types::{CauseKind, WallNs};
use nix::{sys::signal::Signal, sys::statvfs::statvfs};

use super::*;
use crate::support::{
    mounts::{Mount, possible},
    wait_for,
};

const MB: u64 = 1_000_000;

fn free(at: &Path) -> u64 {
    let s = statvfs(at).unwrap();
    s.blocks_available() * s.fragment_size()
}

/// Lets others take so much of a volume that so much is left.
fn squeeze(at: &Path, left: u64) {
    let file = fs::File::options().create(true).append(true).open(at.join("others")).unwrap();
    let len = file.metadata().unwrap().len();
    let wanted = (len + free(at)).saturating_sub(left);
    file.set_len(wanted.min(len)).unwrap();
    if wanted > len {
        use nix::fcntl::{FallocateFlags, fallocate};
        fallocate(&file, FallocateFlags::empty(), 0, i64::try_from(wanted).unwrap()).unwrap();
    }
}

fn stopped(recorder: &Recorder, camera: &str) -> Option<bool> {
    let all = retention(recorder)?.cameras;
    all.iter().find(|c| c.camera.as_str() == camera).map(|c| c.stopped)
}

/// Gaps of a camera by that cause: whether each has ended.
fn gaps(site: &Site, camera: &str, cause: CauseKind) -> Vec<bool> {
    let gaps = site.list("gaps");
    let ours = gaps.iter().filter(|g| g["camera"] == camera && g["cause"]["kind"] == cause.as_str());
    ours.map(|g| !g["end"].is_null()).collect()
}

#[test]
fn loop_a_volume_that_fills_lets_surplus_go_and_then_stops_the_lowest_priority() {
    if !possible() {
        return;
    }
    let cameras = OwnCameras::start(2);
    let (high, low) = (&cameras.names[0], &cameras.names[1]);
    let mut mount = None;
    let site = site(&cameras, "", "min_days = 1\nwhen_short = \"alarm\"", |site| {
        mount = Some(Mount::ext4(&site.path("v1"), 300));
    });
    let v1 = site.path("v1");
    let surplus: Vec<PathBuf> = (0..20).map(|n| old(&site, high, 75 * HOUR - n * HOUR, 8)).collect();
    let promised: Vec<PathBuf> = (0..6).map(|n| old(&site, low, 8 * HOUR - n * HOUR, 8)).collect();
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);

    // Room is made ahead of need, the largest surplus first, and no more than is needed.
    squeeze(&v1, 60 * MB);
    let gone = wait_for("some surplus to go", SOON, || Some(20 - there(&surplus)).filter(|n| *n > 0));
    wait_for("enough room", SOON, || {
        retention(&recorder)?.volumes[0].free.gt(&retention(&recorder)?.volumes[0].wanted).then_some(())
    });
    assert!(gone < 20, "no more than is needed");
    let left = there(&surplus);
    assert!(surplus[..20 - left].iter().all(|f| !f.exists()) && surplus[20 - left..].iter().all(|f| f.exists()));
    assert_eq!(there(&promised), 6);

    // Others take more and more: all surplus goes, what is promised stays, and the camera of low priority stops.
    wait_for("all surplus to go", SOON, || {
        squeeze(&v1, 60 * MB);
        (there(&surplus) == 0).then_some(())
    });
    wait_for("the low priority to stop", SOON, || {
        squeeze(&v1, 44 * MB);
        stopped(&recorder, low).filter(|stopped| *stopped)
    });
    assert_eq!(stopped(&recorder, high), Some(false));
    assert_eq!(there(&promised), 6, "promised footage stays, however full it is");
    wait_for("a gap that says why", SOON, || (gaps(&site, low, CauseKind::Full) == [false]).then_some(()));
    let newest = |name: &str| {
        recorder.status().unwrap().streams.into_iter().find(|s| s.camera.as_str() == name).unwrap().newest_committed
    };
    let before = newest(high);
    wait_for("the high priority to go on", SOON, || (newest(high) > before).then_some(()));
    let health = recorder.status().unwrap().retention.unwrap();
    assert_eq!(health.stopped.iter().map(custodian::types::CameraId::as_str).collect::<Vec<_>>(), [low]);

    // There is room again.
    squeeze(&v1, 150 * MB);
    wait_for("the low priority to begin again", SOON, || (gaps(&site, low, CauseKind::Full) == [true]).then_some(()));
    assert!(gaps(&site, high, CauseKind::Full).is_empty(), "it has lost nothing");
    recorder.signal(Signal::SIGTERM);
    assert!(recorder.wait(SOON).success());
    assert_index_equals_volume(&site);
    assert_eq!(retired(&site, ledger::Reason::Room), 20);
    let rooms: Vec<(String, bool)> = (entries(&site).into_iter())
        .filter_map(|e| match e.what {
            What::Room { camera, recorded, .. } => Some((camera.to_string(), recorded)),
            _ => None,
        })
        .collect();
    assert_eq!(rooms, [(low.clone(), false), (low.clone(), true)]);
    let days: Vec<_> = fs::read_dir(v1.join("footage").join(high).join("main")).unwrap().collect();
    assert!(days.len() <= 2, "days that are empty and over have gone: {days:?}");
    drop(mount);
}

#[test]
fn what_is_overdue_goes_and_what_is_held_stays() {
    let cameras = OwnCameras::start(2);
    let camera = &cameras.names[0];
    let site = site(&cameras, "size = \"2 GB\"", "min_days = 1\nmax_days = 2", |_| ());
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    let span = ["add", "--camera", camera, "--from", "-3780m", "--to", "-3630m", "--review", "+30d"];
    let held = site.hold(&[&span[..], &["--reason", "x", "--by", "y"]].concat());
    assert!(held.status.success(), "{}", String::from_utf8_lossy(&held.stderr));
    recorder.signal(Signal::SIGTERM);
    assert!(recorder.wait(SOON).success());

    let overdue: Vec<PathBuf> = (0..6).map(|n| old(&site, camera, 65 * HOUR - n * HOUR, 1)).collect();
    let young = old(&site, camera, 47 * HOUR, 1);
    let stranger = old(&site, "stranger", 65 * HOUR, 1);
    let recorder = site.record();
    wait_for("what is overdue to go", SOON, || (there(&overdue) == 3).then_some(()));
    // From 63 to 60.5 hours ago.
    let is: Vec<bool> = overdue.iter().map(|f| f.exists()).collect();
    assert_eq!(is, [false, false, true, true, true, false]);
    assert!(young.exists());
    wait_for("a camera that nobody knows to be treated like the others", SOON, || (!stranger.exists()).then_some(()));
    let held = || retention(&recorder)?.cameras.iter().find(|c| c.camera.as_str() == camera).map(|c| c.held.0);
    wait_for("what is held to be counted", SOON, || held().filter(|bytes| *bytes > 3_000_000));
    recorder.signal(Signal::SIGTERM);
    assert!(recorder.wait(SOON).success());
    assert_eq!(retired(&site, ledger::Reason::MaxDays), 4);
    assert_index_equals_volume(&site);
}

#[test]
fn what_the_site_calls_overdue_from_now_on_goes_at_once() {
    let cameras = OwnCameras::start(2);
    let site = site(&cameras, "size = \"2 GB\"", "min_days = 1", |_| ());
    let files = [65, 47].map(|hours| old(&site, &cameras.names[0], hours * HOUR, 1));
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    // It is measured what is kept once it was decided what goes.
    wait_for("a decision", SOON, || retention(&recorder)?.cameras.iter().any(|c| c.kept.is_some()).then_some(()));
    let text = fs::read_to_string(site.path("site.toml")).unwrap();
    fs::write(site.path("site.toml"), text.replace("min_days = 1\n", "min_days = 1\nmax_days = 2\n")).unwrap();
    recorder.signal(Signal::SIGHUP);
    wait_for("what is overdue by now to go", SOON, || (!files[0].exists()).then_some(()));
    assert!(files[1].exists());
    recorder.signal(Signal::SIGTERM);
    assert!(recorder.wait(SOON).success());
}

/// A camera that leaves site.toml keeps what it was promised, also where the site promises less by then.
#[test]
fn a_camera_that_leaves_keeps_its_promise() {
    let cameras = OwnCameras::start(2);
    let (stays, leaves) = (&cameras.names[0], &cameras.names[1]);
    let site = site(&cameras, "size = \"2 GB\"", "min_days = 4\nmax_days = 5", |_| ());
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    wait_for("its promise to be noted", SOON, || retention(&recorder)?.reckoned);
    recorder.signal(Signal::SIGTERM);
    assert!(recorder.wait(SOON).success());
    let text = fs::read_to_string(site.path("site.toml")).unwrap();
    let (rest, _) = text.split_once(&format!("[camera.{leaves}]")).unwrap();
    fs::write(site.path("site.toml"), rest.replace("min_days = 4\nmax_days = 5", "min_days = 1\nmax_days = 2"))
        .unwrap();
    let [short, long] = [stays, leaves].map(|camera| old(&site, camera, 3 * DAY, 1));
    let recorder = site.record();
    wait_for("the shorter one to go", SOON, || (!short.exists()).then_some(()));
    let kept = wait_for("both to be told", SOON, || retention(&recorder).filter(|r| r.cameras.len() == 2));
    assert!(long.exists());
    let left = kept.cameras.iter().find(|c| c.camera.as_str() == leaves).unwrap();
    assert_eq!((left.min_days, left.max_days, left.recorded), (Some(4), Some(5), false));
}

/// Two recordings may claim one camera, where volumes come one after the other: one of them gets another name. It is held all the same.
#[test]
fn what_lies_under_another_name_by_now_is_held_by_that_of_its_time() {
    let cameras = OwnCameras::start(2);
    let (camera, other) = (&cameras.names[0], &cameras.names[1]);
    let site = site(&cameras, "size = \"2 GB\"", "min_days = 1\nmax_days = 2", |_| ());
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    let span = ["add", "--camera", camera, "--from", "-72h", "--to", "-48h", "--review", "+30d"];
    assert!(site.hold(&[&span[..], &["--reason", "x", "--by", "y"]].concat()).status.success());
    recorder.signal(Signal::SIGTERM);
    assert!(recorder.wait(SOON).success());
    let claimed = old_of(&site, camera, 60 * HOUR, 1, Some(uuid::Uuid::from_u128(99).into()));
    let overdue = old(&site, other, 60 * HOUR, 1);
    let _recorder = site.record();
    wait_for("what is not held to go", SOON, || (!overdue.exists()).then_some(()));
    assert!(claimed.exists());
}

/// What footage takes of a quota is counted, not measured: after each removal, and as it grows.
#[test]
fn on_a_volume_whose_size_is_stated_no_more_goes_than_is_wanted() {
    let cameras = OwnCameras::start(2);
    let camera = &cameras.names[0];
    let site = site(&cameras, "size = \"400 MB\"", "min_days = 1", |_| ());
    // 80 MB are free, 100 wanted, 150 ample.
    let surplus: Vec<PathBuf> = (0..40).map(|n| old(&site, camera, 75 * HOUR - n * HOUR, 8)).collect();
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    wait_for("some surplus to go", SOON, || (there(&surplus) < 40).then_some(()));
    let newest = || recorder.status().unwrap().streams[0].newest_committed.unwrap();
    let then = newest();
    // Two passes more would have their rest meanwhile.
    wait_for("recording to go on", SOON, || (newest().since(then) > 40_000_000_000).then_some(()));
    let kept = retention(&recorder).unwrap();
    let volume = &kept.volumes[0];
    assert!(volume.wanted.0 > 90 * MB, "{volume:?}");
    let left = there(&surplus);
    assert!((26..=32).contains(&left), "{left} of 40 are left: {volume:?}");
}

/// Cameras that connect anew every few seconds leave small files by the ten thousand: a volume does not rest between some hundred of them.
#[test]
#[expect(clippy::disallowed_methods, reason = "folders of a test's own volume")]
fn many_small_files_go_at_a_time() {
    let cameras = OwnCameras::start(2);
    let camera = &cameras.names[0];
    let site = site(&cameras, "size = \"2 GB\"", "min_days = 1\nmax_days = 2", |_| ());
    let small = |n: i64| {
        let media = Media::synthetic(10, 10, 100);
        let start = RealClock.wall().offset(-60 * HOUR + n * 10_000_000_000);
        let run = Arc::new(run(u128::from(n.unsigned_abs()) << 8, camera, &media, start, None));
        let (bytes, row) = Archive::new().file(&run, &fragments(&run, &media, 10), SegmentState::Closed);
        let path = site.path("v1").join(row.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    };
    let overdue: Vec<PathBuf> = (1..=600).map(small).collect();
    let recorder = site.record();
    wait_for("what is overdue to go", SOON, || (there(&overdue) == 0).then_some(()));
    recorder.signal(Signal::SIGTERM);
    assert!(recorder.wait(SOON).success());
    let gone: Vec<WallNs> =
        (entries(&site).into_iter()).filter(|e| matches!(&e.what, What::Retired { .. })).map(|e| e.at).collect();
    let took = gone.last().unwrap().since(gone[0]);
    assert!(gone.len() >= 3 && took < 10_000_000_000, "{} entries in {took} ns: it has rested", gone.len());
    assert_index_equals_volume(&site);
}
