//! What must change in a fragment's head when it moves to another place on the time line: sequence number and decode
//! times. Everything else, the coded data above all, stays byte for byte.
//!
//! Boxes by ISO/IEC 14496-12: `prft` 8.16.5, `moof` 8.8.4, `mfhd` 8.8.5, `tfhd` 8.8.7, `trun` 8.8.8, `tfdt` 8.8.12.

/// Why a fragment cannot be moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoofError {
    /// The bytes are no fragment, or one that ends early.
    #[error("no whole movie fragment stands there: {0}")]
    Broken(&'static str),
    /// A decode time that does not fit its field after the move.
    #[error("a decode time does not fit")]
    Time,
}

use MoofError::{Broken, Time};

/// One track within a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackTimes {
    /// The track's number in the file, from 1.
    pub track: u32,
    /// Decode time of its first sample, ticks.
    pub first: u64,
    /// Decode time at which its last sample ends, ticks.
    pub end: u64,
    /// Samples.
    pub samples: u64,
    /// Where the time stands within the head, and in how many bytes.
    at: usize,
    wide: bool,
}

/// A fragment's head, understood: all before the payload of its `mdat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the head, the header of `mdat` included.
    pub len: usize,
    /// Bytes of coded data after it.
    pub payload: u64,
    /// The tracks of which the fragment has samples.
    pub tracks: Vec<TrackTimes>,
    sequence_at: usize,
    /// The media time in `prft`: its track, where it stands, in how many bytes.
    prft: Option<(u32, usize, bool)>,
}

/// How many more bytes are wanted from the fragment's first byte on, where they are too few to tell anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// All there is to know.
    Head(Head),
    /// The head is this long.
    Need(u64),
}

/// Understands the beginning of a fragment: optional boxes such as `prft` and `styp`, `moof`, the header of `mdat`.
pub fn parse(bytes: &[u8]) -> Result<Parsed, MoofError> {
    let mut at = 0;
    let mut prft = None;
    let mut moof = None;
    loop {
        let Some(b) = header(bytes, at)? else { return Ok(Parsed::Need(to_u64(at) + 16)) };
        if &b.kind == b"mdat" {
            let (sequence_at, tracks) = moof.ok_or(Broken("mdat comes before moof"))?;
            let len = at + b.header;
            let payload = b.size.checked_sub(to_u64(b.header)).ok_or(Broken("mdat is shorter than its header"))?;
            return Ok(Parsed::Head(Head { len, payload, tracks, sequence_at, prft }));
        }
        let end = to_u64(at).checked_add(b.size).ok_or(Broken("a box is too large"))?;
        let Some(end) = usize::try_from(end).ok().filter(|end| *end <= bytes.len()) else {
            // And the header of the box that follows.
            return Ok(Parsed::Need(end.saturating_add(16)));
        };
        let body = at + b.header..end;
        match &b.kind {
            b"prft" => prft = Some(parse_prft(bytes, body)?),
            b"moof" if moof.is_some() => return Err(Broken("moof follows on moof")),
            b"moof" => moof = Some(parse_moof(bytes, body)?),
            _ => {}
        }
        at = end;
    }
}

impl Head {
    /// Writes another sequence number and other decode times into the head's bytes (the same that were parsed). `shift`
    /// gives the ticks to add for a track; a time that does not fit is an error.
    pub fn rewrite(&self, bytes: &mut [u8], sequence: u32, shift: impl Fn(u32) -> i64) -> Result<(), MoofError> {
        put(bytes, self.sequence_at, &sequence.to_be_bytes())?;
        self.times(bytes, |track, was| was.checked_add_signed(shift(track)).ok_or(Time))
    }

    /// Writes other decode times alone; one that would lie before zero becomes zero.
    pub fn move_by(&self, bytes: &mut [u8], shift: impl Fn(u32) -> i64) -> Result<(), MoofError> {
        self.times(bytes, |track, was| Ok(was.saturating_add_signed(shift(track))))
    }

    fn times(&self, bytes: &mut [u8], to: impl Fn(u32, u64) -> Result<u64, MoofError>) -> Result<(), MoofError> {
        for t in &self.tracks {
            put_time(bytes, t.at, t.wide, to(t.track, t.first)?)?;
        }
        if let Some((track, at, wide)) = self.prft {
            let was = get_time(bytes, at, wide)?;
            put_time(bytes, at, wide, to(track, was)?)?;
        }
        Ok(())
    }
}

