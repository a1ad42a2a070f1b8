//! Footage of former days for the benchmark, and what hashing costs.
//!
//! ```text
//! plant holes VOLUME CAMERAS SEGMENTS DAYS    segments of five minutes, the first one begun so many days ago, of cam00, cam01 and so on: real
//!                                             heads and real closing boxes, the fragments between them a hole, for nobody is to look at them
//! plant footage VOLUME CAMERA SEGMENTS DAYS   the same of one camera, every byte of 2 Mbit/s
//! plant rows VOLUME INDEX CAMERAS SEGMENTS DAYS
//!                                             rows in a new index; the files are names of one file for each camera
//! plant hash                                  CPU seconds for hashing 900 MB, an hour of 2 Mbit/s
//! ```

use std::{
    env,
    error::Error,
    fs::{self, File},
    io::Write as _,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use custodian::{
    store::{
        format::{self, CloseBuilder, FragmentEntry, SampleAt},
        index::{Batch, RunRow, SegmentRow, SegmentState, Writer},
        layout, volume,
    },
    sys::{Clock as _, RealClock, RealDisk},
    types::{
        Codec, Fragment, Run, RunId, Sample, SegmentId, SharedLeaf, Span, StreamId, StreamKey, StreamKind, Track,
        TrackKind, VolumeName,
    },
};
use nix::time::{ClockId, clock_gettime};
use uuid::Uuid;

type Outcome<T> = Result<T, Box<dyn Error>>;

const SECOND: i64 = 1_000_000_000;
/// Fragments of two seconds in a segment.
const FRAGMENTS: u32 = 150;
/// Pictures in a fragment, and the bytes of each: 2 Mbit/s.
const PICTURES: u32 = 40;
const BYTES: u32 = 12_500;
/// Bytes of a fragment that is a hole.
const HOLE: u64 = 5_000;
/// An hour of 2 Mbit/s.
const HOUR: u64 = 900_000_000;

fn run(n: u32, camera: &str, days: i64) -> Outcome<Arc<Run>> {
    // Those of cameras lie apart, as the recorder's do.
    let start = RealClock.wall().offset(-days * 86_400 * SECOND + i64::from(n) * 1_700_000_000);
    let number = u128::from(start.0.unsigned_abs()) << 64 | u128::from(n);
    Ok(Arc::new(Run {
        id: RunId::from(Uuid::from_u128(number)),
        stream: StreamKey {
            id: StreamId::from(Uuid::from_u128(u128::from(n) + 1)),
            camera: camera.parse()?,
            kind: StreamKind::Main,
        },
        site: "Bench".to_owned(),
        recorder: "a".parse()?,
        tracks: vec![Track {
            kind: TrackKind::Video,
            codec: Codec::H264,
            timescale: 90_000,
            sample_entry: Bytes::from_static(b"\0\0\0\x08avc1"),
            rfc6381: Some("avc1.64001f".to_owned()),
            size: (1280, 720),
        }],
        start,
        clock_correction: 0,
        before: None,
    }))
}

fn runs(cameras: u32, days: i64) -> Outcome<Vec<Arc<Run>>> {
    (0..cameras).map(|n| run(n, &format!("cam{n:02}"), days)).collect()
}

fn span(run: &Run, number: u32) -> Span {
    let start = run.start.offset(i64::from(number) * 2 * SECOND);
    Span { start, end: start.offset(2 * SECOND) }
}

fn path(run: &Run, seq: u32) -> String {
    layout::segment_path(&run.stream.camera, run.stream.kind, span(run, seq * FRAGMENTS).start, run.id, seq)
}

#[expect(clippy::disallowed_methods, reason = "folders of the benchmark's own volume")]
fn make(volume: &Path, relative: &str) -> Outcome<File> {
    let path = volume.join(relative);
    fs::create_dir_all(path.parent().ok_or("no folder")?)?;
    Ok(File::create_new(path)?)
}

/// A segment whose fragments are a hole; its length and root.
fn hole(file: &File, run: &Run, seq: u32) -> Outcome<(u64, custodian::types::merkle::Hash)> {
    let head = format::segment_head(run, seq);
    let mut close = CloseBuilder::new(run, seq);
    let mut at = head.len() as u64;
    for number in (seq * FRAGMENTS..).take(FRAGMENTS as usize) {
        let mut leaf = [0x5a; 32];
        leaf[..4].copy_from_slice(&number.to_be_bytes());
        let entry = FragmentEntry {
            offset: at,
            len: HOLE,
            number,
            span: span(run, number),
            dts: u64::from(number) * 180_000,
            cts: 0,
            key: true,
            lost_packets: 0,
            dropped_frames: 0,
            video_samples: PICTURES,
            audio_samples: 0,
            leaf,
        };
        at = entry.end();
        close.push(entry, &[]);
    }
    let tail = close.finish(false);
    file.write_all_at(&head, 0)?;
    file.write_all_at(&tail, at)?;
    Ok((at + tail.len() as u64, close.root()))
}

/// Bytes that nothing makes smaller.
fn noise(len: u32) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = (0..len / 8).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()
    });
    words.collect()
}

fn fragment(run: &Arc<Run>, seq: u32, number: u32, noise: &Bytes) -> Fragment {
    let sample = |n: u32| {
        let at = (number * PICTURES + n) as usize * BYTES as usize % (noise.len() - BYTES as usize);
        let dts = u64::from(number * PICTURES + n) * 4500;
        let data = noise.slice(at..at + BYTES as usize);
        Sample { track: 0, dts, duration: 4500, cts: 0, key: n == 0, data }
    };
    Fragment {
        run: run.clone(),
        seq,
        number,
        span: span(run, number),
        samples: (0..PICTURES).map(sample).collect(),
        lost_packets: 0,
        dropped_frames: 0,
        reports: Vec::new(),
        leaf: SharedLeaf::default(),
    }
}

