//! Writing fragments: `prft`, `moof` and the header of `mdat`. Sample bytes are never copied here.

use super::{
    FRAGMENT_UUID, FragmentEntry, MAX_REPORTS, MAX_SAMPLES, PRFT_LEN, SampleAt, boxes::Boxes, init::track_id,
    leaf::Leaf, moof::Moof,
};
use crate::types::{Fragment, Sample, SenderReport, WallNs};

/// Seconds from 1900-01-01, where NTP counts from, to 1970-01-01 (RFC 5905 section 6).
const NTP_1970: i64 = 2_208_988_800;
/// `prft` flags: the time is that of capture, and its offset to media time the same in the whole run (section 8.16.5).
const PRFT_CAPTURED: u32 = 24;
/// Sample flags (section 8.8.3.1): depends on no other sample; a sync sample.
pub(super) const FLAGS_KEY: u32 = 0x0200_0000;
/// Sample flags: depends on others; not a sync sample.
const FLAGS_DELTA: u32 = 0x0101_0000;

/// Why a fragment cannot be written down. All of these are mistakes of the caller, not of a camera.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("fragment {number} cannot be written: {what}")]
pub struct Unencodable {
    /// Its number in the run.
    pub number: u32,
    /// What is wrong with it.
    pub what: &'static str,
}

/// A fragment ready to be written: `head`, then the bytes of all samples in the fragment's order.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// `prft`, `moof` and the header of `mdat`.
    pub head: Vec<u8>,
    /// Bytes of coded data that follow.
    pub sample_bytes: u64,
    entry: FragmentEntry,
}

impl Encoded {
    /// Bytes in the file, samples included.
    pub fn file_len(&self) -> u64 {
        self.head.len() as u64 + self.sample_bytes
    }

    /// The fragment's leaf, see `docs/ref/format.md`.
    pub fn leaf(&self) -> [u8; 32] {
        self.entry.leaf
    }

    /// Its row in the close box, if it is written at `offset` of the file.
    pub fn entry_at(&self, offset: u64) -> FragmentEntry {
        FragmentEntry { offset, ..self.entry }
    }
}

/// Encodes a fragment. Hashes its samples, if none of its clones has been encoded yet.
///
/// Decode times in the file are exact: a sample lasts until the next one of its track in the fragment, whatever its own
/// `duration` says; that counts for the last one only.
///
/// # Errors
/// If the fragment breaks what [`Fragment`] promises, or is larger than a box can be.
pub fn encode_fragment(f: &Fragment) -> Result<Encoded, Unencodable> {
    let fail = |what| Unencodable { number: f.number, what };
    let Plan { video, sample_bytes } = plan(f).map_err(fail)?;
    let (pictures, sound) = f.samples.split_at(video);
    let samples: Vec<SampleAt> = rows(pictures).chain(rows(sound)).collect();
    let leaf = f.leaf.get_or_compute(|| {
        let mut leaf = Leaf::new(f.run.stream.id, f.run.id, f.number, f.span.start, samples.len());
        samples.iter().for_each(|row| leaf.row(row));
        f.samples.iter().for_each(|s| leaf.data(&s.data));
        leaf.finish()
    });
    let moof = Moof {
        samples,
        video,
        number: f.number,
        span: f.span,
        lost_packets: f.lost_packets,
        dropped_frames: f.dropped_frames,
        leaf,
        reports: newest(&f.reports).to_vec(),
    };
    let head = fragment_head(&moof, sample_bytes);
    let first = &pictures[0];
    let entry = FragmentEntry {
        offset: 0,
        len: head.len() as u64 + u64::from(sample_bytes),
        number: f.number,
        span: f.span,
        dts: first.dts,
        cts: first.cts,
        key: first.key,
        lost_packets: f.lost_packets,
        dropped_frames: f.dropped_frames,
        video_samples: u32::try_from(pictures.len()).unwrap_or(u32::MAX),
        audio_samples: u32::try_from(sound.len()).unwrap_or(u32::MAX),
        leaf,
    };
    Ok(Encoded { head, sample_bytes: u64::from(sample_bytes), entry })
}

