//! Footage for tests and benchmarks: real files, written through `store::format`, and an index that names them.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command, sync::Arc};

use bytes::Bytes;
use custodian::{
    retrieve::Library,
    services::paths::root_note,
    store::{
        format::{self, CloseBuilder},
        index::{Batch, RunRow, SegmentRow, SegmentState, Writer},
        layout, volume,
    },
    sys::RealDisk,
    types::{
        CameraId, Codec, Fragment, GapBefore, Run, RunId, Sample, SegmentId, SharedLeaf, Span, StreamId, StreamKey,
        StreamKind, Track, TrackKind, VolumeName, WallNs,
    },
};
use uuid::Uuid;

/// 2026-11-22T08:00:00Z.
pub(crate) const EIGHT: WallNs = WallNs(1_795_334_400 * SECOND);
/// In nanoseconds.
pub(crate) const SECOND: i64 = 1_000_000_000;

/// Tracks and their samples in decode order, video first; times from zero on.
#[derive(Debug, Clone)]
pub(crate) struct Media {
    pub(crate) tracks: Vec<Track>,
    pub(crate) samples: Vec<Vec<Sample>>,
}

impl Media {
    /// What ffmpeg makes of these arguments (inputs and codecs), as capture would deliver it.
    pub(crate) fn encode(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("clip.mp4");
        let done = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-y"])
            .args(args)
            .args(["-video_track_timescale", "90000", "-f", "mp4"])
            .arg(&path)
            .output()
            .expect("ffmpeg runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let bytes = fs::read(&path).expect("a clip");
        let probe = Command::new("ffprobe")
            .args(["-v", "error", "-of", "json", "-show_entries"])
            .arg("packet=stream_index,pts,dts,duration,size,pos,flags:stream=index,codec_name,time_base,width,height")
            .arg(&path)
            .output()
            .expect("ffprobe runs");
        let probe: serde_json::Value = serde_json::from_slice(&probe.stdout).expect("JSON");
        let streams = probe["streams"].as_array().expect("streams");
        let tracks: Vec<Track> = streams.iter().map(|s| track(s, &bytes)).collect();
        let mut samples = vec![Vec::new(); tracks.len()];
        let number = |v: &serde_json::Value| v.as_i64().or_else(|| v.as_str()?.parse().ok()).expect("a number");
        for p in probe["packets"].as_array().expect("packets") {
            let track = usize::try_from(number(&p["stream_index"])).expect("an index");
            let (at, size) = (number(&p["pos"]), number(&p["size"]));
            let at = usize::try_from(at).expect("a place");
            let dts = number(&p["dts"]);
            samples[track].push((
                dts,
                Sample {
                    track,
                    dts: 0,
                    duration: u32::try_from(number(&p["duration"])).expect("a duration"),
                    cts: i32::try_from(number(&p["pts"]) - dts).expect("an offset"),
                    key: p["flags"].as_str().is_some_and(|f| f.starts_with('K')),
                    data: Bytes::copy_from_slice(&bytes[at..at + usize::try_from(size).expect("a size")]),
                },
            ));
        }
        let samples = samples
            .into_iter()
            .map(|track| {
                let zero = track.first().map_or(0, |(dts, _)| *dts);
                track
                    .into_iter()
                    .map(|(dts, s)| Sample { dts: u64::try_from(dts - zero).expect("ascending"), ..s })
                    .collect()
            })
            .collect();
        Self { tracks, samples }
    }

    /// Pictures that no decoder knows: `pictures` of them at 25 a second, every `gop`th a key frame, each of `bytes` bytes.
    pub(crate) fn synthetic(pictures: u64, gop: u64, bytes: usize) -> Self {
        let data = Bytes::from(vec![0x5a; bytes]);
        let track = Track {
            kind: TrackKind::Video,
            codec: Codec::H264,
            timescale: 90_000,
            sample_entry: Bytes::from_static(b"\0\0\0\x08avc1"),
            rfc6381: Some("avc1.64001f".to_owned()),
            size: (1920, 1080),
        };
        let samples = (0..pictures)
            .map(|n| Sample { track: 0, dts: n * 3600, duration: 3600, cts: 0, key: n % gop == 0, data: data.clone() })
            .collect();
        Self { tracks: vec![track], samples: vec![samples] }
    }

    /// Pictures.
    pub(crate) fn frames(&self) -> usize {
        self.samples[0].len()
    }
}

fn track(stream: &serde_json::Value, file: &[u8]) -> Track {
    let (kind, codec, name, rfc6381) = match stream["codec_name"].as_str() {
        Some("h264") => (TrackKind::Video, Codec::H264, b"avc1", "avc1.64001f"),
        Some("hevc") => (TrackKind::Video, Codec::H265, b"hvc1", "hvc1.1.6.L93.B0"),
        Some("aac") => (TrackKind::Audio, Codec::Aac, b"mp4a", "mp4a.40.2"),
        other => panic!("unexpected codec {other:?}"),
    };
    // stsd: size, type, version and flags, count, then the entry.
    let stsd = |at: &usize| file[*at..].starts_with(b"stsd") && file[*at + 16..].starts_with(name);
    let at = (0..file.len() - 20).find(stsd).expect("a sample entry") + 12;
    let size = u32::from_be_bytes(file[at..at + 4].try_into().expect("four")) as usize;
    let pixels = |key: &str| stream[key].as_u64().and_then(|n| u16::try_from(n).ok()).unwrap_or(0);
    let base = stream["time_base"].as_str().and_then(|b| b.strip_prefix("1/")?.parse().ok()).expect("a time base");
    Track {
        kind,
        codec,
        timescale: base,
        sample_entry: Bytes::copy_from_slice(&file[at..at + size]),
        rfc6381: Some(rfc6381.to_owned()),
        size: (pixels("width"), pixels("height")),
    }
}

/// A run number `n` of a camera's main stream.
pub(crate) fn run(n: u128, camera: &str, media: &Media, start: WallNs, before: Option<GapBefore>) -> Run {
    let camera: CameraId = camera.parse().expect("an id");
    let stream = camera.as_str().bytes().fold(1u128, |n, b| n * 257 + u128::from(b));
    Run {
        id: RunId::from(Uuid::from_u128(n)),
        stream: StreamKey { id: StreamId::from(Uuid::from_u128(stream)), camera, kind: StreamKind::Main },
        site: "Trường mầm non".to_owned(),
        recorder: "a".parse().expect("an id"),
        tracks: media.tracks.clone(),
        start,
        clock_correction: 0,
        before,
    }
}

/// Cuts media into fragments as capture does: at key frames and after 2 s; sound goes where its time lies. A file has `per_file` of
/// them and is cut at a key frame.
pub(crate) fn fragments(run: &Arc<Run>, media: &Media, per_file: usize) -> Vec<Fragment> {
    let video = &media.samples[0];
    let scale = u64::from(media.tracks[0].timescale);
    let mut cuts = vec![0];
    for (n, sample) in video.iter().enumerate().skip(1) {
        let from = video[*cuts.last().expect("one")].dts;
        if sample.key || sample.dts - from >= 2 * scale {
            cuts.push(n);
        }
    }
    let last = video.last().expect("pictures");
    let end = last.dts + u64::from(last.duration);
    let wall = |ticks: u64| run.start.offset(i64::try_from(ticks * 1_000_000_000 / scale).expect("fits"));
    let (mut seq, mut in_file) = (0, 0);
    cuts.iter()
        .enumerate()
        .map(|(number, &at)| {
            let next = cuts.get(number + 1).copied().unwrap_or(video.len());
            let (from, to) = (video[at].dts, video.get(next).map_or(end, |s| s.dts));
            if in_file >= per_file && video[at].key {
                (seq, in_file) = (seq + 1, 0);
            }
            in_file += 1;
            let mut samples = video[at..next].to_vec();
            if let (Some(sound), Some(track)) = (media.samples.get(1), media.tracks.get(1)) {
                let last = next == video.len();
                let within = |s: &&Sample| {
                    let t = s.dts * scale / u64::from(track.timescale);
                    t >= from && (t < to || last)
                };
                samples.extend(sound.iter().filter(within).cloned());
            }
            Fragment {
                run: Arc::clone(run),
                seq,
                number: u32::try_from(number).expect("fits"),
                span: Span { start: wall(from), end: wall(to) },
                samples,
                lost_packets: 0,
                dropped_frames: 0,
                reports: Vec::new(),
                leaf: SharedLeaf::default(),
            }
        })
        .collect()
}

/// An index and one volume in a folder that goes away.
#[derive(Debug)]
pub(crate) struct Archive {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) volume: VolumeName,
    pub(crate) writer: Writer,
}

