//! Seek, timeline and export, against the figures promised in docs/bench.md:
//!
//! ```text
//! cargo run --release --example seek
//! ```
//!
//! The index holds 30 days of 64 cameras in segments of 5 minutes. A part of the segments has a file: as large as at 2 Mbit/s,
//! with real heads and closing boxes, the coded data a hole. The caches are warm in that the files have just been written; the tables
//! in the program's memory are cold at each file's first visit, and those visits are told apart.

#[expect(dead_code, reason = "shared with the tests")]
#[path = "../support/footage.rs"]
mod footage;

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, body::Body, http::Request};
use bytes::Bytes;
use custodian::{
    retrieve::{self, clip},
    store::{
        format::{self, CloseBuilder},
        index::{Batch, RunRow, SegmentRow, SegmentState},
        layout,
    },
    sys::FakeClock,
    types::{Run, Sample, SegmentId, Span, wire},
};
use footage::{Archive, EIGHT, Media, SECOND};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

const CAMERAS: u32 = 64;
const DAYS: u32 = 30;
const PER_DAY: u32 = 288;
const SEGMENT: i64 = 300 * SECOND;
/// Segments that have a file, spread over all cameras and days.
const FILES: u32 = 256;
const SEEKS_PER_FILE: u32 = 4;

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::print_stdout, reason = "the figures")]
fn say(line: &str) {
    println!("{line}");
}

/// Numbers that look random and are the same every time (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from(self.0 % u64::from(n)).unwrap_or(0)
    }
}

/// Per camera one run of 30 days, and its rows.
fn rows(archive: &Archive, run: &Run) -> Vec<SegmentRow> {
    let row = |seq: u32| {
        let start = run.start.offset(i64::from(seq) * SEGMENT);
        SegmentRow {
            id: SegmentId { stream: run.stream.id, run: run.id, seq },
            volume: archive.volume.clone(),
            path: layout::segment_path(&run.stream.camera, run.stream.kind, start, run.id, seq),
            span: Span { start, end: start.offset(SEGMENT) },
            raw_start: start,
            clock_correction: 0,
            bytes: 75_000_000,
            frames: 7500,
            lost_packets: 0,
            state: SegmentState::Closed,
            holes: Vec::new(),
            root: None,
        }
    };
    (0..DAYS * PER_DAY).map(row).collect()
}

