//! The ledger: what happened to footage, in a log that nobody can change unnoticed.
//!
//! Entries are leaves of an RFC 6962 tree, stored as tiles (C2SP tlog-tiles); its head is a signed checkpoint (C2SP
//! tlog-checkpoint, signed-note). Who kept a checkpoint can prove that what was in the log then is in it still.

mod entry;

pub use entry::{Change, Entry, Reason, Salted, SegmentEntry, What};