/// `prft`, `moof` and the header of an `mdat` with `payload` bytes: the only bytes that say this of these samples.
pub(super) fn fragment_head(m: &Moof, payload: u32) -> Vec<u8> {
    let (pictures, sound) = m.samples.split_at(m.video);
    let mut b = Boxes::with_capacity(384 + m.samples.len() * 16 + m.reports.len() * 16);
    b.full(*b"prft", 1, PRFT_CAPTURED, |b| {
        b.u32(track_id(0));
        b.u64(ntp(m.span.start));
        b.u64(pictures.first().map_or(0, |first| first.dts));
    });
    debug_assert_eq!(b.pos() as u64, PRFT_LEN);
    moof(&mut b, m.number.wrapping_add(1), &[pictures, sound], |b| {
        b.uuid(&FRAGMENT_UUID, 1, 0, |b| {
            b.u32(m.number);
            b.i64(m.span.start.0);
            b.i64(m.span.end.0);
            b.u32(m.lost_packets);
            b.u32(m.dropped_frames);
            b.bytes(&m.leaf);
            b.u32(u32::try_from(m.reports.len()).unwrap_or(0));
            for r in &m.reports {
                b.i64(r.camera.0);
                b.i64(r.ours.0);
            }
        });
    });
    b.u32(payload.saturating_add(8));
    b.bytes(b"mdat");
    b.finish()
}

/// The sender reports that fit into a fragment's box.
pub(super) fn newest(reports: &[SenderReport]) -> &[SenderReport] {
    &reports[reports.len().saturating_sub(MAX_REPORTS)..]
}

/// A media segment (`moof` and `mdat`) of one sample, for live views. Its `sequence` should grow by one from chunk to chunk.
pub fn live_chunk(sample: &Sample, sequence: u32) -> Vec<u8> {
    let mut b = Boxes::with_capacity(256 + sample.data.len());
    let alone: Vec<SampleAt> = rows(std::slice::from_ref(sample)).collect();
    moof(&mut b, sequence, &[&alone], |_| {});
    b.boxed(*b"mdat", |b| b.bytes(&sample.data));
    b.finish()
}

/// What must be known of a fragment before it is encoded.
struct Plan {
    /// Count of video samples; they come first.
    video: usize,
    sample_bytes: u32,
}

fn plan(f: &Fragment) -> Result<Plan, &'static str> {
    let video = f.samples.iter().take_while(|s| s.track == 0).count();
    if video == 0 {
        return Err("it does not begin with video");
    }
    if f.samples[video..].iter().any(|s| s.track != 1) || (video < f.samples.len() && f.run.tracks.len() < 2) {
        return Err("its samples are not video, then audio");
    }
    if f.samples.len() > MAX_SAMPLES {
        return Err("it has too many samples");
    }
    if f.span.end < f.span.start {
        return Err("it ends before it starts");
    }
    for part in [&f.samples[..video], &f.samples[video..]] {
        for pair in part.windows(2) {
            let step = pair[1].dts.checked_sub(pair[0].dts).filter(|d| *d > 0);
            step.and_then(|d| u32::try_from(d).ok()).ok_or("its decode times do not ascend")?;
        }
    }
    // The offset of the audio samples in trun is a signed 32-bit number.
    let total = f.sample_bytes();
    let limit = i32::MAX as usize - 0x0100_0000;
    if total > limit {
        return Err("it is larger than 2 GiB");
    }
    if f.samples.iter().any(|s| s.data.is_empty()) {
        return Err("a sample is empty");
    }
    Ok(Plan { video, sample_bytes: u32::try_from(total).unwrap_or(u32::MAX) })
}

/// The sample table of one track's samples, with the durations that the file will say.
fn rows(part: &[Sample]) -> impl Iterator<Item = SampleAt> {
    part.iter().enumerate().map(|(i, s)| SampleAt {
        track: s.track,
        dts: s.dts,
        duration: duration(part, i),
        cts: s.cts,
        size: u32::try_from(s.data.len()).unwrap_or(u32::MAX),
        key: s.key,
        offset: 0,
    })
}

fn duration(part: &[Sample], i: usize) -> u32 {
    let next = part.get(i + 1).and_then(|next| u32::try_from(next.dts - part[i].dts).ok());
    next.unwrap_or(part[i].duration)
}

fn flags(s: &SampleAt) -> u32 {
    if s.key { FLAGS_KEY } else { FLAGS_DELTA }
}

