//! The whole recorder beside disks, files and callers that fail it. What each part does alone is tested beside the part; here it
//! counts what is left on the volumes, what the recorder says, and that its other cameras and volumes have noticed nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
};

use nix::sys::signal::Signal;

use crate::support::{
    mounts::{Mount, possible},
    own::OwnCameras,
    probe,
    recorder::{Recorder, Site},
    wait_for,
    watch::{
        cameras_on, files, limit, readable, segments, stop, volume, wait_for_problem, wait_until_all_on,
        wait_until_healthy,
    },
};

const SECOND: i64 = 1_000_000_000;
const MARKER: &str = "custodian-volume.json";

/// Cameras that moved have at most a short gap, with that in its cause; the others have none.
fn check_gaps(recorder: &Recorder, cameras: &OwnCameras, moved: &[String], cause: &str) {
    for camera in &cameras.names {
        if !moved.contains(camera) {
            let timeline = recorder.timeline(camera);
            assert!(timeline.gaps.is_empty(), "{camera} was on the other volume: {timeline:?}");
            continue;
        }
        wait_for(&format!("{camera} to go on elsewhere"), limit(20), || {
            (recorder.fragments(camera).segments.len() > 1).then_some(())
        });
        let timeline = recorder.timeline(camera);
        // Some fragments may have been refused before the run moved for good; or all that was written had been committed.
        assert!(timeline.gaps.len() <= 2, "{camera}: {timeline:?}");
        for gap in &timeline.gaps {
            assert!(gap.cause.to_string().contains(cause), "{camera}: {gap:?}");
            let length = gap.end.expect("an end").since(gap.start);
            assert!(length < 8 * SECOND, "{camera}: {gap:?}");
        }
    }
}

/// Two equal disks, so that each gets its half of the cameras.
fn with_two_disks(cameras: &OwnCameras) -> (Site, [Mount; 2]) {
    let mut mounts = None;
    let site = cameras.site_with(|site| {
        mounts = Some(["v1", "v2"].map(|v| Mount::ext4(&site.path(v), 400)));
        site.plan_small();
    });
    (site, mounts.unwrap())
}

#[test]
fn loop_a_full_volume_hands_its_cameras_over_and_takes_them_back() {
    if !possible() {
        return;
    }
    let cameras = OwnCameras::start(4);
    let (site, _mounts) = with_two_disks(&cameras);
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    let moved = cameras_on(&recorder, "v1");
    assert!(!moved.is_empty() && moved.len() < 4, "cameras are spread over volumes");

    // Somebody else fills the disk until less than the reserve is left.
    let ballast = site.path("v1").join("ballast");
    let free = volume(&recorder, "v1").unwrap().free.0;
    nix::fcntl::fallocate(
        fs::File::create(&ballast).unwrap(),
        nix::fcntl::FallocateFlags::empty(),
        0,
        i64::try_from(free - (3 << 20)).unwrap(),
    )
    .unwrap();
    wait_for_problem(&recorder, "v1", "full");
    wait_until_all_on(&recorder, "v2");
    recorder.wait_until_recording(&cameras.names);
    readable(&segments(&site.path("v1")));
    check_gaps(&recorder, &cameras, &moved, "full");

    fs::remove_file(&ballast).unwrap();
    wait_until_healthy(&recorder, "v1");
    stop(recorder);
    site.volumes().iter().for_each(|v| readable(&segments(v)));
}

#[test]
fn loop_a_volume_that_turns_read_only_keeps_what_it_has() {
    if !possible() {
        return;
    }
    let cameras = OwnCameras::start(4);
    let (site, [mount, _other]) = with_two_disks(&cameras);
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    let moved = cameras_on(&recorder, "v1");
    let committed = segments(&site.path("v1"));
    let began: BTreeMap<_, _> = moved.iter().map(|c| (c.clone(), recorder.timeline(c).footage[0].start)).collect();
    mount.fail();
    wait_for_problem(&recorder, "v1", "read-only");
    wait_until_all_on(&recorder, "v2");
    recorder.wait_until_recording(&cameras.names);
    check_gaps(&recorder, &cameras, &moved, "read-only");
    assert_eq!(segments(&site.path("v1")), committed, "files of the read-only volume");
    stop(recorder);

    // The next start finds the volume as it is: its footage counts, the others record.
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    wait_until_all_on(&recorder, "v2");
    for camera in &moved {
        let seen = recorder.timeline(camera).footage.first().map(|f| f.start);
        assert_eq!(seen, began.get(camera).copied(), "{camera}: what it has on the read-only volume is still there");
    }
    stop(recorder);
    readable(&segments(&site.path("v2")));
}