struct BoxHeader {
    kind: [u8; 4],
    /// Bytes of the header: 8 or 16.
    header: usize,
    /// Bytes of the whole box.
    size: u64,
}

/// The header at `at`; nothing if more bytes are needed to read it.
fn header(bytes: &[u8], at: usize) -> Result<Option<BoxHeader>, MoofError> {
    let (Ok(size), Ok(kind)) = (u32_at(bytes, at), take::<4>(bytes, at.saturating_add(4))) else { return Ok(None) };
    let (header, size) = match size {
        0 => return Err(Broken("a box without an end")),
        1 => match take::<8>(bytes, at.saturating_add(8)) {
            Ok(large) => (16, u64::from_be_bytes(large)),
            Err(_) => return Ok(None),
        },
        n => (8, u64::from(n)),
    };
    if size < to_u64(header) {
        return Err(Broken("a box is shorter than its header"));
    }
    Ok(Some(BoxHeader { kind, header, size }))
}

/// The boxes within `body`: kind and body of each.
fn children(
    bytes: &[u8],
    body: std::ops::Range<usize>,
) -> impl Iterator<Item = Result<([u8; 4], std::ops::Range<usize>), MoofError>> {
    let inner = bytes.get(..body.end).unwrap_or_default();
    let mut at = body.start;
    std::iter::from_fn(move || {
        if at >= inner.len() {
            return None;
        }
        let found = header(inner, at).and_then(|b| {
            let b = b.ok_or(Broken("a box within moof ends early"))?;
            let end = usize::try_from(b.size).ok().and_then(|size| at.checked_add(size));
            let end = end.filter(|end| *end <= inner.len()).ok_or(Broken("a box within moof ends early"))?;
            Ok((b.kind, at + b.header..end))
        });
        at = found.as_ref().map_or(inner.len(), |(_, body)| body.end);
        Some(found)
    })
}

fn parse_prft(bytes: &[u8], body: std::ops::Range<usize>) -> Result<(u32, usize, bool), MoofError> {
    let bytes = bytes.get(..body.end).unwrap_or_default();
    let wide = version(bytes, body.start)? > 0;
    let track = u32_at(bytes, body.start + 4)?;
    let at = body.start + 16;
    get_time(bytes, at, wide)?;
    Ok((track, at, wide))
}

fn parse_moof(bytes: &[u8], body: std::ops::Range<usize>) -> Result<(usize, Vec<TrackTimes>), MoofError> {
    let mut sequence_at = None;
    let mut tracks = Vec::new();
    for child in children(bytes, body) {
        match child? {
            (kind, body) if &kind == b"mfhd" => {
                u32_at(bytes.get(..body.end).unwrap_or_default(), body.start + 4)?;
                sequence_at = Some(body.start + 4);
            }
            (kind, body) if &kind == b"traf" => tracks.push(parse_traf(bytes, body)?),
            _ => {}
        }
        if tracks.len() > 16 {
            return Err(Broken("more tracks than any of our files has"));
        }
    }
    Ok((sequence_at.ok_or(Broken("moof without mfhd"))?, tracks))
}

fn parse_traf(bytes: &[u8], body: std::ops::Range<usize>) -> Result<TrackTimes, MoofError> {
    let (mut tfhd, mut tfdt) = (None, None);
    let (mut ticks, mut samples) = (0u64, 0u64);
    for child in children(bytes, body) {
        let (kind, body) = child?;
        let at = body.start;
        let bytes = bytes.get(..body.end).unwrap_or_default();
        match &kind {
            b"tfhd" => {
                let flags = flags(bytes, at)?;
                if flags & 1 != 0 {
                    return Err(Broken("data is addressed from the start of the file"));
                }
                let skip = if flags & 2 == 0 { 0 } else { 4 };
                let duration = if flags & 8 == 0 { 0 } else { u32_at(bytes, at + 8 + skip)? };
                tfhd = Some((u32_at(bytes, at + 4)?, duration));
            }
            b"tfdt" => {
                let wide = version(bytes, at)? > 0;
                tfdt = Some((at + 4, wide, get_time(bytes, at + 4, wide)?));
            }
            b"trun" => {
                let (_, default) = tfhd.ok_or(Broken("trun comes before tfhd"))?;
                let (n, t) = parse_trun(bytes, at, default)?;
                samples = samples.saturating_add(n);
                ticks = ticks.checked_add(t).ok_or(Time)?;
            }
            _ => {}
        }
    }
    let (track, _) = tfhd.ok_or(Broken("traf without tfhd"))?;
    let (at, wide, first) = tfdt.ok_or(Broken("traf without tfdt"))?;
    Ok(TrackTimes { track, first, end: first.checked_add(ticks).ok_or(Time)?, samples, at, wide })
}

