//! Composition roots: what a service consists of, started, connected and stopped.

pub mod applying;
pub mod backup;
pub mod clock;
pub mod console;
pub mod demo;
pub mod diagnose;
pub mod disks;
pub mod doctor;
pub mod factors;
pub mod health;
pub mod holding;
mod in_force;
pub mod installing;
mod lock;
pub mod paths;
pub mod planning;
pub mod record;
pub mod recovering;
pub mod rescue;
pub mod resetting;
pub mod socket;
pub mod stick;
pub mod storage;
pub mod updating;
pub mod vendor;
pub mod verify;
