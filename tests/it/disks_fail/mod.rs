//! The whole recorder beside disks that fail while it writes to them. The disks are folders shown through FUSE, so that what the recorder
//! meets is the kernel's: its errors, its hangs, its missing mounts. Cameras of `GStreamer` count what they sent.

mod at_once;
mod away;
mod blocks;
mod home;
mod unreadable;

use std::{collections::BTreeMap, fs};

use custodian::types::{CauseKind, WallNs, wire};

use crate::support::{
    cameras::Cameras,
    judge::{compare, freeze},
    passthrough::Passthrough,
    recorder::{Recorder, Site},
    wait_for,
    watch::{cameras_on, limit, stop},
};

const SECOND: i64 = 1_000_000_000;

/// The other volume, which has nothing.
const WELL: &str = "well";

/// A site whose volumes are shown through FUSE, all but the last one.
fn with_disks(cameras: &Cameras, volumes: &[(&str, &str)]) -> (Site, BTreeMap<String, Passthrough>) {
    let mut disks = BTreeMap::new();
    let site = Site::of_cameras(cameras, volumes, |site| {
        fs::create_dir(site.path("behind")).unwrap();
        site.plan_small();
        for (name, at) in &volumes[..volumes.len() - 1] {
            let behind = site.path("behind").join(name);
            fs::create_dir(&behind).unwrap();
            // One that is a folder on a disk is shown with the disk.
            let (behind, at) = match at.split_once('/') {
                None => (behind, site.path(at)),
                Some((above, _)) => (site.path("behind"), site.path(above)),
            };
            disks.insert((*name).to_owned(), Passthrough::mount(&behind, &at));
        }
    });
    (site, disks)
}

/// A process that waits for a disk that hangs cannot be ended: the disks are well again before a failed test ends its recorder.
struct Well<'a>(&'a BTreeMap<String, Passthrough>);

impl Drop for Well<'_> {
    fn drop(&mut self) {
        self.0.values().for_each(|disk| disk.faults().heal());
    }
}

fn on_each(recorder: &Recorder, volumes: &[(&str, &str)]) -> BTreeMap<String, Vec<String>> {
    volumes.iter().map(|(name, _)| ((*name).to_owned(), cameras_on(recorder, name))).collect()
}

/// Waits until a camera is recorded on that volume; answers the gaps that it has had since. There may be none: where another camera's
/// write has failed between two of its own.
fn gaps_since(recorder: &Recorder, camera: &str, since: WallNs, on: &str) -> Vec<wire::Gap> {
    wait_for(&format!("{camera} to be recorded on {on}"), limit(30), || {
        let status = recorder.status()?.streams.into_iter().find(|s| s.camera.as_str() == camera)?;
        let there = status.volume.is_some_and(|v| v.as_str() == on);
        (there && status.newest_committed.is_some_and(|newest| newest > since.offset(4 * SECOND))).then_some(())
    });
    let gaps = recorder.timeline(camera).gaps;
    gaps.into_iter().filter(|g| g.end.is_none_or(|end| end > since)).collect()
}

/// Gaps of cameras whose disk failed: each is the disk's, and within ten seconds they are over.
fn check_gaps(camera: &str, gaps: &[wire::Gap], struck: WallNs) {
    for gap in gaps {
        assert!(gap.cause.kind == CauseKind::Disk && gap.cause.detail.contains("volume "), "{camera}: {gap:?}");
        let over = gap.end.expect("an end").since(struck);
        assert!(over < 10 * SECOND, "{camera}: elsewhere after {:.1} s", over as f64 / 1e9);
        // What had not been committed goes with the disk.
        let before = struck.since(gap.start);
        assert!(before < 5 * SECOND, "{camera}: {:.1} s from before are lost", before as f64 / 1e9);
    }
}

/// The cameras that were not affected: every picture that was sent is stored, in one run, without a gap.
fn lost_nothing(cameras: &mut Cameras, recorder: Recorder, site: &Site, unaffected: &[String]) {
    freeze(cameras, &recorder);
    let sessions: Vec<_> = cameras.sessions().into_iter().filter(|s| unaffected.contains(&s.camera)).collect();
    assert_eq!(sessions.len(), unaffected.len());
    for camera in unaffected {
        let timeline = recorder.timeline(camera);
        assert!(timeline.gaps.is_empty() && timeline.footage.len() == 1, "{camera}: {timeline:?}");
    }
    stop(recorder);
    sessions.iter().for_each(|s| compare(site, s, 0));
}

/// Records until there is footage of some seconds of each camera.
fn record_some<'a>(site: &'a Site, cameras: &Cameras) -> Recorder<'a> {
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    wait_for("some footage", limit(30), || {
        let long = |c: &String| recorder.timeline(c).footage.first().is_some_and(|f| f.len_ns() > 5 * SECOND);
        cameras.names.iter().all(long).then_some(())
    });
    recorder
}

/// Ends the sessions of cameras, so that each begins another run where it belongs.
fn call_home(cameras: &mut Cameras, recorder: &Recorder, names: &[String], home: &str) {
    for camera in names {
        cameras.ask(&format!("drop {camera}"));
    }
    wait_for("all at home", limit(40), || {
        let there = cameras_on(recorder, home);
        names.iter().all(|c| there.contains(c)).then_some(())
    });
    recorder.wait_until_recording(names);
}
