//! How long the index takes to be made anew, against the figure promised in docs/design/disks-that-fail.md:
//!
//! ```text
//! cargo run --release --example reindex
//! ```
//!
//! 100,000 segments of five minutes, 150 fragments each, of 64 cameras on one volume: real heads and real closing boxes, the fragments between
//! them a hole, for nobody looks at them. They have just been written, so they are in memory.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
    time::Instant,
};

use bytes::Bytes;
use custodian::{
    services::record,
    site,
    store::{
        format::{self, CloseBuilder, FragmentEntry},
        index::Reader,
        layout, volume,
    },
    sys::RealDisk,
    types::{Codec, Run, RunId, Span, StreamId, StreamKey, StreamKind, Track, TrackKind, WallNs},
};
use uuid::Uuid;

const CAMERAS: u32 = 64;
const SEGMENTS: u32 = 100_000;
const FRAGMENTS: u32 = 150;
const SECOND: i64 = 1_000_000_000;
/// 2026-11-22T08:00:00Z.
const START: WallNs = WallNs(1_795_334_400 * SECOND);

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::print_stdout, reason = "the figures")]
fn say(line: &str) {
    println!("{line}");
}

fn run(camera: u32) -> Run {
    let camera = u128::from(camera);
    let start = START.offset(i64::try_from(camera).expect("small") * 1_700_000_000);
    Run {
        id: RunId::from(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + camera)),
        stream: StreamKey {
            id: StreamId::from(Uuid::from_u128(camera + 1)),
            camera: format!("camera-{camera:02}").parse().expect("an id"),
            kind: StreamKind::Main,
        },
        site: "Trường mầm non".to_owned(),
        recorder: "a".parse().expect("an id"),
        tracks: vec![Track {
            kind: TrackKind::Video,
            codec: Codec::H264,
            timescale: 90_000,
            sample_entry: Bytes::from_static(b"\0\0\0\x08avc1"),
            rfc6381: Some("avc1.64001f".to_owned()),
            size: (1920, 1080),
        }],
        start,
        clock_correction: 0,
        before: None,
    }
}

/// Two seconds of 2 Mbit/s.
fn entry(run: &Run, number: u32, offset: u64) -> FragmentEntry {
    let start = run.start.offset(i64::from(number) * 2 * SECOND);
    let mut leaf = [0x5a; 32];
    leaf[..4].copy_from_slice(&number.to_be_bytes());
    FragmentEntry {
        offset,
        len: 500_000,
        number,
        span: Span { start, end: start.offset(2 * SECOND) },
        dts: u64::from(number) * 180_000,
        cts: 0,
        key: true,
        lost_packets: 0,
        dropped_frames: 0,
        video_samples: 50,
        audio_samples: 0,
        leaf,
    }
}

#[expect(clippy::disallowed_methods, reason = "folders of the benchmark's own volume")]
fn write_segment(volume: &Path, run: &Run, seq: u32) {
    let first = entry(run, seq * FRAGMENTS, 0);
    let path = layout::segment_path(&run.stream.camera, run.stream.kind, first.span.start, run.id, seq);
    let path = volume.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    let file = File::create(path).expect("made");
    let head = format::segment_head(run, seq);
    file.write_all_at(&head, 0).expect("written");
    let mut close = CloseBuilder::new(run, seq);
    let mut at = head.len() as u64;
    for n in 0..FRAGMENTS {
        let entry = entry(run, seq * FRAGMENTS + n, at);
        at = entry.end();
        close.push(entry, &[]);
    }
    file.write_all_at(&close.finish(false), at).expect("written");
}

fn main() {
    let dir = tempfile::tempdir().expect("a folder");
    let [root, state] = ["v1", "state"].map(|name| dir.path().join(name));
    fs::create_dir(&state).expect("made");
    let name = "v1".parse().expect("a name");
    volume::init(&RealDisk, &name, &root, "Trường mầm non", START).expect("a volume");
    let text = format!(
        "[site]\nname = \"Trường mầm non\"\ntimezone = \"Asia/Ho_Chi_Minh\"\n[recorder.a]\n[[recorder.a.volume]]\nname = \"v1\"\n\
         path = \"{}\"\n[area.yard]\nname = \"Sân\"\nkind = \"public\"\n[camera.camera-00]\nname = \"Sân\"\narea = \"yard\"\n\
         main = \"rtsp://192.0.2.1/x\"\n",
        root.display()
    );
    let site = site::parse(&text, "site.toml").expect("a site");
    let began = now();
    let runs: Vec<Run> = (0..CAMERAS).map(run).collect();
    for n in 0..SEGMENTS {
        write_segment(&root, &runs[(n % CAMERAS) as usize], n / CAMERAS);
    }
    say(&format!("{SEGMENTS} segments written in {:.0} s", began.elapsed().as_secs_f64()));
    for _ in 0..3 {
        let began = now();
        let report = record::reindex(&site, None, &state, &|_, _| ()).expect("an index");
        let took = began.elapsed().as_secs_f64();
        assert_eq!((report.segments, report.recovered, report.foreign.len()), (u64::from(SEGMENTS), 0, 0));
        say(&format!("index made anew in {took:.1} s: {:.0} segments a second", f64::from(SEGMENTS) / took));
    }
    let index = Reader::open(&state.join("index.db")).expect("an index");
    assert_eq!(index.streams().expect("streams").len(), CAMERAS as usize);
    let newest = index.newest(runs[0].stream.id).expect("an answer").expect("a segment");
    assert_eq!(newest.frames, u64::from(FRAGMENTS) * 50);
}
