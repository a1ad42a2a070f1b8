//! Test pictures: 60 s of H.264 or H.265 at 25 pictures a second, made by ffmpeg once and kept below `target/`.
//!
//! A strip of 16 fields along the upper edge of each picture is its number in binary (white is 1, the lowest bit at the
//! left), so that a test can tell by the pixels which picture is shown.

use std::{fs, path::PathBuf, process::Command, sync::Arc};

/// Pictures per second.
pub const RATE: u64 = 25;
/// Pictures in a clip.
pub const FRAMES: u64 = 60 * RATE;
/// Pictures from key frame to key frame.
pub const GOP: u64 = 2 * RATE;

/// What a clip is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Recipe {
    pub width: u16,
    pub height: u16,
    pub hevc: bool,
    /// Adds a G.711 track, which browsers do not play.
    pub pcmu: bool,
    /// One fragment per picture (live) rather than one per group of pictures (footage).
    pub every_frame: bool,
}

/// One `moof` + `mdat`.
#[derive(Debug)]
pub struct Piece {
    pub bytes: Vec<u8>,
    /// Where the decode times stand in `bytes`, and the ticks per second of their track.
    times: Vec<(usize, u64)>,
}

impl Piece {
    /// The bytes with all decode times moved by so many whole seconds.
    pub fn moved(&self, seconds: u64) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for &(at, scale) in &self.times {
            let old = u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
            bytes[at..at + 8].copy_from_slice(&(old + seconds * scale).to_be_bytes());
        }
        bytes
    }
}

/// A clip, taken apart.
#[derive(Debug)]
pub struct Clip {
    pub recipe: Recipe,
    pub init: Vec<u8>,
    pub mime: String,
    pub timescale: u32,
    pub pieces: Vec<Piece>,
}

impl Clip {
    pub fn load(recipe: Recipe) -> Arc<Self> {
        let bytes = fs::read(made(recipe)).expect("the clip can be read");
        let tops = boxes(&bytes);
        let init_len = tops.iter().find(|b| b.kind == *b"moof").expect("a moof").start;
        let init = bytes[..init_len].to_vec();
        let tracks = tracks(&init);
        let mut pieces = Vec::new();
        for pair in tops.windows(2).filter(|p| p[0].kind == *b"moof" && p[1].kind == *b"mdat") {
            let bytes = bytes[pair[0].start..pair[1].end].to_vec();
            let times = times(&bytes, &tracks);
            pieces.push(Piece { bytes, times });
        }
        let timescale = u32::try_from(tracks[0].1).expect("a small number");
        Arc::new(Self { recipe, mime: mime(&init, recipe), init, timescale, pieces })
    }
}

