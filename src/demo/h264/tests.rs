//! The encoder against a decoder that nobody here wrote.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use super::*;

/// Decodes an Annex B stream with ffmpeg, errors being failures, and gives planar YUV.
fn decode(stream: Vec<u8>) -> Vec<u8> {
    let mut child = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-err_detect", "explode", "-f", "h264", "-i", "pipe:0"])
        .args(["-f", "rawvideo", "-pix_fmt", "yuv420p", "-fps_mode", "passthrough", "pipe:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ffmpeg is installed");
    let mut stdin = child.stdin.take().unwrap();
    let feed = std::thread::spawn(move || stdin.write_all(&stream));
    let out = child.wait_with_output().unwrap();
    feed.join().unwrap().unwrap();
    assert!(out.status.success() && out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

fn annex_b(units: &[AccessUnit]) -> Vec<u8> {
    units.iter().flat_map(|u| &u.nals).flat_map(|n| [&[0, 0, 0, 1], &n[..]].concat()).collect()
}

/// A cheap repeatable source of numbers.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: i32) -> i32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % n as u64) as i32
    }
    fn colour(&mut self) -> Yuv {
        Yuv { y: (self.below(54) * 4 + 16) as u8, u: self.below(240) as u8 + 1, v: self.below(240) as u8 + 1 }
    }
}

/// Draws at random: aligned rectangles (cells), odd ones and smooth shapes (samples).
fn scribble(picture: &mut Picture, n: &mut Numbers, times: i32, kinds: i32) {
    let (w, h) = (i32::from(picture.width), i32::from(picture.height));
    for _ in 0..times {
        let colour = n.colour();
        match n.below(kinds) {
            0 => {
                // Luma alone on four pixels: chroma as it is all over the picture.
                let luma = Yuv { y: colour.y, u: 100, v: 150 };
                picture.rect(n.below(w) / 4 * 4, n.below(h) / 4 * 4, n.below(9) * 4, n.below(9) * 4, luma);
            }
            1 => picture.rect(n.below(w) / 8 * 8, n.below(h) / 8 * 8, n.below(9) * 8, n.below(9) * 8, colour),
            2 => picture.rect(n.below(w), n.below(h), n.below(40), n.below(40), colour),
            _ => {
                let mut s = Sprite::new(25, 25);
                s.shape(colour, |x, y| (x - 12.5).hypot(y - 12.5) < 12.0);
                picture.blit(&s, n.below(w) - 12, n.below(h) - 12);
            }
        }
    }
}

fn exact(width: u16, height: u16, seed: u64, kinds: i32, budget: Option<usize>) {
    let mut n = Numbers(seed);
    let mut picture = Picture::new(width, height, Yuv { u: 100, v: 150, ..n.colour() });
    let mut encoder = Encoder::new(width, height, 15);
    let (mut units, mut wanted) = (Vec::new(), Vec::new());
    for frame in 0..24 {
        scribble(&mut picture, &mut n, if frame % 12 == 0 { 120 } else { 3 }, kinds);
        units.push(encoder.encode(&mut picture, frame % 12 == 0, budget));
        wanted.push(picture.i420());
    }
    let decoded = decode(annex_b(&units));
    let size = wanted[0].len();
    assert_eq!(decoded.len(), size * wanted.len());
    for (i, (got, want)) in decoded.chunks(size).zip(&wanted).enumerate() {
        let bad = got.iter().zip(want).position(|(a, b)| a != b);
        assert_eq!(bad, None, "frame {i} of seed {seed}: first wrong byte of {width}x{height}");
    }
}

#[test]
fn flat_cells_decode_exactly() {
    for seed in 0..6 {
        exact(320, 176, seed, 2, None);
    }
}

#[test]
fn cells_beside_samples_decode_exactly() {
    for seed in 10..16 {
        exact(320, 184, seed, 4, None);
    }
    exact(1280, 720, 20, 4, None);
}

#[test]
fn padding_keeps_the_rate_and_changes_nothing() {
    exact(640, 360, 30, 4, Some(12_500));
    let mut picture = Picture::new(640, 360, Yuv::rgb(0x33_66_99));
    let mut encoder = Encoder::new(640, 360, 15);
    encoder.encode(&mut picture, true, None);
    for _ in 0..30 {
        let len = encoder.encode(&mut picture, false, Some(12_500)).len();
        assert!((12_000..13_000).contains(&len), "{len}");
    }
}

#[test]
fn what_stays_costs_next_to_nothing() {
    let mut picture = Picture::new(1280, 720, Yuv::rgb(0x33_66_99));
    let mut encoder = Encoder::new(1280, 720, 15);
    assert!(encoder.encode(&mut picture, true, None).len() < 4_000);
    assert!(encoder.encode(&mut picture, false, None).len() < 16);
    picture.rect(0, 0, 64, 64, Yuv::rgb(0x33_66_99));
    assert!(encoder.encode(&mut picture, false, None).len() < 16, "drawing the same again changes nothing");
}

#[test]
fn parameter_sets_say_what_browsers_expect() {
    use h264_reader::{nal::sps::SeqParameterSet, rbsp::BitReader};
    for (size, fps, level) in [((1280, 720), 15, 31), ((640, 360), 10, 30), ((1280, 720), 25, 31)] {
        let encoder = Encoder::new(size.0, size.1, fps);
        let rbsp = h264_reader::rbsp::decode_nal(encoder.parameter_sets().0).unwrap();
        let sps = SeqParameterSet::from_bits(BitReader::new(&rbsp[..])).unwrap();
        assert_eq!(sps.pixel_dimensions().unwrap(), (u32::from(size.0), u32::from(size.1)));
        assert_eq!(encoder.parameter_sets().0[1..4], [66, 0xc0, level]);
        let vui = sps.vui_parameters.unwrap();
        assert_eq!(vui.bitstream_restrictions.unwrap().max_num_reorder_frames, 0);
        let timing = vui.timing_info.unwrap();
        assert_eq!((timing.num_units_in_tick, timing.time_scale), (1, 2 * fps));
    }
}