#[test]
fn loop_with_two_copies_a_failed_disk_costs_nothing() {
    if !possible() {
        return;
    }
    let cameras = OwnCameras::start(3);
    let (site, [mount, _other]) = with_two_disks(&cameras);
    let site = site.with_copies();
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    wait_for("a file on both volumes for each camera", limit(20), || {
        site.volumes().iter().all(|v| segments(v).len() == 3).then_some(())
    });
    mount.fail();
    wait_for_problem(&recorder, "v1", "read-only");
    wait_until_all_on(&recorder, "v2");
    let later = |camera: &String| recorder.timeline(camera).footage.last().map(|f| f.end).unwrap();
    let failed: Vec<_> = cameras.names.iter().map(later).collect();
    for (camera, failed) in cameras.names.iter().zip(&failed) {
        wait_for(&format!("{camera} to go on"), limit(20), || {
            (later(camera).since(*failed) > 4 * SECOND).then_some(())
        });
        let timeline = recorder.timeline(camera);
        assert!(timeline.gaps.is_empty() && timeline.footage.len() == 1, "{camera}: {timeline:?}");
        let runs: BTreeSet<_> = recorder.fragments(camera).segments.iter().map(|s| (s.run, s.seq)).collect();
        assert_eq!(recorder.fragments(camera).segments.len(), runs.len(), "each file is played once");
    }
    stop(recorder);
    // The files on the volume that is left have every picture.
    for file in segments(&site.path("v2")) {
        let [video, _] = probe::packets(&[file]);
        let steps: Vec<i64> = video.dts.windows(2).map(|w| w[1] - w[0]).collect();
        assert!(steps.iter().all(|s| *s < 2 * 90_000 / 15), "a picture is missing: {steps:?}");
    }
}

#[test]
fn loop_where_a_mount_vanishes_nothing_is_written_beneath_it() {
    if !possible() {
        return;
    }
    let cameras = OwnCameras::start(4);
    let (site, [mount, _other]) = with_two_disks(&cameras);
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    mount.vanish();
    // Open files live on, and would take what no commit reaches: the next commit notices.
    wait_for_problem(&recorder, "v1", "still mounted");
    wait_until_all_on(&recorder, "v2");
    recorder.wait_until_recording(&cameras.names);
    stop(recorder);
    assert_eq!(files(&site.path("v1")), Vec::<PathBuf>::new(), "the folder beneath the mount");

    // Nor at the next start, which says what is missing.
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    wait_for_problem(&recorder, "v1", "not mounted");
    stop(recorder);
    assert_eq!(files(&site.path("v1")), Vec::<PathBuf>::new());
}

#[test]
fn loop_a_folder_that_cannot_be_written_is_named_and_the_others_record() {
    if !possible() {
        return;
    }
    let cameras = OwnCameras::start(2);
    let site = cameras.site();
    let _mount = Mount::read_only(&site.path("v1"));
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    wait_for_problem(&recorder, "v1", "read-only");
    wait_until_all_on(&recorder, "v2");
    stop(recorder);
    assert_eq!(segments(&site.path("v1")), Vec::<PathBuf>::new());
    readable(&segments(&site.path("v2")));
}

