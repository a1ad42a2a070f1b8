//! The power goes while the recorder writes: volumes and state are XFS, as on the appliance, and are shut down without flushing their logs.
//! What is on the disks then is looked at before anybody mends it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use custodian::{
    store::format::{self, SegmentFile, Tail, Verify},
    sys::{Clock as _, RealClock},
    types::{Span, WallNs},
};
use nix::sys::signal::Signal;

use crate::support::{
    mounts::{Mount, xfs_possible},
    own::OwnCameras,
    recorder::Site,
    wait_for,
    watch::{check_index, limit, readable, segments, stop},
};

const SECOND: i64 = 1_000_000_000;
/// So many houses lose their power, so often each, at the same time as the others.
const HOUSES: u64 = 5;
const CUTS: u64 = 10;
/// What is promised.
const PROMISE: i64 = 7 * SECOND;

/// A segment as it lies on the disk, each of its fragments verified.
fn look(path: &Path) -> Option<SegmentFile> {
    let file = File::open(path).unwrap();
    match format::scan(&file, fs::metadata(path).unwrap().len(), Verify::ALL) {
        Ok(segment) => Some(segment),
        // Made, and nothing of it came to the disk.
        Err(format::FormatError::NoHead) => None,
        Err(e) => panic!("{}: {e}", path.display()),
    }
}

/// The end of the newest picture of a camera that can be read.
fn newest(site: &Site, camera: &str) -> Option<WallNs> {
    let files: Vec<PathBuf> = site.runs(camera).concat();
    let end = |file: &PathBuf| {
        let segment = look(file)?;
        Some(segment.fragments.last()?.corrected(&segment.head.run).end)
    };
    files.iter().filter_map(end).max()
}

/// What a camera has lost by a cut.
struct Lost {
    ns: i64,
    /// Whether something is left of that life of the recorder; else it is counted from its birth.
    some_left: bool,
}

/// One house: the power goes ten times.
fn house(number: u64) -> Vec<Lost> {
    let cameras = OwnCameras::start(2);
    let mut disks = Vec::new();
    let site = cameras.site_with(|site| disks.extend(["v1", "v2", "state"].map(|d| Mount::xfs(&site.path(d), 512))));
    let mut lost = Vec::new();
    for cut in 0..CUTS {
        let recorder = site.record();
        let born = RealClock.wall();
        // From the first steps of a start to the middle of whatever goes on later: 0.5 to 9.5 s, evenly, in no order.
        let instant = (number * CUTS + cut) * 31 % (HOUSES * CUTS);
        let until = born + Duration::from_millis(500 + instant * 180);
        wait_for("the instant of the cut", limit(30), || (RealClock.wall() >= until).then_some(()));
        // What it says is on the disk, right before.
        let said = recorder.status();
        let struck = RealClock.wall();
        disks.iter().for_each(Mount::cut);
        recorder.signal(Signal::SIGKILL);
        recorder.wait(limit(20));
        disks.iter().for_each(Mount::power_returns);

        for camera in &cameras.names {
            let newest = newest(&site, camera);
            let committed = said
                .as_ref()
                .and_then(|s| s.streams.iter().find(|s| s.camera.as_str() == camera && s.recorded)?.newest_committed);
            assert!(newest >= committed, "{camera}: {committed:?} was committed, and {newest:?} is there");
            let kept = newest.unwrap_or(WallNs::MIN);
            lost.push(Lost { ns: struck.since(kept.max(born)), some_left: kept > born });
        }
    }
    // All is mended by the next start, and the index is right.
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    for camera in &cameras.names {
        check_order(camera, &recorder.timeline(camera).footage);
    }
    wait_for("both volumes to be looked at", limit(30), || {
        let all = site.log();
        let (_, last) = all.rsplit_once("streams to record")?;
        (last.matches("segments; ").count() == 2).then_some(())
    });
    stop(recorder);
    let files: Vec<PathBuf> = site.volumes().iter().flat_map(|v| segments(v)).collect();
    assert!(files.len() as u64 > CUTS, "{files:?}");
    for file in &files {
        let segment = look(file).expect("no file without footage is left");
        assert!(segment.closed.is_some() && segment.tail == Tail::Clean, "{}", file.display());
    }
    readable(&files);
    check_index(&site);
    let log = site.log();
    for bad in ["panicked", "index.damaged", "footage that was there before is lost", "left alone"] {
        assert!(!log.contains(bad), "{bad}: {log}");
    }
    lost
}

fn check_order(camera: &str, footage: &[Span]) {
    assert!(footage.windows(2).all(|w| w[0].end <= w[1].start), "{camera}: {footage:?}");
}

#[test]
#[ignore = "takes two minutes; tests/run runs it"]
fn loop_fifty_power_cuts_cost_seconds_and_nothing_that_was_committed() {
    if !xfs_possible() {
        return;
    }
    let lost: Vec<Lost> = thread::scope(|scope| {
        let houses: Vec<_> = (0..HOUSES).map(|n| scope.spawn(move || house(n))).collect();
        houses.into_iter().flat_map(|h| h.join().unwrap()).collect()
    });
    assert_eq!(lost.len() as u64, 2 * HOUSES * CUTS);
    let seconds = |ns: i64| ns as f64 / 1e9;
    let most = lost.iter().map(|l| l.ns).max().unwrap();
    let mut left: Vec<i64> = lost.iter().filter(|l| l.some_left).map(|l| l.ns).collect();
    left.sort_unstable();
    #[expect(clippy::print_stderr, reason = "a figure")]
    {
        eprintln!(
            "{} cuts: lost {:.1} s at most; in the median {:.1} s, of the {} recordings that had begun to come to the disk",
            HOUSES * CUTS,
            seconds(most),
            seconds(left[left.len() / 2]),
            left.len(),
        );
    }
    assert!(left.len() as u64 > HOUSES * CUTS, "too few were cut while they were recorded: {}", left.len());
    assert!(most <= PROMISE, "{} s are lost", seconds(most));
}