fn footage(volume: &Path, run: &Arc<Run>, segments: u32) -> Outcome<()> {
    let noise = noise(4 << 20);
    for seq in 0..segments {
        let mut file = make(volume, &path(run, seq))?;
        let head = format::segment_head(run, seq);
        let mut close = CloseBuilder::new(run, seq);
        let mut at = head.len() as u64;
        file.write_all(&head)?;
        for number in (seq * FRAGMENTS..).take(FRAGMENTS as usize) {
            let fragment = fragment(run, seq, number, &noise);
            let encoded = format::encode_fragment(&fragment)?;
            close.push(encoded.entry_at(at), &[]);
            at += encoded.file_len();
            file.write_all(&encoded.head)?;
            for sample in &fragment.samples {
                file.write_all(&sample.data)?;
            }
        }
        file.write_all(&close.finish(false))?;
    }
    Ok(())
}

/// Rows of closed segments that are in the ledger, and files of the length that they say.
fn rows(volume: &Path, index: &Path, runs: &[Arc<Run>], segments: u32) -> Outcome<()> {
    let name: VolumeName = "v1".parse()?;
    let marker = volume::open(&RealDisk, &name, volume, None)?.marker;
    let mut writer = Writer::open(index)?;
    let mut batch = Batch::default();
    batch.volumes.insert(name.clone(), marker.id.to_string());
    for run in runs {
        batch.streams.insert(run.stream.clone());
        batch.runs.insert(run.id, RunRow::from(&**run));
    }
    let mut logged = 0;
    for run in runs {
        let first = path(run, 0);
        let (bytes, root) = hole(&make(volume, &first)?, run, 0)?;
        for seq in 0..segments / u32::try_from(runs.len())? {
            let path = path(run, seq);
            if seq > 0 {
                make_link(volume, &first, &path)?;
            }
            let id = SegmentId { stream: run.stream.id, run: run.id, seq };
            let first = span(run, seq * FRAGMENTS).start;
            logged += 1;
            batch.logged.insert((id, name.clone()), logged);
            batch.segment(SegmentRow {
                id,
                volume: name.clone(),
                path,
                span: Span { start: first, end: first.offset(i64::from(FRAGMENTS) * 2 * SECOND) },
                raw_start: first,
                clock_correction: 0,
                bytes,
                frames: u64::from(FRAGMENTS * PICTURES),
                lost_packets: 0,
                state: SegmentState::Closed,
                holes: Vec::new(),
                root: Some(root),
            });
        }
        writer.apply(&std::mem::take(&mut batch))?;
    }
    writer.checkpoint()?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "folders of the benchmark's own volume")]
fn make_link(volume: &Path, from: &str, to: &str) -> Outcome<()> {
    let to = volume.join(to);
    fs::create_dir_all(to.parent().ok_or("no folder")?)?;
    Ok(fs::hard_link(volume.join(from), to)?)
}

fn cpu() -> Outcome<f64> {
    let t = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    Ok(t.tv_sec() as f64 + t.tv_nsec() as f64 / 1e9)
}

/// What the writer does for each fragment, with samples that no cache has: hashing alone, and with making the boxes.
fn hash() -> Outcome<String> {
    let run = run(0, "cam00", 1)?;
    let noise = noise(256 << 20);
    let count = u32::try_from(HOUR / u64::from(PICTURES * BYTES))?;
    let all: Vec<Fragment> = (0..count).map(|n| fragment(&run, 0, n, &noise)).collect();
    let began = cpu()?;
    let mut sum = 0_u8;
    for f in &all {
        let rows: Vec<SampleAt> = f.samples.iter().map(row).collect();
        let samples = rows.iter().zip(f.samples.iter().map(|s| &*s.data));
        sum ^= format::leaf_of(run.stream.id, run.id, f.number, f.span.start, samples)[0];
    }
    let hashed = cpu()?;
    for f in &all {
        sum ^= format::encode_fragment(f)?.leaf()[0];
    }
    let encoded = cpu()?;
    // Both ways have come to the same.
    assert_eq!(sum, 0);
    Ok(format!("{{\"leaves\": {:.4}, \"encoded\": {:.4}}}", hashed - began, encoded - hashed))
}

fn row(s: &Sample) -> SampleAt {
    let size = u32::try_from(s.data.len()).unwrap_or(u32::MAX);
    SampleAt { track: s.track, dts: s.dts, duration: s.duration, cts: s.cts, size, key: s.key, offset: 0 }
}

#[expect(clippy::print_stdout, reason = "its results")]
fn main() -> Outcome<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["holes", volume, cameras, segments, days] => {
            let (runs, segments) = (runs(cameras.parse()?, days.parse()?)?, segments.parse::<u32>()?);
            let cameras = u32::try_from(runs.len())?;
            for n in 0..segments {
                let run = &runs[(n % cameras) as usize];
                hole(&make(Path::new(volume), &path(run, n / cameras))?, run, n / cameras)?;
            }
        }
        ["footage", volume, camera, segments, days] => {
            footage(Path::new(volume), &run(1000, camera, days.parse()?)?, segments.parse()?)?;
        }
        ["rows", volume, index, cameras, segments, days] => {
            rows(Path::new(volume), Path::new(index), &runs(cameras.parse()?, days.parse()?)?, segments.parse()?)?;
        }
        ["hash"] => println!("{}", hash()?),
        _ => return Err("usage: plant holes|footage|rows|hash …, see its source".into()),
    }
    Ok(())
}
