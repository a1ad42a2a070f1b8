//! Whether footage is what it was: files are read again, every byte, and compared with their own digests, with the index, and with what
//! the ledger vouches for.
//!
//! [`examine`] looks at one file, [`Vouchers`] is what the ledger says of all of them. Nothing here writes. What covers which byte stands in
//! `docs/ref/verify.md`.

mod facts;
mod reading;
mod segment;
#[cfg(test)]
mod tests;
mod vouchers;
mod walk;

pub use segment::examine;
pub use vouchers::{Place, Vouched, Vouchers};

use super::index::SegmentRow;
use crate::types::{CameraId, SegmentId, Span, StreamKind, VolumeName, WallNs};

/// What a segment is to be.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Which.
    pub id: SegmentId,
    /// Corrected wall time that it covers.
    pub span: Span,
    /// What was added to the recorder's clock, ns.
    pub clock_correction: i64,
    /// What the index says of it.
    pub row: Option<&'a SegmentRow>,
    /// What the ledger says of it.
    pub vouched: Option<&'a Vouched>,
}

impl<'a> Wanted<'a> {
    /// A segment that the index knows.
    pub fn by_index(row: &'a SegmentRow, vouched: Option<&'a Vouched>) -> Self {
        Self { id: row.id, span: row.span, clock_correction: row.clock_correction, row: Some(row), vouched }
    }

    /// A segment that only the ledger knows.
    pub fn by_ledger(id: SegmentId, vouched: &'a Vouched) -> Self {
        let Vouched { span, clock_correction, .. } = *vouched;
        Self { id, span, clock_correction, row: None, vouched: Some(vouched) }
    }
}

/// Who says otherwise than a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// The ledger: the file was changed after it had been closed.
    Ledger,
    /// The index.
    Index,
}

/// In which way footage is not what it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// The index knows the segment, there is no file.
    FileMissing,
    /// Neither the index nor the disk has it, and the ledger knows of no removal.
    Removed,
    /// There is a file that the ledger vouches for, and the index does not know it.
    NoRow,
    /// The index says that it is in the ledger, which does not have it.
    NotInLedger {
        /// The number of the entry that it should be.
        entry: u64,
    },
    /// The disk does not give this byte of the file.
    Unreadable {
        /// Counted from 0.
        byte: u64,
        /// The disk's reason.
        why: String,
    },
    /// No segment of custodian.
    Foreign(&'static str),
    /// Written by a later version, which this one cannot read.
    TooNew {
        /// The format that it wants.
        needs: u16,
    },
    /// Its head is damaged.
    Head(&'static str),
    /// Another segment lies in its place.
    Swapped {
        /// Which.
        id: SegmentId,
        /// Of which camera.
        camera: CameraId,
        /// When its run began, corrected.
        start: WallNs,
    },
    /// A fragment is damaged.
    Fragment(&'static str),
    /// There is no fragment for a part of the time.
    Missing,
    /// Its closing boxes are damaged; what they say of each fragment had to be found without them.
    Close(&'static str),
    /// All is consistent, and it is another segment than the one that was closed: its root is not the one that stands there.
    Root(Witness),
    /// It says something else of the segment as a whole.
    Facts {
        /// Who says otherwise.
        witness: Witness,
        /// What about it.
        what: &'static str,
    },
    /// The file is shorter than the index says.
    Shorter {
        /// Bytes.
        by: u64,
    },
    /// The file is longer than the index says.
    Longer {
        /// Bytes.
        by: u64,
    },
}

impl Kind {
    /// All names.
    pub const CODES: [&str; 18] = [
        "file-missing",
        "removed",
        "no-row",
        "not-in-ledger",
        "unreadable",
        "foreign",
        "too-new",
        "head",
        "swapped",
        "fragment",
        "missing",
        "close",
        "root-ledger",
        "root-index",
        "facts-ledger",
        "facts-index",
        "shorter",
        "longer",
    ];

    /// Its name, for machines and as the key of its text.
    pub fn code(&self) -> &'static str {
        match self {
            Self::FileMissing => "file-missing",
            Self::Removed => "removed",
            Self::NoRow => "no-row",
            Self::NotInLedger { .. } => "not-in-ledger",
            Self::Unreadable { .. } => "unreadable",
            Self::Foreign(_) => "foreign",
            Self::TooNew { .. } => "too-new",
            Self::Head(_) => "head",
            Self::Swapped { .. } => "swapped",
            Self::Fragment(_) => "fragment",
            Self::Missing => "missing",
            Self::Close(_) => "close",
            Self::Root(Witness::Ledger) => "root-ledger",
            Self::Root(Witness::Index) => "root-index",
            Self::Facts { witness: Witness::Ledger, .. } => "facts-ledger",
            Self::Facts { witness: Witness::Index, .. } => "facts-index",
            Self::Shorter { .. } => "shorter",
            Self::Longer { .. } => "longer",
        }
    }

    /// What a technician wants to know beyond that; may be empty.
    pub fn detail(&self) -> String {
        match self {
            Self::FileMissing | Self::Removed | Self::NoRow | Self::Missing | Self::Root(_) => String::new(),
            Self::NotInLedger { entry } => format!("entry {entry}"),
            Self::Unreadable { byte, why } => format!("at byte {byte}: {why}"),
            Self::Foreign(what)
            | Self::Head(what)
            | Self::Fragment(what)
            | Self::Close(what)
            | Self::Facts { what, .. } => (*what).to_owned(),
            Self::TooNew { needs } => format!("a reader of format {needs} is needed"),
            Self::Swapped { id, camera, start } => {
                format!("it is segment {} of run {}, camera {camera}, begun {start}", id.seq, id.run)
            }
            Self::Shorter { by } | Self::Longer { by } => format!("by {by} bytes"),
        }
    }
}

/// Something about a segment that is not as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// The footage concerned, corrected wall time.
    pub span: Span,
    /// The number of the fragment within its run, where it is one.
    pub fragment: Option<u32>,
    /// What is wrong.
    pub kind: Kind,
}

/// A flaw, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The camera, by its present name where that is known.
    pub camera: CameraId,
    /// Which of its streams.
    pub stream: StreamKind,
    /// The volume.
    pub volume: VolumeName,
    /// The file, relative to the volume's root.
    pub path: String,
    /// The segment.
    pub id: SegmentId,
    /// What is wrong.
    pub flaw: Flaw,
}

impl std::fmt::Display for Finding {
    /// One line, for the ledger and the journal.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Span { start, end } = self.flaw.span;
        write!(f, "{} {} {start} to {end}: {}", self.camera, self.stream, self.flaw.kind.code())?;
        let detail = self.flaw.kind.detail();
        if !detail.is_empty() {
            write!(f, " ({detail})")?;
        }
        write!(f, "; volume {}, {}", self.volume, self.path)
    }
}
