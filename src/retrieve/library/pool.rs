//! Open readers of the index, kept for the next question.

use std::{
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use crate::store::index::{IndexError, Reader};

/// Readers that are kept; more are opened when more ask at once, and closed afterwards.
const KEPT: usize = 4;

/// Which file stands at the index's path: device and inode.
type Identity = Option<(u64, u64)>;

#[derive(Debug)]
pub(super) struct Pool {
    path: PathBuf,
    idle: Mutex<(Identity, Vec<Reader>)>,
}

impl Pool {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::new((None, Vec::new())) }
    }

    /// Asks the index. A reader that fails is not used again.
    pub(super) fn ask<T>(&self, question: impl FnOnce(&Reader) -> Result<T, IndexError>) -> Result<T, IndexError> {
        // A rebuilt index is another file at the same path: readers of the old one would answer from the past for ever.
        let now: Identity = std::fs::metadata(&self.path).ok().map(|m| (m.dev(), m.ino()));
        let kept = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.0 != now {
                idle.1.clear();
                idle.0 = now;
            }
            idle.1.pop()
        };
        let reader = match kept {
            Some(reader) => reader,
            None => Reader::open(&self.path)?,
        };
        let answer = question(&reader)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.0 == now && idle.1.len() < KEPT {
            idle.1.push(reader);
        }
        Ok(answer)
    }
}
