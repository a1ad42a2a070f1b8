//! Retention at work: gathers what there is, asks [`crate::retention::policy`], and carries out what it says.
//!
//! One thread looks and decides, and never touches a footage disk; what goes is removed by a thread for each volume, so that a disk that
//! hangs keeps nobody else waiting. Whatever is in doubt suspends deletion ([`doubt`]): then only free room counts as room.

mod accounts;
mod clock;
mod doubt;
mod gather;
mod measure;
mod notes;
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

pub(in crate::services) use self::trust::clock_doubt;
use self::{
    accounts::Accounts,
    clock::{Before, ClockDoubt, ClockTrust},
    notes::Notes,
};
pub(super) use self::{
    accounts::{Foreseen, foresee},
    report::{camera, health, retention},
    sweeper::Sweeper,
    trust::{TrustError, trust},
};
use crate::{
    retention::{kept::Kept, policy::Admission},
    store::recovery::Reconciled,
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
    /// Volumes on which nothing could be removed, and why.
    refusals: BTreeMap<VolumeName, String>,
    /// Files that could not be removed, as far as it was said.
    stuck: BTreeSet<PathBuf>,
    accounts: Option<Arc<Accounts>>,
    kept: BTreeMap<CameraId, (WallNs, Kept)>,
    /// Volumes where something was just removed: their room is looked at again after that.
    resting: BTreeMap<VolumeName, Monotonic>,
}

/// What is found of an earlier time beside the notes.
#[derive(Debug)]
pub(super) struct Traces {
    /// The ledger's newest entry.
    pub ledger: Option<WallNs>,
    /// The newest footage, and the newest checkpoint that lies with it.
    pub on_volumes: Option<WallNs>,
    /// Whether all volumes are there, and there is nothing of an earlier time anywhere.
    pub is_new: bool,
}

/// The recorder's retention.
pub(super) struct Retention {
    notes: Notes,
    trust: ClockTrust,
    state: Mutex<State>,
    turns: Mutex<BTreeMap<VolumeName, Arc<Mutex<()>>>>,
}

impl Retention {
    /// Of a recorder that starts, with what it has noted at `path`.
    pub(super) fn new(clock: Arc<dyn Clock>, path: PathBuf, traces: &Traces) -> Self {
        let notes = Notes::open(path);
        let noted = notes.noted().clock;
        let unread = notes.unread().map(|why| ClockDoubt::Unread { why });
        let seen = noted.seen.map(|seen| (seen, noted.aged.unwrap_or(seen)));
        // Footage may lie after its time, where the clock was set back: it tells something only where nothing else does.
        let trace = if seen.is_some() { traces.ledger } else { traces.ledger.max(traces.on_volumes) };
        let before = Before { doubt: unread.or(noted.doubt), seen, trace, is_new: traces.is_new };
        Self { notes, trust: ClockTrust::new(clock, before), state: Mutex::default(), turns: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose turn it is to have a volume's files in hand: to compare them with the index, or to remove some.
    pub(super) fn turn(&self, volume: &VolumeName) -> Arc<Mutex<()>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).entry(volume.clone()).or_default().clone()
    }

    /// What comparing a volume with the index has found.
    pub(super) fn compared(&self, volume: &VolumeName, report: &Reconciled) {
        let found = doubt::disagreement(report);
        self.notes.change(|noted| noted.volumes.entry(volume.clone()).or_default().compared(found));
    }

    /// Cameras that are recorded by their sub stream because the disks are short.
    pub(super) fn by_sub(&self) -> BTreeSet<CameraId> {
        self.state().by_sub.clone()
    }
}
