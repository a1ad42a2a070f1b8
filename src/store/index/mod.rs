//! The index: what footage there is, and where. SQLite (WAL) on the system disk, written by `record` alone.
//!
//! Nothing in it is the only copy of anything that deletion depends on: segments, runs and closed gaps can be rebuilt from the volumes
//! ([`crate::store::recovery`]). What stands nowhere else is history: what was measured day by day, what was found lost or has gone, and the
//! gap that lasts. Gaps are not stored: a gap lies between the end of one run and the start of the next one, whose
//! head says why ([`crate::types::Run::before`]), or within a run where no picture came ([`SegmentRow::holes`], known from the
//! fragments' times). Only the gap that lasts, after the last run, has a row of its own.

mod all;
mod keeping;
mod queue;
mod reader;
mod schema;
mod writer;

pub use all::{Cursor, Since};
pub use keeping::{Aged, KeptRow, Stock};
pub use queue::{Batch, IndexQueue, Sink};
pub use reader::Reader;
pub use schema::{FORMAT, IndexError};
pub use writer::Writer;

#[cfg(test)]
use crate::types::wire;
use crate::types::{RecorderId, RunId, SegmentId, Span, StreamKey, VolumeName, WallNs, merkle::Hash};

/// How far a segment has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SegmentState {
    /// Being written: length and end are those of the last commit.
    Open,
    /// Closed in order.
    Closed,
    /// Found torn after a crash or a failed disk, and closed then.
    Recovered,
    /// About to be removed by retention: the ledger says so already, the file may be there still. Readers leave it out.
    Retiring,
}

impl SegmentState {
    fn code(self) -> i64 {
        match self {
            Self::Open => 0,
            Self::Closed => 1,
            Self::Recovered => 2,
            Self::Retiring => 3,
        }
    }
    fn from_code(code: i64) -> Self {
        match code {
            1 => Self::Closed,
            2 => Self::Recovered,
            3 => Self::Retiring,
            _ => Self::Open,
        }
    }
}

/// A run as the index knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Identity.
    pub id: RunId,
    /// Whose; with the camera's name at the time, which is the folder's name.
    pub stream: StreamKey,
    /// Uncorrected wall time at decode time 0.
    pub start: WallNs,
    /// To be added to every time of the run, ns.
    pub clock_correction: i64,
    /// Since when there was trouble before it, and why.
    pub before: Option<crate::types::GapBefore>,
    /// `video/mp4; codecs="…"`.
    pub mime: String,
    /// Picture size.
    pub size: (u16, u16),
    /// The machine that captured it.
    pub recorder: RecorderId,
}

impl From<&crate::types::Run> for RunRow {
    fn from(run: &crate::types::Run) -> Self {
        Self {
            id: run.id,
            stream: run.stream.clone(),
            start: run.start,
            clock_correction: run.clock_correction,
            before: run.before.clone(),
            mime: run.mime(),
            size: run.video().size,
            recorder: run.recorder.clone(),
        }
    }
}

/// A segment as the index knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRow {
    /// Identity.
    pub id: SegmentId,
    /// Where it lies.
    pub volume: VolumeName,
    /// The file, relative to the volume's root.
    pub path: String,
    /// Corrected wall time covered.
    pub span: Span,
    /// Uncorrected wall time of its start: what its name says.
    pub raw_start: WallNs,
    /// The run's correction, ns.
    pub clock_correction: i64,
    /// Bytes that may be read.
    pub bytes: u64,
    /// Pictures.
    pub frames: u64,
    /// RTP packets lost while it was recorded.
    pub lost_packets: u64,
    /// How far it has come.
    pub state: SegmentState,
    /// Within `span`, ascending: where no picture came for longer than [`HOLE_NS`] though the session went on.
    pub holes: Vec<Span>,
    /// Once it is closed: the RFC 6962 root over its head and its fragments' leaves ([`crate::store::format::root`]). None for one that
    /// an earlier version closed.
    pub root: Option<Hash>,
}

/// Nothing for so long within a run is a gap too.
pub const HOLE_NS: i64 = 1_000_000_000;

/// A stream that the index knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRow {
    /// Identity and present names.
    pub key: StreamKey,
}

#[cfg(test)]
mod tests;
