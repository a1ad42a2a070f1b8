//! The recorder beside cameras that nobody of this project wrote, judged by readers that nobody of this project wrote.

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use custodian::{
    sys::{Clock, RealClock},
    types::{Span, StreamKind, wire},
};
use nix::sys::signal::Signal;

use crate::support::{
    cameras::{Cameras, Session, USER},
    judge::{compare, freeze, lost_packets},
    own::OwnCameras,
    probe,
    recorder::{Recorder, Site},
    wait_for,
};

/// H.264 and H.265, sound, and pictures whose order of decoding is not that of showing.
const EVERY_KIND: [&str; 6] =
    ["h264.mp4", "h265.mp4", "h264-bframes.mp4", "h265-leading.mp4", "h264-aac.mp4", "h264-alaw.mov"];
const SECOND: i64 = 1_000_000_000;

fn limit(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Records for some seconds, loses some pictures of every second camera over UDP, ends the recorder in order, and compares.
fn record_and_compare(cameras: &mut Cameras, seconds: usize) {
    let site = Site::new(cameras);
    let recorder = site.record();
    let names = cameras.names.clone();
    recorder.wait_until_recording(&names);
    wait_for("the first half", limit(seconds as u64 + 60), || cameras.all_sent(10 * seconds).then_some(()));
    for camera in names.iter().skip(1).step_by(4) {
        cameras.ask(&format!("lose {camera} 3"));
    }
    wait_for("the second half", limit(seconds as u64 + 60), || cameras.all_sent(20 * seconds).then_some(()));
    freeze(cameras, &recorder);

    let status = recorder.status().expect("its state");
    for camera in &names {
        let timeline = recorder.timeline(camera);
        assert!(timeline.gaps.is_empty() && timeline.footage.len() == 1, "{camera}: {timeline:?}");
    }
    let memory = probe::peak_memory(recorder.pid());
    // tests/bench measures all of it, the program's own pages too.
    assert!(memory < 56 << 20, "{} cameras took {} MiB", names.len(), memory >> 20);
    let sessions = cameras.only_sessions();

    recorder.signal(Signal::SIGTERM);
    assert!(recorder.wait(limit(20)).success());
    let (mut stored, mut coded) = (0, 0);
    for session in &sessions {
        compare(&site, session, lost_packets(&status, &session.camera));
        let files = site.runs(&session.camera).concat();
        stored += files.iter().map(|f| fs::metadata(f).unwrap().len()).sum::<u64>();
        coded += probe::packets(&files).iter().map(|t| t.bytes).sum::<u64>();
    }
    assert!(stored * 100 <= coded * 101, "{stored} bytes of files for {coded} bytes of samples");
}

#[test]
fn every_kind_of_camera_is_stored_to_the_last_picture() {
    record_and_compare(&mut Cameras::start(18, &EVERY_KIND, &[]), 15);
}

#[test]
#[ignore = "takes more than two minutes; tests/run runs it"]
fn sixty_four_cameras_for_two_minutes() {
    record_and_compare(&mut Cameras::start(64, &EVERY_KIND[..4], &[]), 120);
}

#[test]
fn joining_an_open_gop_loses_only_what_nobody_can_decode() {
    let mut cameras = Cameras::start(3, &["h265-leading.mp4"], &["--join"]);
    let site = Site::new(&cameras).over_tcp();
    let recorder = site.record();
    wait_for("some pictures", limit(60), || cameras.all_sent(100).then_some(()));
    freeze(&mut cameras, &recorder);
    let sessions = cameras.only_sessions();
    assert!(sessions.iter().any(|s| s.leading > 0), "no session began with leading pictures");
    recorder.signal(Signal::SIGTERM);
    assert!(recorder.wait(limit(20)).success());
    sessions.iter().for_each(|s| compare(&site, s, 0));
}

#[test]
fn an_orderly_stop_loses_nothing_that_was_received() {
    let mut cameras = Cameras::start(6, &EVERY_KIND, &[]);
    let site = Site::new(&cameras).over_tcp();
    let recorder = site.record();
    // Not at a key frame: a fragment is under way.
    wait_for("some pictures", limit(60), || cameras.all_sent(110).then_some(()));
    let sent: Vec<usize> = cameras.only_sessions().iter().map(|s| s.sent).collect();
    recorder.signal(Signal::SIGTERM);
    assert!(recorder.wait(limit(20)).success());
    for (camera, sent) in cameras.names.iter().zip(sent) {
        let [video, _] = probe::packets(&site.runs(camera).concat());
        // Two pictures may have been on their way.
        assert!(video.pts.len() + 2 >= sent, "{camera}: {} of {sent} pictures", video.pts.len());
    }
}

#[test]
fn a_reload_touches_only_the_cameras_that_changed() {
    let cameras = Cameras::start(4, &["h264.mp4"], &[]);
    let site = Site::new(&cameras).over_tcp();
    site.write(|name| name != "cam03");
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names[..3]);
    let runs = |camera: &str| -> Vec<_> { recorder.fragments(camera).segments.iter().map(|s| s.run).collect() };
    let before: Vec<_> = cameras.names[1..3].iter().map(|c| runs(c)).collect();

    site.write(|name| name != "cam00");
    recorder.signal(Signal::SIGHUP);
    recorder.wait_until_recording(&cameras.names[3..]);
    wait_for("the camera that left to go", limit(20), || {
        let status = recorder.status()?;
        status.streams.iter().all(|s| s.camera.as_str() != "cam00").then_some(())
    });
    let after: Vec<_> = cameras.names[1..3].iter().map(|c| runs(c)).collect();
    assert_eq!(before, after, "runs of the cameras that stayed");
    for camera in &cameras.names[1..3] {
        assert!(recorder.timeline(camera).gaps.is_empty(), "{camera}");
    }
    // What it has recorded stays.
    assert!(!recorder.timeline("cam00").footage.is_empty());
}

