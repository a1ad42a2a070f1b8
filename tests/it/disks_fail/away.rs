//! Disks that go away and come back, and one that does not answer when the recorder starts.

use std::{collections::BTreeMap, fs};

use custodian::sys::{Clock as _, RealClock};
use nix::sys::signal::Signal;

use super::{
    WELL, Well, call_home, check_gaps, check_index, gaps_since, lost_nothing, on_each, record_some, with_disks,
};
use crate::support::{
    cameras::Cameras,
    mounts::fuse_possible,
    wait_for,
    watch::{files, limit, readable, segments, stop, wait_for_problem, wait_until_all_on, wait_until_healthy},
};

const VOLUMES: [(&str, &str); 2] = [("v", "v"), (WELL, WELL)];

#[test]
fn a_disk_that_vanishes_and_returns() {
    if !fuse_possible() {
        return;
    }
    let mut cameras = Cameras::start(4, &["h264.mp4"], &[]);
    let (site, mut disks) = with_disks(&cameras, &VOLUMES);
    let recorder = record_some(&site, &cameras);
    let before = on_each(&recorder, &VOLUMES);
    assert_eq!(before["v"].len(), 2);
    let disk = disks.get_mut("v").unwrap();

    // Its mount is taken away though files on it are open: what is open lives on, and would take footage that no commit reaches.
    let struck = RealClock.wall();
    disk.detach();
    wait_for_problem(&recorder, "v", "still mounted");
    before["v"].iter().for_each(|c| check_gaps(c, &gaps_since(&recorder, c, struck, WELL), struck));
    assert_eq!(files(&site.path("v")).len(), 0, "the folder beneath the mount");
    disk.mount_again(&site.path("behind/v"));
    wait_until_healthy(&recorder, "v");
    call_home(&mut cameras, &recorder, &before["v"], "v");

    // The cable is pulled: the mount is there, and nothing behind it.
    let struck = RealClock.wall();
    disk.sever();
    wait_for_problem(&recorder, "v", "not connected");
    before["v"].iter().for_each(|c| check_gaps(c, &gaps_since(&recorder, c, struck, WELL), struck));
    disk.detach();
    disk.mount_again(&site.path("behind/v"));
    wait_until_healthy(&recorder, "v");
    call_home(&mut cameras, &recorder, &before["v"], "v");
    wait_for("the looks at what it has", limit(30), || {
        (site.log().matches("volume v: 4 segments").count() > 0).then_some(())
    });

    lost_nothing(&mut cameras, recorder, &site, &before[WELL]);
    check_index(&site);
    assert!(!site.log().contains("panicked"));
    site.volumes().iter().for_each(|v| readable(&segments(v)));
}

#[test]
fn a_disk_that_does_not_answer_at_the_start_is_not_waited_for() {
    if !fuse_possible() {
        return;
    }
    let cameras = Cameras::start(2, &["h264.mp4"], &[]);
    let (site, disks) = with_disks(&cameras, &VOLUMES);
    stop(record_some(&site, &cameras));
    let known: BTreeMap<_, _> = site.list("segments").into_iter().map(|s| (s["path"].to_string(), s)).collect();

    disks["v"].faults().hang(true);
    let recorder = site.record();
    let _well = Well(&disks);
    wait_until_all_on(&recorder, WELL);
    wait_for_problem(&recorder, "v", "has not answered for 10 s");
    recorder.wait_until_recording(&cameras.names);
    // Asked to stop, it stops; the process itself is the kernel's as long as a call of it hangs.
    recorder.signal(Signal::SIGTERM);
    wait_for("its last word", limit(20), || site.log().contains("stopped; nothing").then_some(()));
    disks["v"].faults().heal();
    assert!(recorder.wait(limit(20)).success());

    disks["v"].faults().hang(true);
    let recorder = site.record();
    wait_until_all_on(&recorder, WELL);
    disks["v"].faults().heal();
    wait_until_healthy(&recorder, "v");
    // The same while it is being written to.
    disks["v"].faults().hang(true);
    wait_for_problem(&recorder, "v", "has taken more than 3 s");
    recorder.signal(Signal::SIGTERM);
    wait_for("its last word", limit(20), || (site.log().matches("stopped; nothing").count() == 3).then_some(()));
    disks["v"].faults().heal();
    assert!(recorder.wait(limit(20)).success());

    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    wait_until_healthy(&recorder, "v");
    stop(recorder);
    check_index(&site);
    let now: BTreeMap<_, _> = site.list("segments").into_iter().map(|s| (s["path"].to_string(), s)).collect();
    assert!(known.iter().all(|(path, s)| now.get(path) == Some(s)), "what was there before is there still");
    assert!(fs::read_to_string(site.path("log")).is_ok_and(|log| !log.contains("panicked")));
}
