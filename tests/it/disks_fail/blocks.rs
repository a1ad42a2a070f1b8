//! The same beneath a file system: XFS, as on the appliance, on a disk that is an image shown through FUSE. What the recorder meets is
//! XFS's: writing back that fails long after `write(2)`, a file system that shuts down, a `syncfs(2)` that nobody can end.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::Ordering,
};

use nix::libc::EIO;

use super::{SECOND, check_index};
use crate::support::{
    cameras::Cameras,
    judge::freeze,
    mounts::{self, fuse_possible},
    passthrough::Passthrough,
    probe,
    recorder::Site,
    wait_for,
    watch::{limit, readable, segments, stop, volume, wait_for_problem, wait_until_healthy},
};

fn run(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).output().unwrap();
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// An XFS on a disk that can be told to fail.
struct Disk {
    device: String,
    at: PathBuf,
    image: Passthrough,
}

impl Disk {
    fn mount(site: &Site, at: &Path) -> Self {
        let (behind, shown) = (site.path("images"), site.path("shown"));
        [&behind, &shown].into_iter().for_each(|dir| fs::create_dir(dir).unwrap());
        let image = behind.join("disk");
        fs::File::create(&image).unwrap().set_len(512 << 20).unwrap();
        run("mkfs.xfs", &["-q", &image.display().to_string()]);
        let image = Passthrough::mount(&behind, &shown);
        let device = run("losetup", &["--find", "--show", &shown.join("disk").display().to_string()]);
        let disk = Self { device, at: at.to_owned(), image };
        disk.mount_again();
        disk
    }

    fn mount_again(&self) {
        run("mount", &["-t", "xfs", &self.device, &self.at.display().to_string()]);
    }

    fn umount(&self) {
        run("umount", &["--lazy", &self.at.display().to_string()]);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.image.faults().heal();
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
        let _ = Command::new("losetup").arg("--detach").arg(&self.device).status();
    }
}

fn possible() -> bool {
    let mkfs = Command::new("mkfs.xfs").arg("-V").output().is_ok();
    if !mkfs {
        #[expect(clippy::print_stderr, reason = "a test that is not run should say so")]
        {
            eprintln!("NOT TESTED: there is no mkfs.xfs");
        }
    }
    mkfs && mounts::possible() && fuse_possible()
}

#[test]
fn loop_with_two_copies_a_disk_that_is_pulled_costs_not_a_picture() {
    if !possible() {
        return;
    }
    let mut cameras = Cameras::start(4, &["h264.mp4"], &[]);
    let mut disk = None;
    let site = Site::of_cameras(&cameras, &[("v1", "v1"), ("v2", "v2")], |site| {
        disk = Some(Disk::mount(site, &site.path("v1")));
    });
    let disk = disk.unwrap();
    let site = site.with_copies();
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    wait_for("a file on both volumes for each camera", limit(20), || {
        site.volumes().iter().all(|v| segments(v).len() == 4).then_some(())
    });
    assert!(volume(&recorder, "v1").unwrap().healthy);

    // It does not answer for a while: a sync that nobody can end.
    let faults = disk.image.faults();
    faults.hang(true);
    wait_for_problem(&recorder, "v1", "has taken more than 3 s");
    let status = recorder.status().unwrap();
    assert!(status.streams.iter().all(|s| s.volume.as_ref().is_some_and(|v| v.as_str() == "v2")), "{status:?}");
    faults.hang(false);
    wait_until_healthy(&recorder, "v1");

    // It is pulled.
    for fault in [&faults.write, &faults.sync, &faults.read] {
        fault.store(EIO, Ordering::SeqCst);
    }
    wait_for_problem(&recorder, "v1", "Input/output error");
    let later = |camera: &String| recorder.timeline(camera).footage.last().map(|f| f.end).unwrap();
    let pulled: Vec<_> = cameras.names.iter().map(later).collect();
    for (camera, pulled) in cameras.names.iter().zip(pulled) {
        wait_for(&format!("{camera} to go on"), limit(20), || (later(camera).since(pulled) > 4 * SECOND).then_some(()));
    }
    // And put back: mounted again, with the log of XFS.
    faults.heal();
    disk.umount();
    wait_for("the old mount to be gone", limit(30), || {
        let mounted = Command::new("mount").args(["-t", "xfs", &disk.device]).arg(&disk.at).output().unwrap();
        mounted.status.success().then_some(())
    });
    wait_until_healthy(&recorder, "v1");

    freeze(&mut cameras, &recorder);
    for camera in &cameras.names {
        let timeline = recorder.timeline(camera);
        assert!(timeline.gaps.is_empty() && timeline.footage.len() == 1, "{camera}: {timeline:?}");
        let files: BTreeSet<_> = recorder.fragments(camera).segments.iter().map(|s| (s.run, s.seq)).collect();
        assert_eq!(recorder.fragments(camera).segments.len(), files.len(), "each file is played once");
    }
    let sessions = cameras.only_sessions();
    stop(recorder);
    for session in sessions {
        let files: Vec<PathBuf> = probe::runs(&site.path("v2"), &session.camera).into_values().flatten().collect();
        let [video, _] = probe::packets(&files);
        assert_eq!(video.pts.len(), session.sent, "{session:?}: every picture is on the disk that is left");
    }
    check_index(&site);
    site.volumes().iter().for_each(|v| readable(&segments(v)));
}