impl Archive {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let writer = Writer::open(&dir.path().join("index.db")).expect("an index");
        let mut archive = Self { dir, volume: "a1".parse().expect("a name"), writer };
        archive.prepare("a1");
        archive
    }

    /// Makes another volume, for what is recorded from now on.
    pub(crate) fn prepare(&mut self, name: &str) {
        self.volume = name.parse().expect("a name");
        let made = volume::init(&RealDisk, &self.volume, &self.root(), "Trường mầm non", EIGHT).expect("a volume");
        let mut batch = Batch::default();
        batch.volumes.insert(self.volume.clone(), made.marker.id.to_string());
        batch.meta.insert(root_note(&self.volume), self.root().display().to_string());
        self.writer.apply(&batch).expect("written");
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join(self.volume.as_str())
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.dir.path().join("index.db")
    }

    pub(crate) fn library(&self) -> Arc<Library> {
        Arc::new(Library::new(self.index(), BTreeMap::from([(self.volume.clone(), self.root())])))
    }

    /// Records a whole run: files of `per_file` fragments each. Answers their rows.
    pub(crate) fn record(&mut self, run: Run, media: &Media, per_file: usize) -> Vec<SegmentRow> {
        let run = Arc::new(run);
        let all = fragments(&run, media, per_file);
        let mut rows = Vec::new();
        for file in all.chunk_by(|a, b| a.seq == b.seq) {
            let (bytes, row) = self.file(&run, file, SegmentState::Closed);
            self.write(&row, &bytes);
            rows.push(row);
        }
        self.put(&run, &rows);
        rows
    }

    /// Puts a file in its place.
    #[expect(clippy::disallowed_methods, reason = "folders of a test's own volume")]
    pub(crate) fn write(&self, row: &SegmentRow, bytes: &[u8]) {
        let path = self.root().join(&row.path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, bytes).expect("written");
    }

    /// A file's bytes and its row.
    pub(crate) fn file(&self, run: &Arc<Run>, fragments: &[Fragment], state: SegmentState) -> (Vec<u8>, SegmentRow) {
        let (first, last) = (fragments.first().expect("one"), fragments.last().expect("one"));
        let mut bytes = format::segment_head(run, first.seq);
        let mut close = CloseBuilder::new(run, first.seq);
        for f in fragments {
            let encoded = format::encode_fragment(f).expect("well-formed");
            close.push(encoded.entry_at(bytes.len() as u64), &f.reports);
            bytes.extend_from_slice(&encoded.head);
            f.samples.iter().for_each(|s| bytes.extend_from_slice(&s.data));
        }
        if state != SegmentState::Open {
            bytes.extend(close.finish(state == SegmentState::Recovered));
        }
        let id = SegmentId { stream: run.stream.id, run: run.id, seq: first.seq };
        let raw_start = first.span.start;
        let by = |t: WallNs| t.offset(run.clock_correction);
        let row = SegmentRow {
            id,
            volume: self.volume.clone(),
            path: layout::segment_path(&run.stream.camera, run.stream.kind, raw_start, run.id, first.seq),
            span: Span { start: by(raw_start), end: by(last.span.end) },
            raw_start,
            clock_correction: run.clock_correction,
            bytes: bytes.len() as u64,
            frames: fragments.iter().flat_map(|f| &f.samples).filter(|s| s.track == 0).count() as u64,
            lost_packets: 0,
            state,
            holes: Vec::new(),
            root: (state != SegmentState::Open).then(|| close.root()),
        };
        (bytes, row)
    }

    /// Enters a run and rows of it into the index.
    pub(crate) fn put(&mut self, run: &Run, rows: &[SegmentRow]) {
        let mut batch = Batch::default();
        batch.streams.insert(run.stream.clone());
        batch.runs.insert(run.id, RunRow::from(run));
        rows.iter().for_each(|row| batch.segment(row.clone()));
        self.writer.apply(&batch).expect("written");
    }
}
