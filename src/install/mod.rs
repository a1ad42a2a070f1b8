//! Installing: what is on the machine and on the stick, the questions that this leaves, and the answers as an order. Pure but for the
//! copying. What carries an order out is [`crate::services::installing`].
//!
//! The way of an installation: [`look()`] judges the disks for each recorder of the site; [`Questions`], or install.toml by [`file::parse`], gives
//! an [`Order`]; its [`steps`] are done one after the other. Each can be done again: a second run finishes what the first one did not.

mod ask;
mod begun;
mod copy;
pub mod file;
mod folders;
mod look;
mod order;
pub mod receipt;
pub mod sheet;
pub mod text;

pub use ask::{Question, Questions, Wrong};
pub use begun::{Begun, FILE as BEGUN};
pub use copy::{CopyError, copy};
pub use folders::{Folder, folders};
pub use look::{Candidate, FootageDisk, FootageState, NoFootage, View, look, named, seen_as, wanted};
pub use order::{Footage, How, Misfit, Order, Step, Then, order, steps};
pub use receipt::Receipt;
pub use sheet::SheetCode;
