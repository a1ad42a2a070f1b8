//! Clips that ffmpeg encodes, as the fragments that capture would make of them.

use std::{path::Path, process::Command, sync::Arc};

use custodian::{
    store::format::{CloseBuilder, encode_fragment, segment_head},
    types::{
        Codec, Fragment, Run, RunId, Sample, SenderReport, SharedLeaf, Span, StreamKey, StreamKind, Track, TrackKind,
        WallNs,
    },
};

pub(super) const START: WallNs = WallNs(1_795_368_000_123_456_789);

/// Runs a program to its end; answers its standard output. A missing program fails the test, and so does anything it complains of.
pub(super) fn tool(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).output().unwrap_or_else(|e| panic!("{program} is needed: {e}"));
    let complaint = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{program} {args:?}: {}\n{complaint}", out.status);
    assert!(complaint.trim().is_empty(), "{program} {args:?} complains:\n{complaint}");
    String::from_utf8(out.stdout).unwrap()
}

/// A packet as ffprobe lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) video: bool,
    pub(super) pts: i64,
    pub(super) dts: i64,
    pub(super) size: usize,
    pub(super) pos: usize,
    pub(super) key: bool,
}

/// The packets of one track in file order, edit lists left out.
pub(super) fn packets(file: &Path, stream: &str) -> Vec<Packet> {
    let list = tool(
        "ffprobe",
        &[
            "-v",
            "error",
            "-ignore_editlist",
            "1",
            "-select_streams",
            stream,
            "-show_packets",
            "-show_entries",
            "packet=codec_type,pts,dts,size,pos,flags",
            "-of",
            "default=nk=0:nw=0",
            file.to_str().unwrap(),
        ],
    );
    let of = |block: &str, key: &str| {
        let line = block.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("{key} in {block}")).to_owned()
    };
    list.split("[PACKET]\n")
        .skip(1)
        .map(|block| Packet {
            video: of(block, "codec_type") == "video",
            pts: of(block, "pts").parse().unwrap(),
            dts: of(block, "dts").parse().unwrap(),
            size: of(block, "size").parse().unwrap(),
            pos: of(block, "pos").parse().unwrap(),
            key: of(block, "flags").contains('K'),
        })
        .collect()
}

/// What a clip is made of.
pub(super) struct Spec {
    pub(super) video: Codec,
    pub(super) audio: Option<Codec>,
}

/// A clip of 6 s, 20 pictures/s, 2 B-frames in a row, a key frame every 2 s; as ffmpeg wrote it, and as fragments.
pub(super) struct Clip {
    pub(super) original: std::path::PathBuf,
    pub(super) run: Arc<Run>,
    pub(super) fragments: Vec<Fragment>,
}

