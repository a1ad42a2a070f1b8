//! Backups (KEEP6): held footage, exports, databases, ledger and site.toml, encrypted for the school alone, on other media.
//!
//! [`run()`] brings what a backup is to hold to a [`Place`]: every file as objects that are encrypted one by one ([`crypt`]), then a list of
//! contents, encrypted, and a record in the clear that tells nothing but counts and digests. What an earlier backup has brought there is not
//! brought again ([`catalogue`]). [`verify()`] and [`restore()`] need nothing but the place, and for the contents the school's key.
//! `docs/ref/backup.md` describes what lies at a place for a stranger.

pub mod catalogue;
pub mod crypt;
mod error;
mod expire;
pub mod footage;
mod item;
mod list;
mod manifest;
pub mod missing;
mod names;
pub mod place;
mod record;
mod register;
mod restore;
mod restored;
mod run;
mod snapshot;
mod upload;
mod verify;

pub use crypt::Identity;
pub use error::BackupError;
pub use expire::{Expired, Keep};
pub use item::{Item, Source};
pub use list::{backups, record as clear_record};
pub use manifest::{FileLine, FootageLine, Head, Manifest, PART, RelPath};
pub use names::{BackupId, BadBackupId, CopyId, MARKER, ObjectName};
pub use place::{Label, Marker, MarkerError, Place, PlaceError};
pub use record::{Check, ClearRecord, Content, FORMAT, Kind, MIN_READER, Outcome, Record, words};
pub use register::Register;
pub use restore::{BESIDE, Filter, Order, Report, Step, restore};
pub use run::{Done, Job, Progress, run};
pub use snapshot::{SnapshotError, snapshot};
pub use verify::{Damage, Looked, Verified, verify};

#[cfg(test)]
mod tests;
