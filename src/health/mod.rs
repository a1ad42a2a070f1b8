//! How the recorder is: facts → findings → a report, and its ways out.
//!
//! ```text
//! gathered (services::health) ─ Facts ─▶ judge ─ Findings ─▶ silence ─▶ steady (damping) ─▶ Report and Turns ─▶ push, metrics, alarms, pages
//! ```
//!
//! "Up" is derived from what is on a disk: the newest committed second of each camera, which the recorder leaves beside its socket after
//! each commit. Whether its process answers is a finding of its own. Nothing here has a right to footage, passwords of cameras or people.

pub mod alarm;
pub mod diagnose;
pub mod door;
pub mod facts;
#[cfg(test)]
mod fixture;
pub mod judge;
pub mod mask;
pub mod metrics;
pub mod pages;
pub mod push;
pub mod report;
pub mod silence;
pub mod steady;
pub mod text;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Nothing that is changed under a lock here can be half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
