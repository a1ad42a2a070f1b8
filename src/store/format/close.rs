//! The close box: what a reader wants to know of a whole file without walking it, and `mfra` for players.

use sha2::{Digest, Sha256};

use super::{
    CLOSE_UUID, FragmentEntry, SegmentFile,
    boxes::Boxes,
    cursor::{Cursor, Parse},
    fragment::newest,
    head::write_head,
    init::track_id,
    moof::parse_reports,
};
use crate::types::{Run, SenderReport, Span, WallNs, merkle};

/// Bytes of a row of the fragment table.
const ROW: usize = 100;
/// Bytes of the close box before its table.
const FIXED: usize = 8 + 16 + 4 + 32 + 4 * 8 + 4 + 4;
/// Bytes after its lists: digest and size.
const TRAILER: usize = 32 + 4;
/// Bytes of an `mfra` without entries.
const MFRA_FIXED: usize = 8 + 24 + 16;
/// Bytes of a row of `tfra`.
const TFRA_ROW: usize = 19;
const FLAG_RECOVERED: u32 = 1;
const ROW_KEY: u32 = 1;

/// What a close box says of the whole file, beside its fragments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// Where the close box begins: the end of the last fragment.
    pub offset: u64,
    /// Whether the file was torn, and closed by recovery.
    pub recovered: bool,
    /// Pictures.
    pub frames: u64,
    /// Audio frames.
    pub audio_frames: u64,
    /// RTP packets lost.
    pub lost_packets: u64,
    /// Frames received but not stored.
    pub dropped_frames: u64,
}

/// Gathers what the close box needs while a segment is written or recovered.
#[derive(Debug, Clone)]
pub struct CloseBuilder {
    head: [u8; 32],
    entries: Vec<FragmentEntry>,
    /// With the count of fragments that had been pushed when each came.
    reports: Vec<(usize, SenderReport)>,
}

impl CloseBuilder {
    /// For a segment that begins with [`super::segment_head`] of the same arguments.
    pub fn new(run: &Run, seq: u32) -> Self {
        Self { head: write_head(run, seq).1, entries: Vec::new(), reports: Vec::new() }
    }

    /// For a file found on disk, with what was found in it.
    pub fn from_file(file: &SegmentFile) -> Self {
        let reports = file.reports.iter().map(|r| (0, *r)).collect();
        Self { head: file.head.digest, entries: file.fragments.clone(), reports }
    }

    /// Adds a fragment that has been written, and the sender reports that came with it.
    pub fn push(&mut self, entry: FragmentEntry, reports: &[SenderReport]) {
        self.entries.push(entry);
        self.reports.extend(newest(reports).iter().map(|r| (self.entries.len(), *r)));
    }

    /// The fragments so far.
    pub fn entries(&self) -> &[FragmentEntry] {
        &self.entries
    }

    /// The root over the head and the fragments so far, see [`super::root`].
    pub fn root(&self) -> merkle::Hash {
        super::root(&self.head, &self.entries)
    }

    /// Forgets the fragments, and what came with them, that do not lie within the file's first `len` bytes: after a failed
    /// commit, say.
    pub fn keep_within(&mut self, len: u64) {
        let keep = self.entries.partition_point(|e| e.end() <= len);
        self.entries.truncate(keep);
        self.reports.retain(|(pushed, _)| *pushed <= keep);
    }

