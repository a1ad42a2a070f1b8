//! What was seen of a recorder: all that a judgement rests on. Judging reads no clock, disk or socket.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    site::Site,
    types::{
        ByteSize, CameraId, RecorderId, StreamKind, VolumeName, WallNs,
        wire::{self, health},
    },
};

/// One look.
#[derive(Debug, Clone)]
pub struct Facts {
    /// When, by the wall clock.
    pub at: WallNs,
    /// The site in force and which of its recorders this is; or why there is none.
    pub site: Result<(std::sync::Arc<Site>, RecorderId), NoSite>,
    /// The cameras' opaque numbers.
    pub numbers: BTreeMap<CameraId, u32>,
    /// What the recorder says of itself.
    pub status: Result<Box<wire::Status>, NoAnswer>,
    /// What it says of retention; none where it did not answer.
    pub retention: Option<Box<wire::Retention>>,
    /// What it says of holds; none where it did not answer.
    pub holds: Option<wire::HoldsHealth>,
    /// What it has left after each volume's last commit.
    pub commits: BTreeMap<VolumeName, health::Committed>,
    /// The newest committed second of each stream, from the commits and from what health remembers of before the machine started.
    pub newest: BTreeMap<(CameraId, StreamKind), WallNs>,
    /// How long health has seen each stream's newest second stand still, by the time since boot, over restarts.
    pub still: BTreeMap<(CameraId, StreamKind), Duration>,
    /// Missing footage of each stream ever since health has counted.
    pub gap_totals: BTreeMap<(CameraId, StreamKind), f64>,
    /// The machine.
    pub machine: health::Machine,
    /// What only root can see; none: nobody has looked since the machine started.
    pub root: Option<RootLook>,
    /// Units that have failed, by name; none: the service manager does not say.
    pub failed_units: Option<BTreeSet<String>>,
    /// The sides whose network card the site names and the machine does not have.
    pub missing_links: BTreeSet<Side>,
    /// How often the service manager was seen to start the recorder again within the last hour; none: it does not say.
    pub recorder_restarts: Option<u64>,
    /// The verification that ended last.
    pub verified: Option<Verified>,
    /// Certificates of this machine, by what they are for.
    pub certificates: BTreeMap<String, WallNs>,
    /// How each endpoint that health is pushed to, or alarms are sent to, was reached, by its number and kind (`push-1-gatus`).
    pub endpoints: BTreeMap<String, Endpoint>,
    /// Newest time at which somebody outside took a checkpoint; none: never.
    pub witnessed: Option<WallNs>,
    /// Until when the vendor may reach this recorder; none: not now.
    pub vendor_until: Option<WallNs>,
    /// Since when this has been looked at: what cannot be known earlier is no fault before.
    pub looking_since: WallNs,
    /// When this recorder was looked at for the first time ever: what takes days or weeks is no fault before.
    pub first_looked: WallNs,
    /// Since when the site wants each camera recorded, as far as has been seen: before, there is nothing to miss. A camera that is not here
    /// was always wanted.
    pub wanted_since: BTreeMap<CameraId, WallNs>,
    /// The newest step of the clock: when, and by how many seconds.
    pub clock_step: Option<(WallNs, f64)>,
}

/// A side that a recorder has wires to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The school's.
    School,
    /// The cameras'.
    Cameras,
}

/// Why there is no site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoSite {
    /// None was applied.
    Absent,
    /// It cannot be read; why, for a technician, without names.
    Broken(String),
}

/// Why the recorder says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// Nobody listens.
    Down,
    /// It does not answer in time.
    Slow,
    /// What it says is not understood; why, for a technician.
    Broken(String),
}

/// What root's look at the machine leaves for health, which has no right to any of it (`/run/custodian-look/look.json`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RootLook {
    /// Version of this structure.
    pub format: u16,
    /// When.
    pub at: WallNs,
    /// The disks of volumes.
    pub disks: BTreeMap<VolumeName, DiskLook>,
    /// The generation in force.
    pub generation: Option<health::GenerationHealth>,
    /// What is not as the generation says: unit files that differ, mounts of other disks. One line each, without names of cameras or people.
    pub drift: Vec<String>,
    /// Backups; none where the site wants none.
    pub backups: Option<Backups>,
    /// Security updates that wait; none: cannot be known here.
    pub updates: Option<Updates>,
}

