//! What is written down of a backup: in the clear at its place, and with its content on the recorder.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{names::BackupId, place::Label};
use crate::{
    site::BackupWhat,
    types::{CameraId, RecorderId, Span, StreamKind, WallNs, merkle::Hash},
};

/// Version of the records, lists and manifests that are written.
pub const FORMAT: u16 = 1;
/// The oldest version whose readers understand them.
pub const MIN_READER: u16 = 1;

/// A file at the place, by which it can be checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Its length.
    pub bytes: u64,
    /// SHA-256, of the file as it lies there.
    pub sha256: Hash,
}

/// The clear record at the place, `backups/<id>.json`. It is written last: a backup is complete once it has one. Tells nothing of cameras and people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClearRecord {
    /// Version that it was written in.
    pub format: u16,
    /// The oldest version whose readers understand it.
    pub min_reader: u16,
    /// Which backup.
    pub id: BackupId,
    /// The place that it was written to.
    pub place: Uuid,
    /// When it was begun.
    pub started: WallNs,
    /// When it was complete.
    pub ended: WallNs,
    /// Files in it.
    pub files: u64,
    /// Objects that it needs, those of earlier backups included.
    pub objects: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Objects among them that it brought itself.
    pub new_objects: u64,
    /// Bytes of these.
    pub new_bytes: u64,
    /// How many things could not be backed up; what, stands in the encrypted manifest.
    pub missing: u64,
    /// The encrypted list of contents.
    pub manifest: Sealed,
    /// The list of objects, as `sha256sum -c` reads it.
    pub list: Sealed,
    /// Who can read it.
    pub recipients: Vec<String>,
}

/// How a backup went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It goes on; or it was cut short and nobody has looked since.
    Running,
    /// All of it is there, and was read back.
    Complete,
    /// It is there and was read back, but some things could not be backed up.
    Incomplete,
    /// It did not come to an end. What had arrived is used by the next one.
    Failed,
    /// The process, the power or the machine went away. What had arrived is used by the next one.
    Cut,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Running, Self::Complete, Self::Incomplete, Self::Failed, Self::Cut];

    /// Its word, for catalogs and machines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
            Self::Cut => "cut",
        }
    }

    /// Whether there is something that can be restored.
    pub fn usable(self) -> bool {
        matches!(self, Self::Complete | Self::Incomplete)
    }
}

/// What a file in a backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A segment.
    Footage,
    /// An export that was handed out.
    Export,
    /// A database.
    Database,
    /// A part of the ledger.
    Ledger,
    /// site.toml.
    Site,
}

impl Kind {
    /// All of them, in the order in which they are backed up: the smallest that matters most first.
    pub const ALL: [Self; 5] = [Self::Site, Self::Ledger, Self::Database, Self::Export, Self::Footage];

    /// Its word, for catalogs and machines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Footage => "footage",
            Self::Export => "export",
            Self::Database => "database",
            Self::Ledger => "ledger",
            Self::Site => "site",
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::as_str).join(", ");
        Self::ALL.into_iter().find(|k| k.as_str() == text).ok_or_else(known)
    }
}

/// A line of a record's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// What.
    pub kind: Kind,
    /// For footage: of which camera.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<CameraId>,
    /// For footage: main or sub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamKind>,
    /// For footage: from the first second to the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
    /// Files.
    pub files: u64,
    /// Their bytes, as they are on the recorder.
    pub bytes: u64,
}

/// What a later look at a backup found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// When.
    pub at: WallNs,
    /// Whether it was decrypted too.
    pub decrypted: bool,
    /// What is damaged, one line each; empty: all is well.
    pub damaged: Vec<String>,
}

/// The recorder's own record of a backup (KEEP6): time, content, place, result. Kept when the backup itself has expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version that it was written in.
    pub format: u16,
    /// The oldest version whose readers understand it.
    pub min_reader: u16,
    /// Which backup.
    pub id: BackupId,
    /// The site's name for people.
    pub site: String,
    /// The machine.
    pub recorder: RecorderId,
    /// Where to, in the words of site.toml.
    pub to: Label,
    /// The place's own identity; none if it was not there.
    pub place: Option<Uuid>,
    /// What was asked for.
    pub what: Vec<String>,
    /// Who can read it.
    pub recipients: Vec<String>,
    /// When it was begun.
    pub started: WallNs,
    /// When it ended, one way or the other.
    pub ended: Option<WallNs>,
    /// How it went.
    pub outcome: Outcome,
    /// Why not better, for a technician.
    pub problem: Option<String>,
    /// What is in it.
    pub contents: Vec<Content>,
    /// What could not be backed up, one line each.
    pub missing: Vec<String>,
    /// Segments that were still being written, and come with the next one.
    pub open: u64,
    /// Objects that earlier backups had put there and that were gone or cut; they were written again where that was possible.
    pub lost: u64,
    /// The counts and digests of the clear record, once there is one.
    pub sealed: Option<ClearRecord>,
    /// Backups that were removed because their time was over.
    pub expired: Vec<BackupId>,
    /// Why nothing was removed, if something was due.
    pub kept: Option<String>,
    /// When this one itself was removed.
    pub removed: Option<WallNs>,
    /// What the last look at it found.
    pub check: Option<Check>,
    /// The entry that was left for the ledger.
    pub ledger: Option<Uuid>,
}

/// The words of site.toml for what is backed up.
pub fn words(what: &[BackupWhat], areas: &[crate::types::AreaId]) -> Vec<String> {
    let areas = areas.iter().map(|a| format!("area:{a}"));
    what.iter().map(|w| w.as_str().to_owned()).chain(areas).collect()
}
