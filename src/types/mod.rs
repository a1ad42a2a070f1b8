//! The words of the system as types: identities, units, times, media, and the messages of the sockets.
//!
//! Nothing here does I/O, and nothing here imports another module of the crate.

mod cause;
pub mod code;
pub mod event;
mod ids;
mod lang;
mod media;
pub mod merkle;
mod story;
mod time;
mod units;
pub mod wire;

pub use cause::{Cause, CauseKind};
pub use ids::{
    AreaId, BadId, CameraId, CredentialsName, HoldId, PersonId, RecorderId, RoleId, RunId, SecretName, SegmentId,
    StreamId, StreamKey, StreamKind, VolumeName,
};
pub use lang::Lang;
pub use media::{Codec, Fragment, GapBefore, Run, Sample, SenderReport, SharedLeaf, Track, TrackKind};
pub use story::story;
pub use time::{Span, WallNs};
pub use units::{BitRate, ByteSize, UnitError};
