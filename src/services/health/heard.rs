//! What the ways out have to tell health itself: how endpoints were reached, who has taken a checkpoint, until when the vendor is let in.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
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

/// Where the ways out leave it; health reads it at each look.
#[derive(Debug, Clone, Default)]
pub struct Ear(Arc<Mutex<Heard>>);

impl Ear {
    /// Changes what is known.
    pub fn tell(&self, change: impl FnOnce(&mut Heard)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What is known now.
    pub fn heard(&self) -> Heard {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
