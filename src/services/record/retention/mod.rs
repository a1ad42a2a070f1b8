//! Retention at work: gathers what there is, asks [`crate::retention::policy`], and carries out what it says.
//!
//! One thread looks and decides, and never touches a footage disk; what goes is removed by a thread for each volume, so that a disk that
//! hangs keeps nobody else waiting. Whatever is in doubt suspends deletion ([`doubt`]): then only free room counts as room.

mod accounts;
mod clock;
mod doubt;
mod gather;
mod measure;
mod removal;
mod report;
mod short;
mod sweeper;
mod trust;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use self::{accounts::Accounts, clock::ClockTrust, doubt::Disagreement};
pub(super) use self::{
    accounts::{Foreseen, foresee},
    report::{camera, health, retention},
    sweeper::Sweeper,
    trust::{TrustError, trust},
};
use crate::{
    retention::{kept::Kept, policy::Admission},
    store::{index::Reader, recovery::Reconciled},
    sys::{Clock, Monotonic},
    types::{CameraId, VolumeName, WallNs, wire::Suspension},
};

/// What is known and decided.
#[derive(Default)]
struct State {
    admission: Admission,
    /// Cameras that are recorded by their sub stream because the disks are short.
    by_sub: BTreeSet<CameraId>,
    doubts: BTreeSet<Suspension>,
    disagreements: BTreeMap<VolumeName, Disagreement>,
    /// Volumes on which nothing could be removed, and why.
    refusals: BTreeMap<VolumeName, String>,
    /// Files that could not be removed, as far as it was said.
    stuck: BTreeSet<PathBuf>,
    accounts: Option<Arc<Accounts>>,
    kept: BTreeMap<CameraId, (WallNs, Kept)>,
    /// Volumes where something was just removed: their room is looked at again after that.
    resting: BTreeMap<VolumeName, Monotonic>,
}

/// The recorder's retention.
pub(super) struct Retention {
    trust: ClockTrust,
    state: Mutex<State>,
    turns: Mutex<BTreeMap<VolumeName, Arc<Mutex<()>>>>,
}

impl Retention {
    /// Of a recorder that starts: `index` says what was in doubt when it stopped, `newest` is the newest time that it has seen.
    pub(super) fn new(clock: Arc<dyn Clock>, index: &Reader, newest: Option<WallNs>) -> Self {
        let left = index.meta(trust::DOUBT).ok().flatten().and_then(|text| serde_json::from_str(&text).ok());
        let seen = index.meta(trust::SEEN).ok().flatten().and_then(|text| text.parse().ok()).map(WallNs);
        let trust = ClockTrust::new(clock, seen.max(newest), left);
        Self { trust, state: Mutex::default(), turns: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose turn it is to have a volume's files in hand: to compare them with the index, or to remove some.
    pub(super) fn turn(&self, volume: &VolumeName) -> Arc<Mutex<()>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).entry(volume.clone()).or_default().clone()
    }

    /// What comparing a volume with the index has found.
    pub(super) fn compared(&self, volume: &VolumeName, report: &Reconciled, index: &Reader) {
        let trusted = index.meta(&doubt::trusted_note(volume)).ok().flatten();
        let found = doubt::disagreement(report).filter(|d| trusted.as_ref() != Some(&d.digest));
        let mut state = self.state();
        match found {
            Some(disagreement) => drop(state.disagreements.insert(volume.clone(), disagreement)),
            None => drop(state.disagreements.remove(volume)),
        }
    }

    /// Cameras that are recorded by their sub stream because the disks are short.
    pub(super) fn by_sub(&self) -> BTreeSet<CameraId> {
        self.state().by_sub.clone()
    }
}
