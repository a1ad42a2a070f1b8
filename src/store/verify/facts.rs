//! What a segment says of itself as a whole, against what index and ledger say of it. The root covers samples, their times and the head;
//! these facts cover the rest of what people are told: the end, the losses, the holes.

use super::{Kind, Vouched, Witness};
use crate::{
    store::{
        format::FragmentEntry,
        index::{HOLE_NS, SegmentRow},
    },
    types::Span,
};

/// Of a closed file, corrected.
pub(super) struct Facts {
    span: Span,
    frames: u64,
    lost_packets: u64,
    holes: Vec<Span>,
    recovered: bool,
    clock_correction: i64,
}

impl Facts {
    /// Of fragments, of which there is one at least.
    pub(super) fn of(fragments: &[FragmentEntry], clock_correction: i64, recovered: bool) -> Option<Self> {
        let at =
            |span: Span| Span { start: span.start.offset(clock_correction), end: span.end.offset(clock_correction) };
        let (first, last) = (at(fragments.first()?.span), at(fragments.last()?.span));
        let sum = |f: fn(&FragmentEntry) -> u32| fragments.iter().map(|e| u64::from(f(e))).sum();
        let between = |w: &[FragmentEntry]| Span { start: at(w[0].span).end, end: at(w[1].span).start };
        Some(Self {
            span: Span { start: first.start, end: last.end },
            frames: sum(|e| e.video_samples),
            lost_packets: sum(|e| e.lost_packets),
            holes: fragments.windows(2).map(between).filter(|hole| hole.len_ns() > HOLE_NS).collect(),
            recovered,
            clock_correction,
        })
    }

    pub(super) fn against_ledger(&self, v: &Vouched) -> Option<Kind> {
        let differs = [
            (self.span != v.span, "the time that it covers"),
            (self.clock_correction != v.clock_correction, "the correction of its clock"),
            (self.frames != v.frames, "the count of its pictures"),
            (self.lost_packets != v.lost_packets, "the count of lost packets"),
            (self.holes != v.holes, "where it has no picture"),
            (self.recovered != v.recovered, "whether it was recovered"),
        ];
        first(Witness::Ledger, differs)
    }

    pub(super) fn against_index(&self, row: &SegmentRow) -> Option<Kind> {
        let differs = [
            (self.span != row.span, "the time that it covers"),
            (self.clock_correction != row.clock_correction, "the correction of its clock"),
            (self.frames != row.frames, "the count of its pictures"),
            (self.lost_packets != row.lost_packets, "the count of lost packets"),
            (self.holes != row.holes, "where it has no picture"),
        ];
        first(Witness::Index, differs)
    }
}

fn first<const N: usize>(witness: Witness, differs: [(bool, &'static str); N]) -> Option<Kind> {
    differs.into_iter().find(|(differs, _)| *differs).map(|(_, what)| Kind::Facts { witness, what })
}
