//! What is held at one moment, and what became of a change.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Deref,
    sync::{Arc, RwLockReadGuard},
};

use super::{hold::ChangeError, set::Holds, spans::Spans};
use crate::types::VolumeName;

/// A copy that did not take a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// On which volume; none: the recorder's own.
    pub volume: Option<VolumeName>,
    /// Why.
    pub why: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.volume {
            Some(volume) => write!(f, "volume {volume}: {}", self.why),
            None => write!(f, "the recorder's folder: {}", self.why),
        }
    }
}

/// Why a change is not in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// It makes no sense.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// Too few copies took it.
    #[error("neither the recorder's own copy of the holds nor that of every volume can be written, so nothing was changed: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Nowhere(Vec<Refusal>),
}

/// What is held, at one moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The holds.
    pub holds: Holds,
    /// What they keep.
    pub spans: Spans,
    /// Per volume that is there, why its footage must not be deleted.
    pub(super) doubts: BTreeMap<VolumeName, Option<String>>,
    /// What is wrong with the recorder's own copy.
    pub(super) own: Option<String>,
}

impl Held {
    /// Whether what is not held may be deleted on a volume, as far as the holds are known.
    ///
    /// # Errors
    /// Why not.
    pub fn may_delete(&self, volume: &VolumeName) -> Result<(), String> {
        match self.doubts.get(volume) {
            Some(None) => Ok(()),
            Some(Some(why)) => Err(why.clone()),
            None => Err("its copy of the holds has not been read".into()),
        }
    }

    /// Volumes on which nothing is deleted, and why.
    pub fn unread(&self) -> Vec<(VolumeName, String)> {
        self.doubts.iter().filter_map(|(volume, doubt)| Some((volume.clone(), doubt.clone()?))).collect()
    }

    /// What is wrong with the recorder's own copy.
    pub fn own_copy(&self) -> Option<&str> {
        self.own.as_deref()
    }
}

/// What is held; while this is kept nobody can change it. Not to be kept while disks are waited for any longer than need be.
pub struct Steady<'a> {
    pub(super) held: Arc<Held>,
    pub(super) _gate: RwLockReadGuard<'a, ()>,
}

impl Deref for Steady<'_> {
    type Target = Held;
    fn deref(&self) -> &Held {
        &self.held
    }
}
