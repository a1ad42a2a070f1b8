//! Why there is no backup, or none that can be read.

use std::{io, path::PathBuf};

use super::{
    catalogue::CatalogueError, crypt::CryptError, manifest::ManifestError, names::BackupId, place::MarkerError,
    place::PlaceError,
};
use crate::store::{index::IndexError, volume::VolumeError};

/// Why something about backups was not done.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The place does not do what it should.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The place is none of ours, or not there.
    #[error(transparent)]
    Marker(#[from] MarkerError),
    /// What was written where cannot be remembered.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// Encrypting or decrypting.
    #[error(transparent)]
    Crypt(#[from] CryptError),
    /// What footage there is cannot be found out.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The folder that is restored into.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A backup that is not at the place.
    #[error("there is no backup {0} at this place: `custodian backup list` shows them")]
    NoBackup(BackupId),
    /// No backup at all.
    #[error("there is no complete backup at this place")]
    None,
    /// A backup that has nothing of what is asked for.
    #[error("backup {id} has {what}. Its footage is of these cameras: {cameras}")]
    Nothing {
        /// Which.
        id: BackupId,
        /// What it does not have.
        what: String,
        /// What it has.
        cameras: String,
    },
    /// A file of a backup that does not say what it should.
    #[error("{name} is damaged: {what}")]
    Damaged {
        /// Which.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// A clock that may be wrong.
    #[error("the clock stands more than 7 days after the last backup ({last}), and nothing says that it is right")]
    Clock {
        /// When that was begun.
        last: crate::types::WallNs,
    },
    /// One of a time before the catalogue.
    #[error(
        "backup {0} holds what this recorder's catalogue does not know, perhaps the only copy of something: look at it \
         (`custodian backup list {0}`, or restore it), then remove the old backups by hand"
    )]
    Unknown(BackupId),
    /// A later version's.
    #[error("{name} was written by a later version of custodian: a reader of format {needs} is needed")]
    TooNew {
        /// Which.
        name: String,
        /// The format.
        needs: u16,
    },
    /// The list of contents.
    #[error("the list of contents of {id} cannot be used")]
    Manifest {
        /// Of which backup.
        id: BackupId,
        /// Why.
        source: ManifestError,
    },
    /// A file or folder of this machine.
    #[error("{what} {path}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl BackupError {
    pub(super) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}
