//! Where an update directory is: behind a URL, or on something of which its files have to be brought first.

use std::path::Path;

use super::{
    error::UpdateError,
    machine::{Machine, folder_url},
    sums::{Part, SIGNATURE, SUMS},
};
use crate::{sys::Files, types::merkle::Hash};

/// A list names a few files.
const LIST: u64 = 1 << 20;
/// What is brought of the list lies here until its signature was judged, in the folder of the version that is fetched.
const BROUGHT: &str = "brought";

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
    /// How it is called in messages.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Url(url) => format!("{}/", url.trim_end_matches('/')),
            Self::Brought(from) => from.name(),
        }
    }

    /// Fetches the list and its signature to a folder. The signature is judged here, before anything of the list is believed.
    pub(super) fn list(&self, machine: &Machine<'_>, files: &dyn Files, to: &Path) -> Result<(), UpdateError> {
        let (url, brought) = match self {
            Self::Url(_) => (self.name(), None),
            Self::Brought(from) => {
                let dir = to.join(BROUGHT);
                files.make_dir(&dir).map_err(super::error::failed("cannot make", &dir))?;
                for name in [SUMS, SIGNATURE] {
                    from.bring(name, &dir.join(name), LIST)?;
                }
                (folder_url(&dir)?, Some(dir))
            }
        };
        machine.pull(&format!("{url}{SUMS}"), &to.join(SUMS), "signature", LIST).map_err(unsigned)?;
        machine.pull(&format!("{url}{SIGNATURE}"), &to.join(SIGNATURE), "no", LIST)?;
        match brought {
            Some(dir) => files.remove_dir(&dir).map_err(super::error::failed("cannot remove", &dir)),
            None => Ok(()),
        }
    }

    /// Fetches a file that a signed list names to a folder.
    pub(super) fn part(&self, machine: &Machine<'_>, part: &Part, to: &Path) -> Result<(), UpdateError> {
        let to = to.join(&part.name);
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

/// systemd-pull says so of a list that somebody else has signed, or that was changed.
fn unsigned(e: UpdateError) -> UpdateError {
    match e {
        UpdateError::Program { said, .. } if said.contains("ignature verification failed") => {
            UpdateError::NotSigned { said }
        }
        other => other,
    }
}
