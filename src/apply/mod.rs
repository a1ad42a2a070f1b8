//! Carries out plans and decides nothing: generations, trying, confirming, going back.
//!
//! What lies in the state folder, in which order it is written, and what a cut at each step leaves behind stands in
//! `docs/design/generations.md`.

mod carry_out;
mod confirm;
mod diff;
mod drift;
mod env;
mod error;
mod generations;
mod manager;
mod pending;
mod people;
mod reset;
mod run;
#[cfg(test)]
mod tests;
mod trial;
mod wires;

pub use carry_out::{Done, Outcome};
pub use confirm::Doubt;
pub use diff::{Difference, unified};
pub use drift::{Drift, drift};
pub use env::{Cameras, Consent, Env, Judge, Look};
pub use error::{ApplyError, StalePart};
pub use generations::{Generation, Listed, Meta, Watch, current, list, load};
pub use manager::{Manager, ManagerError, Systemctl};
pub use pending::since as in_work_since;
pub use people::carry_over;
pub use reset::{MOVED, set_aside};
pub use run::{Recovered, Report, Request, activate, apply, check, confirm, diff, expire, rollback, rollback_on};
pub use trial::ends as trial_ends;
