//! Walking a file box by box: for one that is open, torn, or not to be believed.

use std::io;

use super::{
    CLOSE_UUID, FormatError, FragmentEntry, PRFT_LEN, SegmentFile, Tail,
    close::parse_close,
    moof::Moof,
    reader::{
        MAX_CLOSE, MAX_MOOF, ReadAt, leaf_in_file, parse_whole_moof, read_ahead, read_head, read_range, to_usize,
    },
};

/// What is read at once where a fragment is expected: its `prft`, its `moof` nearly always, and the header of its `mdat`.
const CHUNK: u64 = 4 << 10;
/// [`PRFT_LEN`], to index with.
const PRFT: usize = 32;
/// Unknown boxes in a row that a scan passes over.
const MAX_FOREIGN_BOXES: u32 = 16;
/// How far into a tail is looked to call it zeros.
const ZEROS_LOOKED_AT: u64 = 64 << 10;

/// Which fragments' leaves a scan computes anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// None.
    No,
    /// Those that end after this offset: what a crash may have torn.
    From(u64),
}

impl Verify {
    /// All of them.
    pub const ALL: Self = Self::From(0);
}

/// Why a walk stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    Torn(&'static str),
    Garbage(&'static str),
}

impl Stop {
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Torn(what) | Self::Garbage(what) => what,
        }
    }
}

/// Walks a file of `len` bytes from its head on. Time and memory are linear in what is well-formed; the first thing that is not
/// ends the walk and is told in [`SegmentFile::tail`].
///
/// # Errors
/// As [`super::read`]; a disk error anywhere is an error, never a shorter file.
pub fn scan(file: &(impl ReadAt + ?Sized), len: u64, verify: Verify) -> Result<SegmentFile, FormatError> {
    let mut found = read_head(file, len)?;
    scan_on(&mut found, file, len, verify)?;
    Ok(found)
}

impl SegmentFile {
    /// Goes on from [`SegmentFile::valid_len`] after the file has grown to `len`.
    pub fn extend(&mut self, file: &(impl ReadAt + ?Sized), len: u64, verify: Verify) -> Result<(), FormatError> {
        scan_on(self, file, len, verify)
    }
}

pub(super) fn scan_on(
    found: &mut SegmentFile,
    file: &(impl ReadAt + ?Sized),
    len: u64,
    verify: Verify,
) -> Result<(), FormatError> {
    let mut at = found.valid_len;
    let mut foreign = 0;
    let stop = loop {
        if at >= len || found.closed.is_some() {
            break None;
        }
        match next(found, file, at, len, verify)? {
            Ok(Step::Valid(end)) => {
                found.valid_len = end;
                at = end;
                foreign = 0;
            }
            Ok(Step::Foreign(end)) if foreign < MAX_FOREIGN_BOXES => {
                at = end;
                foreign += 1;
            }
            Ok(Step::Foreign(_)) => break Some(Stop::Garbage("too many unknown boxes")),
            Err(stop) => break Some(stop),
        }
    };
    let rest = len.saturating_sub(found.valid_len);
    found.tail = match stop {
        _ if rest == 0 => Tail::Clean,
        _ if zeros(file, found.valid_len, len)? => Tail::Zeros { len: rest },
        Some(Stop::Torn(what)) => Tail::Torn { len: rest, what },
        Some(Stop::Garbage(what)) => Tail::Garbage { len: rest, what },
        None => Tail::Garbage { len: rest, what: "bytes after the last fragment that no reader needs" },
    };
    Ok(())
}

fn zeros(file: &(impl ReadAt + ?Sized), from: u64, len: u64) -> io::Result<bool> {
    Ok(read_range(file, from, len.min(from + ZEROS_LOOKED_AT))?.iter().all(|b| *b == 0))
}

/// What stands at a place, with the offset behind it.
enum Step {
    /// A fragment or the closing boxes; taken over into the [`SegmentFile`].
    Valid(u64),
    /// A well-formed box that this version does not know.
    Foreign(u64),
}

