//! Why something cannot be had.

use std::{io, path::PathBuf};

use super::{moof::MoofError, params::BadParameter};
use crate::{
    store::{format::FormatError, index::IndexError},
    types::{CameraId, SegmentId, StreamKind, VolumeName},
};

/// Why something cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RetrieveError {
    /// The request itself is wrong.
    #[error(transparent)]
    Parameter(#[from] BadParameter),
    /// No such camera, here or in the index.
    #[error("there is no camera {0}")]
    NoCamera(CameraId),
    /// A camera without footage in the span asked for.
    #[error("there is no footage of camera {0} ({1}) in this span")]
    NoFootage(CameraId, StreamKind),
    /// A path that names nothing.
    #[error("there is no such page: {0}")]
    NoPage(String),
    /// Not in the index, or its file has gone.
    #[error("segment {}/{} of stream {} is no more", .0.run, .0.seq, .0.stream)]
    NoSegment(SegmentId),
    /// A volume that the index names and that is not there to be read.
    #[error("volume {0}, which holds the segment, is not there, or its disk does not answer")]
    NoVolume(VolumeName),
    /// The index says no.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The disk says no.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
    /// A file that is not one of ours, or damaged.
    #[error("{path} is not readable as a segment")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: FormatError,
    },
    /// A fragment that cannot be put into a clip.
    #[error("the fragment at byte {at} of {path} cannot be copied")]
    Fragment {
        /// The file.
        path: PathBuf,
        /// Where it begins.
        at: u64,
        /// What is wrong with it.
        source: MoofError,
    },
    /// The clip cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
}

impl RetrieveError {
    /// The whole story in one line: the error and what lies beneath it.
    pub fn story(&self) -> String {
        crate::types::story(self)
    }
}
