//! Reading segments. Every length in a file is a claim: nothing is allocated or skipped on its word alone.

use std::{fs::File, io, os::unix::fs::FileExt};

use super::{
    FormatError, FragmentEntry, Head, SampleAt,
    close::{Close, Closing, mfra_len, parse_close},
    cursor::Cursor,
    fragment::fragment_head,
    head::parse_head,
    leaf::Leaf,
    moof::{Moof, parse_moof},
    scan::{FragmentAt, Verify, fragment_at, scan_on},
};
use crate::types::{SegmentId, SenderReport};

/// Largest `ftyp`, `moov` and head box taken seriously; together they are about 2 KiB.
const MAX_HEAD_BOX: u64 = 1 << 20;
/// Largest `moof`: [`super::MAX_SAMPLES`] rows and [`super::MAX_REPORTS`] reports fit.
pub(super) const MAX_MOOF: u64 = 2 << 20;
/// Largest close box or `mfra`: 160,000 fragments, four days.
pub(super) const MAX_CLOSE: u64 = 16 << 20;
/// What is read of a file's end at once; holds the closing boxes of five minutes.
const TAIL_READ: u64 = 64 << 10;

/// Positioned reads, without a position that threads would share.
pub trait ReadAt {
    /// Reads some bytes at `offset`; 0 at the end. As `pread(2)`.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buf, offset)
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.as_slice().read_at(buf, offset)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        (**self).read_at(buf, offset)
    }
}