#[test]
#[ignore = "takes a minute; tests/run runs it"]
fn applying_beside_sixty_four_cameras_costs_the_others_not_a_picture() {
    let mut cameras = Cameras::start(64, &["h264.mp4"], &[]);
    let names = cameras.names.clone();
    let site = Site::new(&cameras).over_tcp();
    site.write(|name| name != "cam63");
    site.apply(&[]);
    let recorder = site.record_applied();
    recorder.wait_until_recording(&names[..63]);

    // One more.
    site.write(|_| true);
    site.apply(&[]);
    recorder.wait_until_recording(&names);
    // One less, and one at another address: another port of the same server.
    let url = cameras.url("cam61", true);
    site.readdress("cam61", &url);
    site.write(|name| name != "cam62");
    let before = RealClock.wall();
    site.apply(&["--reason", "a test"]);
    wait_for("the camera at its new address", limit(30), || {
        let status = recorder.status()?;
        let newest = |name: &str| status.streams.iter().find(|s| s.camera.as_str() == name)?.newest_committed;
        (newest("cam61")?.since(before) > 3 * SECOND && newest("cam62").is_none()).then_some(())
    });
    freeze(&mut cameras, &recorder);
    let others = |name: &str| !matches!(name, "cam61" | "cam62");
    for camera in names.iter().filter(|n| others(n)) {
        let timeline = recorder.timeline(camera);
        assert!(timeline.gaps.is_empty() && timeline.footage.len() == 1, "{camera}: {timeline:?}");
    }
    // None at all where it was there again before the next picture was due.
    let gaps = recorder.timeline("cam61").gaps;
    assert!(gaps.len() <= 1 && gaps.iter().all(|g| g.end.unwrap().since(g.start) < 5 * SECOND), "{gaps:?}");
    let sessions: Vec<Session> = cameras.sessions().into_iter().filter(|s| others(&s.camera)).collect();
    assert_eq!(sessions.len(), 62, "a session each, from the first picture to the last");
    recorder.signal(Signal::SIGTERM);
    assert!(recorder.wait(limit(20)).success());
    sessions.iter().for_each(|s| compare(&site, s, 0));
    assert!(!site.runs("cam62").is_empty(), "what the one that left has recorded stays");
}

#[test]
fn out_of_its_hours_a_camera_is_not_recorded() {
    let cameras = OwnCameras::start(2);
    let site = cameras.site();
    let last = &cameras.names[1];
    let hours = |from: i64, to: i64| {
        let zone = jiff::tz::TimeZone::get("Asia/Ho_Chi_Minh").unwrap();
        let at = |h: i64| {
            RealClock.wall().offset(h * 3600 * SECOND).timestamp().to_zoned(zone.clone()).strftime("%H:%M").to_string()
        };
        site.write(|_| true);
        site.add_to_last(&format!("schedule = [\"{}-{}\"]\n", at(from), at(to)));
    };
    hours(3, 4);
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names[..1]);
    let of_last = |recorder: &Recorder| {
        recorder.status()?.streams.into_iter().find(|s| s.camera.as_str() == last && s.stream == StreamKind::Main)
    };
    let status = of_last(&recorder).unwrap();
    assert!(!status.recorded && status.newest_committed.is_none(), "{status:?}");

    hours(-1, 2);
    recorder.signal(Signal::SIGHUP);
    recorder.wait_until_recording(&cameras.names);
    hours(3, 4);
    recorder.signal(Signal::SIGHUP);
    wait_for("the end of its hours", limit(20), || of_last(&recorder).filter(|s| !s.recorded).map(drop));
    let gap = wait_for("the gap that begins", limit(20), || recorder.timeline(last).gaps.pop());
    assert!(gap.end.is_none() && gap.cause.kind == custodian::types::CauseKind::Site, "{gap:?}");
    assert!(of_last(&recorder).unwrap().gap_seconds_today < 0.5, "what is not wanted is not missing");
    assert!(recorder.timeline(&cameras.names[0]).gaps.is_empty());
}

