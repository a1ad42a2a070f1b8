//! What the machine has: disks and what is on them, mounts, units, network links.
//!
//! A disk has one of three states, see [`Content`]. A probe that fails means unknown, never empty.

mod model;

pub use model::{Content, Disk, Inventory, Link, Mount, OurVolume, Smart, Unit};
