//! Only one console at a time installs, and until it has left.

use std::{
    cell::OnceCell,
    fs::{File, OpenOptions},
    path::PathBuf,
};

use anyhow::Context as _;
use nix::fcntl::{Flock, FlockArg};

use super::Refusal;

/// The lock of a console.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    kept: OnceCell<Flock<File>>,
}

impl Lock {
    /// Not taken yet.
    pub fn at(path: PathBuf) -> Self {
        Self { path, kept: OnceCell::new() }
    }

    /// Takes it, until that is dropped.
    pub(super) fn alone(&self) -> anyhow::Result<Flock<File>> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&self.path);
        let file = file.with_context(|| self.path.display().to_string())?;
        Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| Refusal::Busy.into())
    }

    /// Does something alone, and if it comes to its end stays alone: somebody is reading what was done, and the disk is not to be changed
    /// meanwhile.
    pub(super) fn keep<T>(&self, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let alone = self.alone()?;
        let done = work()?;
        // Nobody comes here twice: this console itself was refused above.
        let _ = self.kept.set(alone);
        Ok(done)
    }
}
