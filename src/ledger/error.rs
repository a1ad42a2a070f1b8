//! What can go wrong with a log. A message says what to do where there is something to do.

use std::{io, path::PathBuf};

use super::{checkpoint::CheckpointError, note::NoteError};

/// Why a log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The disk says no.
    #[error("{what} {path}", path = path.display())]
    Files {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it did not work.
        source: io::Error,
    },
    /// Something that every log has is gone.
    #[error(
        "{path} is missing: restore it from a backup. To begin a new log instead, move the log's folder elsewhere and keep it; \
         the new log says which one came before it",
        path = path.display()
    )]
    Lost {
        /// What.
        path: PathBuf,
    },
    /// Something is not what the log wrote.
    #[error(
        "{path}: {what}. Nothing is appended to a log that does not fit together: restore it from a backup, or move its folder \
         elsewhere, keep it, and let a new log begin",
        path = path.display()
    )]
    Damaged {
        /// What.
        path: PathBuf,
        /// In which way.
        what: String,
    },
    /// A checkpoint is wrong.
    #[error("{path} is no checkpoint of this log", path = path.display())]
    Checkpoint {
        /// Which.
        path: PathBuf,
        /// In which way.
        source: CheckpointError,
    },
    /// A verifier key is wrong.
    #[error("{path} is not the key of a log", path = path.display())]
    Verifier {
        /// Which.
        path: PathBuf,
        /// In which way.
        source: NoteError,
    },
    /// The name for a new log.
    #[error("a log cannot be named so")]
    Name(#[source] NoteError),
    /// There is no private key at hand that this log was signed with.
    #[error(
        "the private key in {path} is not the one that this log is signed with: give back the right one. Without it nothing can be \
         appended; to begin a new log, move the log's folder elsewhere and keep it",
        path = path.display()
    )]
    OtherKey {
        /// Where the key was found.
        path: PathBuf,
    },
    /// No random bytes.
    #[error("the kernel gives no random bytes for a key")]
    Random(#[source] io::Error),
    /// An entry is longer than a log can hold.
    #[error("an entry has {0} bytes; a log takes 65,535 at most")]
    TooLong(usize),
    /// There is no such entry.
    #[error("there is no entry {n}: the log has {size}, counted from 0")]
    NoEntry {
        /// Which.
        n: u64,
        /// Entries of the log.
        size: u64,
    },
    /// A retry would say something else than the attempt before it, which may have been seen.
    #[error("what was signed before is not what is to be signed now; restart the recorder to read the log anew")]
    Fork,
}

/// For `map_err`: what was tried with which file.
pub(super) fn failed(what: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> LedgerError {
    let path = path.to_owned();
    move |source| LedgerError::Files { what, path, source }
}
