//! All holds of a recorder.

use std::{collections::BTreeMap, time::Duration};

use uuid::Uuid;

use super::{
    change::{Change, Order, Stamp},
    extent::{Cameras, Extent},
    hold::{ChangeError, Hold, Wider},
    spans::Spans,
    words::Day,
};
use crate::types::{CameraId, HoldId, Span, WallNs};

/// A hold that was released is remembered for so long, with its texts: a disk that comes back must not bring it back.
pub const TOMBSTONE: Duration = Duration::from_hours(24 * 90);

/// A camera that was renamed: its footage is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    /// Its former name.
    pub from: CameraId,
    /// Its present one.
    pub to: CameraId,
}

/// All holds, those that were released lately too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holds(BTreeMap<HoldId, Hold>);

impl Holds {
    /// Those, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Hold> {
        self.0.values()
    }

    /// Those that hold something.
    pub fn in_force(&self) -> impl Iterator<Item = &Hold> {
        self.iter().filter(|h| h.released().is_none())
    }

    /// One of them.
    pub fn get(&self, id: HoldId) -> Result<&Hold, ChangeError> {
        self.0.get(&id).ok_or(ChangeError::Unknown(id))
    }

    fn get_mut(&mut self, id: HoldId) -> Result<&mut Hold, ChangeError> {
        self.0.get_mut(&id).ok_or(ChangeError::Unknown(id))
    }

    /// Puts one from a file among them.
    pub(super) fn insert(&mut self, hold: Hold) {
        match self.0.get_mut(&hold.id()) {
            Some(ours) => ours.merge(hold),
            None => drop(self.0.insert(hold.id(), hold)),
        }
    }

    /// Makes a hold.
    pub fn add(&mut self, id: HoldId, extent: Extent, review: Day, order: Order, stamp: Stamp) {
        self.insert(Hold::new(id, extent, review, order, stamp));
    }

    /// What a hold would hold if it were extended so.
    pub fn wider(&self, id: HoldId, wider: &Wider) -> Result<Extent, ChangeError> {
        self.get(id)?.wider(wider)
    }

    /// Makes a hold wider or longer. It never becomes narrower or shorter.
    pub fn extend(&mut self, id: HoldId, wider: &Wider, order: Order, stamp: Stamp) -> Result<(), ChangeError> {
        self.get_mut(id)?.extend(wider, order, stamp)
    }

    /// Lets a hold go. It stays among these for [`TOMBSTONE`].
    pub fn release(&mut self, id: HoldId, order: Order, stamp: Stamp) -> Result<Change, ChangeError> {
        self.get_mut(id)?.release(order, stamp)
    }

    /// Changes that the ledger does not have yet.
    pub fn unlogged(&self) -> impl Iterator<Item = (HoldId, &Change)> {
        self.iter().flat_map(|h| h.changes().into_iter().filter(|c| !c.logged).map(|c| (h.id(), c)))
    }

    /// Notes that the ledger has a change.
    pub fn note_logged(&mut self, id: HoldId, change: Uuid) {
        if let Some(hold) = self.0.get_mut(&id) {
            hold.note_logged(change);
        }
    }

    /// Takes in what another copy knows. In whatever order copies are joined, the result is the same; nothing that was ordered is
    /// lost, and what a release knew of stays released.
    pub fn merge(&mut self, other: Self) {
        other.0.into_values().for_each(|hold| self.insert(hold));
    }

    /// Forgets holds that were released long ago.
    pub fn forget(&mut self, now: WallNs) {
        self.0.retain(|_, hold| hold.released().is_none_or(|r| now <= r.stamp.at + TOMBSTONE));
    }

    /// The holds that keep footage of that camera and time.
    pub fn covering<'a>(&'a self, camera: &'a CameraId, span: Span) -> impl Iterator<Item = &'a Hold> {
        self.iter().filter(move |h| h.covers(camera, span))
    }

    /// Cameras that have another name now, and the holds that know them by the former one only.
    pub fn renamed<'a>(&'a self, names: &'a [Renamed]) -> impl Iterator<Item = (HoldId, &'a Renamed)> {
        self.in_force().flat_map(move |hold| {
            let cameras = hold.extent().cameras().clone();
            let lost = move |r: &&Renamed| cameras.contains(&r.from) && !cameras.contains(&r.to);
            names.iter().filter(lost).map(|r| (hold.id(), r))
        })
    }

    /// What is held, to be asked often: under the former names of cameras and the present ones.
    pub fn spans(&self, names: &[Renamed]) -> Spans {
        let again = self.renamed(names).filter_map(|(id, r)| {
            let span = self.get(id).ok()?.extent().span();
            Extent::new(Cameras::These([r.to.clone()].into()), span)
        });
        Spans::new(self.in_force().map(Hold::extent).chain(again))
    }
}
