//! Media that are mounted: they fill up, and they go away.

use std::{fs, time::Duration};

use crate::support::{
    mounts::{Mount, possible},
    school::{School, files},
    wait_for,
};

#[test]
fn loop_a_full_disk_fails_and_goes_on_when_there_is_room() {
    if !possible() {
        return;
    }
    let school = School::new();
    let nas = school.path("nas");
    let _mount = Mount::ext4(&nas, 60);
    // Mounted, so nobody has to say that the folder itself is meant.
    assert!(school.ok(&["init"]).contains("prepared."));
    let ballast = nas.join("ballast");
    let room = nix::sys::statvfs::statvfs(&nas).unwrap();
    let free = room.blocks_available() * room.fragment_size();
    nix::fcntl::fallocate(
        fs::File::create(&ballast).unwrap(),
        nix::fcntl::FallocateFlags::empty(),
        0,
        i64::try_from(free - (12 << 20)).unwrap(),
    )
    .unwrap();
    let said = school.fails(&["run"], 1);
    assert!(said.contains("the place is full"), "{said}");
    assert!(files(&nas).iter().all(|f| !f.to_string_lossy().ends_with('~')), "nothing half stays");
    let arrived = files(&school.place().join("objects")).len();
    assert!(arrived > 0);
    fs::remove_file(&ballast).unwrap();
    let made = school.run();
    assert_eq!(made["outcome"], "complete");
    let objects = made["sealed"]["objects"].as_u64().unwrap();
    assert_eq!(made["sealed"]["new_objects"].as_u64().unwrap(), objects - arrived as u64);
}

#[test]
fn loop_a_nas_that_vanishes_in_the_middle_fills_no_other_disk() {
    if !possible() {
        return;
    }
    let school = School::new();
    let nas = school.path("nas");
    let mount = Mount::ext4(&nas, 100);
    school.ok(&["init"]);
    school.site("rate = \"64 Mbit/s\"");
    let mut child = school.spawn(&["run"]);
    let objects = school.place().join("objects");
    wait_for("objects to arrive", Duration::from_mins(1), || (files(&objects).len() >= 3).then_some(()));
    mount.vanish();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(files(&nas), Vec::<std::path::PathBuf>::new(), "nothing is written into its mount point");
    let said = school.fails(&["run"], 1);
    assert!(said.contains("not mounted"), "{said}");
    let records = school.list(&[]);
    assert!(records[0]["problem"].is_string(), "{records:#}");
}
