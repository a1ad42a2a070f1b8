//! What the ways out have to tell health itself: how endpoints were reached, who has taken a checkpoint, until when the vendor is let in.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{health::facts::Endpoint, types::WallNs};

/// All of it, as of now.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// How each endpoint was reached, by its number and kind.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// When somebody outside took a checkpoint last.
    pub witnessed: Option<WallNs>,
    /// Until when the vendor may reach this recorder.
    pub vendor_until: Option<WallNs>,
    /// Certificates of this machine, by what they are for.
    pub certificates: BTreeMap<String, WallNs>,
}

/// Adds what one of the ways out knows.
pub(super) type Source = Box<dyn Fn(&mut Heard) + Send + Sync>;

/// Whom health asks at each look.
#[derive(Clone, Default)]
pub struct Ear(Arc<Mutex<Arc<Vec<Source>>>>);

impl Ear {
    fn sources(&self) -> MutexGuard<'_, Arc<Vec<Source>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on these are asked, and no others.
    pub(super) fn ask(&self, sources: Vec<Source>) {
        *self.sources() = Arc::new(sources);
    }

    /// What is known now.
    pub fn heard(&self) -> Heard {
        let mut heard = Heard::default();
        // One of them may wait for a disk: whoever changes them does not wait with it.
        let sources = self.sources().clone();
        sources.iter().for_each(|source| source(&mut heard));
        heard
    }
}