    /// The bytes that close the file, to be written right after the last fragment: the close box, then `mfra`
    /// (ISO/IEC 14496-12 section 8.8.9) with the fragments that begin with a key frame.
    pub fn finish(&self, recovered: bool) -> Vec<u8> {
        let sum = |f: fn(&FragmentEntry) -> u32| self.entries.iter().map(|e| u64::from(f(e))).sum::<u64>();
        let tables = self.entries.len() * (ROW + TFRA_ROW) + self.reports.len() * 16;
        let mut b = Boxes::with_capacity(FIXED + TRAILER + MFRA_FIXED + tables);
        let mut digest_at = 0;
        b.uuid(&CLOSE_UUID, 1, if recovered { FLAG_RECOVERED } else { 0 }, |b| {
            b.bytes(&self.head);
            b.u64(sum(|e| e.video_samples));
            b.u64(sum(|e| e.audio_samples));
            b.u64(sum(|e| e.lost_packets));
            b.u64(sum(|e| e.dropped_frames));
            b.u32(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
            b.u32(u32::try_from(self.reports.len()).unwrap_or(u32::MAX));
            self.entries.iter().for_each(|e| write_row(b, e));
            for (_, r) in &self.reports {
                b.i64(r.camera.0);
                b.i64(r.ours.0);
            }
            digest_at = b.pos();
            b.zeros(32);
            b.u32(u32::try_from(b.pos() + 4).unwrap_or(u32::MAX));
        });
        let mfra_at = b.pos();
        write_mfra(&mut b, &self.entries);
        let digest = digest(&b.written()[..digest_at], &b.written()[mfra_at..]);
        b.patch(digest_at, &digest);
        b.finish()
    }
}

/// Over everything but the digest itself and the size after it. The size in the box's header is inside.
fn digest(close: &[u8], mfra: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(close).chain_update(mfra).finalize().into()
}

fn write_row(b: &mut Boxes, e: &FragmentEntry) {
    b.u64(e.offset);
    b.u64(e.len);
    b.i64(e.span.start.0);
    b.i64(e.span.end.0);
    b.u64(e.dts);
    b.i32(e.cts);
    b.u32(e.number);
    b.u32(if e.key { ROW_KEY } else { 0 });
    b.u32(e.lost_packets);
    b.u32(e.dropped_frames);
    b.u32(e.video_samples);
    b.u32(e.audio_samples);
    b.bytes(&e.leaf);
}

fn read_row(c: &mut Cursor<'_>) -> Parse<FragmentEntry> {
    Ok(FragmentEntry {
        offset: c.u64()?,
        len: c.u64()?,
        span: Span::new(WallNs(c.i64()?), WallNs(c.i64()?)).ok_or("a fragment ends before it starts")?,
        dts: c.u64()?,
        cts: c.i32()?,
        number: c.u32()?,
        key: c.u32()? & ROW_KEY != 0,
        lost_packets: c.u32()?,
        dropped_frames: c.u32()?,
        video_samples: c.u32()?,
        audio_samples: c.u32()?,
        leaf: c.array()?,
    })
}

fn write_mfra(b: &mut Boxes, entries: &[FragmentEntry]) {
    let start = b.pos();
    b.boxed(*b"mfra", |b| {
        b.full(*b"tfra", 1, 0, |b| {
            b.u32(track_id(0));
            b.u32(0); // traf, trun and sample numbers of one byte each
            let keys = entries.iter().filter(|e| e.key);
            b.u32(u32::try_from(keys.clone().count()).unwrap_or(u32::MAX));
            for e in keys {
                b.u64(e.dts.saturating_add_signed(i64::from(e.cts)));
                b.u64(e.moof_offset());
                b.bytes(&[1, 1, 1]);
            }
        });
        b.full(*b"mfro", 0, 0, |b| {
            let size = b.pos() + 4 - start;
            b.u32(u32::try_from(size).unwrap_or(u32::MAX));
        });
    });
}

/// What the end of a file says about where its closing boxes begin: their lengths, from its last bytes.
pub(super) fn mfra_len(last16: [u8; 16]) -> Option<u64> {
    let mut c = Cursor(&last16);
    let fits = c.u32() == Ok(16) && c.array() == Ok(*b"mfro") && c.u32() == Ok(0);
    c.u32().ok().filter(|len| fits && *len as usize >= MFRA_FIXED).map(u64::from)
}

/// What the closing boxes of a file say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// Digest of the head that they belong to.
    pub head: [u8; 32],
    /// Of the whole file.
    pub closing: Closing,
    /// Its fragments: they ascend, do not overlap, and lie between head and close box.
    pub fragments: Vec<FragmentEntry>,
    /// The sender reports of all of them.
    pub reports: Vec<SenderReport>,
}

impl Close {
    /// The bytes that custodian writes to say this.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let reports = self.reports.iter().map(|r| (0, *r)).collect();
        CloseBuilder { head: self.head, entries: self.fragments.clone(), reports }.finish(self.closing.recovered)
    }
}

/// Reads a close box and the `mfra` after it; `offset` is where it begins in the file, `head_len` where fragments begin.
///
/// Memory is bounded by the bytes given. What comes back is consistent in itself.
pub(super) fn parse_close(close: &[u8], mfra: &[u8], head_len: u64, offset: u64) -> Parse<Close> {
    let digest_at = close.len().checked_sub(TRAILER).filter(|at| *at >= FIXED).ok_or("it is too short")?;
    let mut trailer = Cursor(&close[digest_at..]);
    let stored: [u8; 32] = trailer.array()?;
    if trailer.u32()? as usize != close.len() {
        return Err("it was cut");
    }
    if digest(&close[..digest_at], mfra) != stored {
        return Err("its digest does not fit its bytes");
    }
    let mut c = Cursor(&close[..digest_at]);
    if c.u32()? as usize != close.len() || c.array()? != *b"uuid" || c.array()? != CLOSE_UUID {
        return Err("it is no close box");
    }
    let (_, flags) = c.version_flags()?;
    let head = c.array()?;
    let (frames, audio_frames, lost_packets, dropped_frames) = (c.u64()?, c.u64()?, c.u64()?, c.u64()?);
    let (count, reports) = (c.u32()? as usize, c.u32()? as usize);
    let mut rows = Cursor(c.take(count.checked_mul(ROW).ok_or("too many rows")?)?);
    let mut fragments: Vec<FragmentEntry> = Vec::with_capacity(count);
    let mut end = head_len;
    for _ in 0..count {
        let e = read_row(&mut rows)?;
        let fits =
            e.offset >= end && e.len > super::PRFT_LEN && e.offset.checked_add(e.len).is_some_and(|to| to <= offset);
        if !fits || fragments.last().is_some_and(|last| last.number >= e.number) {
            return Err("its rows do not ascend within the file");
        }
        end = e.end();
        fragments.push(e);
    }
    let reports = parse_reports(&mut c, reports)?;
    let closing =
        Closing { offset, recovered: flags & FLAG_RECOVERED != 0, frames, audio_frames, lost_packets, dropped_frames };
    Ok(Close { head, closing, fragments, reports })
}
