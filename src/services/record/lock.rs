//! One recorder at a time for a state folder.

use std::path::Path;

use crate::services::lock;

/// Held until dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _lock: lock::Lock,
}

impl Lock {
    /// Takes the lock, or says who has it.
    pub(super) fn take(path: &Path) -> anyhow::Result<Self> {
        lock::Lock::take(path, "a recorder is running").map(|lock| Self { _lock: lock })
    }
}
