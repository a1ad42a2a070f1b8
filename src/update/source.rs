//! Where an update directory is: behind a URL, or on something of which its files have to be brought.

use std::path::Path;

use super::{error::UpdateError, machine::Machine, sums::Part};
use crate::types::merkle::Hash;

/// An update directory.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// By its URL: systemd-pull fetches from there.
    Url(&'a str),
    /// Files of it are brought one by one, as from a stick that no file system of the kernel's is to read.
    Brought(&'a dyn Bring),
}

/// Brings files of an update directory.
pub trait Bring {
    /// Lays a file of it at `to`, durably, and says its SHA-256. It may have `most` bytes.
    ///
    /// # Errors
    /// If it is not there, is longer, or the directory has gone away.
    fn bring(&self, name: &str, to: &Path, most: u64) -> Result<Hash, UpdateError>;
    /// How it is called in messages.
    fn name(&self) -> String;
}

impl Source<'_> {
    /// How it is called in messages; of a folder its URL, with a slash at the end.
    pub(super) fn name(self) -> String {
        match self {
            Self::Url(url) => format!("{}/", url.trim_end_matches('/')),
            Self::Brought(from) => from.name(),
        }
    }

    /// Fetches a file that somebody else judges.
    pub(super) fn unjudged(self, machine: &Machine<'_>, name: &str, to: &Path, most: u64) -> Result<(), UpdateError> {
        match self {
            Self::Url(_) => machine.pull(&format!("{}{name}", self.name()), to, "no", most),
            Self::Brought(from) => from.bring(name, to, most).map(|_| ()),
        }
    }

    /// Fetches a file that a signed list names to a folder, and checks that it is the one.
    pub(super) fn part(self, machine: &Machine<'_>, part: &Part, folder: &Path) -> Result<(), UpdateError> {
        let to = folder.join(&part.name);
        match self {
            Self::Url(_) => {
                machine.pull(&format!("{}{}", self.name(), part.name), &to, &part.hash.to_string(), part.most)
            }
            Self::Brought(from) => {
                let is_signed = from.bring(&part.name, &to, part.most)? == part.hash;
                if is_signed { Ok(()) } else { Err(UpdateError::Spoilt { file: part.name.clone() }) }
            }
        }
    }
}