/// Writes the file of a row: 150 fragments of 2 s and 500 kB. Answers the row with its true length.
#[expect(clippy::disallowed_methods, reason = "folders of the benchmark's own volume")]
fn write_file(archive: &Archive, run: &Arc<Run>, row: &SegmentRow, media: &Media) -> SegmentRow {
    let path = archive.root().join(&row.path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    let file = File::create(path).expect("made");
    let head = format::segment_head(run, row.id.seq);
    file.write_all_at(&head, 0).expect("written");
    let mut at = head.len() as u64;
    let mut close = CloseBuilder::new(run, row.id.seq);
    for mut f in footage::fragments(run, media, usize::MAX) {
        let by = row.raw_start.since(run.start);
        f.seq = row.id.seq;
        f.number += row.id.seq * 150;
        f.span = Span { start: f.span.start.offset(by), end: f.span.end.offset(by) };
        let ticks = u64::from(row.id.seq) * 300 * 90_000;
        f.samples.iter_mut().for_each(|s| s.dts += ticks);
        let encoded = format::encode_fragment(&f).expect("well-formed");
        close.push(encoded.entry_at(at), &[]);
        file.write_all_at(&encoded.head, at).expect("written");
        at += encoded.file_len();
    }
    let end = close.finish(false);
    file.write_all_at(&end, at).expect("written");
    SegmentRow { bytes: at + end.len() as u64, ..row.clone() }
}

async fn get(router: &Router, uri: &str, range: Option<String>) -> Bytes {
    let mut request = Request::builder().uri(uri);
    if let Some(range) = range {
        request = request.header("range", range);
    }
    let answer = router.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("an answer");
    assert!(answer.status().is_success(), "{uri}: {}", answer.status());
    answer.into_body().collect().await.expect("a body").to_bytes()
}

/// Half of them, 99 of 100, and the slowest, in milliseconds.
fn line(what: &str, mut times: Vec<Duration>, limit: &str) {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
    say(&format!("| {what} | {} | {:.2} | {:.2} | {:.2} | {limit} |", times.len(), at(50), at(99), at(100)));
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    say("| what | times | median ms | p99 ms | slowest ms | promised |\n|---|---:|---:|---:|---:|---|");
    seeks(&runtime);
    say("\n| export of 10 min at 2 Mbit/s | median s | against cp | promised |\n|---|---:|---:|---|");
    exports();
}

fn seeks(runtime: &tokio::runtime::Runtime) {
    let mut archive = Archive::new();
    // 50 pictures of 10 kB in 2 s: 2 Mbit/s.
    let media = Media::synthetic(7500, 50, 10_000);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut filed = Vec::new();
    for n in 0..CAMERAS {
        let run = Arc::new(footage::run(u128::from(n) + 1, &format!("camera-{n}"), &media, EIGHT, None));
        let mut rows = rows(&archive, &run);
        for _ in 0..FILES / CAMERAS {
            let at = dice.below(DAYS * PER_DAY) as usize;
            rows[at] = write_file(&archive, &run, &rows[at], &media);
            filed.push((run.stream.camera.clone(), rows[at].span));
        }
        let mut batch = Batch::default();
        batch.streams.insert(run.stream.clone());
        batch.runs.insert(run.id, RunRow::from(run.as_ref()));
        rows.into_iter().for_each(|row| batch.segment(row));
        archive.writer.apply(&batch).expect("written");
    }
    archive.writer.checkpoint().expect("written");
    let clock = FakeClock::at(EIGHT.offset(i64::from(DAYS) * 86_400 * SECOND));
    let router = retrieve::router(archive.library(), Arc::new(Vec::new), Arc::new(clock));

    let (mut cold, mut all) = (Vec::new(), Vec::new());
    for visit in 0..SEEKS_PER_FILE {
        for (camera, span) in &filed {
            let second = span.start.offset(i64::from(dice.below(300)) * SECOND);
            let begun = now();
            runtime.block_on(async {
                let ask = format!("/v1/fragments?camera={camera}&from={}&to={}", second.0, second.0);
                let got: wire::Fragments = serde_json::from_slice(&get(&router, &ask, None).await).expect("JSON");
                let (part, first) = (&got.segments[0], got.segments[0].fragments[0]);
                let file = format!("/v1/segments/{}/{}/{}", part.stream, part.run, part.seq);
                let init = get(&router, &file, Some(format!("bytes=0-{}", part.init_len - 1))).await;
                let range = format!("bytes={}-{}", first.offset, first.offset + first.len - 1);
                let bytes = get(&router, &file, Some(range)).await;
                assert!(init.len() as u64 == part.init_len && bytes.len() as u64 == first.len);
            });
            let took = begun.elapsed();
            all.push(took);
            if visit == 0 {
                cold.push(took);
            }
        }
    }
    line("first fragment of a random second, all", all, "p99 < 100");
    line("the same, first visits only", cold, "p99 < 100");

    let cameras: Vec<String> = (0..CAMERAS).map(|n| format!("camera=camera-{n}")).collect();
    let cameras = cameras.join("&");
    let days = (0..DAYS).map(|day| {
        let start = EIGHT.offset(i64::from(day) * 86_400 * SECOND);
        let ask = format!("/v1/timeline?{cameras}&from={}&to={}", start.0, start.offset(86_400 * SECOND).0);
        let begun = now();
        let body = runtime.block_on(get(&router, &ask, None));
        let took = begun.elapsed();
        assert!(body.len() > 64 * 50);
        took
    });
    line("timeline of 64 cameras for a day", days.collect(), "< 50");
}

/// Ten minutes of real pictures in files of five.
fn exports() {
    let short = Media::encode(&[
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=1280x720:rate=25:duration=10,noise=alls=12:allf=t",
        "-pix_fmt",
        "yuv420p",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-g",
        "50",
        "-sc_threshold",
        "0",
        "-b:v",
        "2M",
        "-maxrate",
        "2M",
        "-bufsize",
        "2M",
    ]);
    let round = 10 * 90_000;
    let repeated =
        (0..60).flat_map(|n| short.samples[0].iter().map(move |s| Sample { dts: s.dts + n * round, ..s.clone() }));
    let media = Media { tracks: short.tracks.clone(), samples: vec![repeated.collect()] };
    let mut archive = Archive::new();
    let run = footage::run(1, "gate-1", &media, EIGHT, None);
    let key = run.stream.clone();
    let rows = archive.record(run, &media, 150);
    let library = archive.library();
    let dir = archive.dir.path().to_owned();
    let list = dir.join("list.txt");
    let paths: Vec<_> = rows.iter().map(|row| archive.root().join(&row.path)).collect();
    let lines: Vec<String> = paths.iter().map(|p| format!("file '{}'", p.display())).collect();
    fs::write(&list, lines.join("\n")).expect("written");

    let export = || {
        let out = dir.join("clip.mp4");
        let clip = clip::plan(&library, &key, Span { start: EIGHT, end: EIGHT.offset(600 * SECOND) }).expect("a plan");
        let file = File::create(&out).expect("made");
        clip.files[0].write(&library, &file, &out, |_| ()).expect("written");
        fs::remove_file(out).expect("removed");
    };
    let command = |name: &str, args: &[&str]| {
        let done = Command::new(name).args(args).output().expect("it runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let copy = || {
        for (n, path) in paths.iter().enumerate() {
            let to = dir.join(format!("copy-{n}"));
            command("cp", &["--reflink=never", &path.display().to_string(), &to.display().to_string()]);
            fs::remove_file(to).expect("removed");
        }
    };
    let concat = || {
        let out = dir.join("concat.mp4");
        command(
            "ffmpeg",
            &[
                "-nostdin",
                "-v",
                "error",
                "-y",
                "-f",
                "concat",
                "-safe",
                "0",
                "-i",
                &list.display().to_string(),
                "-c",
                "copy",
                &out.display().to_string(),
            ],
        );
        fs::remove_file(out).expect("removed");
    };
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    // In turns, so that a busy machine is busy for all of them.
    for _ in 0..9 {
        for (times, work) in times.iter_mut().zip([&export as &dyn Fn(), &copy, &concat]) {
            let begun = now();
            work();
            times.push(begun.elapsed().as_secs_f64());
        }
    }
    let [export, copy, concat] = times.map(|mut t| {
        t.sort_unstable_by(f64::total_cmp);
        t[t.len() / 2]
    });
    let bytes: u64 = rows.iter().map(|row| row.bytes).sum();
    for (what, time, limit) in [
        (format!("clip of {} files, {} MB", rows.len(), bytes / 1_000_000), export, "at most 1.5"),
        ("cp --reflink=never of the same files".to_owned(), copy, ""),
        ("ffmpeg concat, -c copy".to_owned(), concat, "slower than the clip"),
    ] {
        say(&format!("| {what} | {time:.3} | {:.2} | {limit} |", time / copy));
    }
}
