//! Playback and export: what is on disk, by time, in byte ranges, playlists and clips.
//!
//! Reads the index and the segments, writes neither. Files are opened only by rows of the index, below the root of their volume.

pub mod clip;
mod error;
pub mod hls;
mod library;
pub mod moof;
pub mod params;
mod place;
pub mod range;
mod router;

pub use error::RetrieveError;
pub use library::{Footage, Library, MAX_SEGMENTS, Segment, Table};
pub use router::{Cameras, router};

use crate::types::{CameraId, StreamKind, wire::Fragments};

/// The answer for a camera that has no footage yet.
fn no_fragments(camera: CameraId, stream: StreamKind) -> Fragments {
    Fragments { camera, stream, segments: Vec::new() }
}

#[cfg(test)]
mod testing;
