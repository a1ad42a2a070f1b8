//! What the machine has: disks and what is on them, mounts, units, network links.
//!
//! A disk has one of three states, see [`Content`]. A probe that fails means unknown, never empty. Nothing here changes
//! anything. The parsers are pure; [`survey`] asks the programs and the kernel.

mod around;
mod blkid;
mod content;
mod fingerprint;
mod footage;
mod glance;
mod label;
mod lsblk;
mod model;
mod parts;
mod probe;
mod smart;
mod system;

pub use footage::{Footage, footage_in};
pub use glance::{Glance, glance};
pub use label::{PARTITION_TYPE, SEAL, mapping, parse_label, partition_label, subsystem};
pub use model::{Content, Disk, Inventory, Link, Mount, NOT_ROOT, OurVolume, Smart, Unit};
pub use parts::{Part, Parted, parted};
pub use probe::{Roots, Survey, Use, probe, survey};
pub use smart::Answer;