pub(super) fn clip(dir: &Path, spec: &Spec) -> Clip {
    let original = dir.join("original.mov");
    let mut args = vec!["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=20"];
    if spec.audio.is_some() {
        args.extend(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=8000"]);
    }
    args.extend(["-t", "6", "-pix_fmt", "yuv420p", "-bf", "2", "-g", "40", "-video_track_timescale", "90000"]);
    match spec.video {
        Codec::H265 => args.extend([
            "-c:v",
            "libx265",
            "-preset",
            "ultrafast",
            "-tag:v",
            "hvc1",
            "-x265-params",
            "log-level=error:open-gop=0:scenecut=0:bframes=2:b-adapt=0",
        ]),
        _ => args.extend(["-c:v", "libx264", "-preset", "veryfast", "-x264-params", "scenecut=0:b-adapt=0"]),
    }
    match spec.audio {
        Some(Codec::Aac) => args.extend(["-c:a", "aac", "-b:a", "32k"]),
        Some(Codec::Pcma) => args.extend(["-c:a", "pcm_alaw"]),
        Some(_) => args.extend(["-c:a", "pcm_mulaw"]),
        None => {}
    }
    // MP4 for AAC, whose sample entry is another one in QuickTime files.
    args.extend(["-f", if spec.audio == Some(Codec::Aac) { "mp4" } else { "mov" }]);
    args.push(original.to_str().unwrap());
    tool("ffmpeg", &args);

    let bytes = std::fs::read(&original).unwrap();
    let mut tracks = vec![Track {
        kind: TrackKind::Video,
        codec: spec.video,
        timescale: 90_000,
        sample_entry: sample_entry(&bytes, if spec.video == Codec::H265 { b"hvc1" } else { b"avc1" }).into(),
        rfc6381: Some(if spec.video == Codec::H265 { "hvc1.1.6.L60.90" } else { "avc1.64000d" }.into()),
        size: (320, 240),
    }];
    tracks.extend(spec.audio.map(|codec| {
        Track {
            kind: TrackKind::Audio,
            codec,
            timescale: 8000,
            sample_entry: match codec {
                Codec::Aac => sample_entry(&bytes, b"mp4a"),
                Codec::Pcma => g711_entry(b"alaw"),
                _ => g711_entry(b"ulaw"),
            }
            .into(),
            rfc6381: (codec == Codec::Aac).then(|| "mp4a.40.2".into()),
            size: (0, 0),
        }
    }));
    let run = Arc::new(Run {
        id: RunId::from_bytes([1; 16]),
        stream: StreamKey {
            id: custodian::types::StreamId::from_bytes([2; 16]),
            camera: "gate-1".parse().unwrap(),
            kind: StreamKind::Main,
        },
        site: "Trường mầm non Hoa Hướng Dương".into(),
        recorder: "a".parse().unwrap(),
        tracks,
        start: START,
        clock_correction: 0,
        before: None,
    });
    let samples = |track: usize, list: &[Packet]| samples(&bytes, track, list);
    let video = samples(0, &video_in_mdat(&original, &bytes));
    let audio = if spec.audio.is_some() { audio(&original, spec, samples) } else { Vec::new() };
    let fragments = cut(&run, &video, &audio);
    Clip { original, run, fragments }
}

fn video_in_mdat(original: &Path, bytes: &[u8]) -> Vec<Packet> {
    let list = packets(original, "v");
    assert!(list.iter().all(|p| p.pos + p.size <= bytes.len()) && list.len() == 120, "{} packets", list.len());
    list
}

fn audio(original: &Path, spec: &Spec, samples: impl Fn(usize, &[Packet]) -> Vec<Sample>) -> Vec<Sample> {
    let list = packets(original, "a");
    if spec.audio == Some(Codec::Aac) {
        return samples(1, &list);
    }
    // G.711 has no frames: cameras send 20 ms at a time, ffprobe lists chunks.
    let pieces = list.into_iter().flat_map(|p| {
        (0..p.size).step_by(160).map(move |at| Packet {
            pts: p.pts + i64::try_from(at).unwrap(),
            dts: p.dts + i64::try_from(at).unwrap(),
            size: 160.min(p.size - at),
            pos: p.pos + at,
            ..p.clone()
        })
    });
    samples(1, &pieces.collect::<Vec<_>>())
}

fn samples(bytes: &[u8], track: usize, list: &[Packet]) -> Vec<Sample> {
    // Decode times count from the start of the run.
    let first = list[0].dts;
    let durations: Vec<u32> = list.windows(2).map(|w| u32::try_from(w[1].dts - w[0].dts).unwrap()).collect();
    list.iter()
        .enumerate()
        .map(|(i, p)| Sample {
            track,
            dts: u64::try_from(p.dts - first).unwrap(),
            duration: durations.get(i).or(durations.last()).copied().unwrap(),
            cts: i32::try_from(p.pts - p.dts).unwrap(),
            key: p.key,
            data: bytes[p.pos..p.pos + p.size].to_vec().into(),
        })
        .collect()
}

/// Fragments of at most 15 pictures that end at key frames, each with the sound of its time.
fn cut(run: &Arc<Run>, video: &[Sample], audio: &[Sample]) -> Vec<Fragment> {
    let mut starts: Vec<usize> = Vec::new();
    for (i, s) in video.iter().enumerate() {
        if s.key || starts.last().is_none_or(|last| i - last == 15) {
            starts.push(i);
        }
    }
    let wall = |ticks: u64| START + std::time::Duration::from_nanos(ticks * 100_000 / 9);
    let mut rest = audio;
    starts
        .iter()
        .enumerate()
        .map(|(n, from)| {
            let part = &video[*from..starts.get(n + 1).copied().unwrap_or(video.len())];
            let last = part.last().unwrap();
            let end = last.dts + u64::from(last.duration);
            let until = if n + 1 == starts.len() { u64::MAX } else { end * 8 / 90 };
            let (now, later) = rest.split_at(rest.partition_point(|s| s.dts < until));
            rest = later;
            let span = Span { start: wall(part[0].dts), end: wall(end) };
            Fragment {
                run: Arc::clone(run),
                seq: 0,
                number: u32::try_from(n).unwrap(),
                span,
                samples: [part, now].concat(),
                lost_packets: 0,
                dropped_frames: 0,
                reports: vec![SenderReport { camera: span.end, ours: span.start }],
                leaf: SharedLeaf::default(),
            }
        })
        .collect()
}

/// A sample entry box out of an MP4 file.
fn sample_entry(bytes: &[u8], kind: &[u8; 4]) -> Vec<u8> {
    let at = bytes.windows(8).position(|w| w == [*b"stsd", [0; 4]].concat()).into_iter();
    let found = at.chain(0..bytes.len() - 8).find_map(|from| {
        let entry = from + bytes[from..].windows(4).position(|w| w == kind)? - 4;
        // In stsd the entry follows the count of entries, 1.
        (bytes[entry - 4..entry] == [0, 0, 0, 1]).then_some(entry)
    });
    let at = found.unwrap();
    let size = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    bytes[at..at + size].to_vec()
}

/// `ulaw` or `alaw`: an `AudioSampleEntry` (ISO/IEC 14496-12 section 12.2.3), mono, 16 bits when decoded, 8 kHz.
fn g711_entry(kind: &[u8; 4]) -> Vec<u8> {
    let mut b = vec![0, 0, 0, 36];
    b.extend(kind);
    b.extend([0, 0, 0, 0, 0, 0, 0, 1]);
    b.extend([0; 8]);
    b.extend([0, 1, 0, 16, 0, 0, 0, 0]);
    b.extend((8000_u32 << 16).to_be_bytes());
    b
}

/// Writes fragments as a segment's file, as the recorder does; closed or not.
pub(super) fn write(fragments: &[Fragment], seq: u32, closed: bool) -> Vec<u8> {
    let run = &fragments[0].run;
    let mut file = segment_head(run, seq);
    let mut close = CloseBuilder::new(run, seq);
    for f in fragments {
        let encoded = encode_fragment(f).unwrap();
        close.push(encoded.entry_at(file.len() as u64), &f.reports);
        file.extend_from_slice(&encoded.head);
        f.samples.iter().for_each(|s| file.extend_from_slice(&s.data));
    }
    if closed {
        file.extend(close.finish(false));
    }
    file
}