/// Writes a `moof` (section 8.8.4) with a `traf` for each non-empty part; their data follow one another in the `mdat` after it.
fn moof(b: &mut Boxes, sequence: u32, parts: &[&[SampleAt]], more: impl FnOnce(&mut Boxes)) {
    let start = b.pos();
    let mut data_offsets = [(0, 0_u32); 2];
    b.boxed(*b"moof", |b| {
        b.full(*b"mfhd", 0, 0, |b| b.u32(sequence));
        let mut before = 0;
        for (part, patch) in parts.iter().zip(&mut data_offsets).filter(|(part, _)| !part.is_empty()) {
            *patch = (traf(b, part), before);
            before = part.iter().fold(before, |sum, s| sum.saturating_add(s.size));
        }
        more(b);
    });
    let mdat = u32::try_from(b.pos() - start + 8).unwrap_or(u32::MAX);
    for (at, before) in data_offsets.into_iter().filter(|(at, _)| *at != 0) {
        b.patch_u32(at, mdat.saturating_add(before));
    }
}

/// Writes a `traf`; answers where the `data_offset` of its `trun` stands. Whatever is the same for all samples is said once.
fn traf(b: &mut Boxes, part: &[SampleAt]) -> usize {
    let first = &part[0];
    let same_duration = part.iter().all(|s| s.duration == first.duration);
    let same_size = part.iter().all(|s| s.size == first.size);
    let rest_flags = flags(part.get(1).unwrap_or(first));
    let same_flags = part.iter().skip(1).all(|s| flags(s) == rest_flags);
    let first_flags = same_flags && flags(first) != rest_flags;
    let no_cts = part.iter().all(|s| s.cts == 0);
    let mut at = 0;
    b.boxed(*b"traf", |b| {
        let mut tfhd = 0x02_0000; // default-base-is-moof
        tfhd |= if same_duration { 0x08 } else { 0 };
        tfhd |= if same_size { 0x10 } else { 0 };
        tfhd |= if same_flags { 0x20 } else { 0 };
        b.full(*b"tfhd", 0, tfhd, |b| {
            b.u32(track_id(first.track));
            if same_duration {
                b.u32(first.duration);
            }
            if same_size {
                b.u32(first.size);
            }
            if same_flags {
                b.u32(rest_flags);
            }
        });
        b.full(*b"tfdt", 1, 0, |b| b.u64(first.dts));
        let mut trun = 0x01; // data-offset
        trun |= if first_flags { 0x04 } else { 0 };
        trun |= if same_duration { 0 } else { 0x100 };
        trun |= if same_size { 0 } else { 0x200 };
        trun |= if same_flags { 0 } else { 0x400 };
        trun |= if no_cts { 0 } else { 0x800 };
        b.full(*b"trun", 1, trun, |b| {
            b.u32(u32::try_from(part.len()).unwrap_or(u32::MAX));
            at = b.pos();
            b.u32(0);
            if first_flags {
                b.u32(flags(first));
            }
            for s in part {
                if !same_duration {
                    b.u32(s.duration);
                }
                if !same_size {
                    b.u32(s.size);
                }
                if !same_flags {
                    b.u32(flags(s));
                }
                if !no_cts {
                    b.i32(s.cts);
                }
            }
        });
    });
    at
}

/// NTP timestamp (RFC 5905 section 6), modulo its era of 136 years; the fraction is rounded up, so that the floor of the way back is
/// the same nanosecond.
pub(super) fn ntp(t: WallNs) -> u64 {
    let seconds = t.0.div_euclid(1_000_000_000).wrapping_add(NTP_1970);
    let nanos = t.0.rem_euclid(1_000_000_000).unsigned_abs();
    let fraction = (nanos << 32).div_ceil(1_000_000_000);
    seconds.cast_unsigned() << 32 | fraction
}

/// The way back from [`ntp`], for the era that began in 1900 or the one after it, whichever is nearer to `near`.
#[cfg(test)]
pub(super) fn from_ntp(ntp: u64, near: WallNs) -> WallNs {
    let seconds = (ntp >> 32).cast_signed() - NTP_1970;
    let nanos = (((ntp & 0xffff_ffff) * 1_000_000_000) >> 32).cast_signed();
    let era = 1_i64 << 32;
    let shift = (near.0.div_euclid(1_000_000_000) - seconds + era / 2).div_euclid(era);
    let ns = i128::from(seconds + shift * era) * 1_000_000_000 + i128::from(nanos);
    WallNs(i64::try_from(ns).expect("near an i64 of nanoseconds"))
}