/// The clip's file; made now if this is the first test to want it.
fn made(recipe: Recipe) -> PathBuf {
    let dir = option_env!("CARGO_TARGET_TMPDIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let Recipe { width, height, hevc, pcmu, every_frame } = recipe;
    let path = dir.join(format!("clip1-{width}x{height}-{hevc}-{pcmu}-{every_frame}.mp4"));
    if path.exists() {
        return path;
    }
    let part = dir.join(format!("clip-{}-{width}-{hevc}-{pcmu}-{every_frame}.part", std::process::id()));
    let strip = height / 10;
    let graph = format!(
        "testsrc2=s={width}x{height}:r={RATE}:d=60[a];color=black:s=16x2:r={RATE}:d=60,format=gray,\
         geq=lum='255*mod(floor(N/pow(2,X)),2)',scale={width}:{strip}:flags=neighbor,format=yuv420p[b];\
         [a][b]overlay=0:0,format=yuv420p[v]"
    );
    let gop = GOP.to_string();
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-y"]);
    if pcmu {
        ffmpeg.args(["-f", "lavfi", "-i", "sine=r=8000:d=60"]);
    }
    ffmpeg.args(["-filter_complex", &graph, "-map", "[v]"]);
    if pcmu {
        ffmpeg.args(["-map", "0:a", "-c:a", "pcm_mulaw"]);
    }
    ffmpeg.args(["-c:v", if hevc { "libx265" } else { "libx264" }, "-preset", "ultrafast", "-b:v", "400k", "-bf", "0"]);
    if hevc {
        ffmpeg.args([
            "-tag:v",
            "hvc1",
            "-x265-params",
            &format!("log-level=error:keyint={gop}:min-keyint={gop}:scenecut=0"),
        ]);
    } else {
        ffmpeg.args(["-g", &gop, "-keyint_min", &gop, "-sc_threshold", "0"]);
    }
    let cut = if every_frame { "frag_every_frame" } else { "frag_keyframe" };
    ffmpeg.args(["-movflags", &format!("{cut}+empty_moov+default_base_moof"), "-f", if pcmu { "mov" } else { "mp4" }]);
    let status = ffmpeg.arg(&part).status().expect("ffmpeg can be started");
    assert!(status.success(), "ffmpeg could not make a clip");
    fs::rename(&part, &path).expect("the clip can be put in place");
    path
}

struct Box {
    kind: [u8; 4],
    start: usize,
    body: usize,
    end: usize,
}

fn be32(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes")))
}

/// ISO/IEC 14496-12 section 4.2; only 32-bit sizes, which is all that these clips have.
fn boxes(bytes: &[u8]) -> Vec<Box> {
    boxes_within(bytes, 0, bytes.len())
}

fn boxes_within(bytes: &[u8], from: usize, to: usize) -> Vec<Box> {
    let (mut at, mut found) = (from, Vec::new());
    while at + 8 <= to {
        let size = usize::try_from(be32(bytes, at)).expect("a size");
        assert!(size >= 8, "a box of size {size} at {at}");
        found.push(Box {
            kind: bytes[at + 4..at + 8].try_into().expect("four bytes"),
            start: at,
            body: at + 8,
            end: at + size,
        });
        at += size;
    }
    found
}

fn find(bytes: &[u8], within: &Box, kind: &[u8; 4]) -> Option<Box> {
    boxes_within(bytes, within.body, within.end).into_iter().find(|b| b.kind == *kind)
}

/// Track id and time scale of each track.
fn tracks(init: &[u8]) -> Vec<(u64, u64)> {
    let moov = boxes(init).into_iter().find(|b| b.kind == *b"moov").expect("a moov");
    boxes_within(init, moov.body, moov.end)
        .iter()
        .filter(|b| b.kind == *b"trak")
        .map(|trak| {
            let tkhd = find(init, trak, b"tkhd").expect("a tkhd");
            let mdia = find(init, trak, b"mdia").expect("an mdia");
            let mdhd = find(init, &mdia, b"mdhd").expect("an mdhd");
            assert_eq!((init[tkhd.body], init[mdhd.body]), (0, 0), "version 0");
            (be32(init, tkhd.body + 12), be32(init, mdhd.body + 12))
        })
        .collect()
}

fn times(piece: &[u8], tracks: &[(u64, u64)]) -> Vec<(usize, u64)> {
    let moof = boxes(piece).into_iter().next().expect("a moof");
    boxes_within(piece, moof.body, moof.end)
        .iter()
        .filter(|b| b.kind == *b"traf")
        .map(|traf| {
            let tfhd = find(piece, traf, b"tfhd").expect("a tfhd");
            let tfdt = find(piece, traf, b"tfdt").expect("a tfdt");
            assert_eq!(piece[tfdt.body], 1, "version 1: 64 bits");
            let id = be32(piece, tfhd.body + 4);
            (tfdt.body + 4, tracks.iter().find(|t| t.0 == id).expect("a known track").1)
        })
        .collect()
}

/// RFC 6381 section 3.3 for H.264; for H.265 a fixed one that fits what is made here.
fn mime(init: &[u8], recipe: Recipe) -> String {
    if recipe.hevc {
        return "video/mp4; codecs=\"hvc1.1.6.L63.90\"".to_owned();
    }
    let at = init.windows(4).position(|w| w == b"avcC").expect("an avcC") + 4;
    format!("video/mp4; codecs=\"avc1.{:02x}{:02x}{:02x}\"", init[at + 1], init[at + 2], init[at + 3])
}