fn next(
    found: &mut SegmentFile,
    file: &(impl ReadAt + ?Sized),
    at: u64,
    len: u64,
    verify: Verify,
) -> io::Result<Result<Step, Stop>> {
    let header = read_range(file, at, len.min(at + 24))?;
    let Some((size, kind)) = box_header(&header) else { return Ok(Err(Stop::Torn("the header of a box is cut"))) };
    match &kind {
        b"prft" => match fragment_at(file, at, len)? {
            Ok(here) => take_fragment(found, file, &here, verify),
            Err(stop) => Ok(Err(stop)),
        },
        b"uuid" if header.get(8..24).is_some_and(|id| *id == CLOSE_UUID) => take_closing(found, file, at, len, size),
        b"uuid" if header.len() < 24 => Ok(Err(Stop::Torn("a uuid box is cut"))),
        b"moof" | b"mdat" | b"mfra" => Ok(Err(Stop::Garbage("a box out of its place"))),
        _ if size < 8 || !kind.iter().all(|b| b.is_ascii_graphic() || *b == b' ') => Ok(Err(Stop::Garbage("no box"))),
        _ if at + size > len => Ok(Err(Stop::Garbage("an unknown box that is cut"))),
        _ => Ok(Ok(Step::Foreign(at + size))),
    }
}

/// Size and type of a box; `None` if there are too few bytes.
fn box_header(bytes: &[u8]) -> Option<(u64, [u8; 4])> {
    let (header, _) = bytes.split_first_chunk::<8>()?;
    let [s0, s1, s2, s3, kind @ ..] = *header;
    Some((u64::from(u32::from_be_bytes([s0, s1, s2, s3])), kind))
}

fn take_fragment(
    found: &mut SegmentFile,
    file: &(impl ReadAt + ?Sized),
    here: &FragmentAt,
    verify: Verify,
) -> io::Result<Result<Step, Stop>> {
    let FragmentAt { moof, entry, .. } = here;
    if found.fragments.last().is_some_and(|last| last.number >= entry.number || last.dts >= entry.dts) {
        return Ok(Err(Stop::Garbage("a fragment that does not continue the one before")));
    }
    if moof.samples.iter().any(|s| s.track >= found.head.run.tracks.len()) {
        return Ok(Err(Stop::Garbage("a fragment with a track that the file does not have")));
    }
    if matches!(verify, Verify::From(from) if entry.end() > from)
        && leaf_in_file(file, found.head.segment(), here)? != entry.leaf
    {
        return Ok(Err(Stop::Torn("a fragment whose leaf does not fit its bytes")));
    }
    found.fragments.push(*entry);
    found.reports.extend_from_slice(&moof.reports);
    Ok(Ok(Step::Valid(entry.end())))
}

fn take_closing(
    found: &mut SegmentFile,
    file: &(impl ReadAt + ?Sized),
    at: u64,
    len: u64,
    size: u64,
) -> io::Result<Result<Step, Stop>> {
    let mfra_at = at + size;
    if size > MAX_CLOSE || mfra_at + 8 > len {
        return Ok(Err(Stop::Torn("the close box is cut")));
    }
    let header = read_range(file, mfra_at, mfra_at + 8)?;
    let end = match box_header(&header) {
        Some((mfra, kind)) if kind == *b"mfra" && mfra <= MAX_CLOSE && mfra_at + mfra <= len => mfra_at + mfra,
        _ => return Ok(Err(Stop::Torn("the mfra box is cut or missing"))),
    };
    let close = read_range(file, at, mfra_at)?;
    let mfra = read_range(file, mfra_at, end)?;
    match parse_close(&close, &mfra, found.head_len, at) {
        Ok(end) if end.head != found.head.digest => Ok(Err(Stop::Torn("the close box belongs to another file"))),
        Ok(close) if close.fragments == found.fragments && close.reports == found.reports => {
            found.closed = Some(close.closing);
            Ok(Ok(Step::Valid(end)))
        }
        Ok(_) => Ok(Err(Stop::Torn("the close box does not fit the fragments before it"))),
        Err(what) => Ok(Err(Stop::Torn(what))),
    }
}

/// A fragment that was found, its samples unread.
pub(super) struct FragmentAt {
    /// What its `moof` says; sample offsets count from the file's beginning.
    pub(super) moof: Moof,
    pub(super) entry: FragmentEntry,
    /// Bytes of samples; they end where the fragment ends.
    pub(super) payload: u64,
    /// Its bytes up to the samples.
    pub(super) head: Vec<u8>,
}

