//! One at a time.

use std::{
    fs::{File, OpenOptions},
    path::Path,
};

use anyhow::Context as _;
use nix::fcntl::{Flock, FlockArg};

/// Somebody else has it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Busy(String);

/// Held until dropped; the kernel lets go of it when the process dies.
#[derive(Debug)]
pub(super) struct Lock {
    _file: Flock<File>,
}

impl Lock {
    /// Takes the lock, or says who has it: `busy` names the one that may have it.
    pub(super) fn take(path: &Path, busy: &str) -> anyhow::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(Self { _file: file }),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                let state = path.parent().unwrap_or(path).display();
                Err(Busy(format!("{busy} already with the state in {state}")).into())
            }
            Err((_, e)) => Err(e).with_context(|| format!("cannot lock {}", path.display())),
        }
    }
}
