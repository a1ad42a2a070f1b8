//! A hold: all that was ever ordered of it.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{
    change::{Act, Change, Order, Stamp},
    extent::{Cameras, Extent},
    words::Day,
};
use crate::types::{CameraId, HoldId, Span, WallNs};

/// Why a hold is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// There is none with that id.
    #[error("there is no hold {0}")]
    Unknown(HoldId),
    /// It is no more.
    #[error("hold {0} was released: what it held may be gone, so add a new one")]
    Released(HoldId),
    /// Less would be held.
    #[error("a hold is never made shorter: it holds from {} to {}", .0.start, .0.end)]
    Shorter(Span),
    /// All of it is held already.
    #[error("hold {0} holds all of that already")]
    Same(HoldId),
}

/// What a hold is to hold besides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wider {
    /// These cameras too.
    pub cameras: Option<Cameras>,
    /// From an earlier time on.
    pub from: Option<WallNs>,
    /// Until a later time.
    pub to: Option<WallNs>,
    /// To be looked at on that day.
    pub review: Option<Day>,
}

/// A hold.
///
/// Invariant: exactly one of its changes is [`Act::Added`]. A change is never taken away and never altered, so two copies of a hold are
/// joined by putting their changes together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    id: HoldId,
    changes: BTreeMap<Uuid, Change>,
}

impl Hold {
    pub(super) fn new(id: HoldId, extent: Extent, review: Day, order: Order, stamp: Stamp) -> Self {
        let added = Change { act: Act::Added { review }, extent, order, stamp, logged: false };
        Self { id, changes: BTreeMap::from([(added.stamp.id, added)]) }
    }

    /// From what stands in a file; none if these are not the changes of one hold.
    pub(super) fn from_changes(id: HoldId, changes: Vec<Change>) -> Option<Self> {
        let count = changes.len();
        let changes: BTreeMap<Uuid, Change> = changes.into_iter().map(|c| (c.stamp.id, c)).collect();
        let added = changes.values().filter(|c| matches!(c.act, Act::Added { .. })).count();
        (added == 1 && changes.len() == count).then_some(Self { id, changes })
    }

    /// Its identity.
    pub fn id(&self) -> HoldId {
        self.id
    }

    /// What was ordered, by time.
    pub fn changes(&self) -> Vec<&Change> {
        let mut all: Vec<&Change> = self.changes.values().collect();
        // Whatever the clocks said: nothing comes before it is made.
        all.sort_by_key(|c| (!matches!(c.act, Act::Added { .. }), c.stamp.at, c.stamp.id));
        all
    }

    /// How often it was changed: grows with every change, on every copy.
    pub fn version(&self) -> usize {
        self.changes.len()
    }

    /// How it was made.
    pub fn added(&self) -> &Change {
        self.changes()[0]
    }

    /// Which footage it holds, or held until it was released.
    pub fn extent(&self) -> Extent {
        self.changes.values().fold(self.added().extent.clone(), |all, c| all.union(&c.extent))
    }

    /// When it is to be looked at.
    pub fn review(&self) -> Option<Day> {
        self.changes().into_iter().rev().find_map(|c| match &c.act {
            Act::Added { review } => Some(*review),
            Act::Extended { review } => *review,
            Act::Released { .. } => None,
        })
    }

    /// The release, if all that was ordered before is released by it.
    pub fn released(&self) -> Option<&Change> {
        let mut known = BTreeSet::new();
        let mut last: Option<&Change> = None;
        for change in self.changes() {
            if let Act::Released { known: these } = &change.act {
                known.extend(these.iter().copied());
                last = Some(change);
            }
        }
        let orders = self.changes.values().filter(|c| !matches!(c.act, Act::Released { .. }));
        last.filter(|_| orders.into_iter().all(|c| known.contains(&c.stamp.id)))
    }

    /// Whether footage of that camera and time is held by it.
    pub fn covers(&self, camera: &CameraId, span: Span) -> bool {
        let extent = self.extent();
        extent.cameras().contains(camera) && extent.span().overlaps(span) && self.released().is_none()
    }

    fn in_force(&self) -> Result<(), ChangeError> {
        if self.released().is_some() { Err(ChangeError::Released(self.id)) } else { Ok(()) }
    }

    /// The extent that it would have then.
    pub(super) fn wider(&self, wider: &Wider) -> Result<Extent, ChangeError> {
        self.in_force()?;
        let now = self.extent();
        let span = Span { start: wider.from.unwrap_or(now.span().start), end: wider.to.unwrap_or(now.span().end) };
        if span.start > now.span().start || span.end < now.span().end {
            return Err(ChangeError::Shorter(now.span()));
        }
        let more = Extent::new(wider.cameras.clone().unwrap_or_else(|| now.cameras().clone()), span);
        let extent = more.map_or_else(|| now.clone(), |more| now.union(&more));
        let other_day = wider.review.filter(|day| Some(*day) != self.review());
        if extent == now && other_day.is_none() { Err(ChangeError::Same(self.id)) } else { Ok(extent) }
    }

    pub(super) fn extend(&mut self, wider: &Wider, order: Order, stamp: Stamp) -> Result<(), ChangeError> {
        let extent = self.wider(wider)?;
        let act = Act::Extended { review: wider.review };
        self.changes.insert(stamp.id, Change { act, extent, order, stamp, logged: false });
        Ok(())
    }

    pub(super) fn release(&mut self, order: Order, stamp: Stamp) -> Result<Change, ChangeError> {
        self.in_force()?;
        let known = self.changes.keys().copied().collect();
        let release = Change { act: Act::Released { known }, extent: self.extent(), order, stamp, logged: false };
        self.changes.insert(release.stamp.id, release.clone());
        Ok(release)
    }

    /// Notes that the ledger has a change.
    pub(super) fn note_logged(&mut self, change: Uuid) {
        if let Some(change) = self.changes.get_mut(&change) {
            change.logged = true;
        }
    }

    /// Takes in what another copy of it knows.
    pub(super) fn merge(&mut self, other: Self) {
        for (id, theirs) in other.changes {
            let ours = self.changes.entry(id).or_insert_with(|| theirs.clone());
            ours.logged |= theirs.logged;
        }
    }
}
