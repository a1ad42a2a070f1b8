//! The segment index box (ISO/IEC 14496-12 section 8.16.3): by it a player knows the length of a clip and reaches any
//! second without reading what comes before.

/// What `reference_count` can count.
const MAX_REFERENCES: usize = u16::MAX as usize;
/// What `referenced_size` can say.
const MAX_SIZE: u64 = (1 << 31) - 1;

/// Collects fragments.
#[derive(Debug, Default)]
pub(super) struct Index {
    timescale: u32,
    /// Bytes, decode time, whether a key frame comes first.
    entries: Vec<(u64, u64, bool)>,
}

impl Index {
    pub(super) fn new(timescale: u32) -> Self {
        Self { timescale, entries: Vec::new() }
    }

    /// The next fragment: bytes, decode time of its first picture in the clip, whether that is a key frame.
    pub(super) fn push(&mut self, bytes: u64, dts: u64, key: bool) {
        self.entries.push((bytes, dts, key));
    }

    /// The box; `end` is the decode time at which the last picture ends. Empty if the clip is too large to be described
    /// so: players then read it from the beginning.
    pub(super) fn finish(mut self, end: u64) -> Vec<u8> {
        while self.entries.len() > MAX_REFERENCES {
            let pairs = self.entries.chunks(2);
            self.entries =
                pairs.filter_map(|p| p.first().map(|first| (p.iter().map(|e| e.0).sum(), first.1, first.2))).collect();
        }
        let Some(first) = self.entries.first().map(|e| e.1) else { return Vec::new() };
        let mut body = Vec::with_capacity(32 + self.entries.len() * 12);
        body.extend(1u32.to_be_bytes()); // reference_ID: the video track
        body.extend(self.timescale.to_be_bytes());
        body.extend(first.to_be_bytes());
        body.extend(0u64.to_be_bytes()); // first_offset: the fragments follow at once
        body.extend([0, 0]);
        body.extend(u16::try_from(self.entries.len()).unwrap_or(u16::MAX).to_be_bytes());
        for (n, (bytes, dts, key)) in self.entries.iter().enumerate() {
            let next = self.entries.get(n + 1).map_or(end, |e| e.1);
            let Ok(duration) = u32::try_from(next.saturating_sub(*dts)) else { return Vec::new() };
            let Some(size) = u32::try_from(*bytes).ok().filter(|_| *bytes <= MAX_SIZE) else { return Vec::new() };
            body.extend(size.to_be_bytes());
            body.extend(duration.to_be_bytes());
            // starts_with_SAP; the kind of SAP is left open, as an open group of pictures may begin here.
            body.extend((u32::from(*key) << 31).to_be_bytes());
        }
        let Ok(size) = u32::try_from(body.len() + 12) else { return Vec::new() };
        let mut out = Vec::with_capacity(body.len() + 12);
        out.extend(size.to_be_bytes());
        out.extend(b"sidx");
        out.extend([1, 0, 0, 0]); // version 1: 64-bit times
        out.extend(body);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_add_up_to_the_end() {
        let mut index = Index::new(90_000);
        index.push(1000, 0, true);
        index.push(500, 180_000, false);
        index.push(700, 360_090, true);
        let bytes = index.finish(540_090);
        assert_eq!(bytes.len(), 12 + 28 + 3 * 12);
        assert_eq!(u32::from_be_bytes(bytes[..4].try_into().expect("four")), 12 + 28 + 36);
        let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four"));
        let rows: Vec<_> = (0..3).map(|n| 40 + n * 12).map(|at| (word(at), word(at + 4), word(at + 8))).collect();
        assert_eq!(rows, [(1000, 180_000, 1 << 31), (500, 180_090, 0), (700, 180_000, 1 << 31)]);
    }

    #[test]
    fn a_very_long_clip_is_described_more_coarsely() {
        let mut index = Index::new(90_000);
        for n in 0..100_000u64 {
            index.push(10, n * 180_000, true);
        }
        let bytes = index.finish(100_000 * 180_000);
        assert_eq!(bytes.len(), 40 + 50_000 * 12);
        assert_eq!(bytes[40..48], [0, 0, 0, 20, 0, 5, 126, 64]);
    }

    #[test]
    fn what_cannot_be_said_is_left_out() {
        let mut index = Index::new(90_000);
        index.push(1 << 31, 0, true);
        assert!(index.finish(1).is_empty());
        assert!(Index::new(90_000).finish(0).is_empty());
    }
}
