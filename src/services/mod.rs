//! Composition roots: what a service consists of, started, connected and stopped.

pub mod applying;
pub mod demo;
pub mod disks;
mod in_force;
pub mod paths;
pub mod planning;
pub mod record;
pub mod socket;
