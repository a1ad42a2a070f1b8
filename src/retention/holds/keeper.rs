//! The holds in the hands of the recorder: a copy on every volume and one beside the index, and which of these can be relied on.
//!
//! A hold is acknowledged once the recorder's own copy has it, or that of every volume. Nothing is deleted on a volume whose own copy is not read or not up to date, and
//! nothing anywhere while the recorder's own copy was lost and a volume that may know more has not been read since. Copies are joined
//! ([`Holds::merge`]), so it does not matter which of them are left after whatever happens.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use super::{
    copies::{Place, Replica, silent},
    file::{self, Content},
    held::{ApplyError, Held, Refusal, Steady},
    hold::ChangeError,
    set::{Holds, Renamed},
};
use crate::{
    store::volume::Volume,
    sys::Files,
    types::{VolumeName, WallNs},
};

/// How long a disk may take for its copy.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the site says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expected {
    /// Its volumes.
    pub volumes: BTreeSet<VolumeName>,
    /// Cameras that had other names.
    pub renamed: Vec<Renamed>,
}

struct Inner {
    holds: Holds,
    own: Replica,
    copies: BTreeMap<VolumeName, Replica>,
    /// Volumes of the site that have not been read since the recorder's own copy was lost.
    unseen: BTreeSet<VolumeName>,
    renamed: Vec<Renamed>,
}

/// All holds of a recorder and their copies.
pub struct Keeper {
    files: Arc<dyn Files>,
    patience: Duration,
    inner: Mutex<Inner>,
    held: Mutex<Arc<Held>>,
    /// Who decides by what is held goes in here; who changes it waits until they have come out.
    gate: RwLock<()>,
}

impl Keeper {
    /// Reads the copy in the recorder's folder `dir`. Until a volume is told by [`Keeper::mount`], nothing may be deleted on it.
    pub fn open(files: Arc<dyn Files>, dir: &Path, expected: Expected, now: WallNs) -> Self {
        let mut own = Replica::new(Place::State(PathBuf::from(dir)));
        let content = own.look(&files, now, PATIENCE);
        let unseen = content.as_ref().map_or(&expected.volumes, |c| &c.unseen) & &expected.volumes;
        let holds = content.map(|c| c.holds).unwrap_or_default();
        let inner = Inner { holds, own, copies: BTreeMap::new(), unseen, renamed: expected.renamed };
        let keeper = Self {
            files,
            patience: PATIENCE,
            inner: Mutex::new(inner),
            held: Mutex::default(),
            gate: RwLock::default(),
        };
        let mut inner = keeper.inner();
        keeper.write(&mut inner);
        keeper.publish(&inner);
        drop(inner);
        keeper
    }

