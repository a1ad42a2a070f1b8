//! Where backups lie: a folder or a store, both by the same few verbs.

mod folder;
mod marker;
mod paced;
mod s3;

use std::{fmt, io};

pub use folder::Folder;
pub use marker::{Marker, MarkerError};
pub use s3::{Patience, S3};
use sha2::{Digest as _, Sha256};

use crate::types::merkle::Hash;

/// A place. Names are relative, `objects/1a/…`.
pub trait Place {
    /// Writes a file: it is there whole and durably, or it is not there. What had its name is gone.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), PlaceError>;
    /// Reads a file to its end, in pieces; as far as possible from the medium itself.
    fn get(&self, name: &str, sink: &mut dyn FnMut(&[u8])) -> Result<(), PlaceError>;
    /// A file's length; nothing if there is no such file.
    fn size(&self, name: &str) -> Result<Option<u64>, PlaceError>;
    /// Names and lengths of all files below a folder; none if there is no such folder.
    fn list(&self, folder: &str, found: &mut dyn FnMut(&str, u64)) -> Result<(), PlaceError>;
    /// Removes a file. Fine if there is none.
    fn remove(&self, name: &str) -> Result<(), PlaceError>;
}

/// Why a place does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// There is no such file.
    #[error("{0} is not there")]
    Missing(String),
    /// No room.
    #[error("the place is full: {name} could not be written")]
    Full {
        /// What was to be written.
        name: String,
    },
    /// A disk or a mount says no.
    #[error("{what} {name}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        name: String,
        /// Its reason.
        source: io::Error,
    },
    /// A store says no, or cannot be asked.
    #[error("{what} {name}: {why}")]
    Store {
        /// What was tried.
        what: &'static str,
        /// On which file.
        name: String,
        /// Its reason, without any secret.
        why: String,
    },
    /// What was read back is not what was written.
    #[error("{name} does not come back as it was written: the medium, or the way to it, is faulty")]
    Altered {
        /// Which file.
        name: String,
    },
}

impl dyn Place + '_ {
    /// All of a small file.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, PlaceError> {
        let mut all = Vec::new();
        self.get(name, &mut |piece| all.extend_from_slice(piece))?;
        Ok(all)
    }

    /// SHA-256 of a file as it lies there, and its length.
    pub fn digest(&self, name: &str) -> Result<(Hash, u64), PlaceError> {
        let (mut sha, mut len) = (Sha256::new(), 0);
        self.get(name, &mut |piece| {
            sha.update(piece);
            len += piece.len() as u64;
        })?;
        Ok((Hash(sha.finalize().into()), len))
    }

    /// Reads a file again and compares.
    pub fn check(&self, name: &str, digest: Hash) -> Result<(), PlaceError> {
        let altered = PlaceError::Altered { name: name.to_owned() };
        if self.digest(name)?.0 == digest { Ok(()) } else { Err(altered) }
    }
}

/// A place in the words of site.toml, for records and people. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Label(pub String);

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
