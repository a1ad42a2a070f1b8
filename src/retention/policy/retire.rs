//! What goes.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use super::{Camera, Piece, Reason, Retirement, Shelf, State};
use crate::{
    site::Promise,
    types::{CameraId, SegmentId, VolumeName, WallNs},
};

/// What goes, and what could still be written on each volume that works.
pub(super) struct Outcome {
    pub(super) retire: Vec<Retirement>,
    /// Free then, and what else may go when it is needed. Bytes; at least so much, where shelves are not told whole.
    pub(super) left: BTreeMap<VolumeName, u64>,
}

pub(super) fn retire(state: &State) -> Outcome {
    let mut outcome = Outcome { retire: Vec::new(), left: BTreeMap::new() };
    for (name, volume) in state.volumes.iter().filter(|(_, v)| v.works) {
        let mut shelves: Vec<Rest<'_>> = (state.shelves.iter())
            .filter(|s| s.volume == *name)
            .filter_map(|shelf| Some(Rest::new(shelf, state.cameras.get(&shelf.camera)?, state.now)))
            .collect();
        let mut sweep = Sweep { name, free: volume.free, gone: &mut outcome.retire };
        sweep.overdue(&mut shelves);
        if sweep.free < volume.wanted {
            sweep.pick(&mut shelves, Reason::Room, volume.ample);
        }
        if sweep.free < volume.wanted && state.promise == Promise::Target {
            // No more than must be: each one is a breach.
            sweep.pick(&mut shelves, Reason::Target, volume.wanted);
        }
        let may_go = |rest: &Rest<'_>| match state.promise {
            Promise::Invariant => rest.bytes(Reason::Room),
            Promise::Target => rest.bytes(Reason::Target),
        };
        let left = shelves.iter().map(may_go).fold(sweep.free, u64::saturating_add);
        outcome.left.insert(name.clone(), left);
    }
    outcome
}

/// What is still on a shelf.
struct Rest<'a> {
    shelf: &'a Shelf,
    camera: &'a Camera,
    now: WallNs,
    /// Those before are gone, or held.
    next: usize,
}

impl<'a> Rest<'a> {
    fn new(shelf: &'a Shelf, camera: &'a Camera, now: WallNs) -> Self {
        debug_assert!(shelf.pieces.is_sorted_by_key(|p| p.span.end), "oldest first");
        Self { shelf, camera, now, next: 0 }
    }

    /// How much a piece is due for that reason; none if it must not go for it.
    fn due(&self, piece: &Piece, reason: Reason) -> Option<i64> {
        if piece.held {
            return None;
        }
        let (terms, end) = (self.camera.terms, piece.span.end);
        match reason {
            Reason::MaxDays => terms.is_overdue(self.now, end).then(|| self.now.since(end)),
            Reason::Room => terms.surplus(self.now, end),
            Reason::Target => Some(self.now.since(end)),
        }
    }

    /// Steps over what is held, to the next piece that may go for that reason. None: there is none, for later ones are younger.
    fn head(&mut self, reason: Reason) -> Option<(i64, &'a Piece)> {
        while self.shelf.pieces.get(self.next).is_some_and(|p| p.held) {
            self.next += 1;
        }
        let piece = self.shelf.pieces.get(self.next)?;
        Some((self.due(piece, reason)?, piece))
    }

    /// Bytes that may go for that reason.
    fn bytes(&self, reason: Reason) -> u64 {
        let rest = self.shelf.pieces.get(self.next..).unwrap_or_default();
        rest.iter().filter(|p| self.due(p, reason).is_some()).map(|p| p.bytes).fold(0, u64::saturating_add)
    }
}

/// The next piece of a shelf among those of others. The greatest goes first: the most due; among equals that of the lowest priority, then
/// of the smallest id.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate<'a> {
    due: i64,
    priority: Reverse<u32>,
    camera: Reverse<&'a CameraId>,
    segment: Reverse<SegmentId>,
    shelf: usize,
}

impl<'a> Candidate<'a> {
    fn next(shelves: &mut [Rest<'a>], shelf: usize, reason: Reason) -> Option<Self> {
        let rest = &mut shelves[shelf];
        let (due, piece) = rest.head(reason)?;
        Some(Self {
            due,
            priority: Reverse(rest.camera.terms.priority),
            camera: Reverse(&rest.shelf.camera),
            segment: Reverse(piece.segment),
            shelf,
        })
    }
}

struct Sweep<'a> {
    name: &'a VolumeName,
    free: u64,
    gone: &'a mut Vec<Retirement>,
}

impl Sweep<'_> {
    fn take(&mut self, rest: &mut Rest<'_>, reason: Reason) {
        let piece = rest.shelf.pieces[rest.next];
        rest.next += 1;
        self.free = self.free.saturating_add(piece.bytes);
        let camera = rest.shelf.camera.clone();
        self.gone.push(Retirement { camera, volume: self.name.clone(), piece, reason });
    }

    fn overdue(&mut self, shelves: &mut [Rest<'_>]) {
        self.pick(shelves, Reason::MaxDays, u64::MAX);
    }

    /// Lets go what is most due, one after the other, until so much is free.
    fn pick(&mut self, shelves: &mut [Rest<'_>], reason: Reason, until: u64) {
        let mut heads: BinaryHeap<Candidate<'_>> =
            (0..shelves.len()).filter_map(|i| Candidate::next(shelves, i, reason)).collect();
        while self.free < until
            && let Some(first) = heads.pop()
        {
            self.take(&mut shelves[first.shelf], reason);
            heads.extend(Candidate::next(shelves, first.shelf, reason));
        }
    }
}
