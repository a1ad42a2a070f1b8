//! One step after the other. Doing a step again changes nothing.

use std::io;

use serde::Serialize;

use super::{
    ApplyError, Env, ManagerError,
    generations::{current, failed, link, place, read, target, write_unit},
};
use crate::{
    plan::{HEALTH, Step, is_mount},
    types::story,
};

/// What a step has come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "outcome", content = "why")]
pub enum Outcome {
    /// It changed something.
    Changed,
    /// There was nothing to change.
    AsItWas,
    /// Nothing is to be told: there is no such service here, or it starts later with what is current.
    NotNeeded,
    /// It is not there yet, which holds up nothing else: a disk that does not answer.
    NotYet(String),
}

/// A step that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Done {
    /// The step.
    #[serde(flatten)]
    pub step: Step,
    /// What it has come to.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// When steps are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Services run and are told.
    Running,
    /// Services start afterwards: to wait for one of them here would be to wait for ever.
    Booting,
}

/// A service that refuses holds up none of the others: it is an error when all else is done.
pub(super) fn carry_out(env: &Env<'_>, generation: u64, steps: &[Step], when: When) -> Result<Vec<Done>, ApplyError> {
    let mut all = Vec::new();
    let mut refused = None;
    for step in steps {
        match one(env, generation, step, when) {
            Ok(outcome) => {
                log::debug!("{step:?}: {outcome:?}");
                all.push(Done { step: step.clone(), outcome });
            }
            Err(e @ ApplyError::Unfinished { .. }) => refused = refused.or(Some(e)),
            Err(e) => return Err(e),
        }
    }
    refused.map_or(Ok(all), Err)
}

fn one(env: &Env<'_>, generation: u64, step: &Step, when: When) -> Result<Outcome, ApplyError> {
    let running = when == When::Running;
    let unfinished = |source| ApplyError::Unfinished { generation, source };
    let told = |result: Result<Outcome, ManagerError>| result.map_err(unfinished);
    match step {
        Step::Switch => switch(env, generation),
        Step::WriteUnit { unit, text } => {
            if read(env.files, &place(&env.unit_dir, unit))?.as_ref() == Some(text) {
                return Ok(Outcome::AsItWas);
            }
            write_unit(env.files, &place(&env.unit_dir, unit), text).map(|()| Outcome::Changed)
        }
        Step::RemoveUnit { unit } => {
            let path = place(&env.unit_dir, unit);
            if read(env.files, &path)?.is_none() {
                return Ok(Outcome::AsItWas);
            }
            env.files.remove(&path).map_err(failed("cannot remove", &path)).map(|()| Outcome::Changed)
        }
        Step::ReloadManager => told(env.manager.reload_manager()),
        // A disk that does not answer holds up neither the others nor booting. The recorder takes it into use when it comes.
        Step::Start { unit } if is_mount(unit) => match env.manager.start(unit, running) {
            Err(ManagerError::Refused { why, .. }) => Ok(Outcome::NotYet(why)),
            Err(ManagerError::Away(e)) if e.kind() == io::ErrorKind::TimedOut => Ok(Outcome::NotYet(e.to_string())),
            other => told(other),
        },
        Step::Start { .. } | Step::Stop { .. } | Step::Restart { .. } | Step::Reload { .. } | Step::Refresh { .. }
            if !running =>
        {
            Ok(Outcome::NotNeeded)
        }
        // How a recorder is reported is no reason not to put a site in force; that it is not reported is a failed unit.
        Step::Restart { unit } if unit == HEALTH => match env.manager.restart(unit) {
            Err(e) => {
                log::warn!("{HEALTH} does not go on: {}", story(&e));
                Ok(Outcome::NotYet(e.to_string()))
            }
            other => told(other),
        },
        Step::Start { unit } => told(env.manager.start(unit, true)),
        Step::Stop { unit } => told(env.manager.stop(unit)),
        Step::Restart { unit } => told(env.manager.restart(unit)),
        Step::Reload { unit } => told(env.manager.reload(unit)),
        Step::Refresh { unit } => told(env.manager.refresh(unit)),
    }
}

fn switch(env: &Env<'_>, generation: u64) -> Result<Outcome, ApplyError> {
    if current(env.files, &env.state)? == Some(generation) {
        return Ok(Outcome::AsItWas);
    }
    let link = link(&env.state);
    env.files.point(&link, &target(generation)).map_err(failed("cannot switch", &link)).map(|()| Outcome::Changed)
}
