//! The ledger: what happened to footage, in a log that nobody can change unnoticed.
//!
//! Entries are leaves of an RFC 6962 tree, stored as tiles (C2SP tlog-tiles); its head is a signed checkpoint (C2SP
//! tlog-checkpoint, signed-note). Who kept a checkpoint can prove that what was in the log then is in it still.

mod entry;

pub use entry::{Change, Entry, Reason, Salted, SegmentEntry, What};

/// Proof that the ledger has entries for good: what destroys something takes one. Only the log makes it, once the entries and a
/// checkpoint over them are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounted {
    entries: std::ops::Range<u64>,
}

impl Accounted {
    /// Their numbers.
    pub fn entries(&self) -> std::ops::Range<u64> {
        self.entries.clone()
    }

    #[cfg(test)]
    pub(crate) fn for_a_test() -> Self {
        Self { entries: 0..1 }
    }
}
