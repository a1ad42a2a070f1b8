//! The three verbs for disks, and the only code that changes what is on one: init, release, erase. And recovering what only a
//! recovery key opens.
//!
//! The way of a disk: [`crate::inventory::survey`] looks at it; [`clear_init`] or [`clear_erase`] says no, or checks the
//! token that a person was shown beside the facts and hands out a proof ([`EmptyDisk`], [`DoomedDisk`]); only with that
//! proof can [`prepare`] or [`wipe()`] be called. Between [`prepare`] and [`Prepared::seal`] the caller puts the marker on the new file
//! system; until the seal a disk counts as foreign, so a cut at any step leaves nothing that could be taken for ours.

mod clear;
mod error;
mod init;
mod recover;
mod release;
mod secret;
mod state;
mod system;
mod table;
mod token;
mod wipe;

pub use clear::{
    DoomedDisk, EmptyDisk, OurDisk, Refusal, Wanted, clear_erase, clear_init, clear_release, judge_erase, judge_init,
};
pub use error::DiskError;
pub use init::{Order, Prepared, Unlocking, prepare};
pub use recover::{LockedDisk, OpenDisk, Own, locked};
pub use release::release;
pub use secret::{
    KeyFile, NoKey, NoPassphrase, NoRecoveryKey, RecoveryKey, Secret, SecretFile, key_file, make_key_file,
};
pub use state::{OpenState, StateKey, close_state, file_opens_state, mapper, open_state, opens_state};
pub use system::{
    BegunDisk, LaidDisk, SMALLEST, Seen, SystemDisk, Unfit, clear_install, format_esp, judge_install, lay, make_state,
    resume,
};
pub use table::{PARTS, Table};
pub use token::{Facts, Token, TokenError, Verb};
pub use wipe::wipe;
