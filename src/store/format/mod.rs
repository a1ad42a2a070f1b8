//! The file format of segments: fragmented MP4 (ISO/IEC 14496-12) that any player reads, with boxes of our own beside. No I/O but
//! positioned reads. `docs/ref/format.md` describes it for a stranger.
//!
//! Writing: [`segment_head`], then for every fragment [`encode_fragment`] and its samples' bytes, then [`CloseBuilder::finish`].
//! Reading: [`read`], or [`scan()`] where a file may be torn; then [`samples`] and [`verify`] for a fragment. Reading with mistrust, part
//! by part: [`read_head`], [`end_of_file`], [`check`], [`find_fragment`].

mod boxes;
mod close;
mod cursor;
mod fragment;
mod head;
mod init;
mod leaf;
mod moof;
mod moov;
mod reader;
mod scan;
#[cfg(test)]
pub(crate) mod tests;

pub use close::{Close, CloseBuilder, Closing};
pub use fragment::{Encoded, Unencodable, encode_fragment, live_chunk};
pub use head::{Head, segment_head};
pub use init::init_segment;
pub use leaf::leaf_of;
pub use reader::{Checked, EndOfFile, ReadAt, SegmentFile, Tail, check, end_of_file, read, read_head, samples, verify};
pub use scan::{Verify, find_fragment, scan};

use crate::types::{Span, WallNs, merkle};

/// The version of the format that is written.
pub const FORMAT: u16 = 1;
/// The oldest version whose readers understand what is written.
pub const MIN_READER: u16 = 1;

/// Extended type of the head box.
const HEAD_UUID: [u8; 16] = 0xd132_6720_01c2_4b13_b36a_24ad_2433_9ae3_u128.to_be_bytes();
/// Extended type of the box inside `moof` that holds the leaf.
const FRAGMENT_UUID: [u8; 16] = 0x1fa9_6f6f_6c74_4efd_8921_a4a2_66b8_171b_u128.to_be_bytes();
/// Extended type of the close box.
const CLOSE_UUID: [u8; 16] = 0x2668_1c79_bab0_4011_9730_9a3b_d79a_ffe4_u128.to_be_bytes();

/// Length of `prft`, which every fragment begins with.
const PRFT_LEN: u64 = 32;
/// Most samples that a fragment may have; 2 s of pictures and sound are a few hundred.
const MAX_SAMPLES: usize = 1 << 16;
/// Most sender reports that a fragment's box may have; cameras send one in several seconds. The newest are kept.
const MAX_REPORTS: usize = 1 << 10;

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The disk does not give its bytes.
    #[error("the file cannot be read")]
    Io(#[from] std::io::Error),
    /// Not ours: it begins otherwise than a segment, or lacks a head box.
    #[error("not a segment of custodian: {0}")]
    Foreign(&'static str),
    /// Empty, or cut or turned to zeros before the first fragment: there is no footage in it.
    #[error("the file ends before its head is complete")]
    NoHead,
    /// It is ours, but what it says of itself cannot be trusted.
    #[error("the head of the file is damaged: {0}")]
    DamagedHead(&'static str),
    /// From a later version.
    #[error("written by a later version of custodian: a reader of format {needs} is needed, this one reads {FORMAT}")]
    TooNew {
        /// What the file asks for.
        needs: u16,
    },
    /// A fragment is not what its row or its file says.
    #[error("the fragment at byte {offset} is damaged: {what}")]
    Fragment {
        /// Where it begins.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
}

/// A fragment within a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FragmentEntry {
    /// First byte in the file (of its `prft`).
    pub offset: u64,
    /// Bytes, to the end of its `mdat`.
    pub len: u64,
    /// Number within the run.
    pub number: u32,
    /// Wall time covered, uncorrected.
    pub span: Span,
    /// Decode time of its first video sample, ticks from the start of the run.
    pub dts: u64,
    /// Composition offset of its first video sample.
    pub cts: i32,
    /// Whether it begins with a key frame.
    pub key: bool,
    /// RTP packets lost since the previous fragment.
    pub lost_packets: u32,
    /// Frames received but not stored.
    pub dropped_frames: u32,
    /// Count of its video samples.
    pub video_samples: u32,
    /// Count of its audio samples.
    pub audio_samples: u32,
    /// Its leaf.
    pub leaf: [u8; 32],
}

impl FragmentEntry {
    /// First byte after it.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.len)
    }

    /// First byte of its `moof`.
    pub fn moof_offset(&self) -> u64 {
        self.offset.saturating_add(PRFT_LEN)
    }

    /// Wall time covered, on the corrected timeline of the run.
    pub fn corrected(&self, run: &crate::types::Run) -> Span {
        let by = |t: WallNs| t.offset(run.clock_correction);
        Span { start: by(self.span.start), end: by(self.span.end) }
    }
}

/// The RFC 6962 root of a segment: over the digest of its head and the leaf of each fragment, in their order, 32 bytes each. It is what
/// the ledger says of the segment.
pub fn root(head: &[u8; 32], fragments: &[FragmentEntry]) -> merkle::Hash {
    merkle::root(std::iter::once(merkle::leaf(head)).chain(fragments.iter().map(|f| merkle::leaf(&f.leaf))))
}

/// A sample within a file, as [`samples`] finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleAt {
    /// Index into [`crate::types::Run::tracks`].
    pub track: usize,
    /// Decode time, ticks from the start of the run.
    pub dts: u64,
    /// Ticks.
    pub duration: u32,
    /// Presentation time less decode time, ticks.
    pub cts: i32,
    /// Bytes.
    pub size: u32,
    /// Whether decoding can start here.
    pub key: bool,
    /// First byte in the file.
    pub offset: u64,
}
