//! What is being done, written down before it is: whatever is cut short is finished or forgotten by the next command.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    ApplyError, Done, Env,
    carry_out::{When, carry_out},
    generations::{confirmed, current, failed, forget, read_json, set_confirmed, write_json},
    trial,
};
use crate::{plan::Step, sys::Files};

const FILE: &str = "pending.json";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pending {
    /// The generation that is to be current.
    pub to: u64,
    /// Whether it is made for this, so that nobody misses it if it does not come into force.
    pub made: bool,
    /// Whether it is on trial afterwards; if not, it is confirmed.
    pub trial: bool,
    /// The boot in which running services are told. At the next one they start with what is current anyway.
    pub boot: Option<String>,
    /// What is done.
    pub steps: Vec<Step>,
}

/// What is being put in force, if an apply is at work or was cut short: the number of the generation, and the path of the file that says so.
pub fn since(files: &dyn Files, state: &Path) -> Result<Option<(u64, PathBuf)>, ApplyError> {
    let path = state.join(FILE);
    Ok(read_json::<Pending>(files, &path)?.map(|pending| (pending.to, path)))
}

impl Pending {
    pub(super) fn begin(&self, env: &Env<'_>) -> Result<(), ApplyError> {
        write_json(env.files, &env.state.join(FILE), self)
    }

    /// Does all of it that is not done, and confirms it unless it is on trial.
    pub(super) fn finish(&self, env: &Env<'_>) -> Result<Vec<Done>, ApplyError> {
        let when = if self.boot.as_ref() == Some(&env.boot) { When::Running } else { When::Booting };
        let done = carry_out(env, self.to, &self.steps, when)?;
        if !self.trial {
            set_confirmed(env, self.to)?;
            trial::end(env)?;
        }
        Self::remove(env)?;
        Ok(done)
    }

    fn remove(env: &Env<'_>) -> Result<(), ApplyError> {
        let path = env.state.join(FILE);
        env.files.remove(&path).map_err(failed("cannot remove", &path))
    }
}

/// Finishes what was cut short after the switch, forgets what was cut short before it. Says what was done.
pub(super) fn settle(env: &Env<'_>) -> Result<Vec<Done>, ApplyError> {
    let mut done = Vec::new();
    if let Some(pending) = read_json::<Pending>(env.files, &env.state.join(FILE))? {
        if current(env.files, &env.state)? == Some(pending.to) {
            log::info!(GENERATION = pending.to; "generation {} was not wholly put in force; finishing that", pending.to);
            done = pending.finish(env)?;
        } else {
            log::info!(GENERATION = pending.to; "generation {} did not come into force; forgetting it", pending.to);
            end_stale_trial(env)?;
            if pending.made {
                forget(env, pending.to)?;
            }
            Pending::remove(env)?;
        }
    }
    end_stale_trial(env)?;
    Ok(done)
}

/// The same, where a service that refuses what is current is no obstacle: something else is about to come into force. Comes with that refusal.
pub(super) fn settle_as_far_as_possible(env: &Env<'_>) -> Result<(Vec<Done>, Option<ApplyError>), ApplyError> {
    match settle(env) {
        Ok(done) => Ok((done, None)),
        Err(e @ ApplyError::Unfinished { .. }) => Ok((Vec::new(), Some(e))),
        Err(e) => Err(e),
    }
}

/// A trial of a generation that is not current, or is confirmed, is none any more.
fn end_stale_trial(env: &Env<'_>) -> Result<(), ApplyError> {
    let Some(trial) = trial::read(env.files, &env.state)? else { return Ok(()) };
    let runs = current(env.files, &env.state)? == Some(trial.generation);
    if runs && confirmed(env.files, &env.state)? != Some(trial.generation) { Ok(()) } else { trial::end(env) }
}
