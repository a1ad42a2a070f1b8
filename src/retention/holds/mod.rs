//! Holds: spans of recordings that are kept until a person lets them go, whatever their age and however short room is.
//!
//! [`Hold`] and [`Holds`] are pure: a hold is the set of all that was ever ordered of it, so copies from several disks are joined by
//! putting their sets together. [`file`](mod@file) is how they stand on a disk, docs/ref/holds.md; [`Keeper`] has a copy of them on every volume and
//! beside the index, and knows which of these can be relied on; [`charge`](mod@charge) is the arithmetic of what they take.

mod change;
pub mod charge;
mod copies;
mod extent;
pub mod file;
mod held;
mod hold;
mod keeper;
mod set;
mod spans;
mod words;

pub use change::{Act, Change, Order, Stamp};
pub use extent::{Cameras, Extent};
pub use held::{ApplyError, Held, Refusal, Steady};
pub use hold::{ChangeError, Hold, Wider};
pub use keeper::{Expected, Keeper};
pub use set::{Holds, Renamed, TOMBSTONE};
pub use spans::Spans;
pub(in crate::retention) use spans::minus;
pub use words::{BadWords, Day, Salt, Words};

#[cfg(test)]
mod tests;
