//! One recorder at a time for a state folder.

use std::{
    fs::{File, OpenOptions},
    path::Path,
};

use anyhow::Context as _;
use nix::fcntl::{Flock, FlockArg};

/// Held until dropped; the kernel lets go of it when the process dies.
#[derive(Debug)]
pub(super) struct Lock {
    _file: Flock<File>,
}

impl Lock {
    /// Takes the lock, or says who has it.
    pub(super) fn take(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(Self { _file: file }),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                anyhow::bail!(
                    "a recorder is running already with the state in {}",
                    path.parent().unwrap_or(path).display()
                )
            }
            Err((_, e)) => Err(e).with_context(|| format!("cannot lock {}", path.display())),
        }
    }
}
