//! Holds: spans of recordings that are kept until a person lets them go, whatever their age and however short room is.
//!
//! [`Hold`] and [`Holds`] are pure: a hold is the set of all that was ever ordered of it, so copies from several disks are joined by
//! putting their sets together. [`file`](mod@file) is how they stand on a disk, docs/ref/holds.md; [`Keeper`] has a copy of them on every volume and
//! beside the index, and knows which of these can be relied on; [`charge`](mod@charge) is the arithmetic of what they take.

mod change;
pub mod charge;
mod copies;
pub mod file;
mod hold;
mod keeper;
mod set;
mod spans;

pub use change::{Act, BadWords, Cameras, Change, Day, Extent, Order, Salt, Stamp, Words};
pub use hold::{ChangeError, Hold, Wider};
pub use keeper::{ApplyError, Expected, Held, Keeper, Refusal, Steady};
pub use set::{Holds, Renamed, TOMBSTONE};
pub use spans::Spans;

#[cfg(test)]
mod tests;