/// Fills `buf`, or fails: a file shorter than its length said is an error of kind `UnexpectedEof`.
pub(super) fn read_full(file: &(impl ReadAt + ?Sized), mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buf.is_empty() {
        match file.read_at(buf, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                buf = &mut buf[n..];
                offset += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// For lengths that have been compared with a bound that fits.
pub(super) fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// Bytes `from..to` of a file; the caller has bounded their count.
pub(super) fn read_range(file: &(impl ReadAt + ?Sized), from: u64, to: u64) -> io::Result<Vec<u8>> {
    let mut buf = vec![0; to_usize(to - from)];
    read_full(file, &mut buf, from)?;
    Ok(buf)
}

/// Bytes `from..to` of a file, or those of them before a place that cannot be read; at least `needed` of them.
pub(super) fn read_ahead(file: &(impl ReadAt + ?Sized), from: u64, to: u64, needed: u64) -> io::Result<Vec<u8>> {
    let wanted = to_usize(to - from);
    let mut buf = vec![0; wanted];
    let mut have = 0;
    while have < wanted {
        match file.read_at(&mut buf[have..], from + have as u64) {
            Ok(0) => break,
            Ok(n) => have += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if (have as u64) < needed => return Err(e),
            // Nobody may ever need what is behind it.
            Err(_) => break,
        }
    }
    if (have as u64) < needed {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    buf.truncate(have);
    Ok(buf)
}

/// A segment file as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFile {
    /// What it says of itself.
    pub head: Head,
    /// Bytes from the file's beginning that make an initialisation segment: `ftyp` and `moov`.
    pub init_len: u64,
    /// Bytes before the first fragment: the same and the head box.
    pub head_len: u64,
    /// Its whole, well-formed fragments in order.
    pub fragments: Vec<FragmentEntry>,
    /// The sender reports that they or the close box hold.
    pub reports: Vec<SenderReport>,
    /// What the close box says, if the file was closed.
    pub closed: Option<Closing>,
    /// End of the last whole, well-formed fragment, or of the closing boxes. Recovery cuts here.
    pub valid_len: u64,
    /// What follows.
    pub tail: Tail,
}

impl SegmentFile {
    /// Uncorrected wall time from the first fragment's start to the last one's end; `None` without fragments.
    pub fn span(&self) -> Option<crate::types::Span> {
        let (first, last) = (self.fragments.first()?, self.fragments.last()?);
        Some(crate::types::Span { start: first.span.start, end: last.span.end })
    }
}

/// What stands behind the valid part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Nothing.
    Clean,
    /// Zeros, as far as was looked (64 KiB): an extent that was never written.
    Zeros {
        /// Bytes to the file's end.
        len: u64,
    },
    /// The beginning of a fragment or of closing boxes that is cut, or does not fit itself.
    Torn {
        /// Bytes to the file's end.
        len: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Nothing that custodian writes.
    Garbage {
        /// Bytes to the file's end.
        len: u64,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// Reads a segment: by its closing boxes if they are whole, which takes three reads or so, else by [`super::scan()`].
///
/// `len` is the file's length, or the part of it that may be looked at while it is being written. A close box is trusted if its
/// digest is right and its rows are possible; the fragments themselves are looked at by [`samples`] and [`verify`].
pub fn read(file: &(impl ReadAt + ?Sized), len: u64) -> Result<SegmentFile, FormatError> {
    let mut found = read_head(file, len)?;
    if !read_closing(file, len, &mut found)? {
        scan_on(&mut found, file, len, Verify::No)?;
    }
    Ok(found)
}

/// Reads the boxes before the first fragment; what comes back has no fragments yet.
pub fn read_head(file: &(impl ReadAt + ?Sized), len: u64) -> Result<SegmentFile, FormatError> {
    let mut bytes = read_ahead(file, 0, len.min(8 << 10), len.min(8))?;
    let mut ends = [0_u64; 3];
    let mut at = 0_u64;
    for (i, kind) in [b"ftyp", b"moov", b"uuid"].into_iter().enumerate() {
        let header = bytes.get(to_usize(at)..).unwrap_or_default();
        let Some((header, _)) = header.split_first_chunk::<8>() else { return Err(cut(i, header)) };
        let [s0, s1, s2, s3, rest @ ..] = *header;
        let size = u64::from(u32::from_be_bytes([s0, s1, s2, s3]));
        if rest != *kind || !(8..=MAX_HEAD_BOX).contains(&size) {
            return Err(match (i, kind_is_zero(*header)) {
                (_, true) => FormatError::NoHead,
                (0, _) => FormatError::Foreign("it does not begin with ftyp"),
                (1, _) => FormatError::Foreign("no moov after ftyp"),
                _ => FormatError::Foreign("no head box after moov"),
            });
        }
        if at + size > len {
            return Err(FormatError::NoHead);
        }
        at += size;
        ends[i] = at;
        // The next box's header too, so that it can be looked at.
        let want = (at + 8).min(len);
        if want > bytes.len() as u64 {
            let more = read_range(file, bytes.len() as u64, want)?;
            bytes.extend_from_slice(&more);
        }
    }
    let [_, init_len, head_len] = ends;
    bytes.truncate(to_usize(head_len));
    let id = bytes.get(to_usize(init_len) + 8..).and_then(|b| b.first_chunk::<16>());
    if id.is_none_or(|id| *id != super::HEAD_UUID) {
        return Err(FormatError::Foreign("no head box after moov"));
    }
    let head = parse_head(&bytes, to_usize(init_len))?;
    Ok(SegmentFile {
        head,
        init_len,
        head_len,
        fragments: Vec::new(),
        reports: Vec::new(),
        closed: None,
        valid_len: head_len,
        tail: Tail::Clean,
    })
}

fn kind_is_zero(header: [u8; 8]) -> bool {
    header == [0; 8]
}

/// A file that ends within the header of its `i`th box.
fn cut(i: usize, header: &[u8]) -> FormatError {
    if i == 0 && header.iter().any(|b| *b != 0) {
        return FormatError::Foreign("it is shorter than the header of a box");
    }
    FormatError::NoHead
}

/// Reads the closing boxes at the end of a file, if they are there and whole.
fn read_closing(file: &(impl ReadAt + ?Sized), len: u64, found: &mut SegmentFile) -> Result<bool, FormatError> {
    let Ok(EndOfFile { close, .. }) = end_of_file(file, found.head_len, len)? else { return Ok(false) };
    if close.head != found.head.digest {
        return Ok(false);
    }
    found.closed = Some(close.closing);
    found.fragments = close.fragments;
    found.reports = close.reports;
    found.valid_len = len;
    found.tail = Tail::Clean;
    Ok(true)
}

/// The closing boxes of a file, read for their own sake: its head may be damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndOfFile {
    /// What they say.
    pub close: Close,
    /// The boxes.
    bytes: Vec<u8>,
}

impl EndOfFile {
    /// Whether the boxes are, byte for byte, those that custodian writes to say this.
    pub fn is_exact(&self) -> bool {
        self.close.to_bytes() == self.bytes
    }
}

/// Reads the closing boxes of a file of `len` bytes, whose fragments begin at `head_len` or later; or says what is wrong with them.
pub fn end_of_file(
    file: &(impl ReadAt + ?Sized),
    head_len: u64,
    len: u64,
) -> io::Result<Result<EndOfFile, &'static str>> {
    let mut tail_at = len.saturating_sub(TAIL_READ).max(head_len.min(len));
    let mut tail = read_range(file, tail_at, len).or_else(|_| {
        // It may be the last fragment that cannot be read.
        tail_at = len.saturating_sub(16).max(tail_at);
        read_range(file, tail_at, len)
    })?;
    let Some(mfra) = tail.last_chunk::<16>().and_then(|last| mfra_len(*last)) else {
        return Ok(Err("the file does not end with mfra"));
    };
    let room = len.saturating_sub(head_len);
    if mfra > MAX_CLOSE || mfra + 4 > room {
        return Ok(Err("mfra is larger than the file"));
    }
    let mut size = [0; 4];
    read_full(file, &mut size, len - mfra - 4)?;
    let close_len = u64::from(u32::from_be_bytes(size));
    if close_len > MAX_CLOSE || mfra + close_len > room {
        return Ok(Err("the close box is larger than the file"));
    }
    let offset = len - mfra - close_len;
    if offset < tail_at {
        let mut whole = read_range(file, offset, tail_at)?;
        whole.append(&mut tail);
        tail = whole;
    } else {
        tail.drain(..to_usize(offset - tail_at));
    }
    let (close, mfra) = tail.split_at(to_usize(close_len));
    Ok(parse_close(close, mfra, head_len, offset).map(|close| EndOfFile { close, bytes: tail }))
}

/// The sample table of a fragment: video in decode order, then audio, with where in the file each sample's bytes are.
pub fn samples(file: &(impl ReadAt + ?Sized), entry: &FragmentEntry) -> Result<Vec<SampleAt>, FormatError> {
    Ok(open_fragment(file, entry)?.moof.samples)
}

/// Reads a fragment again and computes its leaf: whether it is the one in its box, and in its row.
pub fn verify(file: &(impl ReadAt + ?Sized), head: &Head, entry: &FragmentEntry) -> Result<(), FormatError> {
    let here = open_fragment(file, entry)?;
    if leaf_in_file(file, head.segment(), &here)? != entry.leaf {
        return Err(FormatError::Fragment { offset: entry.offset, what: "its leaf does not fit its bytes" });
    }
    Ok(())
}

/// Parses the fragment that a row speaks of.
fn open_fragment(file: &(impl ReadAt + ?Sized), entry: &FragmentEntry) -> Result<FragmentAt, FormatError> {
    let bad = |what| FormatError::Fragment { offset: entry.offset, what };
    let end = entry.offset.checked_add(entry.len).ok_or(bad("no such place"))?;
    match fragment_at(file, entry.offset, end)? {
        Ok(here) if here.entry == *entry => Ok(here),
        Ok(_) => Err(bad("it is not the one that its row describes")),
        Err(stop) => Err(bad(stop.what())),
    }
}

/// A fragment of which every byte was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What its boxes say; the leaf is the one that they state.
    pub entry: FragmentEntry,
    /// The leaf of the samples that are there.
    pub leaf: [u8; 32],
    /// The sender reports in its box.
    pub reports: Vec<SenderReport>,
    /// How many tracks it has samples of.
    pub tracks: usize,
    /// Whether the bytes before its samples are those that custodian writes to say this, each of them.
    pub exact: bool,
}

/// Reads all of the fragment that begins at `at` and ends by `limit`, of whatever file.
///
/// # Errors
/// If it cannot be read, or there is no fragment.
pub fn check(file: &(impl ReadAt + ?Sized), segment: SegmentId, at: u64, limit: u64) -> Result<Checked, FormatError> {
    let here = match fragment_at(file, at, limit)? {
        Ok(here) => here,
        Err(stop) => return Err(FormatError::Fragment { offset: at, what: stop.what() }),
    };
    let leaf = leaf_in_file(file, segment, &here)?;
    let payload = u32::try_from(here.payload).ok();
    Ok(Checked {
        leaf,
        exact: payload.is_some_and(|payload| fragment_head(&here.moof, payload) == here.head),
        tracks: here.moof.samples.last().map_or(0, |last| last.track + 1),
        entry: here.entry,
        reports: here.moof.reports,
    })
}

/// Computes the leaf of a fragment of that segment.
pub(super) fn leaf_in_file(
    file: &(impl ReadAt + ?Sized),
    segment: SegmentId,
    here: &FragmentAt,
) -> io::Result<[u8; 32]> {
    let FragmentAt { moof, entry, payload, .. } = here;
    let mut leaf = Leaf::new(segment.stream, segment.run, moof.number, moof.span.start, moof.samples.len());
    moof.samples.iter().for_each(|s| leaf.row(s));
    let end = entry.end();
    let mut buf = vec![0; to_usize((*payload).min(256 << 10))];
    let mut at = end - payload;
    while at < end {
        let n = to_usize((end - at).min(buf.len() as u64));
        read_full(file, &mut buf[..n], at)?;
        leaf.data(&buf[..n]);
        at += n as u64;
    }
    Ok(leaf.finish())
}

/// The body of the `moof` in `bytes`, which begin with its header.
pub(super) fn parse_whole_moof(bytes: &[u8], payload: u64) -> super::cursor::Parse<Moof> {
    parse_moof(Cursor(bytes.get(8..).unwrap_or_default()), bytes.len() as u64, payload)
}
