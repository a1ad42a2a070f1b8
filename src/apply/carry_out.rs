//! One step after the other. Doing a step again changes nothing.

use serde::Serialize;

use super::{
    ApplyError, Env, ManagerError,
    generations::{current, failed, link, read, target, write_unit},
};
use crate::plan::{Step, is_mount};

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

pub(super) fn carry_out(env: &Env<'_>, generation: u64, steps: &[Step], when: When) -> Result<Vec<Done>, ApplyError> {
    let mut all = Vec::new();
    for step in steps {
        let outcome = one(env, generation, step, when)?;
        log::debug!("{step:?}: {outcome:?}");
        all.push(Done { step: step.clone(), outcome });
    }
    Ok(all)
}

fn one(env: &Env<'_>, generation: u64, step: &Step, when: When) -> Result<Outcome, ApplyError> {
    let running = when == When::Running;
    let unfinished = |source| ApplyError::Unfinished { generation, source };
    let told = |result: Result<Outcome, ManagerError>| result.map_err(unfinished);
    match step {
        Step::Switch => switch(env, generation),
        Step::WriteUnit { unit, text } => {
            if read(env.files, &env.unit_dir.join(unit))?.as_ref() == Some(text) {
                return Ok(Outcome::AsItWas);
            }
            write_unit(env.files, &env.unit_dir, unit, text).map(|()| Outcome::Changed)
        }
        Step::RemoveUnit { unit } => {
            let path = env.unit_dir.join(unit);
            if read(env.files, &path)?.is_none() {
                return Ok(Outcome::AsItWas);
            }
            env.files.remove(&path).map_err(failed("cannot remove", &path)).map(|()| Outcome::Changed)
        }
        Step::ReloadManager => told(env.manager.reload_manager()),
        // A disk that does not answer holds up neither the others nor booting. The recorder takes it into use when it comes.
        Step::Start { unit } if is_mount(unit) => match env.manager.start(unit, running) {
            Err(ManagerError::Refused { why, .. }) => {
                log::warn!("{unit} is not there yet: {why}");
                Ok(Outcome::NotYet(why))
            }
            other => told(other),
        },
        Step::Start { .. } | Step::Stop { .. } | Step::Restart { .. } | Step::Reload { .. } if !running => {
            Ok(Outcome::NotNeeded)
        }
        Step::Start { unit } => told(env.manager.start(unit, true)),
        Step::Stop { unit } => told(env.manager.stop(unit)),
        Step::Restart { unit } => told(env.manager.restart(unit)),
        Step::Reload { unit } => told(env.manager.reload(unit)),
    }
}

fn switch(env: &Env<'_>, generation: u64) -> Result<Outcome, ApplyError> {
    if current(env.files, &env.state)? == Some(generation) {
        return Ok(Outcome::AsItWas);
    }
    let link = link(&env.state);
    env.files.point(&link, &target(generation)).map_err(failed("cannot switch", &link)).map(|()| Outcome::Changed)
}
