//! Retention: how long footage is kept, what goes, and who may record when room runs short.
//!
//! All that decides is pure and gives the same answer to the same question: [`policy`] says what goes now and who may record,
//! [`forecast`] on which day the promise would break, [`kept`] how many days are there in truth. None of these reads a clock, a
//! disk or the index, and nothing here removes anything: [`crate::services::record`] gathers, asks, and carries out. [`holds`] exempt
//! footage from all of that; they are written to the disks that it lies on.

pub mod forecast;
pub mod holds;
pub mod kept;
mod levels;
pub mod policy;
pub mod terms;

pub use levels::Levels;
pub use terms::{DAY_NS, Rules, Terms};
