//! Reading a `moof` back: strict, as no other writer's fragments are footage.

use super::{
    FRAGMENT_UUID, MAX_REPORTS, MAX_SAMPLES, SampleAt,
    cursor::{Cursor, Parse},
};
use crate::types::{SenderReport, Span, WallNs};

/// What a `moof` says.
pub(super) struct Moof {
    /// Video in decode order, then audio; offsets count from the first byte of the `mdat`'s payload.
    pub(super) samples: Vec<SampleAt>,
    /// Count of video samples.
    pub(super) video: usize,
    pub(super) number: u32,
    pub(super) span: Span,
    pub(super) lost_packets: u32,
    pub(super) dropped_frames: u32,
    pub(super) leaf: [u8; 32],
    pub(super) reports: Vec<SenderReport>,
}

/// Parses the body of a `moof` that is `moof_len` bytes long and is followed by an `mdat` with `payload` bytes.
///
/// Wants: video samples first, all samples adjoining, filling the `mdat` exactly. Memory is bounded by [`MAX_SAMPLES`].
pub(super) fn parse_moof(mut moof: Cursor<'_>, moof_len: u64, payload: u64) -> Parse<Moof> {
    let mut samples = Vec::new();
    let mut video = 0;
    let mut info = None;
    let mut filled = 0;
    while let Some(b) = moof.next_box()? {
        match &b.kind {
            b"traf" => {
                let before = samples.len();
                let track = traf(b.body, moof_len + 8, &mut filled, &mut samples)?;
                match (track, before) {
                    (0, 0) => video = samples.len(),
                    (1, n) if n == video && n > 0 => {}
                    _ => return Err("its tracks are not video, then audio"),
                }
            }
            b"uuid" => {
                let mut body = b.body;
                if body.array()? == FRAGMENT_UUID {
                    info = Some(own_box(body)?);
                }
            }
            _ => {}
        }
    }
    let mut info = info.ok_or("no leaf")?;
    if video == 0 {
        return Err("no video");
    }
    if filled != payload {
        return Err("its samples do not fill mdat");
    }
    info.samples = samples;
    info.video = video;
    Ok(info)
}

fn own_box(mut c: Cursor<'_>) -> Parse<Moof> {
    c.version_flags()?;
    let number = c.u32()?;
    let span = Span::new(WallNs(c.i64()?), WallNs(c.i64()?)).ok_or("it ends before it starts")?;
    let lost_packets = c.u32()?;
    let dropped_frames = c.u32()?;
    let leaf = c.array()?;
    let count = c.u32()? as usize;
    let reports = parse_reports(&mut c, count.min(MAX_REPORTS))?;
    Ok(Moof { samples: Vec::new(), video: 0, number, span, lost_packets, dropped_frames, leaf, reports })
}

/// Reads that many sender reports.
pub(super) fn parse_reports(c: &mut Cursor<'_>, count: usize) -> Parse<Vec<SenderReport>> {
    let mut bytes = Cursor(c.take(count.checked_mul(16).ok_or("too many reports")?)?);
    (0..count).map(|_| Ok(SenderReport { camera: WallNs(bytes.i64()?), ours: WallNs(bytes.i64()?) })).collect()
}

/// Appends the samples of a `traf`; answers the index of its track. `filled` is how much of the payload is spoken for.
fn traf(traf: Cursor<'_>, payload_at: u64, filled: &mut u64, samples: &mut Vec<SampleAt>) -> Parse<usize> {
    let mut tfhd = traf.find(*b"tfhd", "no tfhd")?;
    let (_, flags) = tfhd.version_flags()?;
    if flags & !0x02_0038 != 0 || flags & 0x02_0000 == 0 {
        return Err("a tfhd that custodian does not write");
    }
    let track = match tfhd.u32()? {
        1 => 0,
        2 => 1,
        _ => return Err("an unknown track"),
    };
    let mut default = |flag| if flags & flag != 0 { tfhd.u32().map(Some) } else { Ok(None) };
    let (duration, size, sample_flags) = (default(0x08)?, default(0x10)?, default(0x20)?);
    let mut tfdt = traf.find(*b"tfdt", "no tfdt")?;
    let (version, _) = tfdt.version_flags()?;
    let mut dts = if version == 1 { tfdt.u64()? } else { u64::from(tfdt.u32()?) };

    let mut trun = traf.find(*b"trun", "no trun")?;
    let (version, flags) = trun.version_flags()?;
    let count = trun.u32()? as usize;
    if version != 1 || flags & 0x01 == 0 || count == 0 || count > MAX_SAMPLES - samples.len() {
        return Err("a trun that custodian does not write");
    }
    let offset = trun.i32()?;
    if u64::try_from(offset).ok() != payload_at.checked_add(*filled) {
        return Err("its samples do not adjoin");
    }
    let first_flags = if flags & 0x04 != 0 { Some(trun.u32()?) } else { None };
    let row = 4 * (flags & 0xf00).count_ones() as usize;
    let mut rows = Cursor(trun.take(row * count)?);
    samples.reserve(count);
    for i in 0..count {
        let mut field = |flag, default: Option<u32>| {
            if flags & flag != 0 { rows.u32() } else { default.ok_or("a field of its samples is missing") }
        };
        let duration = field(0x100, duration)?;
        let size = field(0x200, size)?;
        let own_flags = field(0x400, first_flags.filter(|_| i == 0).or(sample_flags))?;
        let cts = field(0x800, Some(0))?.cast_signed();
        if size == 0 {
            return Err("an empty sample");
        }
        samples.push(SampleAt { track, dts, duration, cts, size, key: own_flags & 0x01_0000 == 0, offset: *filled });
        dts = dts.checked_add(u64::from(duration)).ok_or("a decode time beyond 64 bits")?;
        *filled = filled.checked_add(u64::from(size)).ok_or("samples beyond 64 bits")?;
    }
    Ok(track)
}
