//! A generation on trial, and when its time has run out.

use std::{path::Path, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    ApplyError, Env,
    generations::{confirmed, failed, read_json, write_json},
};
use crate::{sys::Files, types::WallNs};

/// A trial that outlives so many boots is over, whatever the clock says: so one that is set back cannot prolong it for ever.
const BOOTS: u32 = 3;

const FILE: &str = "trial.json";

/// Kept until the trial is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trial {
    /// What is tried.
    pub generation: u64,
    /// Where it goes back to.
    pub back_to: u64,
    /// Its whole length, s.
    length: u64,
    /// In this boot …
    boot: String,
    /// … it is over at that time since boot, ns: setting the clock changes nothing.
    due_monotonic: i64,
    /// By the wall clock it is over then: the only clock that goes on while the machine is off.
    due_wall: WallNs,
    /// Boots that it has seen.
    boots: u32,
}

/// How a trial stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its time has run out.
    Over,
    /// It goes on for so long.
    Left(Duration),
}

fn ns(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

impl Trial {
    pub(super) fn begin(env: &Env<'_>, generation: u64, back_to: u64, length: Duration) -> Self {
        Self {
            generation,
            back_to,
            length: length.as_secs(),
            boot: env.boot.clone(),
            due_monotonic: env.clock.monotonic().0.saturating_add(ns(length)),
            due_wall: env.clock.wall() + length,
            boots: 1,
        }
    }

    fn left_by_wall(&self, env: &Env<'_>) -> Duration {
        let left = self.due_wall.since(env.clock.wall());
        // A clock that was set back cannot make it longer than it was.
        Duration::from_nanos(u64::try_from(left).unwrap_or(0)).min(Duration::from_secs(self.length))
    }

    pub(super) fn standing(&self, env: &Env<'_>) -> Standing {
        let left = if self.boot == env.boot {
            let left = self.due_monotonic.saturating_sub(env.clock.monotonic().0);
            Duration::from_nanos(u64::try_from(left).unwrap_or(0))
        } else if self.boots >= BOOTS {
            Duration::ZERO
        } else {
            self.left_by_wall(env)
        };
        if left.is_zero() { Standing::Over } else { Standing::Left(left) }
    }

    /// The same trial after a reboot.
    pub(super) fn rebooted(&self, env: &Env<'_>) -> Self {
        Self {
            boot: env.boot.clone(),
            due_monotonic: env.clock.monotonic().0.saturating_add(ns(self.left_by_wall(env))),
            boots: self.boots + 1,
            ..self.clone()
        }
    }

    pub(super) fn is_of(&self, boot: &str) -> bool {
        self.boot == boot
    }

    pub(super) fn due(&self) -> WallNs {
        self.due_wall
    }

    pub(super) fn save(&self, env: &Env<'_>) -> Result<(), ApplyError> {
        write_json(env.files, &env.state.join(FILE), self)
    }
}

pub(super) fn read(files: &dyn Files, state: &Path) -> Result<Option<Trial>, ApplyError> {
    read_json(files, &state.join(FILE))
}

/// Until when a generation is on trial, by the wall clock; nothing if it is not.
pub fn ends(files: &dyn Files, state: &Path, generation: u64) -> Result<Option<WallNs>, ApplyError> {
    let trial = read(files, state)?.filter(|trial| trial.generation == generation);
    Ok(if confirmed(files, state)? == Some(generation) { None } else { trial.map(|trial| trial.due()) })
}

/// There is no trial any more. Its timer may be gone already, and comes to nothing if not.
pub(super) fn end(env: &Env<'_>) -> Result<(), ApplyError> {
    if let Some(trial) = read(env.files, &env.state)? {
        if let Err(e) = env.manager.disarm(trial.generation) {
            log::warn!(
                GENERATION = trial.generation, CAUSE:% = e;
                "the timer of generation {}'s trial is left to run out: {e}", trial.generation
            );
        }
        let path = env.state.join(FILE);
        env.files.remove(&path).map_err(failed("cannot remove", &path))?;
    }
    Ok(())
}
