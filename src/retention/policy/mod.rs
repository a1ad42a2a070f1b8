//! What goes now, and who may record where. Pure: the same state gives the same decision, in whatever order its parts are told.
//!
//! The rules, in the order of their weight:
//! 1. Under a hold nothing goes. Within `min_days` nothing goes, unless the site calls the promise a target.
//! 2. Past `max_days` footage goes.
//! 3. Where a volume has less room than [`Volume::wanted`], what is older than its `min_days` goes, the largest surplus first, until
//!    there is [`Volume::ample`] room.
//! 4. Where that is not enough, the cameras of lowest priority stop ([`admission`]); with `promise = "target"` the oldest goes
//!    instead, and each is a breach.

mod admission;
mod retire;

use std::collections::{BTreeMap, BTreeSet};

pub use crate::ledger::Reason;

use super::Terms;
use crate::{
    site::Promise,
    types::{CameraId, SegmentId, Span, VolumeName, WallNs},
};

/// All that a decision rests on.
#[derive(Debug, Clone)]
pub struct State {
    /// Now, by a clock that is trusted.
    pub now: WallNs,
    /// How strong the promise is.
    pub promise: Promise,
    /// Every camera that is recorded or has footage. Footage of another one is left alone.
    pub cameras: BTreeMap<CameraId, Camera>,
    /// The volumes that are there.
    pub volumes: BTreeMap<VolumeName, Volume>,
    /// The footage.
    pub shelves: Vec<Shelf>,
}

/// A camera, as far as its footage goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Camera {
    /// What is promised.
    pub terms: Terms,
    /// Where it is to be recorded; none for one that has left, or rests.
    pub recorded: Option<Recorded>,
}

/// What a camera that is recorded takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The volumes that it belongs on: it is a resident there, and a guest on all others. None: a resident wherever it goes.
    pub homes: Vec<VolumeName>,
    /// Bytes a day.
    pub per_day: u64,
}

/// A volume and its room. Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Volume {
    /// Whether it takes footage, or would if it had room. One that has failed is left alone.
    pub works: bool,
    /// Free now; what is reserved ahead for open segments counts as free.
    pub free: u64,
    /// Below this its file system must not come: nobody may record any more.
    pub floor: u64,
    /// With less than this, room is made.
    pub wanted: u64,
    /// So much is made then.
    pub ample: u64,
    /// What footage may take in all.
    pub usable: u64,
    /// What the promises to its residents, and holds, come to take of that at most ([`super::forecast::Forecast::peak`]).
    pub owed: u64,
    /// What it has of guests.
    pub guests: u64,
}

/// The closed segments of one stream on one volume.
#[derive(Debug, Clone)]
pub struct Shelf {
    /// Whose.
    pub camera: CameraId,
    /// Where.
    pub volume: VolumeName,
    /// Oldest end first. All of them; or only the oldest, if those of them that may go would bring the volume to [`Volume::ample`]:
    /// then nothing that is not told can be asked for now.
    pub pieces: Vec<Piece>,
}

/// A closed segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Its identity.
    pub segment: SegmentId,
    /// Corrected time.
    pub span: Span,
    /// Its size.
    pub bytes: u64,
    /// Whether a hold touches it.
    pub held: bool,
}

/// A segment that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retirement {
    /// Whose.
    pub camera: CameraId,
    /// Where.
    pub volume: VolumeName,
    /// Which.
    pub piece: Piece,
    /// Why.
    pub reason: Reason,
}

/// Who may not record where. Everybody else may.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Admission {
    barred: BTreeSet<(VolumeName, CameraId)>,
}

impl Admission {
    /// Whether a camera may begin a segment on a volume.
    pub fn admits(&self, volume: &VolumeName, camera: &CameraId) -> bool {
        self.barred.is_empty() || !self.barred.contains(&(volume.clone(), camera.clone()))
    }

    /// Who may not.
    pub fn barred(&self) -> impl Iterator<Item = (&VolumeName, &CameraId)> {
        self.barred.iter().map(|(volume, camera)| (volume, camera))
    }

    fn bar(&mut self, volume: &VolumeName, camera: &CameraId) {
        self.barred.insert((volume.clone(), camera.clone()));
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// What goes, volume by volume, what is most due first.
    pub retire: Vec<Retirement>,
    /// Who may record.
    pub admission: Admission,
}

impl Decision {
    /// Promised footage that goes.
    pub fn breaches(&self) -> impl Iterator<Item = &Retirement> {
        self.retire.iter().filter(|r| r.reason == Reason::Target)
    }
}

/// Decides. `before` is who might not record until now.
pub fn decide(state: &State, before: &Admission) -> Decision {
    let outcome = retire::retire(state);
    let admission = admission::admission(state, &outcome.left, before);
    Decision { retire: outcome.retire, admission }
}

#[cfg(test)]
mod tests;
