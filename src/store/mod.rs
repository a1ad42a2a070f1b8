//! Footage on disk: volumes, segments, index, recovery.
//!
//! [`Footage`] is all that capture sees of it. [`mod@format`] is the file format, without I/O.

mod footage;
pub mod format;
pub mod identity;
pub mod index;
pub mod layout;
mod probe;
pub mod recovery;
mod retire;
mod segment;
mod streams;
pub mod verify;
pub mod volume;
mod worker;

pub use footage::{Place, Seen, Setup, Store, VolumeSetup};
pub use probe::reserve;
pub use retire::{Condemned, RetireError, Retired};
pub use worker::Timing;

use std::sync::Arc;

use crate::types::{CameraId, Cause, Fragment, GapBefore, RunId, StreamId, StreamKind, VolumeName, WallNs};

/// Why a fragment was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The volume's share of the memory budget is used up: the disk is slower than its cameras.
    #[error("volume {0} is slower than its cameras: its share of memory is full")]
    Slow(VolumeName),
    /// The volume is marked failed, full or gone.
    #[error("volume {volume} is not written to: {problem}")]
    Failed {
        /// Which.
        volume: VolumeName,
        /// Why.
        problem: String,
    },
}

/// What the store tells those who feed it.
#[derive(Debug, Clone)]
pub enum StoreEvent {
    /// A volume stopped taking footage: every run that was being written there has ended at its last committed
    /// fragment. Further fragments of those runs are refused.
    VolumeFailed {
        /// Which.
        volume: VolumeName,
        /// Why; becomes the cause of the gaps.
        cause: Cause,
    },
    /// A volume takes footage again.
    VolumeBack(VolumeName),
}

/// Where capture puts footage. No method blocks on a disk or a database.
pub trait Footage: Send + Sync + 'static {
    /// The stable identity of a camera's stream; made at the first call.
    fn stream_id(&self, camera: &CameraId, kind: StreamKind) -> StreamId;

    /// Corrected end of what the stream has recorded so far, fragments still in memory included.
    fn last_end(&self, stream: StreamId) -> Option<WallNs>;

    /// What the next run of a stream carries if nothing fresher is known: why there has been no footage since its last. `None`
    /// once a fragment was written, and for a stream that never had footage.
    fn pending_gap(&self, stream: StreamId) -> Option<GapBefore>;

    /// The volume for a stream's next segments: the one it had, while that is healthy and admits it; never `avoid`. `None` if there is
    /// none.
    fn choose(&self, stream: StreamId, avoid: Option<&VolumeName>) -> Option<VolumeName>;

    /// Whether a stream may go on where it is recorded: room may have run short for it in the meantime.
    fn may_stay(&self, stream: StreamId, volume: &VolumeName) -> bool;

    /// Why no volume was chosen for a stream.
    fn nowhere(&self, stream: StreamId) -> Cause;

    /// The volume for a copy of a stream's next segments, if it is to have one and there is another healthy volume.
    fn choose_copy(&self, stream: StreamId, beside: &VolumeName) -> Option<VolumeName>;

    /// Queues a fragment for a volume.
    fn write(&self, volume: &VolumeName, fragment: Fragment) -> Result<(), Refused>;

    /// Queues the copy of a fragment. What the stream has so far does not grow by it.
    fn write_copy(&self, volume: &VolumeName, fragment: Fragment) -> Result<(), Refused>;

    /// Ends a run: its open segment is closed after what is queued has been written. Later fragments of it are refused.
    fn end_run(&self, volume: &VolumeName, run: RunId);

    /// Says that a stream brings no footage since `since`, and why; `None` once it does again. Survives a restart.
    fn set_gap(&self, stream: StreamId, gap: Option<GapBefore>);

    /// What has happened since, from now on.
    fn events(&self) -> tokio::sync::broadcast::Receiver<StoreEvent>;
}

/// A shared [`Footage`].
pub type SharedFootage = Arc<dyn Footage>;

#[cfg(test)]
mod tests;