#[test]
fn one_cameras_trouble_is_its_own() {
    let mut cameras = Cameras::start(3, &["h264.mp4"], &[]);
    let site = Site::new(&cameras).over_tcp();
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    cameras.ask("drop cam01");
    let timeline = wait_for("footage after the gap", limit(40), || {
        let timeline = recorder.timeline("cam01");
        (timeline.footage.len() == 2).then_some(timeline)
    });
    assert_eq!(timeline.gaps.len(), 1, "{timeline:?}");
    assert_eq!(timeline.gaps[0].start, timeline.footage[0].end);
    assert_eq!(timeline.gaps[0].end, Some(timeline.footage[1].start));
    for camera in ["cam00", "cam02"] {
        let timeline = recorder.timeline(camera);
        assert!(timeline.gaps.is_empty() && timeline.footage.len() == 1, "{camera}: {timeline:?}");
    }
}

#[test]
fn silence_within_a_session_is_a_gap() {
    let mut cameras = Cameras::start(2, &["h264.mp4"], &[]);
    let site = Site::new(&cameras).over_tcp();
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    cameras.ask("freeze cam00");
    let quiet = RealClock.wall();
    wait_for("some silence", limit(10), || (RealClock.wall().since(quiet) > 4 * SECOND).then_some(()));
    cameras.ask("thaw cam00");
    let timeline = wait_for("footage after the silence", limit(20), || {
        let timeline = recorder.timeline("cam00");
        timeline.footage.get(1).is_some_and(|f| f.len_ns() > 3 * SECOND).then_some(timeline)
    });
    let [gap] = timeline.gaps.as_slice() else { panic!("one gap: {timeline:?}") };
    let length = gap.end.unwrap().since(gap.start);
    assert!(length > 3 * SECOND && length < 6 * SECOND, "{gap:?}");
    assert_eq!(site.runs("cam00").len(), 1, "the session went on, and so did the run");
    assert!(recorder.timeline("cam01").gaps.is_empty());
    recorder.signal(Signal::SIGTERM);
    assert!(recorder.wait(limit(20)).success());

    let closed_gaps = || site.list("gaps").into_iter().filter(|g| !g["end"].is_null()).collect::<Vec<_>>();
    let before = [site.list("segments"), closed_gaps()];
    site.reindex();
    assert_eq!(before, [site.list("segments"), closed_gaps()], "by the index kept, and by the volumes");
}

/// How often the recorder is killed.
const KILLS: usize = 50;

