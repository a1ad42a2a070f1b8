//! Disks that take footage and do not give it back, and folders that a crash has torn.

use std::{fs, sync::atomic::Ordering};

use nix::{libc::EIO, sys::signal::Signal};

use super::{WELL, Well, check_index, lost_nothing, on_each, record_some, with_disks};
use crate::support::{
    cameras::Cameras,
    mounts::fuse_possible,
    own::OwnCameras,
    wait_for,
    watch::{files, limit, readable, segments, stop, wait_until_all_on, wait_until_healthy},
};

const VOLUMES: [(&str, &str); 2] = [("v", "v"), (WELL, WELL)];

#[test]
fn a_disk_that_cannot_be_read_is_written_to_and_loses_no_row_of_the_index() {
    if !fuse_possible() {
        return;
    }
    let mut cameras = Cameras::start(4, &["h264.mp4"], &[]);
    let (site, disks) = with_disks(&cameras, &VOLUMES);
    let recorder = record_some(&site, &cameras);
    let _well = Well(&disks);
    let before = on_each(&recorder, &VOLUMES);
    let faults = disks["v"].faults();
    let playable = |camera: &str| !recorder.fragments(camera).segments.is_empty();

    // Nothing that is read is given; what is written is taken. Its cameras notice nothing, and neither do the others.
    faults.read.store(EIO, Ordering::SeqCst);
    assert!(before["v"].iter().all(|c| !playable(c)) && before[WELL].iter().all(|c| playable(c)));
    assert!(faults.refused.load(Ordering::SeqCst) > 0);
    faults.heal();
    assert!(cameras.names.iter().all(|c| playable(c)));

    // A folder that cannot be listed, when the disk is compared with the index: after it failed and came back.
    let known = site.list("segments").len();
    faults.write.store(EIO, Ordering::SeqCst);
    wait_until_all_on(&recorder, WELL);
    faults.list.store(EIO, Ordering::SeqCst);
    faults.write.store(0, Ordering::SeqCst);
    wait_until_healthy(&recorder, "v");
    wait_for("the look at what it has", limit(30), || site.log().contains("volume v: left alone: ").then_some(()));
    assert!(site.list("segments").len() > known, "none went, those elsewhere came");
    assert!(!site.log().contains("footage that was there before is lost"));
    faults.heal();

    lost_nothing(&mut cameras, recorder, &site, &before[WELL]);
    // The next start reads what it could not read.
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    wait_for("the look at what it has", limit(30), || {
        (site.log().matches("volume v: 2 segments; 0 were new to the index").count() > 0).then_some(())
    });
    stop(recorder);
    check_index(&site);
    site.volumes().iter().for_each(|v| readable(&segments(v)));
}

#[test]
fn a_folder_that_a_crash_has_torn_costs_what_is_not_there_and_says_so() {
    let cameras = OwnCameras::start(4);
    let site = cameras.site();
    // Two lives, so that there are files that were closed and files that were open.
    for life in 1..=2 {
        let recorder = site.record();
        recorder.wait_until_recording(&cameras.names);
        wait_for("some footage", limit(30), || {
            let long = |c: &String| {
                let footage = recorder.timeline(c).footage;
                footage.len() == life && footage[life - 1].len_ns() > 5_000_000_000
            };
            cameras.names.iter().all(long).then_some(())
        });
        recorder.signal(Signal::SIGKILL);
        recorder.wait(limit(10));
    }
    let volume = site.path("v1");
    let all = segments(&volume);
    assert!(all.len() >= 4, "{all:?}");
    let (missing, empty, shuffled) = (&all[0], &all[1], &all[2]);
    // An entry is gone; a file has lost all its blocks; one has another's; a folder has become a file; a name is nonsense.
    fs::remove_file(missing).unwrap();
    fs::write(empty, "").unwrap();
    fs::copy(&all[3], shuffled).unwrap();
    fs::write(volume.join("footage/lost-camera"), "no folder").unwrap();
    fs::write(missing.with_file_name("\u{fffd}#12345"), [0; 4096]).unwrap();
    let strangers = files(&volume).len();

    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    wait_for("the look at the volume", limit(30), || site.log().contains("left alone: ").then_some(()));
    let said = site.log();
    let lost = |path: &std::path::Path| {
        let relative = path.strip_prefix(&volume).unwrap().display().to_string();
        said.lines().any(|l| l.contains("footage that was there before is lost") && l.contains(&relative))
    };
    assert!(lost(missing) && lost(empty), "what is no more is named");
    stop(recorder);
    assert!(files(&volume).len() >= strangers, "nothing is removed but the file without a byte");
    check_index(&site);
}
