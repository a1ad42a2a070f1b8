//! The ledger: what happened to footage, in a log that nobody can change unnoticed.
//!
//! Entries are leaves of an RFC 6962 tree, stored as tiles (C2SP tlog-tiles); its head is a signed checkpoint (C2SP
//! tlog-checkpoint, signed-note). Who kept a checkpoint can prove that what was in the log then is in it still.
//! `docs/ref/ledger.md` says what is on disk.
//!
//! [`Journal`] is what services write to; [`Log`] is the log itself, [`View`] what its readers see. Other commands leave their
//! entries in a [`spool`].

mod checkpoint;
mod deposit;
mod edge;
mod entry;
mod error;
mod folder;
mod journal;
mod kind;
mod log;
mod note;
mod place;
mod proof;
#[cfg(test)]
pub(crate) mod samples;
pub mod spool;
#[cfg(test)]
mod tests;
mod tile;
mod verify;
mod view;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use deposit::{Contradiction, Deposit, DepositError};
pub use entry::{
    Change, Entry, Reason, RemoteChange, Salted, SegmentEntry, SilenceChange, UpdateChange, Vouched, What, new_salt,
    salt_of,
};
pub use error::LedgerError;
pub use journal::{Gate, Journal, JournalError, Pace, Setup, Status, Ticket};
pub use log::{LONGEST, Log};
pub use note::{NoteError, Signer, Verifier};
pub use place::{Place, claimed_size, origin, public, verifier};
pub use proof::{is_consistent, root_of_path};
pub use verify::{Flaw, Verified, verify};
pub use view::{Inclusion, Record, View};

/// Proof that the ledger has entries for good: what destroys something takes one. Only the log makes it, once the entries and a
/// checkpoint over them are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounted {
    entries: std::ops::Range<u64>,
}

impl Accounted {
    fn new(entries: std::ops::Range<u64>) -> Self {
        Self { entries }
    }

    /// Their numbers.
    pub fn entries(&self) -> std::ops::Range<u64> {
        self.entries.clone()
    }

    #[cfg(test)]
    pub(crate) fn for_a_test() -> Self {
        Self::new(0..1)
    }
}
