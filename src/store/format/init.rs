//! `ftyp` and `moov`: what a decoder must know before the first fragment. The same bytes for every segment of a run, and
//! for live views of it.

use super::boxes::Boxes;
use crate::types::{Run, Track, TrackKind, WallNs};

/// Ticks per second of `mvhd` and `tkhd`; nothing is measured in them, as all durations are in the fragments.
const MOVIE_TIMESCALE: u32 = 1000;
/// Seconds from 1904-01-01, where ISO/IEC 14496-12 counts creation times from, to 1970-01-01.
const EPOCH_1904: i64 = 2_082_844_800;
/// The unity matrix of `mvhd` and `tkhd`.
const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];
/// `und`, as three 5-bit letters (section 8.4.2.3).
const LANGUAGE_UND: u16 = 0x55c4;

/// `ftyp` and `moov` of a run (ISO/IEC 14496-12 sections 4.3 and 8.2): an initialisation segment for Media Source Extensions
/// and HLS, and what every file of the run begins with.
pub fn init_segment(run: &Run) -> Vec<u8> {
    let mut b = Boxes::with_capacity(1024 + run.tracks.iter().map(|t| t.sample_entry.len()).sum::<usize>());
    write_init(&mut b, run);
    b.finish()
}

/// As [`init_segment`], into a buffer.
pub(super) fn write_init(b: &mut Boxes, run: &Run) {
    // No CMAF brand: a CMAF track file has one track, ours may have two.
    b.boxed(*b"ftyp", |b| {
        b.bytes(b"iso6");
        b.u32(0);
        b.bytes(b"iso6mp41");
    });
    b.boxed(*b"moov", |b| {
        let created = created(run.start);
        b.full(*b"mvhd", 1, 0, |b| {
            b.u64(created);
            b.u64(created);
            b.u32(MOVIE_TIMESCALE);
            b.u64(0);
            b.u32(0x1_0000); // rate 1.0
            b.u16(0x100); // volume 1.0
            b.zeros(10);
            for v in MATRIX {
                b.u32(v);
            }
            b.zeros(24);
            b.u32(track_id(run.tracks.len())); // next_track_ID
        });
        for (i, track) in run.tracks.iter().enumerate() {
            write_trak(b, track_id(i), track, created);
        }
        b.boxed(*b"mvex", |b| {
            for i in 0..run.tracks.len() {
                b.full(*b"trex", 0, 0, |b| {
                    b.u32(track_id(i));
                    b.u32(1); // default_sample_description_index
                    b.zeros(12); // duration, size and flags stand in each fragment
                });
            }
        });
    });
}

/// `track_ID` of the track with that index in [`Run::tracks`].
pub(super) fn track_id(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX - 1) + 1
}

fn created(start: WallNs) -> u64 {
    u64::try_from(start.0.div_euclid(1_000_000_000) + EPOCH_1904).unwrap_or(0)
}

fn write_trak(b: &mut Boxes, id: u32, track: &Track, created: u64) {
    let video = track.kind == TrackKind::Video;
    b.boxed(*b"trak", |b| {
        b.full(*b"tkhd", 1, 0x3 /* enabled, in movie */, |b| {
            b.u64(created);
            b.u64(created);
            b.u32(id);
            b.u32(0);
            b.u64(0);
            b.zeros(8);
            b.u16(0); // layer
            b.u16(0); // alternate_group
            b.u16(if video { 0 } else { 0x100 }); // volume
            b.u16(0);
            for v in MATRIX {
                b.u32(v);
            }
            b.u32(u32::from(track.size.0) << 16);
            b.u32(u32::from(track.size.1) << 16);
        });
        b.boxed(*b"mdia", |b| {
            b.full(*b"mdhd", 1, 0, |b| {
                b.u64(created);
                b.u64(created);
                b.u32(track.timescale);
                b.u64(0);
                b.u16(LANGUAGE_UND);
                b.u16(0);
            });
            b.full(*b"hdlr", 0, 0, |b| {
                b.u32(0);
                b.bytes(if video { b"vide" } else { b"soun" });
                b.zeros(12);
                b.bytes(if video { b"video\0" } else { b"audio\0" });
            });
            b.boxed(*b"minf", |b| {
                if video {
                    b.full(*b"vmhd", 0, 1, |b| b.zeros(8));
                } else {
                    b.full(*b"smhd", 0, 0, |b| b.zeros(4));
                }
                b.boxed(*b"dinf", |b| {
                    b.full(*b"dref", 0, 0, |b| {
                        b.u32(1);
                        b.full(*b"url ", 0, 1 /* in this file */, |_| {});
                    });
                });
                b.boxed(*b"stbl", |b| {
                    b.full(*b"stsd", 0, 0, |b| {
                        b.u32(1);
                        b.bytes(&track.sample_entry);
                    });
                    b.full(*b"stts", 0, 0, |b| b.u32(0));
                    b.full(*b"stsc", 0, 0, |b| b.u32(0));
                    b.full(*b"stsz", 0, 0, |b| b.zeros(8));
                    b.full(*b"stco", 0, 0, |b| b.u32(0));
                });
            });
        });
    });
}
