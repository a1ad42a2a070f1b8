//! `when_short = "substream"`: the camera of lowest priority goes on by its sub stream while the forecast is short, and back.

use std::process::Command;

use custodian::{
    store::index::{RunRow, SegmentRow},
    types::{CauseKind, Span, StreamKind},
};
use nix::sys::signal::Signal;

use super::*;
use crate::support::wait_for;

/// Pictures a second of the simulated cameras' main streams.
const FPS: i64 = 15;
/// A change comes with a look at the site (5 s), a key frame of the stream that comes, and a fragment of it.
const CHANGE: Duration = Duration::from_mins(1);

/// A site whose cameras write 216 MB a day in full and 22 MB by their sub streams: for four days of both in full a volume of 1.6 GB is too
/// small, one of 4 GB is not.
fn short(cameras: &OwnCameras) -> Site {
    cameras.site_with(|site| {
        let mut text = format!(
            "[site]\nname = \"Trường\"\ntimezone = \"Asia/Ho_Chi_Minh\"\n\n[retention]\nmin_days = 4\nwhen_short = \"substream\"\n\n\
             [area.yard]\nname = \"Sân\"\nkind = \"public\"\n\n[recorder.a]\n[[recorder.a.volume]]\nname = \"v1\"\npath = \"{}\"\n\
             size = \"1.6 GB\"\n",
            site.path("v1").display()
        );
        for ((name, url), priority) in cameras.names.iter().zip(cameras.urls()).zip([9, 1]) {
            let sub = url.replace("/main", "/sub");
            write!(
                text,
                "\n[camera.{name}]\nname = \"{name}\"\narea = \"yard\"\nmain = \"{url}\"\nsub = \"{sub}\"\n\
                 credentials = \"viewer\"\nbitrate = \"20 kbit/s\"\nsub_bitrate = \"2 kbit/s\"\npriority = {priority}\n"
            )
            .unwrap();
        }
        fs::write(site.path("site.toml"), text).unwrap();
    })
}

/// What `custodian retention --json` says: the cameras that are recorded by their sub stream.
fn by_sub(site: &Site) -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_custodian"));
    let out = command.args(["retention", "--json", "--state"]).arg(site.path("state")).output().unwrap();
    let Ok(told) = serde_json::from_slice::<wire::Retention>(&out.stdout) else { return Vec::new() };
    told.cameras.into_iter().filter(|c| c.substream).map(|c| c.camera.to_string()).collect()
}

/// Runs and segments of a stream.
fn recorded(site: &Site, camera: &str, kind: StreamKind) -> (Vec<RunRow>, Vec<SegmentRow>) {
    let index = Reader::open(&site.path("state/index.db")).unwrap();
    let streams = index.streams().unwrap();
    let Some(stream) = streams.iter().find(|s| s.key.camera.as_str() == camera && s.key.kind == kind) else {
        return Default::default();
    };
    (index.runs(stream.key.id).unwrap(), index.segments(stream.key.id, Span::all()).unwrap())
}

/// Which streams of a camera are being recorded now.
fn now(recorder: &Recorder, camera: &str) -> Option<Vec<StreamKind>> {
    let streams = recorder.status()?.streams.into_iter().filter(|s| s.camera.as_str() == camera && s.recorded);
    Some(streams.map(|s| s.stream).collect())
}

/// The longest time without footage of any of these.
fn longest_hole(mut spans: Vec<Span>) -> i64 {
    spans.sort();
    let (mut end, mut longest) = (spans[0].end, 0);
    for span in spans {
        longest = longest.max(span.start.since(end));
        end = end.max(span.end);
    }
    longest
}

