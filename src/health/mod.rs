//! How the recorder is: facts → findings → a report, and its ways out.
//!
//! ```text
//! gathered (services::health) ─ Facts ─▶ judge ─ Findings ─▶ silence ─▶ steady (damping) ─▶ Report and Turns ─▶ push, metrics, alarms, pages
//! ```
//!
//! "Up" is derived from what is on a disk: the newest committed second of each camera, which the recorder leaves beside its socket after
//! each commit. Whether its process answers is a finding of its own. Nothing here has a right to footage, passwords of cameras or people.

pub mod diagnose;
pub mod door;
pub mod facts;
pub mod judge;
pub mod mask;
pub mod metrics;
pub mod pages;
pub mod push;
pub mod report;
pub mod silence;
pub mod steady;
pub mod text;

use crate::types::wire::health::{Report, Silence, Turn};

/// A whole look: what is to be said of these facts, and what has turned since the last one. `mono` is time since boot, ns.
pub fn look(facts: &facts::Facts, silences: &[Silence], steady: &mut steady::Steady, mono: i64) -> (Report, Vec<Turn>) {
    let mut found = judge::judge(facts);
    silence::apply(silences, &mut found, facts.at);
    let (mut findings, turns) = steady.settle(found, facts.at, mono);
    // What is held, though it was not found, too.
    silence::apply(silences, &mut findings, facts.at);
    (report::assemble(facts, findings, silences.to_vec()), turns)
}
