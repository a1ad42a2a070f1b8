//! What is kept, what is promised, and for how long that will hold.

use serde::{Deserialize, Serialize};

use crate::types::{ByteSize, CameraId, RecorderId, VolumeName, WallNs};

/// The answer to how long footage is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retention {
    /// The recorder.
    pub recorder: RecorderId,
    /// Now, by its clock.
    pub now: WallNs,
    /// Whether the promise yields to full disks.
    pub target: bool,
    /// A breach is announced so many days ahead.
    pub warn_days: f64,
    /// When the forecast was reckoned; none: not yet.
    pub reckoned: Option<WallNs>,
    /// Why nothing is deleted, all over or on one volume.
    pub suspended: Vec<Suspension>,
    /// Footage counts as so many seconds younger than by the clock, until a time service or `custodian retention trust-clock` says
    /// that the clock is right: how long the recorder was off.
    #[serde(default)]
    pub younger_seconds: u64,
    /// Per volume that is there.
    pub volumes: Vec<VolumeRetention>,
    /// Per camera that is recorded or has footage.
    pub cameras: Vec<CameraRetention>,
}

impl Retention {
    /// Whether a promise is broken, or will be so soon that it is announced.
    pub fn at_risk(&self) -> bool {
        let soon = |day: u32| f64::from(day) <= self.warn_days;
        self.volumes.iter().any(|v| v.breaks.is_some_and(|b| soon(b.day)))
            || self.cameras.iter().any(|c| c.stopped || c.is_broken())
    }
}

/// What nothing is deleted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doubt {
    /// The clock may be wrong: `custodian retention trust-clock`.
    Clock,
    /// The index cannot be read or written.
    Index,
    /// The ledger cannot be written.
    Ledger,
    /// A volume's copy of the holds cannot be relied on.
    Holds,
    /// A volume is being compared with the index; that ends by itself.
    Comparing,
    /// A volume and the index do not agree: `custodian retention trust-volume`.
    Contents,
    /// A volume is not what it was, or cannot be written.
    Volume,
}

impl Doubt {
    /// As in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Index => "index",
            Self::Ledger => "ledger",
            Self::Holds => "holds",
            Self::Comparing => "comparing",
            Self::Contents => "contents",
            Self::Volume => "volume",
        }
    }
}

/// A reason why nothing is deleted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Suspension {
    /// On which volume; none: on all.
    pub volume: Option<VolumeName>,
    /// What is in doubt.
    pub doubt: Doubt,
    /// What was seen, for a technician.
    pub why: String,
}

/// The first day on which more is promised than a volume holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaks {
    /// In so many days; 0: now.
    pub day: u32,
    /// When.
    pub at: WallNs,
    /// How much is missing then.
    pub missing: ByteSize,
}

/// One volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeRetention {
    /// Its name.
    pub name: VolumeName,
    /// Its size.
    pub size: ByteSize,
    /// Free for footage.
    pub free: ByteSize,
    /// With less than this, room is made.
    pub wanted: ByteSize,
    /// Footage on it.
    pub footage: ByteSize,
    /// What footage may take in all.
    pub usable: ByteSize,
    /// Promised or held now.
    pub owed: ByteSize,
    /// The most that will be within 60 days.
    pub peak: ByteSize,
    /// What comes in a day.
    pub per_day: ByteSize,
    /// When the promise breaks; none: not within 60 days.
    pub breaks: Option<Breaks>,
}

/// One camera.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CameraRetention {
    /// Its id.
    pub camera: CameraId,
    /// Its name for people.
    pub name: String,
    /// Where it is recorded.
    pub volumes: Vec<VolumeName>,
    /// The promise; none: as the disks allow.
    pub min_days: Option<u32>,
    /// What is older goes; none: only for room.
    pub max_days: Option<u32>,
    /// 1 (stops first) to 9.
    pub priority: u32,
    /// Whether it is to be recorded.
    pub recorded: bool,
    /// What it takes in a day.
    pub per_day: ByteSize,
    /// What holds keep of it.
    pub held: ByteSize,
    /// What is kept in truth; none: not measured yet.
    pub kept: Option<Kept>,
    /// Days that will be kept once everything is in balance; none: nothing limits them.
    pub steady_days: Option<f64>,
    /// In how many days it stops, or its oldest promised footage goes; none: not within 60 days.
    pub affected_day: Option<u32>,
    /// Whether it is not recorded because the disks are full of promised footage.
    pub stopped: bool,
    /// Whether it is recorded by its sub stream because the disks are short.
    pub substream: bool,
}

impl CameraRetention {
    /// Whether promised footage of it is not there though it was recorded.
    pub fn is_broken(&self) -> bool {
        self.kept.as_ref().is_some_and(|k| k.unreadable_seconds > 0 || k.lost_seconds > 0)
    }
}

/// What is kept of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// When that was measured.
    pub at: WallNs,
    /// So many days back everything that was recorded can be read.
    pub days: f64,
    /// Start of the oldest footage that can be read.
    pub oldest: Option<WallNs>,
    /// Within the promise: seconds without footage.
    pub gap_seconds: u64,
    /// Within the promise: seconds on volumes that are not there.
    pub unreadable_seconds: u64,
    /// Within the promise: seconds that are lost.
    pub lost_seconds: u64,
    /// Whether the recording is simply younger than the promise.
    pub young: bool,
}

/// What the page of a camera shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CameraKept {
    /// The camera.
    pub camera: CameraRetention,
    /// When the promise breaks on a volume that it is recorded on; none: not within 60 days.
    pub breaks: Option<Breaks>,
    /// Whether deletion is suspended there.
    pub suspended: bool,
}

/// A person's word that something in doubt is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// A volume whose contents are as they should be; none: the clock is right.
    pub volume: Option<VolumeName>,
    /// Who says so.
    pub by: String,
    /// Why they know.
    pub reason: String,
}

/// How retention is, in a few words.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RetentionHealth {
    /// Why nothing is deleted.
    pub suspended: Vec<Suspension>,
    /// Volumes whose promise breaks so soon that it is announced, with how much is missing.
    pub breaks: Vec<(VolumeName, Breaks)>,
    /// Cameras that are not recorded because the disks are full of promised footage.
    pub stopped: Vec<CameraId>,
    /// Cameras that are recorded by their sub stream for that reason.
    pub substream: Vec<CameraId>,
    /// Cameras of which promised footage is not there though it was recorded.
    pub broken: Vec<CameraId>,
}