/// A volume's disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiskLook {
    /// Whether it is there.
    pub present: bool,
    /// Whether it says how it is.
    #[serde(default)]
    pub answer: DiskAnswer,
    /// Its own verdict; of one that does not say now, what it said last.
    pub smart_passed: Option<bool>,
    /// °C.
    pub temperature: Option<i64>,
    /// Sectors that cannot be relied on.
    pub bad_sectors: Option<u64>,
}

/// Whether a disk says how it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskAnswer {
    /// It does, or it is not there.
    #[default]
    Told,
    /// It sleeps, and was left asleep.
    Asleep,
    /// It has nothing to say.
    Untold,
    /// Asking came to nothing: it hangs, or there is no smartctl.
    Failed,
}

/// How backups are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backups {
    /// Per place, by its number in site.toml from 1.
    pub places: Vec<BackupPlace>,
}

/// Backups at one place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackupPlace {
    /// `disk`, `directory` or `s3`.
    pub kind: String,
    /// When the newest one that can be restored was complete; none: never.
    pub newest: Option<WallNs>,
    /// Whether the last one that was tried did not come to its end.
    pub last_failed: bool,
    /// How many things it could not back up.
    pub missing: u64,
    /// How many things a later look found damaged.
    pub damaged: u64,
}

/// Updates of the system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Updates {
    /// Security updates that wait.
    pub security: u64,
    /// Whether the package manager failed to say it.
    #[serde(default)]
    pub failed: bool,
    /// When somebody looked for updates last.
    pub looked: Option<WallNs>,
    /// The version that waits for the school's consent.
    pub offered: Option<String>,
    /// The version that was tried and did not come up, as long as nobody has taken note.
    #[serde(default)]
    pub fell_back: Option<String>,
    /// A version that was good, though an older one runs.
    #[serde(default)]
    pub left_behind: Option<String>,
}

/// A verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// When it ended.
    pub at: WallNs,
    /// Segments read.
    pub segments: u64,
    /// How many things are not as they are to be, a ledger that is not to be believed included.
    pub damaged: u64,
    /// Whether all that was to be read was read.
    pub complete: bool,
}

/// How an endpoint was reached.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Endpoint {
    /// When it last took what it was told; none: never since health started.
    pub taken: Option<WallNs>,
    /// Since when it has not; none: it takes all.
    pub failing_since: Option<WallNs>,
    /// Whether it says that it is asked in a wrong way: site.toml or secrets.toml must be changed.
    pub misconfigured: bool,
    /// What went wrong last: a status or a kind of error, never an address.
    pub problem: Option<String>,
    /// How often it is told, seconds.
    pub interval: u64,
    /// The checkpoints of ledgers that went with what it took last.
    #[serde(default)]
    pub witnessed: Vec<Witness>,
}

/// A checkpoint of a ledger that somebody outside took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// Whose ledger: `record`.
    pub ledger: String,
    /// Entries of the ledger that it covers.
    pub entries: u64,
    /// When it was taken.
    pub at: WallNs,
}

impl Facts {
    /// How old a stream's newest second is; none: there is none. It is at least as old as it has stood still, whatever the clock says: the
    /// recorder never goes back behind what it has recorded, so after a step back the newest second lies ahead for as long as the step was.
    pub fn age(&self, stream: &(CameraId, StreamKind)) -> Option<Duration> {
        let newest = self.newest.get(stream)?;
        let by_clock = Duration::from_nanos(u64::try_from(self.at.since(*newest)).unwrap_or(0));
        Some(by_clock.max(self.still.get(stream).copied().unwrap_or_default()))
    }

    /// The volume sizes that the recorder reports.
    pub fn volume(&self, name: &VolumeName) -> Option<&wire::VolumeStatus> {
        self.status.as_ref().ok()?.volumes.iter().find(|v| v.name == *name)
    }

    /// Free room of a volume, where the recorder says so.
    pub fn free(&self, name: &VolumeName) -> Option<ByteSize> {
        self.volume(name).map(|v| v.free)
    }
}
