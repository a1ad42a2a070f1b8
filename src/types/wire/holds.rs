//! Holds on the sockets.

use serde::{Deserialize, Serialize};

use crate::types::{ByteSize, CameraId, HoldId, Span, VolumeName, WallNs};

/// Who orders something of a hold, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldOrder {
    /// Who ordered it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The case that it belongs to.
    #[serde(default)]
    pub case: Option<String>,
    /// The user of the machine who gives the command.
    pub entered_by: String,
    /// Though the promise of cameras breaks by it.
    #[serde(default)]
    pub even_if_short: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum HoldCommand {
    /// Make a hold.
    Add {
        /// Of these cameras; none named: of all.
        cameras: Vec<CameraId>,
        /// The footage.
        span: Span,
        /// When it is to be looked at, `2026-12-22`.
        review: String,
        /// By whom and why.
        order: HoldOrder,
    },
    /// Make one wider or longer.
    Extend {
        /// Which.
        hold: HoldId,
        /// These cameras too.
        cameras: Vec<CameraId>,
        /// All cameras.
        #[serde(default)]
        all_cameras: bool,
        /// From an earlier time on.
        from: Option<WallNs>,
        /// Until a later time.
        to: Option<WallNs>,
        /// When it is to be looked at.
        review: Option<String>,
        /// By whom and why.
        order: HoldOrder,
    },
    /// Let one go.
    Release {
        /// Which.
        hold: HoldId,
        /// By whom and why.
        order: HoldOrder,
    },
}

/// One thing that was ordered of a hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldChange {
    /// `added`, `extended`, `released`.
    pub act: String,
    /// When.
    pub at: WallNs,
    /// Who ordered it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The case.
    pub case: Option<String>,
    /// Who gave the command.
    pub entered_by: String,
    /// Whether it was ordered though the promise of cameras broke by it.
    pub even_if_short: bool,
    /// Whether the ledger has it.
    pub logged: bool,
}

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Which.
    pub id: HoldId,
    /// Of these cameras; none named: of all.
    pub cameras: Vec<CameraId>,
    /// The footage.
    pub span: Span,
    /// When it is to be looked at.
    pub review: Option<String>,
    /// Whether that day has come.
    pub due: bool,
    /// When it was released, if it was.
    pub released: Option<WallNs>,
    /// All that was ordered, by time; the first made it.
    pub changes: Vec<HoldChange>,
}

/// All holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HoldList {
    /// By the start of what they hold; those that were released lately too.
    pub holds: Vec<Hold>,
    /// Volumes on which nothing is deleted because their copy of the holds cannot be relied on, and why.
    pub unread: Vec<(VolumeName, String)>,
    /// What is wrong with the recorder's own copy.
    pub own_copy: Option<String>,
}

/// How the holds are, without a name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HoldsHealth {
    /// Holds in force.
    pub in_force: usize,
    /// Of these, those whose day of review has come.
    pub due: usize,
    /// Changes that the ledger does not have yet.
    pub unlogged: usize,
    /// Volumes on which nothing is deleted because their copy of the holds cannot be relied on, and why.
    pub unread: Vec<(VolumeName, String)>,
    /// What is wrong with the recorder's own copy.
    pub own_copy: Option<String>,
}

/// What a change does to one volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldEffect {
    /// The volume.
    pub volume: VolumeName,
    /// What it adds that no promise keeps any longer.
    pub beyond: ByteSize,
    /// What it adds that is promised still.
    pub promised: ByteSize,
    /// What it adds that has not been recorded yet.
    pub to_come: ByteSize,
    /// From when on it takes room that others could have; none: never, it adds nothing here.
    pub counts_from: Option<WallNs>,
    /// What promises and all holds come to then.
    pub needed: ByteSize,
    /// What there is for footage; none: nobody knows.
    pub usable: Option<ByteSize>,
    /// When the promise breaks by the forecast then; none: not within 60 days.
    pub breaks: Option<WallNs>,
    /// When it would have broken without the change.
    pub broke: Option<WallNs>,
}

/// What a volume lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldLack {
    /// The volume.
    pub volume: VolumeName,
    /// What promises and holds come to.
    pub needed: ByteSize,
    /// What is there.
    pub there: ByteSize,
    /// What is missing.
    pub missing: ByteSize,
    /// From when on.
    pub since: WallNs,
}

/// Why a hold is refused, and what would help; each remedy alone is enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldShort {
    /// What is missing where.
    pub lacks: Vec<HoldLack>,
    /// To hold only until then.
    pub until: Option<WallNs>,
    /// To leave these cameras out.
    pub without: Option<Vec<CameraId>>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldChanged {
    /// The hold as it is now.
    pub hold: Hold,
    /// Files that it holds now.
    pub files: u64,
    /// What the change does to the volumes; none for a release.
    pub effects: Vec<HoldEffect>,
    /// What is missing by it, where it was ordered all the same.
    pub short: Option<HoldShort>,
    /// Why what it takes is not known, where the index cannot be read.
    pub unreckoned: Option<String>,
    /// Copies that did not take it, in words; it stands all the same.
    pub refused: Vec<String>,
    /// Why the ledger does not have it yet; it will.
    pub ledger: Option<String>,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum HoldAnswer {
    /// It was done, and is on disk.
    Done(Box<HoldChanged>),
    /// The promise of cameras would break by it: nothing has changed.
    Short(HoldShort),
}
