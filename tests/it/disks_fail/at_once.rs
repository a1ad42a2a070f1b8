//! Several disks at once, each in its own way.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicI32, Ordering},
};

use custodian::sys::{Clock as _, RealClock};
use nix::libc::{EIO, ENOSPC};

use super::{WELL, Well, check_gaps, check_index, gaps_since, lost_nothing, on_each, record_some, with_disks};
use crate::support::{
    cameras::Cameras,
    mounts::fuse_possible,
    passthrough::Faults,
    wait_for,
    watch::{cameras_on, limit, readable, segments, wait_until_healthy},
};

#[test]
fn disks_that_fail_each_in_its_own_way_at_the_same_instant() {
    if !fuse_possible() {
        return;
    }
    let mut cameras = Cameras::start(10, &["h264.mp4"], &[]);
    // Writing, room, syncing (a folder, whose files are synced one by one), and one that hangs.
    let volumes = [("w", "w"), ("n", "n"), ("s", "above/s"), ("h", "h"), (WELL, WELL)];
    let (site, disks) = with_disks(&cameras, &volumes);
    let recorder = record_some(&site, &cameras);
    let _well = Well(&disks);
    let before = on_each(&recorder, &volumes);
    assert!(before.values().all(|cameras| cameras.len() == 2), "spread over volumes: {before:?}");
    let fault = |name: &str, of: fn(&Faults) -> &AtomicI32, errno| {
        of(disks[name].faults()).store(errno, Ordering::SeqCst);
    };

    let struck = RealClock.wall();
    fault("w", |f| &f.write, EIO);
    fault("n", |f| &f.write, ENOSPC);
    fault("s", |f| &f.sync, EIO);
    disks["h"].faults().hang(true);
    // Readers of the disk that hangs, more than there are threads for them: how the recorder is can be asked all the same.
    let mut asked = Vec::new();
    for camera in before["h"].iter().cycle().take(24) {
        asked.push(
            recorder.ask_and_leave("media.sock", &format!("/v1/fragments?camera={camera}&from=0&to={}", i64::MAX)),
        );
    }
    let words =
        [("w", "Input/output error"), ("n", "full"), ("s", "Input/output error"), ("h", "has taken more than 3 s")];
    let mut noticed = BTreeMap::new();
    wait_for("all four to be noticed", limit(20), || {
        for v in recorder.status().expect("an answer, whatever hangs").volumes.into_iter().filter(|v| !v.healthy) {
            noticed.entry(v.name.to_string()).or_insert(v.problem.unwrap());
        }
        (noticed.len() == 4).then_some(())
    });
    for (name, words) in words {
        assert!(noticed[name].contains(words), "{noticed:?}");
    }
    // Some may have gone from one that failed to another that failed.
    for camera in before.iter().filter(|(name, _)| *name != WELL).flat_map(|(_, moved)| moved) {
        check_gaps(camera, &gaps_since(&recorder, camera, struck, WELL), struck);
    }
    assert_eq!(cameras_on(&recorder, WELL).len(), 10);
    drop(asked);

    disks.values().for_each(|d| d.faults().heal());
    for (name, _) in &volumes {
        wait_until_healthy(&recorder, name);
    }
    // With its next run each camera is where it was.
    for camera in before.iter().filter(|(name, _)| *name != WELL).flat_map(|(_, cameras)| cameras) {
        cameras.ask(&format!("drop {camera}"));
    }
    wait_for("all at home", limit(40), || (on_each(&recorder, &volumes) == before).then_some(()));
    recorder.wait_until_recording(&cameras.names);
    for volume in ["w", "n", "s", "h"] {
        wait_for("the look at what it has", limit(30), || {
            (site.log().matches(&format!("volume {volume}: 2 segments")).count() > 0).then_some(())
        });
    }
    lost_nothing(&mut cameras, recorder, &site, &before[WELL]);
    check_index(&site);
    assert!(!site.log().contains("panicked"));
    site.volumes().iter().for_each(|v| readable(&segments(v)));
}
