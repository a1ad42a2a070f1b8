//! A plan as data: what is shown beforehand, and what apply carries out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{capacity::Capacity, changes::Change, disks::DiskNote, short::Short};
use crate::types::{CameraId, RecorderId, VolumeName};

/// Version of the JSON of a plan.
pub const FORMAT: u16 = 1;

/// Which volumes keep a camera's footage: the first one is written to and read first, a second one has the copy.
pub type Layout = BTreeMap<CameraId, Vec<VolumeName>>;

/// All that applying a site to one machine will do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this structure.
    pub format: u16,
    /// What it is bound to: a plan whose base is no more is refused.
    pub base: Base,
    /// The machine that it is for.
    pub recorder: RecorderId,
    /// Where footage goes, of all recorders.
    pub layout: Layout,
    /// What room the promises take, and what there is.
    pub capacity: Capacity,
    /// By how much the room falls short, where the site accepts that (`when_short`).
    pub short: Option<Short>,
    /// What is different from the generation that is current, of all recorders.
    pub changes: Vec<Change>,
    /// What is to be said of this machine's disks.
    pub disks: Vec<DiskNote>,
    /// Volumes of ours that this machine cannot open: opened with their recovery keys before anything else is done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recover: Vec<Recover>,
    /// What is done, in this order. Empty: nothing is to be done.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.steps.is_empty() && self.recover.is_empty()
    }

    /// Whether footage goes earlier than was promised until now.
    pub fn is_destructive(&self) -> bool {
        self.changes.iter().any(|c| c.destructive)
    }

    /// Changes that want leadership's word.
    pub fn guarded(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|c| c.guarded)
    }
}

/// A volume of this site that this machine's own key does not open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recover {
    /// The volume.
    pub volume: VolumeName,
    /// Its disk, as site.toml names it.
    pub disk: String,
}

/// What a plan was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// SHA-256 of site.toml, hexadecimal.
    pub site: String,
    /// SHA-256 of secrets.toml, if there is one.
    pub secrets: Option<String>,
    /// The generation that was current.
    pub generation: Option<u64>,
    /// SHA-256 of the parts of the inventory that the plan rests on; none if it was made offline.
    pub inventory: Option<String>,
}

/// One thing that apply does. Doing it again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Step {
    /// Writes a unit file, a drop-in (`custodian-record.service.d/site.conf`), or a file for a service of the system's
    /// (`network/…`, `custodian/…`), for this boot.
    WriteUnit {
        /// Its name, relative to the folder for units; of a file that is no unit, relative to the folder beside it.
        unit: String,
        /// What it says.
        text: String,
    },
    /// Removes one.
    RemoveUnit {
        /// Its name.
        unit: String,
    },
    /// Makes the generation the current one: everything before this is preparation, everything after it is done again at
    /// the next boot if it was cut short.
    Switch,
    /// Lets systemd read its units again.
    ReloadManager,
    /// Starts a unit.
    Start {
        /// Its name.
        unit: String,
    },
    /// Stops a unit.
    Stop {
        /// Its name.
        unit: String,
    },
    /// Stops and starts a service.
    Restart {
        /// Its name.
        unit: String,
    },
    /// Lets a running service read site and secrets again; starts it if it does not run.
    Reload {
        /// Its name.
        unit: String,
    },
    /// Lets a service of the system's take up files that were written or removed for it, if it runs.
    Refresh {
        /// Its name.
        unit: String,
    },
}
