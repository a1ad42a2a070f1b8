//! Back home.

use std::{fs, sync::atomic::Ordering};

use custodian::{
    sys::{Clock as _, RealClock},
    types::CauseKind,
};
use nix::libc::EIO;

use super::{SECOND, WELL, Well, check_index, lost_nothing, on_each, record_some, with_disks};
use crate::support::{
    cameras::Cameras,
    mounts::fuse_possible,
    wait_for,
    watch::{cameras_on, limit, wait_until_all_on, wait_until_healthy},
};

/// When segments are cut follows from the streams' identities; volumes know them. These are cut at one instant, `from_now`.
fn cut_at(cameras: &[String], from_now: i64) -> String {
    let now = RealClock.wall().0;
    let cut = (now + from_now).rem_euclid(300 * SECOND).unsigned_abs();
    let streams: Vec<_> = (1..)
        .zip(cameras)
        .map(|(n, camera)| {
            let id = uuid::Uuid::from_u64_pair(n, cut << 1);
            serde_json::json!({ "camera": camera, "stream": "main", "id": id, "since": now - SECOND })
        })
        .collect();
    serde_json::json!({ "format": 1, "min_reader": 1, "written": now, "streams": streams }).to_string()
}

#[test]
fn a_camera_goes_home_with_its_next_segment_without_a_gap() {
    if !fuse_possible() {
        return;
    }
    let mut cameras = Cameras::start(4, &["h264.mp4"], &[]);
    let volumes = [("v", "v"), (WELL, WELL)];
    let (site, disks) = with_disks(&cameras, &volumes);
    fs::write(site.path("behind/v/custodian-streams.json"), cut_at(&cameras.names, 70 * SECOND)).unwrap();
    let recorder = record_some(&site, &cameras);
    let _well = Well(&disks);
    let before = on_each(&recorder, &volumes);
    assert_eq!(before["v"].len(), 2);

    disks["v"].faults().write.store(EIO, Ordering::SeqCst);
    wait_until_all_on(&recorder, WELL);
    disks["v"].faults().heal();
    wait_until_healthy(&recorder, "v");
    assert_eq!(cameras_on(&recorder, WELL).len(), 4, "until then they stay");
    wait_for("the next segment", limit(90), || (on_each(&recorder, &volumes) == before).then_some(()));
    recorder.wait_until_recording(&cameras.names);
    for camera in &before["v"] {
        wait_for("footage at home", limit(20), || {
            let segments = recorder.fragments(camera).segments;
            (segments.len() == 3 && segments[2].fragments.len() > 1).then_some(())
        });
        let timeline = recorder.timeline(camera);
        let [gap] = timeline.gaps.as_slice() else { panic!("{camera}: {timeline:?}") };
        assert_eq!((gap.cause.kind, timeline.footage.len()), (CauseKind::Disk, 2), "{camera}: {timeline:?}");
    }
    lost_nothing(&mut cameras, recorder, &site, &before[WELL]);
    check_index(&site);
}
