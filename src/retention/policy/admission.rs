//! Who may record where when room runs short.
//!
//! On each volume its residents stand in a row, by priority. The first in the row stop first. A camera may record as long as what is
//! left on the volume is enough for its **rung**: a share of the room between [`Volume::floor`] and [`Volume::wanted`] that is as large
//! as the rates of itself and of those behind it. So the first stops while room for all others is left, and each that stops slows
//! down the loss for the rest. One that has stopped begins again a good deal above its rung, so that nobody stops and begins all the time.
//!
//! A guest is a camera away from home: its volume has failed, or is full. It stops before any resident, and may use what is usable
//! beyond all that the promises to the residents come to take, and no more.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::{Admission, Camera, Recorded, State, Volume};
use crate::types::{CameraId, VolumeName};

/// The highest rung, as a part of the room between floor and wanted. It is below that, so that a volume that is full and in balance, with
/// just the room that is wanted, admits everybody.
const TOP: (u64, u64) = (3, 4);
/// How much above its rung a camera begins again, in the same measure.
const AGAIN: (u64, u64) = (1, 8);
/// A guest wants room for an hour of itself, or six once it was refused.
const GUEST: u64 = 24;
const GUEST_AGAIN: u64 = 4;

fn part(of: u64, (numerator, denominator): (u64, u64)) -> u64 {
    of / denominator * numerator
}

/// Who may record where. `left`: what can still be written on each volume that works.
pub(super) fn admission(state: &State, left: &BTreeMap<VolumeName, u64>, before: &Admission) -> Admission {
    let mut new = Admission::default();
    let working = || {
        let works = state.volumes.iter().filter(|(_, v)| v.works);
        works.map(|(name, volume)| Place {
            name,
            volume,
            left: left.get(name).copied().unwrap_or(volume.free).saturating_sub(volume.floor),
            height: volume.wanted.saturating_sub(volume.floor),
        })
    };
    for place in working() {
        place.bar_residents(&place.row(state, before, true), &mut new);
    }
    let displaced = displaced(state, &new);
    for place in working() {
        place.bar_guests(&place.row(state, before, false), &displaced, &mut new);
    }
    new
}

/// A camera that wants to record on a volume.
#[derive(Debug, Clone, Copy)]
struct Wants<'a> {
    camera: &'a CameraId,
    per_day: u64,
    /// Whether it was refused until now.
    barred: bool,
    priority: u32,
}

impl Wants<'_> {
    /// Those that stop first are the least: of low priority; refused already, so that nobody takes turns; large ones, so that few stop.
    fn order(&self) -> impl Ord + '_ {
        (self.priority, !self.barred, Reverse(self.per_day), self.camera)
    }
}

/// A volume that works, with what can still be written on it above its floor, and the room that is wanted above it.
struct Place<'a> {
    name: &'a VolumeName,
    volume: &'a Volume,
    left: u64,
    height: u64,
}

impl Place<'_> {
    /// The residents, or the guests, that are recorded; those first that stop first.
    fn row<'s>(&self, state: &'s State, before: &Admission, residents: bool) -> Vec<Wants<'s>> {
        let wants = |(camera, c): (&'s CameraId, &'s Camera)| {
            let recorded = c.recorded.as_ref().filter(|r| self.is_home(r) == residents)?;
            let barred = !before.admits(self.name, camera);
            Some(Wants { camera, per_day: recorded.per_day, barred, priority: c.terms.priority })
        };
        let mut row: Vec<Wants<'s>> = state.cameras.iter().filter_map(wants).collect();
        row.sort_by(|a, b| a.order().cmp(&b.order()));
        row
    }

    fn is_home(&self, recorded: &Recorded) -> bool {
        recorded.homes.is_empty() || recorded.homes.contains(self.name)
    }

    /// Whether enough is left for a rung so high.
    fn reaches(&self, rung: u64, barred: bool) -> bool {
        self.left >= rung.saturating_add(if barred { part(self.height, AGAIN) } else { 0 })
    }

    fn bar_residents(&self, row: &[Wants<'_>], new: &mut Admission) {
        let rates: u128 = row.iter().map(|w| u128::from(w.per_day)).sum();
        let (mut from_here, mut shut) = (0_u128, false);
        for wants in row.iter().rev() {
            from_here += u128::from(wants.per_day);
            let rung = u128::from(part(self.height, TOP)) * from_here / rates.max(1);
            // Where one is refused, those that stop before it are too.
            shut |= !self.reaches(u64::try_from(rung).unwrap_or(u64::MAX), wants.barred);
            if shut {
                new.bar(self.name, wants.camera);
            }
        }
    }

    /// Who is not displaced now is told what would hold if it were: where a volume fails, nobody asks again first.
    fn bar_guests(&self, row: &[Wants<'_>], displaced: &BTreeSet<&CameraId>, new: &mut Admission) {
        let spare = self.volume.usable.saturating_sub(self.volume.owed).saturating_sub(self.volume.guests);
        let residents_stop = new.barred().any(|(volume, _)| volume == self.name);
        // What those of higher priority take in a day.
        let mut before_it = 0_u64;
        for wants in row.iter().rev() {
            let own = wants.per_day / if wants.barred { GUEST_AGAIN } else { GUEST };
            let room = !residents_stop && spare > before_it.saturating_add(own);
            if !room || !self.reaches(part(self.height, TOP), wants.barred) {
                new.bar(self.name, wants.camera);
            } else if displaced.contains(wants.camera) {
                before_it = before_it.saturating_add(wants.per_day);
            }
        }
    }
}

/// Cameras that have to go elsewhere: for a home that does not work, or does not admit them.
fn displaced<'a>(state: &'a State, new: &Admission) -> BTreeSet<&'a CameraId> {
    let shut = |camera: &CameraId, home: &VolumeName| {
        !state.volumes.get(home).is_some_and(|v| v.works) || !new.admits(home, camera)
    };
    let is_displaced = |(camera, c): &(&'a CameraId, &'a Camera)| {
        c.recorded.as_ref().is_some_and(|r| r.homes.iter().any(|home| shut(camera, home)))
    };
    state.cameras.iter().filter(is_displaced).map(|(camera, _)| camera).collect()
}