/// Parses the fragment that begins at `at` and must end by `limit`.
pub(super) fn fragment_at(file: &(impl ReadAt + ?Sized), at: u64, limit: u64) -> io::Result<Result<FragmentAt, Stop>> {
    let torn = |what| Ok(Err(Stop::Torn(what)));
    if limit.saturating_sub(at) < PRFT_LEN + 16 {
        return torn("a fragment is cut");
    }
    let mut bytes = read_ahead(file, at, limit.min(at.saturating_add(CHUNK)), PRFT_LEN + 16)?;
    match box_header(&bytes) {
        Some((PRFT_LEN, kind)) if kind == *b"prft" => {}
        _ => return Ok(Err(Stop::Garbage("no prft where a fragment begins"))),
    }
    let moof_at = at + PRFT_LEN;
    let moof_len = match box_header(&bytes[PRFT..]) {
        Some((size, kind)) if kind == *b"moof" && (8..=MAX_MOOF).contains(&size) => size,
        Some((0, [0, 0, 0, 0])) => return torn("zeros where a moof should be"),
        _ => return Ok(Err(Stop::Garbage("no moof after prft"))),
    };
    let mdat_at = moof_at + moof_len;
    if mdat_at + 8 > limit {
        return torn("a moof is cut");
    }
    let want = mdat_at + 8 - at;
    if want > bytes.len() as u64 {
        let more = read_range(file, at + bytes.len() as u64, at + want)?;
        bytes.extend_from_slice(&more);
    }
    bytes.truncate(to_usize(want));
    let (moof, mdat) = bytes[PRFT..].split_at(to_usize(moof_len));
    let payload = match box_header(mdat) {
        Some((size, kind)) if kind == *b"mdat" && size > 8 => size - 8,
        _ => return torn("no mdat after moof"),
    };
    let end = mdat_at + 8 + payload;
    if end > limit {
        return torn("an mdat is cut");
    }
    let mut moof = match parse_whole_moof(moof, payload) {
        Ok(moof) => moof,
        Err(what) => return torn(what),
    };
    moof.samples.iter_mut().for_each(|s| s.offset += mdat_at + 8);
    let Some(first) = moof.samples.first() else { return torn("no sample") };
    let count = |n| u32::try_from(n).unwrap_or(u32::MAX);
    let entry = FragmentEntry {
        offset: at,
        len: end - at,
        number: moof.number,
        span: moof.span,
        dts: first.dts,
        cts: first.cts,
        key: first.key,
        lost_packets: moof.lost_packets,
        dropped_frames: moof.dropped_frames,
        video_samples: count(moof.video),
        audio_samples: count(moof.samples.len() - moof.video),
        leaf: moof.leaf,
    };
    Ok(Ok(FragmentAt { moof, entry, payload, head: bytes }))
}

/// What every fragment begins with: size, type, version and flags of its `prft`.
const BEGINNING: [u8; 12] = *b"\0\0\0\x20prft\x01\0\0\x18";
/// What is searched at once.
const WINDOW: u64 = 256 << 10;

/// The first place at or after `from` where a fragment may begin, judged by its first boxes' names. For files in which one fragment does
/// not tell where the next one is.
///
/// # Errors
/// If a part of the file cannot be read; it may be passed over.
pub fn find_fragment(file: &(impl ReadAt + ?Sized), mut from: u64, limit: u64) -> io::Result<Option<u64>> {
    // Up to the name of the `moof`.
    const NEEDED: usize = PRFT + 8;
    while limit.saturating_sub(from) >= NEEDED as u64 {
        let window = read_range(file, from, limit.min(from + WINDOW))?;
        let begins =
            |at: &usize| window[*at..].starts_with(&BEGINNING) && window[*at + PRFT + 4..].starts_with(b"moof");
        if let Some(at) = (0..=window.len() - NEEDED).find(begins) {
            return Ok(Some(from + at as u64));
        }
        from += (window.len() - NEEDED + 1) as u64;
    }
    Ok(None)
}