#[test]
fn a_missing_or_strange_marker_keeps_a_volume_untouched() {
    let cameras = OwnCameras::start(2);
    let site = cameras.site();
    let [v1, v2] = ["v1", "v2"].map(|v| site.path(v));
    // Once recorded on, so that their ids are known.
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    stop(recorder);
    let before = files(&v1);

    let aside = site.path("marker");
    fs::rename(v1.join(MARKER), &aside).unwrap();
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    wait_for_problem(&recorder, "v1", "custodian volume init v1");
    wait_until_all_on(&recorder, "v2");
    // The marker of a twin: the right name, another identity.
    let text = fs::read_to_string(&aside).unwrap();
    let id = serde_json::from_str::<serde_json::Value>(&text).unwrap()["id"].as_str().unwrap().to_owned();
    fs::write(v1.join(MARKER), text.replace(&id, "01234567-89ab-4def-8123-456789abcdef")).unwrap();
    wait_for_problem(&recorder, "v1", "holds another volume");
    fs::copy(v2.join(MARKER), v1.join(MARKER)).unwrap();
    wait_for_problem(&recorder, "v1", "its marker names \"v2\"");
    fs::write(v1.join(MARKER), "no marker at all").unwrap();
    wait_for_problem(&recorder, "v1", "is not a marker");
    assert_eq!(files(&v1), before, "nothing is written without the right marker");

    fs::rename(&aside, v1.join(MARKER)).unwrap();
    wait_until_healthy(&recorder, "v1");
    stop(recorder);
}

#[test]
fn a_damaged_or_deleted_index_costs_no_footage() {
    let cameras = OwnCameras::start(2);
    let site = cameras.site();
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    let began: Vec<_> = cameras.names.iter().map(|c| recorder.timeline(c).footage[0].start).collect();
    let whole = |recorder: &Recorder| {
        for (camera, began) in cameras.names.iter().zip(&began) {
            wait_for(&format!("{camera}: what was recorded before"), limit(40), || {
                let path = format!("/v1/timeline?camera={camera}&from=0&to={}", i64::MAX);
                let timelines = recorder.try_get::<Vec<custodian::types::wire::Timeline>>("media.sock", &path)?;
                (timelines[0].footage.first()?.start == *began).then_some(())
            });
        }
    };
    let index = |suffix: &str| site.path(&format!("state/index.db{suffix}"));
    let goes_on = |recorder: &Recorder| {
        let problem = wait_for("the recorder to say so", limit(20), || recorder.status()?.index_problem);
        let on_disk =
            |r: &Recorder| r.status().unwrap().streams.iter().filter_map(|s| s.newest_committed).min().unwrap();
        let before = on_disk(recorder);
        wait_for("recording to go on", limit(20), || (on_disk(recorder).since(before) > 3 * SECOND).then_some(()));
        problem
    };

    // Garbage over all of it while the recorder writes it.
    for suffix in ["", "-wal"] {
        let len = fs::metadata(index(suffix)).unwrap().len();
        fs::write(index(suffix), vec![0xa5; usize::try_from(len).unwrap()]).unwrap();
    }
    goes_on(&recorder);
    stop(recorder);
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    assert!(site.log().contains("index.damaged-"), "the damaged one is set aside");
    whole(&recorder);

    // Gone while the recorder writes it.
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(index(suffix));
    }
    let problem = goes_on(&recorder);
    assert!(problem.contains("there is no index"), "{problem}");
    stop(recorder);
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    whole(&recorder);
    stop(recorder);
    let known = site.list("segments").len();
    assert_eq!(known, segments(&site.path("v1")).len() + segments(&site.path("v2")).len());
}

