//! What the ledger vouches for, and the word that verifying leaves in it.

use crate::store::verify::Vouchers;

/// The ledger as far as it has been read.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// What its entries say of segments.
    pub(super) vouchers: Vouchers,
    /// Entries read.
    entries: u64,
}

impl Ledger {
    /// Entries read; 0 if there is no ledger.
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// Whether the entry of that number has been read.
    pub(super) fn has_read(&self, entry: u64) -> bool {
        entry < self.entries
    }

    /// Reads what has been appended since.
    pub(super) fn refresh(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}
