//! Whether the disks that site.toml names are there and fit to be what it says.

use serde::{Deserialize, Serialize};

use super::changes::disk_of;
use crate::{
    inventory::{Content, Disk, Inventory},
    site::{Site, Volume},
    types::{ByteSize, RecorderId, VolumeName},
};

/// What is to be said of a volume's disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiskNote {
    /// The volume.
    pub volume: VolumeName,
    /// Its disk, as site.toml names it.
    pub disk: String,
    /// What is to be said.
    pub note: Note,
    /// Whether the site is refused for it. A volume that is in use already may lack its disk: the others must go on.
    pub fatal: bool,
}

/// What may be said of a disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "kebab-case")]
pub enum Note {
    /// Empty, waiting for `custodian disk init`.
    Empty,
    /// It is not there.
    Gone {
        /// Disks of that size that no volume names.
        similar: Vec<String>,
    },
    /// Something else is on it.
    Foreign {
        /// What.
        found: Vec<String>,
    },
    /// It holds another volume, or another site's.
    Other {
        /// The volume on it.
        volume: VolumeName,
        /// The site of that.
        site: String,
    },
    /// It could not be found out what is on it.
    Unknown {
        /// Why.
        why: String,
    },
    /// The system runs from it.
    System,
    /// It can be pulled out.
    Removable,
    /// It refuses writing.
    ReadOnly,
    /// Smaller than the site says.
    TooSmall {
        /// As the site says.
        stated: ByteSize,
        /// As it is.
        size: ByteSize,
    },
}

/// A disk may be so much smaller than what is printed on it, in 1/1000.
const TOLERANCE: u64 = 20;

/// Looks at the disks of one recorder, which is the machine of the inventory. `known`: volumes that are in use already.
pub(super) fn notes(site: &Site, recorder: &RecorderId, inventory: &Inventory, known: &[VolumeName]) -> Vec<DiskNote> {
    let mut all = Vec::new();
    for volume in site.volumes_of(recorder) {
        let Some(by_id) = disk_of(volume) else { continue };
        let fresh = !known.contains(&volume.name);
        for (note, fatal) in look(site, volume, by_id, inventory) {
            all.push(DiskNote { volume: volume.name.clone(), disk: by_id.to_owned(), note, fatal: fatal && fresh });
        }
    }
    all
}

fn look(site: &Site, volume: &Volume, by_id: &str, inventory: &Inventory) -> Vec<(Note, bool)> {
    let Some(disk) = inventory.disk(by_id) else {
        return vec![(Note::Gone { similar: similar(site, volume, inventory) }, true)];
    };
    if disk.system {
        return vec![(Note::System, true)];
    }
    let mut notes = Vec::new();
    if disk.removable || disk.transport.as_deref() == Some("usb") {
        notes.push((Note::Removable, true));
    }
    if disk.read_only {
        notes.push((Note::ReadOnly, true));
    }
    if let Some(stated) = volume.size
        && disk.size.0 < stated.0 / 1000 * (1000 - TOLERANCE)
    {
        notes.push((Note::TooSmall { stated, size: disk.size }, true));
    }
    match &disk.content {
        Content::Empty => notes.push((Note::Empty, false)),
        Content::Ours(ours) if ours.volume == volume.name && ours.site == site.id() => {}
        Content::Ours(ours) => {
            notes.push((Note::Other { volume: ours.volume.clone(), site: ours.site.clone() }, true));
        }
        Content::Foreign { found } => notes.push((Note::Foreign { found: found.clone() }, true)),
        Content::Unknown { why } => notes.push((Note::Unknown { why: why.clone() }, true)),
    }
    notes
}

/// Disks that may have been meant.
fn similar(site: &Site, volume: &Volume, inventory: &Inventory) -> Vec<String> {
    let named = |d: &Disk| {
        site.recorders().flat_map(|r| &r.volumes).filter_map(disk_of).any(|id| d.by_id.iter().any(|n| n == id))
    };
    let fits =
        |d: &&Disk| !d.system && !named(d) && volume.size.is_none_or(|s| d.size.0 >= s.0 / 1000 * (1000 - TOLERANCE));
    inventory.disks.iter().filter(fits).filter_map(|d| d.by_id.first().cloned()).collect()
}