#[test]
fn torn_tails_garbage_and_strangers_among_the_files() {
    let cameras = OwnCameras::start(3);
    let site = cameras.site();
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    wait_for("some footage", limit(30), || {
        let long = |c: &String| recorder.timeline(c).footage.first().is_some_and(|f| f.len_ns() > 8 * SECOND);
        cameras.names.iter().all(long).then_some(())
    });
    recorder.signal(Signal::SIGKILL);
    recorder.wait(limit(10));
    let torn: Vec<PathBuf> = site.volumes().iter().flat_map(|v| segments(v)).collect();
    assert_eq!(torn.len(), 3);
    // One loses its end, one gets a tail of garbage, one a tail of zeros.
    let lens: Vec<u64> = torn.iter().map(|f| fs::metadata(f).unwrap().len()).collect();
    let open = |f: &PathBuf| fs::File::options().append(true).open(f).unwrap();
    open(&torn[0]).set_len(lens[0] * 2 / 3).unwrap();
    open(&torn[1]).write_all(&b"\0\0\0\x08junk and more junk"[..].repeat(5000)).unwrap();
    open(&torn[2]).set_len(lens[2] + (3 << 20)).unwrap();
    let day = torn[0].parent().unwrap();
    let strangers = [day.join("holiday.mp4"), day.join("notes.txt"), site.path("v1").join("footage/README")];
    strangers.iter().for_each(|s| fs::write(s, "not ours").unwrap());
    let empty = torn[0].with_file_name(torn[0].file_name().unwrap().to_str().unwrap().replace("-000000", "-000007"));
    fs::write(&empty, "").unwrap();

    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    wait_for("the look at the volumes", limit(30), || (site.log().matches("were torn").count() >= 4).then_some(()));
    stop(recorder);
    readable(&torn);
    let [cut, ..] = probe::packets(&torn[..1]);
    assert!(cut.dts.len() > 15 * 4, "of 8 s two thirds are left, by fragments: {}", cut.dts.len());
    for stranger in &strangers {
        assert_eq!(fs::read_to_string(stranger).unwrap(), "not ours");
        assert!(site.log().contains(&format!("left alone: {}", stranger.display())), "{}", stranger.display());
    }
}

#[test]
fn hostile_callers_at_the_sockets_stop_nothing() {
    let cameras = OwnCameras::start(2);
    let site = cameras.site();
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    let sockets = ["media.sock", "status/status.sock", "control.sock"].map(|s| site.path("state/run").join(s));
    let long = "a".repeat(1 << 20);
    let mut lines = vec![
        "GARBAGE\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET /v1/status HTTP/1.1\r\nHost: x\r\n{long}: y\r\n\r\n"),
        "POST /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n".to_owned(),
        "POST /v1/status HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n".to_owned(),
    ];
    for path in [
        "/v1/segments/../../../../etc/passwd",
        "/v1/segments/%2e%2e/%2e%2e/%00",
        "/v1/timeline?camera=x&from=9223372036854775807&to=-9223372036854775808",
        "/v1/timeline?camera=';DROP TABLE segment;--&from=0&to=1",
        "/v1/clip/../main.mp4?from=0&to=9223372036854775807",
        "/v1/live/%ff/main",
    ] {
        lines.push(format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nRange: bytes=0-,-1,99999999999999999999-\r\nConnection: close\r\n\r\n"
        ));
    }
    let mut held = Vec::new();
    for socket in &sockets {
        for text in &lines {
            let mut stream = UnixStream::connect(socket).unwrap();
            stream.set_read_timeout(Some(limit(2))).unwrap();
            // It may hang up before it has heard all.
            let _ = stream.write_all(text.as_bytes());
            let mut answer = Vec::new();
            let _ = stream.take(1 << 20).read_to_end(&mut answer);
            let answer = String::from_utf8_lossy(&answer);
            assert!(!answer.contains(" 200 ") && !answer.contains("root:"), "{text:.80}: {answer:.200}");
        }
        // Many who connect and say nothing, or begin and never end.
        for i in 0..40 {
            let mut stream = UnixStream::connect(socket).unwrap();
            if i % 2 == 0 {
                stream.write_all(b"GET /v1/status HTTP/1.1\r\nHo").unwrap();
            }
            held.push(stream);
        }
    }
    let status = recorder.status().expect("an answer beside all of them");
    assert!(status.streams.iter().filter(|s| s.recorded).all(|s| s.volume.is_some()));
    drop(held);
    for camera in &cameras.names {
        let timeline = recorder.timeline(camera);
        assert!(timeline.gaps.is_empty() && timeline.footage.len() == 1, "{camera}: {timeline:?}");
    }
    stop(recorder);
}
