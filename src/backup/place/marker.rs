//! The marker: what makes a place one of ours.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Place, PlaceError};
use crate::{
    backup::names::MARKER,
    types::{RecorderId, WallNs},
};

/// Version of the layout of a place that is written.
const FORMAT: u16 = 1;

/// What the marker says. Without it nothing is ever written to a place: a NAS that is not mounted must not fill the disk that its mount point
/// lies on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Version of the layout.
    pub format: u16,
    /// The oldest version whose readers understand it.
    pub min_reader: u16,
    /// Its own identity: two disks that take turns are two places.
    pub place: Uuid,
    /// The site's name on the disks.
    pub site: String,
    /// The machine whose backups lie here.
    pub recorder: RecorderId,
    /// When it was prepared.
    pub created: WallNs,
}

/// Why a place is not used. Nothing was written to it.
#[derive(Debug, thiserror::Error)]
pub enum MarkerError {
    /// It was never prepared, or is not mounted.
    #[error(
        "nothing is prepared there ({MARKER} is missing): either it is not mounted, then mount it; or it is new, then `custodian backup init`"
    )]
    None,
    /// It cannot be read.
    #[error("{MARKER} is damaged: {0}")]
    Damaged(String),
    /// Another school's or recorder's.
    #[error("it holds the backups of recorder {recorder} of site {site}")]
    Other {
        /// Whose.
        site: String,
        /// Of which machine.
        recorder: RecorderId,
    },
    /// Made by a later version.
    #[error("its layout wants a reader of version {0}, this one has {FORMAT}: update custodian")]
    TooNew(u16),
    /// The place does not answer.
    #[error(transparent)]
    Place(#[from] PlaceError),
}

impl Marker {
    /// For a new place.
    pub fn new(site: &str, recorder: &RecorderId, created: WallNs) -> Self {
        let (site, recorder) = (site.to_owned(), recorder.clone());
        Self { format: FORMAT, min_reader: FORMAT, place: Uuid::new_v4(), site, recorder, created }
    }

    /// Reads it, whosever it is.
    pub fn read(place: &dyn Place) -> Result<Self, MarkerError> {
        let bytes = match place.read(MARKER) {
            Ok(bytes) => bytes,
            Err(PlaceError::Missing(_)) => return Err(MarkerError::None),
            // Not even the folder is there.
            Err(PlaceError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(MarkerError::None);
            }
            Err(e) => return Err(e.into()),
        };
        let marker: Self = serde_json::from_slice(&bytes).map_err(|e| MarkerError::Damaged(e.to_string()))?;
        if marker.min_reader > FORMAT { Err(MarkerError::TooNew(marker.min_reader)) } else { Ok(marker) }
    }

    /// Reads it, if it is this recorder's.
    pub fn expect(place: &dyn Place, site: &str, recorder: &RecorderId) -> Result<Self, MarkerError> {
        let marker = Self::read(place)?;
        if marker.site == site && marker.recorder == *recorder {
            Ok(marker)
        } else {
            Err(MarkerError::Other { site: marker.site, recorder: marker.recorder })
        }
    }

    /// Writes it, and reads it again.
    pub fn write(&self, place: &dyn Place) -> Result<(), PlaceError> {
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        place.put(MARKER, &text)?;
        place.check(MARKER, crate::backup::crypt::digest(&text))
    }
}
