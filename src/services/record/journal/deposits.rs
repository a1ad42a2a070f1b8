//! The newest checkpoint on each volume: read when a volume is opened, laid down as the log grows. Disks that hang are waited for by
//! threads of their own.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::Context as _;

use crate::{
    ledger::{self, Deposit},
    services::record::Shared,
    store::volume::{self, Volume},
    sys::{Files as _, Monotonic, RealDisk, RealFiles},
    types::{VolumeName, WallNs},
};

/// Between two checkpoints on a volume.
const PACE: Duration = Duration::from_mins(1);
/// How long a stop waits for disks.
const LEAVE: Duration = Duration::from_secs(3);

/// When a checkpoint is laid down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Where the last one is old enough.
    Due,
    /// Everywhere, and now.
    Now,
}

/// What the volumes know of logs.
#[derive(Default)]
pub(in crate::services::record) struct Deposits(Mutex<State>);

#[derive(Default)]
struct State {
    /// What volumes brought and nobody has compared yet.
    found: Vec<(VolumeName, Deposit)>,
    /// Volumes that were looked at.
    looked_at: BTreeSet<VolumeName>,
    /// Volumes that brought something, which may be written over once the log has more entries than this: it stands in it then.
    beyond: BTreeMap<VolumeName, Option<u64>>,
    /// Whether the log is gone on with.
    open: bool,
    /// What each volume has: entries, and since when.
    laid: BTreeMap<VolumeName, (u64, Monotonic)>,
    busy: BTreeMap<VolumeName, JoinHandle<()>>,
}

impl Deposits {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what a volume has, which is being opened. Takes as long as its disk does.
    pub(in crate::services::record) fn look(&self, volume: &VolumeName, root: &Path) {
        let path = root.join(Deposit::FILE);
        let found = match RealFiles.read(&path) {
            Ok(None) => None,
            Ok(Some(text)) => Deposit::parse(&text)
                .inspect_err(|e| {
                    log::warn!(FILE:% = path.display(); "{} is not looked at: {}", path.display(), crate::types::story(e));
                })
                .ok(),
            Err(e) => {
                log::warn!(FILE:% = path.display(), CAUSE:% = e; "{} cannot be read: {e}", path.display());
                None
            }
        };
        let mut state = self.state();
        if let Some(deposit) = found {
            state.beyond.insert(volume.clone(), None);
            state.found.push((volume.clone(), deposit));
        }
        state.looked_at.insert(volume.clone());
    }

    /// When the newest checkpoint was signed that a volume has brought and nobody has compared yet.
    pub(in crate::services::record) fn newest(&self) -> Option<WallNs> {
        self.state().found.iter().map(|(_, deposit)| deposit.at).max()
    }

    /// Whether all of these were.
    pub(super) fn have_been_looked_at(&self, volumes: &[VolumeName]) -> bool {
        let state = self.state();
        volumes.iter().all(|name| state.looked_at.contains(name))
    }

    /// What is to be compared with the log.
    pub(super) fn take(&self) -> Vec<(VolumeName, Deposit)> {
        let mut state = self.state();
        state.open = false;
        std::mem::take(&mut state.found)
    }

    /// All that was taken is in agreement, or among the next entries of a log that has `size` now.
    pub(super) fn open(&self, size: u64) {
        let mut state = self.state();
        state.open = state.found.is_empty();
        let compared: Vec<VolumeName> = state.beyond.keys().cloned().collect();
        let waiting: BTreeSet<VolumeName> = state.found.iter().map(|(name, _)| name.clone()).collect();
        for name in compared.into_iter().filter(|name| !waiting.contains(name)) {
            state.beyond.entry(name).and_modify(|beyond| _ = beyond.get_or_insert(size));
        }
    }

    /// The volumes that are to get a checkpoint of so many entries.
    fn due(&self, volumes: BTreeMap<VolumeName, PathBuf>, size: u64, now: Monotonic, when: When) -> Vec<VolumeName> {
        let mut state = self.state();
        state.busy.retain(|_, thread| !thread.is_finished());
        let State { beyond, laid, busy, open, .. } = &*state;
        let due = |name: &VolumeName| {
            let may = beyond.get(name).is_none_or(|beyond| beyond.is_some_and(|beyond| size > beyond));
            let is = laid
                .get(name)
                .is_none_or(|(has, since)| *has != size && (when == When::Now || now.since(*since) >= PACE));
            *open && may && is && !busy.contains_key(name)
        };
        volumes.into_keys().filter(due).collect()
    }

    /// Lays the newest checkpoint down. [`When::Now`] waits for it, not for ever.
    pub(super) fn lay(&self, shared: &Shared, when: When) {
        let (Some(view), Some(at)) = (shared.journal.view(), shared.journal.status().at) else { return };
        let (size, now) = (view.size(), shared.clock.monotonic());
        let due = self.due(shared.store.answering(), size, now, when);
        if due.is_empty() {
            return;
        }
        let verifier = match ledger::verifier(&RealFiles, &ledger::public(&shared.paths.ledger())) {
            Ok(verifier) => verifier,
            Err(e) => return log::warn!(CAUSE:% = e; "no checkpoint is laid down on the volumes: {e}"),
        };
        let deposit = Deposit { recorder: shared.recorder.clone(), at, checkpoint: view.head().clone(), verifier };
        let text = deposit.to_text();
        for name in due {
            let Some(volume) = shared.store.volume(&name) else { continue };
            let text = text.clone();
            let write = move || {
                if let Err(e) = write(&volume, &text) {
                    log::warn!(VOLUME = volume.name.as_str(); "volume {} gets no checkpoint of the ledger: {e:#}", volume.name);
                }
            };
            let mut state = self.state();
            match std::thread::Builder::new().name(format!("checkpoint {name}")).spawn(write) {
                Ok(thread) => {
                    // One that could not be written is tried again with the next.
                    state.laid.insert(name.clone(), (size, now));
                    state.busy.insert(name, thread);
                }
                Err(e) => {
                    log::warn!(VOLUME = name.as_str(), CAUSE:% = e; "volume {name} gets no checkpoint of the ledger: {e}");
                }
            }
        }
        if when == When::Now {
            let is_busy = || self.state().busy.values().any(|thread| !thread.is_finished());
            while is_busy() && shared.clock.monotonic().since(now) < LEAVE {
                std::thread::park_timeout(Duration::from_millis(5));
            }
        }
    }
}

/// Writes a volume's file, if it is the volume still.
fn write(volume: &Volume, text: &str) -> anyhow::Result<()> {
    let now = volume::open(&RealDisk, &volume.name, &volume.root, Some(&volume.marker.id.to_string()))?;
    anyhow::ensure!(now.file_system == volume.file_system, "its disk is not mounted as it was");
    let path = volume.root.join(Deposit::FILE);
    RealFiles.write(&path, text.as_bytes(), 0o644, None).with_context(|| path.display().to_string())
}
