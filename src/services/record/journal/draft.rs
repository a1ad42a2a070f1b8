//! Entries for segments, and the gaps before them, as they are put together.

use std::collections::BTreeSet;

use anyhow::Context as _;

use crate::{
    ledger::{SegmentEntry, What},
    store::{
        index::{Reader, SegmentRow, SegmentState},
        layout,
    },
    types::{RunId, SegmentId, Span, VolumeName, WallNs, merkle::Hash},
};

/// A file's identity: segment and volume.
pub(super) type Place = (SegmentId, VolumeName);

/// What is to be appended.
#[derive(Default)]
pub(super) struct Draft {
    whats: Vec<What>,
    numbering: Numbering,
    /// Runs whose first segment is in the log, or will be.
    begun: BTreeSet<RunId>,
}

/// Which file gets which number.
#[derive(Default)]
pub(super) struct Numbering {
    /// Numbers that were there already.
    known: Vec<(Place, u64)>,
    /// With each new one, where its entry stands among the others.
    new: Vec<(Place, u64)>,
}

impl Numbering {
    /// All of them, if the first new entry has this number.
    pub(super) fn numbers(self, first: u64) -> Vec<(Place, u64)> {
        self.known.into_iter().chain(self.new.into_iter().map(|(place, n)| (place, first + n))).collect()
    }
}

impl Draft {
    /// A segment that is in the log.
    pub(super) fn has(&mut self, row: SegmentRow, n: u64) {
        self.begun.insert(row.id.run);
        self.numbering.known.push(((row.id, row.volume), n));
    }

    /// Runs that the log has a segment of.
    pub(super) fn has_run(&mut self, run: RunId) {
        self.begun.insert(run);
    }

    /// A segment that is not in the log, and before the first one of a run the gap that ended with it.
    pub(super) fn add(&mut self, index: &Reader, row: SegmentRow, root: Hash) -> anyhow::Result<()> {
        let (camera, kind) = layout::stream_of(&row.path).with_context(|| format!("{} is nowhere", row.path))?;
        let (id, start) = (row.id, row.span.start);
        if self.begun.insert(id.run) && !index.is_run_logged(id.run)? {
            let just_before = Span { start: WallNs(start.0 - 1), end: start };
            let gaps = index.gaps(id.stream, just_before)?.into_iter().filter(|gap| gap.end == Some(start));
            self.whats.extend(gaps.map(|gap| What::Gap {
                stream: id.stream,
                camera: camera.clone(),
                start: gap.start,
                end: gap.end,
                cause: gap.cause,
            }));
        }
        self.numbering.new.push(((id, row.volume.clone()), self.whats.len() as u64));
        self.whats.push(What::Segment(SegmentEntry {
            stream: id.stream,
            run: id.run,
            seq: id.seq,
            volume: row.volume,
            camera,
            kind,
            span: row.span,
            clock_correction: row.clock_correction,
            frames: row.frames,
            lost_packets: row.lost_packets,
            holes: row.holes,
            recovered: row.state == SegmentState::Recovered,
            root,
        }));
        Ok(())
    }

    /// The entries, and what they are the entries of.
    pub(super) fn finish(self) -> (Vec<What>, Numbering) {
        (self.whats, self.numbering)
    }
}