/// Samples and their ticks together.
fn parse_trun(bytes: &[u8], at: usize, default: u32) -> Result<(u64, u64), MoofError> {
    let flags = flags(bytes, at)?;
    let count = u32_at(bytes, at + 4)?;
    if flags & 0x100 == 0 {
        return Ok((u64::from(count), u64::from(count) * u64::from(default)));
    }
    let fields = |mask: u32| usize::try_from((flags & mask).count_ones()).unwrap_or(0) * 4;
    let mut row = at + 8 + fields(0x5);
    let mut ticks = 0u64;
    for _ in 0..count {
        // Ends at the end of the box at the latest, whatever the count says.
        ticks = ticks.saturating_add(u64::from(u32_at(bytes, row)?));
        row += fields(0xf00);
    }
    Ok((u64::from(count), ticks))
}

fn to_u64(n: usize) -> u64 {
    n as u64
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], MoofError> {
    let end = at.checked_add(N).ok_or(Broken("a box ends early"))?;
    bytes.get(at..end).and_then(|b| b.try_into().ok()).ok_or(Broken("a box ends early"))
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, MoofError> {
    take(bytes, at).map(u32::from_be_bytes)
}

fn version(bytes: &[u8], at: usize) -> Result<u8, MoofError> {
    take::<1>(bytes, at).map(|[v]| v)
}

fn flags(bytes: &[u8], at: usize) -> Result<u32, MoofError> {
    u32_at(bytes, at).map(|v| v & 0x00ff_ffff)
}

fn get_time(bytes: &[u8], at: usize, wide: bool) -> Result<u64, MoofError> {
    if wide { take(bytes, at).map(u64::from_be_bytes) } else { u32_at(bytes, at).map(u64::from) }
}

fn put(bytes: &mut [u8], at: usize, what: &[u8]) -> Result<(), MoofError> {
    bytes.get_mut(at..at + what.len()).ok_or(Broken("the head is shorter than it was"))?.copy_from_slice(what);
    Ok(())
}

fn put_time(bytes: &mut [u8], at: usize, wide: bool, time: u64) -> Result<(), MoofError> {
    if wide {
        put(bytes, at, &time.to_be_bytes())
    } else {
        put(bytes, at, &u32::try_from(time).map_err(|_| Time)?.to_be_bytes())
    }
}

/// A track's times that stand in no head.
#[cfg(test)]
pub(super) fn times(track: u32, first: u64, end: u64) -> TrackTimes {
    TrackTimes { track, first, end, samples: 1, at: 0, wide: true }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(body.len() + 8).expect("small");
        [&size.to_be_bytes(), kind.as_slice(), body].concat()
    }

    /// prft, moof of a video track (three samples with durations of their own) and an audio track (defaults), mdat.
    fn fragment() -> Vec<u8> {
        let prft = boxed(
            b"prft",
            &[&[1, 0, 0, 24][..], &1u32.to_be_bytes(), &77u64.to_be_bytes(), &9000u64.to_be_bytes()].concat(),
        );
        let mfhd = boxed(b"mfhd", &[0, 0, 0, 0, 0, 0, 0, 5]);
        let video = boxed(
            b"traf",
            &[
                boxed(b"tfhd", &[0, 2, 0, 0, 0, 0, 0, 1]),
                boxed(b"tfdt", &[&[1, 0, 0, 0][..], &9000u64.to_be_bytes()].concat()),
                boxed(
                    b"trun",
                    &[
                        // data offset, first sample's flags, duration and size per sample
                        &[1, 0, 3, 5][..],
                        &3u32.to_be_bytes(),
                        &[0; 8],
                        &[0, 0, 0, 100, 0, 0, 0, 1],
                        &[0, 0, 0, 101, 0, 0, 0, 1],
                        &[0, 0, 0, 102, 0, 0, 0, 1],
                    ]
                    .concat(),
                ),
            ]
            .concat(),
        );
        let audio = boxed(
            b"traf",
            &[
                boxed(b"tfhd", &[0, 2, 0, 8, 0, 0, 0, 2, 0, 0, 4, 0]),
                boxed(b"tfdt", &[0, 0, 0, 0, 0, 0, 3, 232]),
                boxed(b"trun", &[0, 0, 0, 0, 0, 0, 0, 4]),
            ]
            .concat(),
        );
        let moof = boxed(b"moof", &[mfhd, video, audio, boxed(b"uuid", &[7; 48])].concat());
        [prft, moof, boxed(b"mdat", b"coded data")].concat()
    }

    fn parsed(bytes: &[u8]) -> Head {
        match parse(bytes) {
            Ok(Parsed::Head(head)) => head,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn times_of_all_tracks_are_read() {
        let bytes = fragment();
        let head = parsed(&bytes);
        assert_eq!((head.len, head.payload), (bytes.len() - 10, 10));
        let times: Vec<_> = head.tracks.iter().map(|t| (t.track, t.first, t.end, t.samples)).collect();
        assert_eq!(times, [(1, 9000, 9303, 3), (2, 1000, 1000 + 4 * 1024, 4)]);
    }

    #[test]
    fn only_times_and_number_are_rewritten() {
        let before = fragment();
        let mut after = before.clone();
        let head = parsed(&before);
        head.rewrite(&mut after, 0x0102_0304, |track| if track == 1 { -9000 } else { 24 }).expect("fits");
        let moved = parsed(&after);
        assert_eq!(moved.tracks.iter().map(|t| (t.first, t.end)).collect::<Vec<_>>(), [(0, 303), (1024, 5120)]);
        // The media time of prft moved along.
        assert_eq!(&after[24..32], &0u64.to_be_bytes());
        let changed: Vec<usize> = (0..before.len()).filter(|n| before[*n] != after[*n]).collect();
        assert_eq!(changed.len(), 4 + 2 + 2 + 2, "sequence, prft, tfdt, tfdt: {changed:?}");
        moved.rewrite(&mut after, 5, |track| if track == 1 { 9000 } else { -24 }).expect("fits");
        assert_eq!(before, after);
    }

    #[test]
    fn times_that_do_not_fit_are_refused() {
        let mut bytes = fragment();
        let head = parsed(&bytes);
        assert_eq!(head.rewrite(&mut bytes, 1, |_| -9001), Err(Time));
        assert_eq!(head.rewrite(&mut bytes, 1, |track| if track == 1 { 0 } else { 1 << 32 }), Err(Time));
    }

    #[test]
    fn a_short_look_tells_how_far_to_look() {
        let bytes = fragment();
        let mut have = 8;
        let head = loop {
            match parse(&bytes[..have]).expect("a beginning") {
                Parsed::Head(head) => break head,
                Parsed::Need(n) => {
                    assert!(n > have as u64);
                    have = usize::try_from(n).expect("small").min(bytes.len());
                }
            }
        };
        assert_eq!(head, parsed(&bytes));
    }

    #[test]
    fn what_is_no_fragment_is_refused() {
        assert!(matches!(parse(&boxed(b"mdat", b"x")), Err(Broken(_))));
        assert!(matches!(parse(&[0, 0, 0, 0, b'm', b'o', b'o', b'f']), Err(Broken(_))));
        assert!(matches!(parse(&[boxed(b"moof", &[]), boxed(b"mdat", b"")].concat()), Err(Broken(_))));
        assert!(matches!(parse(&boxed(b"moof", &boxed(b"traf", &[0; 3]))), Err(Broken(_))));
    }

    proptest! {
        #[test]
        fn damage_is_survived(at in 0usize..400, with: u8, cut in 0usize..400) {
            let mut bytes = fragment();
            if let Some(b) = bytes.get_mut(at) {
                *b = with;
            }
            bytes.truncate(cut.max(1));
            if let Ok(Parsed::Head(head)) = parse(&bytes) {
                let _ = head.rewrite(&mut bytes, 1, |_| 1);
            }
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
