//! The leaf of a fragment: a SHA-256 that does not depend on the container, so that a trimmed or remuxed copy can be proven too.
//!
//! It runs over a canonical header, all numbers big-endian: the 16 letters `custodian-leaf-1`, stream UUID (16 bytes), run
//! UUID (16), fragment number (u32), uncorrected wall start in ns (i64), count of samples (u32); then per sample: track id (u32),
//! decode time (u64), duration (u32), composition offset (i32), size (u32), key (u32, 1 or 0); and then over the bytes of all
//! samples in the same order.

use sha2::{Digest, Sha256};

use super::SampleAt;
use crate::types::{RunId, StreamId, WallNs};

const TAG: &[u8; 16] = b"custodian-leaf-1";

/// A leaf being computed: first every sample's row, then every sample's bytes.
pub(super) struct Leaf(Sha256);

impl Leaf {
    pub(super) fn new(stream: StreamId, run: RunId, number: u32, start: WallNs, samples: usize) -> Self {
        let mut header = [0; 64];
        header[..16].copy_from_slice(TAG);
        header[16..32].copy_from_slice(stream.as_bytes());
        header[32..48].copy_from_slice(run.as_bytes());
        header[48..52].copy_from_slice(&number.to_be_bytes());
        header[52..60].copy_from_slice(&start.0.to_be_bytes());
        header[60..].copy_from_slice(&u32::try_from(samples).unwrap_or(u32::MAX).to_be_bytes());
        Self(Sha256::new().chain_update(header))
    }

    /// Adds a row of the sample table; `offset` does not count.
    pub(super) fn row(&mut self, s: &SampleAt) {
        let mut row = [0; 28];
        row[..4].copy_from_slice(&super::init::track_id(s.track).to_be_bytes());
        row[4..12].copy_from_slice(&s.dts.to_be_bytes());
        row[12..16].copy_from_slice(&s.duration.to_be_bytes());
        row[16..20].copy_from_slice(&s.cts.to_be_bytes());
        row[20..24].copy_from_slice(&s.size.to_be_bytes());
        row[24..].copy_from_slice(&u32::from(s.key).to_be_bytes());
        self.0.update(row);
    }

    /// Adds coded data.
    pub(super) fn data(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    pub(super) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// The leaf of samples that are in memory, with the bytes of each. For whoever holds an exported copy.
pub fn leaf_of<'a>(
    stream: StreamId,
    run: RunId,
    number: u32,
    start: WallNs,
    samples: impl ExactSizeIterator<Item = (&'a SampleAt, &'a [u8])> + Clone,
) -> [u8; 32] {
    let mut leaf = Leaf::new(stream, run, number, start, samples.len());
    samples.clone().for_each(|(s, _)| leaf.row(s));
    samples.for_each(|(_, data)| leaf.data(data));
    leaf.finish()
}