    #[cfg(test)]
    pub(super) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is held now.
    pub fn held(&self) -> Arc<Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is held; no hold is acknowledged until that is dropped. Whoever deletes decides and deletes under one of these.
    pub fn steady(&self) -> Steady<'_> {
        let gate = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        Steady { held: self.held(), _gate: gate }
    }

    /// Changes something else that decides what may be deleted: whoever deletes has done it before, or sees the change.
    pub fn unsteadily(&self, change: impl FnOnce()) {
        let _gate = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        change();
    }

    /// Volumes on which nothing may be deleted, and why.
    pub fn unread(&self) -> Vec<(VolumeName, String)> {
        self.held().unread()
    }

    /// The site is another one from now on.
    pub fn expect(&self, expected: Expected) {
        let mut inner = self.inner();
        // Who takes a volume out of site.toml does not wait for it any longer.
        inner.unseen = &inner.unseen & &expected.volumes;
        inner.renamed = expected.renamed;
        self.write(&mut inner);
        self.publish(&inner);
    }

    /// Volumes are there, for the first time or again: what they know is taken in, and they get what they lack.
    pub fn mount(&self, volumes: impl IntoIterator<Item = Volume>, now: WallNs) {
        let mut inner = self.inner();
        for volume in volumes {
            let name = volume.name.clone();
            let place = Place::Volume(volume);
            let copy = inner.copies.entry(name.clone()).or_insert_with(|| Replica::new(place.clone()));
            copy.place = place;
            self.take_in(&mut inner, &name, now);
        }
        self.write(&mut inner);
        self.publish(&inner);
    }

    /// Changes the holds. When this returns well, the recorder's own copy or that of every volume has the change for good, so that
    /// whatever is read after a restart knows of it; those that refused are named.
    ///
    /// # Errors
    /// If it makes no sense, or too few copies took it: nothing has changed then, and those that did take it are written back.
    pub fn apply(
        &self,
        change: impl FnOnce(&mut Holds) -> Result<(), ChangeError>,
    ) -> Result<Vec<Refusal>, ApplyError> {
        let mut inner = self.inner();
        let before = inner.holds.clone();
        let mut after = before.clone();
        change(&mut after)?;
        inner.holds = after;
        let refusals = self.write(&mut inner);
        let by_own = refusals.iter().all(|r| r.volume.is_some());
        let taken = by_own || (refusals.len() == 1 && !inner.copies.is_empty());
        if !taken {
            inner.holds = before;
            self.write(&mut inner);
        }
        self.publish(&inner);
        if taken { Ok(refusals) } else { Err(ApplyError::Nowhere(refusals)) }
    }

    /// Tries again what failed, and forgets what was released long ago. To be called every now and then.
    pub fn mend(&self, now: WallNs) {
        let mut inner = self.inner();
        inner.holds.forget(now);
        // What has been read once knows nothing more, but perhaps, of a write that came late, what was taken back.
        if !inner.own.seen {
            let content = inner.own.look(&self.files, now, self.patience);
            if let Some(content) = content {
                inner.unseen = &inner.unseen & &content.unseen;
                inner.holds.merge(content.holds);
            }
        }
        let unread: Vec<VolumeName> =
            inner.copies.iter().filter(|(_, c)| !c.seen).map(|(name, _)| name.clone()).collect();
        for name in unread {
            self.take_in(&mut inner, &name, now);
        }
        self.write(&mut inner);
        self.publish(&inner);
    }

    fn take_in(&self, inner: &mut Inner, name: &VolumeName, now: WallNs) {
        let Some(copy) = inner.copies.get_mut(name) else { return };
        let content = copy.look(&self.files, now, self.patience);
        if copy.seen {
            inner.unseen.remove(name);
        }
        inner.holds.merge(content.map(|c| c.holds).unwrap_or_default());
    }

    /// Writes all copies that do not say what they should, all at once. Returns those that do not now either.
    fn write(&self, inner: &mut Inner) -> Vec<Refusal> {
        let bytes = |unseen: &BTreeSet<VolumeName>| -> Arc<[u8]> {
            file::to_bytes(&Content { holds: inner.holds.clone(), unseen: unseen.clone() }).into()
        };
        // Which volumes the recorder waits for is nobody else's affair.
        let (own, others) = (bytes(&inner.unseen), bytes(&BTreeSet::new()));
        let copies = inner.copies.iter_mut().map(|(name, copy)| (Some(name.clone()), copy, &others));
        let all: Vec<_> = copies.chain([(None, &mut inner.own, &own)]).collect();
        let mut begun = Vec::new();
        for (volume, copy, bytes) in all {
            if copy.says(bytes) {
                copy.is_up_to_date();
            } else {
                let work = copy.begin_write(&self.files, bytes);
                begun.push((volume, copy, bytes, work));
            }
        }
        let (mut refusals, mut patience) = (Vec::new(), self.patience);
        for (volume, copy, bytes, work) in begun {
            let outcome = work.and_then(|work| {
                work.wait(patience).unwrap_or_else(|| {
                    // The others have had that time too.
                    patience = Duration::ZERO;
                    silent()
                })
            });
            if let Err(why) = &outcome {
                refusals.push(Refusal { volume, why: why.clone() });
            }
            copy.wrote(bytes, outcome);
        }
        refusals
    }

    /// Lets everybody see what is so now.
    fn publish(&self, inner: &Inner) {
        let lost = (!inner.unseen.is_empty()).then(|| {
            let names: Vec<&str> = inner.unseen.iter().map(VolumeName::as_str).collect();
            format!(
                "the recorder's own copy of the holds is new or was lost, and what {} knows has not been read since",
                names.join(", ")
            )
        });
        let doubts: BTreeMap<VolumeName, Option<String>> =
            inner.copies.iter().map(|(name, copy)| (name.clone(), copy.doubt().or_else(|| lost.clone()))).collect();
        let held = Held {
            holds: inner.holds.clone(),
            spans: inner.holds.spans(&inner.renamed),
            doubts,
            own: inner.own.doubt(),
        };
        let before = self.held();
        if held == *before {
            return;
        }
        let after = Arc::new(held);
        let gate = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = after.clone();
        drop(gate);
        for (name, doubt) in &after.doubts {
            let was = before.doubts.get(name).cloned().flatten();
            match doubt {
                Some(why) if was.as_ref() != Some(why) => {
                    log::error!(VOLUME = name.as_str(), CAUSE = why.as_str(); "volume {name}: nothing is deleted there: {why}");
                }
                None if was.is_some() => {
                    log::info!(VOLUME = name.as_str(); "volume {name}: its holds are known again");
                }
                _ => {}
            }
        }
        if let Some(why) = after.own.as_ref().filter(|why| before.own.as_ref() != Some(why)) {
            log::error!(CAUSE = why.as_str(); "the recorder's own copy of the holds: {why}");
        }
    }
}