/// These cameras are ours: GStreamer's server does not outlive clients that vanish so often.
#[test]
#[ignore = "takes minutes; tests/run runs it"]
fn killed_at_any_instant_it_keeps_all_but_the_last_two_seconds() {
    let cameras = OwnCameras::start(6);
    let site = cameras.site();
    let names = &cameras.names;
    let mut lives = Vec::new();
    for i in 0..KILLS {
        let recorder = site.record();
        let born = RealClock.wall();
        // From the first steps of start-up and recovery to the middle of a fragment: 0.1 to 6 s, spread evenly but in no order.
        let until = born + Duration::from_millis(100 + (i as u64 * 31 % KILLS as u64) * 118);
        wait_for("the instant of death", limit(30), || (RealClock.wall() >= until).then_some(()));
        recorder.signal(Signal::SIGKILL);
        lives.push(Span { start: born, end: RealClock.wall() });
        recorder.wait(limit(10));
    }
    let recorder = site.record();
    recorder.wait_until_recording(names);
    let mut judged = 0;
    for camera in names {
        check_order(camera, &recorder.fragments(camera));
        let timeline = recorder.timeline(camera);
        judged += lives.iter().filter(|life| check_kept(camera, &timeline, **life)).count();
    }
    assert!(judged > KILLS, "only {judged} lives were long enough to be judged");
    recorder.signal(Signal::SIGTERM);
    assert!(recorder.wait(limit(20)).success());

    // All that is known can be known again from bare volumes.
    let closed_gaps = || site.list("gaps").into_iter().filter(|g| !g["end"].is_null()).collect::<Vec<_>>();
    let before = [site.list("segments"), closed_gaps()];
    assert!(before.iter().all(|rows| rows.len() > KILLS), "{before:?}");
    for file in fs::read_dir(site.path("state")).unwrap().map(|f| f.unwrap().path()) {
        if file.file_name().is_some_and(|n| n.to_str().is_some_and(|n| n.starts_with("index"))) {
            fs::remove_file(file).unwrap();
        }
    }
    site.reindex();
    let after = [site.list("segments"), closed_gaps()];
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.len(), after.len(), "rows by the index kept, and by the volumes");
        before.iter().zip(after).for_each(|(b, a)| assert_eq!(b, a, "by the index kept, and by the volumes"));
    }

    // Every file, torn ones included, is read by ffprobe without complaint.
    for camera in names {
        for run in site.runs(camera) {
            let [video, _] = probe::packets(&run);
            assert!(!video.dts.is_empty() && video.dts.windows(2).all(|w| w[0] < w[1]), "{run:?}");
        }
    }
}

/// Fragments follow one another without overlap, and within a run without a hole.
fn check_order(camera: &str, fragments: &wire::Fragments) {
    let mut last: Option<(custodian::types::RunId, Span)> = None;
    for segment in &fragments.segments {
        for fragment in &segment.fragments {
            if let Some((run, span)) = last {
                let hole = fragment.span.start.since(span.end);
                assert!(hole >= 0, "{camera}: {span:?} overlaps {:?}", fragment.span);
                assert!(run != segment.run || hole <= SECOND / 1000, "{camera}: a hole within a run after {span:?}");
            }
            last = Some((segment.run, fragment.span));
        }
    }
}

/// Whether a recorder lived long enough to leave something; if so, that it has left enough. The cameras never stop.
fn check_kept(camera: &str, timeline: &wire::Timeline, life: Span) -> bool {
    // Start-up, connecting, and the first key frame.
    if life.len_ns() < 4 * SECOND {
        return false;
    }
    let kept = timeline.footage.iter().rfind(|s| s.start > life.start && s.start < life.end);
    let lost = life.end.since(kept.map_or(life.start, |s| s.end));
    // Pictures come each 67 ms, and the clock is read after the kill.
    assert!(lost <= 2 * SECOND + SECOND / 10, "{camera}: {:.2} s lost of {life:?}", lost as f64 / 1e9);
    assert!(lost >= -SECOND / 2, "{camera}: footage {:.2} s after the kill", -lost as f64 / 1e9);
    true
}

#[test]
fn the_camera_server_counts_exactly() {
    let mut cameras = Cameras::start(EVERY_KIND.len(), &EVERY_KIND, &[]);
    let (user, password) = USER;
    let readers: Vec<_> = (cameras.names.iter().enumerate())
        .map(|(i, name)| {
            let url = cameras.url(name, i % 2 == 1).replacen("//", &format!("//{user}:{password}@"), 1);
            let transport = if i == 1 { "udp" } else { "tcp" };
            let mut command = Command::new("ffmpeg");
            command.args(["-nostdin", "-v", "quiet", "-timeout", "2000000", "-rtsp_transport", transport, "-i", &url]);
            command.args(["-map", "0", "-c", "copy", "-f", "framecrc", "-"]);
            command.stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    wait_for("some pictures", limit(60), || cameras.all_sent(60).then_some(()));
    cameras.ask("lose cam01 3");
    wait_for("more pictures", limit(60), || cameras.all_sent(100).then_some(()));
    // ffmpeg ends by itself when nothing has come for 2 s.
    cameras.ask("freeze all");
    let sessions = cameras.only_sessions();
    assert_eq!(sessions[1].lost, 3);
    assert!(sessions[1].lost_packets > 3 && sessions[4].audio_sent > 50, "{sessions:?}");
    for (reader, session) in readers.into_iter().zip(sessions) {
        let lines = String::from_utf8(reader.wait_with_output().unwrap().stdout).unwrap();
        let count = |stream: &str| lines.lines().filter(|l| l.starts_with(stream)).count();
        assert_eq!(count("0,") + session.lost, session.sent, "{session:?}");
        assert_eq!(count("1,"), session.audio_sent, "{session:?}");
    }
}