#[test]
fn the_lowest_priority_goes_on_by_its_sub_stream_while_disks_are_short_and_loses_no_second() {
    let cameras = OwnCameras::start(2);
    let (high, low) = (&cameras.names[0], &cameras.names[1]);
    let site = short(&cameras);
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    let full = |open: bool| -> usize {
        let gaps = site.list("gaps");
        let ours = gaps.iter().filter(|g| g["camera"] == **low && g["cause"]["kind"] == CauseKind::Full.as_str());
        ours.filter(|g| g["end"].is_null() == open).count()
    };
    // Short from the beginning; then there is room, then not, then there is again.
    for round in 0..4_usize {
        let is_short = round % 2 == 0;
        if round > 0 {
            let text = fs::read_to_string(site.path("site.toml")).unwrap();
            let (from, to) = if is_short { ("4 GB", "1.6 GB") } else { ("1.6 GB", "4 GB") };
            fs::write(site.path("site.toml"), text.replace(&format!("\"{from}\""), &format!("\"{to}\""))).unwrap();
            recorder.signal(Signal::SIGHUP);
        }
        let kind = if is_short { StreamKind::Sub } else { StreamKind::Main };
        wait_for("the one stream alone", CHANGE, || (now(&recorder, low)? == [kind]).then_some(()));
        assert_eq!(by_sub(&site), if is_short { vec![low.clone()] } else { Vec::new() });
        assert_eq!(recorder.status().unwrap().retention.unwrap().substream.len(), usize::from(is_short));
        assert_eq!(now(&recorder, high), Some(vec![StreamKind::Main]));
        // Of the main stream, which is missing from now on, or no longer.
        wait_for("its gap", SOON, || (full(is_short) == if is_short { 1 } else { round.div_ceil(2) }).then_some(()));
    }
    recorder.signal(Signal::SIGTERM);
    assert!(recorder.wait(SOON).success());
    assert_index_equals_volume(&site);

    // Of the camera of lowest priority there is a picture of each second, by one stream or the other.
    let (main, sub) = (recorded(&site, low, StreamKind::Main), recorded(&site, low, StreamKind::Sub));
    assert_eq!((main.0.len(), sub.0.len()), (3, 2), "main, sub, main, sub, main");
    for run in &main.0[1..] {
        let before = run.before.as_ref().unwrap();
        assert_eq!(
            (before.cause.kind, before.cause.detail.contains("sub stream")),
            (CauseKind::Full, true),
            "{before:?}"
        );
    }
    let spans = main.1.iter().chain(&sub.1).map(|s| s.span).collect();
    assert_eq!(longest_hole(spans), 0, "main {:?}, sub {:?}", main.1, sub.1);
    let both: i64 =
        (sub.1.iter().flat_map(|s| main.1.iter().filter_map(|m| m.span.intersect(s.span)))).map(Span::len_ns).sum();
    let sub_alone = sub.1.iter().map(|s| s.span.len_ns()).sum::<i64>() - both;
    assert!(sub_alone > 0 && both < 60_000_000_000, "{sub_alone} ns by the sub stream alone, {both} ns by both");

    // The other one has every picture, and its sub stream was never asked for.
    let (runs, segments) = recorded(&site, high, StreamKind::Main);
    assert_eq!((runs.len(), recorded(&site, high, StreamKind::Sub).0.len()), (1, 0));
    assert_eq!(longest_hole(segments.iter().map(|s| s.span).collect()), 0);
    let (mut frames, mut ns) = (0, 0);
    for s in &segments {
        assert_eq!((s.lost_packets, s.holes.len()), (0, 0));
        (frames, ns) = (frames + i64::try_from(s.frames).unwrap(), ns + s.span.len_ns());
    }
    let missing = (ns * FPS + 500_000_000) / 1_000_000_000 - frames;
    assert!(missing.abs() <= 1, "{frames} pictures in {ns} ns");

    // The ledger says what happened, and why the full picture is missing for that time.
    let (mut rooms, mut gaps) = (Vec::new(), Vec::new());
    for entry in entries(&site) {
        match entry.what {
            What::Room { camera, recorded, substream, .. } => rooms.push((camera.to_string(), recorded, substream)),
            What::Gap { camera, end: Some(_), cause, .. } if cause.kind == CauseKind::Full => {
                gaps.push(camera.to_string());
            }
            _ => {}
        }
    }
    assert_eq!(rooms, [true, false, true, false].map(|substream| (low.clone(), true, substream)));
    assert_eq!(gaps, [low.clone(), low.clone()]);
}
