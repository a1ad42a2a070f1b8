//! Whether the clock can be relied on where footage goes by its age, and the time by which it does.
//!
//! Until a time service or a person has said since the start that the clock is right, footage ages only while the recorder runs, from
//! where it was noted last: how long the machine was off says nobody but its clock. A step until then has aged nothing, so a time service
//! may settle it. Afterwards the wall clock counts; once it was set by more than [`STEP_NS`] then, a person has to say that it is right:
//! whoever can set a clock could delete everything otherwise. A restart changes nothing about that, nor does a new index.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    sys::{Clock, Monotonic},
    types::WallNs,
};

/// Steps that come to more than this together want a person's word.
pub(super) const STEP_NS: i64 = 60 * 1_000_000_000;
/// What is moved at once by so much was set.
const SET_NS: i64 = 1_000_000_000;
/// Of each second so much may be corrected for ever: one part in 2000, as far as a time service slews (500 ppm).
const SLEW: i64 = 2000;
/// A recorder that was off for longer wants a time service, or a person, to say that it was.
const AWAY_NS: i64 = 7 * 86_400 * 1_000_000_000;
/// Between two questions whether a time service is at work, while deletion waits for it.
const ASK: Duration = Duration::from_mins(1);
/// The same while nothing waits: there may be none, ever.
const ASK_SELDOM: Duration = Duration::from_mins(10);

/// Why the clock is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "doubt", rename_all = "kebab-case")]
pub(super) enum ClockDoubt {
    /// It was set while the recorder ran.
    Stepped {
        /// By so much in all, ns.
        by: i64,
        /// Until then, by the clock as it was set.
        at: WallNs,
    },
    /// It stands before a time that this recorder has seen.
    Behind {
        /// That time.
        newest: WallNs,
    },
    /// It stands long after the last time that this recorder has seen.
    Away {
        /// That time.
        newest: WallNs,
    },
    /// It was set to where it could be right, from one of these or before anybody had said that it is.
    Unconfirmed {
        /// The last time that this recorder had seen before.
        newest: WallNs,
    },
    /// There is footage or a ledger, or could be, and nothing is noted of the time of it.
    Unknown {
        /// The newest trace of an earlier time that was found.
        newest: Option<WallNs>,
    },
    /// What was noted cannot be read: it may say that a person is waited for.
    Unread {
        /// Why.
        why: String,
    },
}

impl ClockDoubt {
    /// What is wrong, for people who administer the recorder.
    pub(super) fn why(&self) -> String {
        match self {
            Self::Stepped { by, at } => {
                format!(
                    "the clock was set by {:+.0} s until {at}; nobody has confirmed that it is right",
                    *by as f64 / 1e9
                )
            }
            Self::Behind { newest } => {
                format!("the clock stands before {newest}, which this recorder has seen already")
            }
            Self::Away { newest } => {
                format!("the clock stands more than 7 days after {newest}, the last time that this recorder has seen")
            }
            Self::Unconfirmed { .. } => {
                "the clock was wrong and has been set; no time service says that it is right".into()
            }
            Self::Unknown { newest: Some(newest) } => {
                format!("when this recorder ran last is not noted, the newest trace of it is of {newest}; nobody has confirmed that the clock is right")
            }
            Self::Unknown { newest: None } => {
                "when this recorder ran last is not noted, and not all volumes were there; nobody has confirmed that the clock is right".into()
            }
            Self::Unread { why } => {
                format!("what was noted of the clock, of volumes and of cameras that have left the site cannot be read: {why}")
            }
        }
    }

    /// Whether a time service can settle it. A step is not: its word may be what set the clock.
    fn can_be_settled(&self) -> bool {
        !matches!(self, Self::Stepped { .. } | Self::Unread { .. })
    }
}

/// What is known of the time before the recorder started.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// What was in doubt when it stopped.
    pub(super) doubt: Option<ClockDoubt>,
    /// The newest time that it has seen, and the one by which footage was aged then; none: nothing is noted.
    pub(super) seen: Option<(WallNs, WallNs)>,
    /// The newest trace beside the notes: of footage, of the ledger.
    pub(super) trace: Option<WallNs>,
    /// Whether there is certainly nothing that could be deleted.
    pub(super) is_new: bool,
}

#[derive(Debug)]
struct State {
    /// Wall time less time since boot at the last look.
    offset: i64,
    looked: Monotonic,
    /// As long as nobody has said since the start that the clock is right: the most that counts as `offset` where footage is aged.
    bound: Option<i64>,
    /// What steps have come to since the clock was last trusted.
    steps: i64,
    doubt: Option<ClockDoubt>,
    asked: Option<Monotonic>,
}

impl State {
    /// Takes up where the clock is now. Whether it was set since the last look.
    fn follow(&mut self, clock: &dyn Clock) -> bool {
        let (offset, now) = (clock.offset(), clock.monotonic());
        let by = offset.saturating_sub(self.offset);
        let passed = i64::try_from(now.since(self.looked).as_nanos()).unwrap_or(i64::MAX);
        let slewed = (passed / SLEW).min(self.steps.saturating_abs()) * self.steps.signum();
        self.steps = (self.steps - slewed).saturating_add(by);
        (self.offset, self.looked) = (offset, now);
        let was_set = by.saturating_abs() >= SET_NS;
        if was_set {
            self.asked = None;
        }
        if self.steps.saturating_abs() > STEP_NS && (was_set || self.doubt.is_none()) {
            self.doubt = Some(self.stepped(wall(now, offset)));
        }
        was_set
    }

    /// What is in doubt after a step to there.
    fn stepped(&self, now: WallNs) -> ClockDoubt {
        let before = match &self.doubt {
            // Out of a doubt that a time service can settle, a step may be just what was missing.
            Some(ClockDoubt::Behind { newest } | ClockDoubt::Away { newest } | ClockDoubt::Unconfirmed { newest }) => {
                Some(*newest)
            }
            // Nothing was aged by what it was before.
            None => self.bound.map(|bound| wall(self.looked, bound)),
            Some(ClockDoubt::Stepped { .. }) => None,
            Some(same @ (ClockDoubt::Unknown { .. } | ClockDoubt::Unread { .. })) => return same.clone(),
        };
        match before {
            Some(newest) if (-STEP_NS..=AWAY_NS).contains(&now.since(newest)) => ClockDoubt::Unconfirmed { newest },
            // What a start after the step would have found: which of the two comes first is chance, and nothing was aged by the clock.
            Some(newest) if self.bound.is_some() && now.since(newest) > AWAY_NS => ClockDoubt::Away { newest },
            _ => ClockDoubt::Stepped { by: self.steps, at: now },
        }
    }

    fn wants_a_time_service(&self) -> bool {
        self.doubt.as_ref().map_or(self.bound.is_some(), ClockDoubt::can_be_settled)
    }

    fn settle(&mut self) {
        (self.doubt, self.bound, self.steps) = (None, None, 0);
    }

    /// What counts as `offset` where footage is aged.
    fn aging(&self) -> i64 {
        self.bound.map_or(self.offset, |bound| bound.min(self.offset))
    }
}

/// Watches the clock.
pub(super) struct ClockTrust {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

impl ClockTrust {
    /// Of a recorder that starts.
    pub(super) fn new(clock: Arc<dyn Clock>, before: Before) -> Self {
        let (offset, looked) = (clock.offset(), clock.monotonic());
        let now = wall(looked, offset);
        let newest = before.seen.map(|(seen, _)| before.trace.map_or(seen, |trace| seen.max(trace)));
        let found = match newest {
            Some(newest) if now.since(newest) < -STEP_NS => Some(ClockDoubt::Behind { newest }),
            Some(newest) if now.since(newest) > AWAY_NS => Some(ClockDoubt::Away { newest }),
            None if !before.is_new => Some(ClockDoubt::Unknown { newest: before.trace }),
            _ => None,
        };
        let aged = before.seen.map_or(now, |(_, aged)| aged);
        let bound = Some(aged.0.saturating_sub(looked.0));
        let state = State { offset, looked, bound, steps: 0, doubt: before.doubt.or(found), asked: None };
        Self { clock, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why it is not trusted now.
    pub(super) fn doubt(&self) -> Option<ClockDoubt> {
        self.state().doubt.clone()
    }

    /// The time by which footage is aged: as of the last look, with the time since then. Never later than the wall clock was.
    pub(super) fn now(&self) -> WallNs {
        wall(self.clock.monotonic(), self.state().aging())
    }

    /// The wall clock as of the last look, with the time since then: it may have been set meanwhile, and nobody has looked at that.
    pub(super) fn wall(&self) -> WallNs {
        wall(self.clock.monotonic(), self.state().offset)
    }

    /// By how much less footage is aged than by the wall clock, ns.
    pub(super) fn younger(&self) -> i64 {
        let state = self.state();
        state.offset.saturating_sub(state.aging())
    }

    /// Whether it is trusted, and stands where the last look has found it.
    pub(super) fn stands(&self) -> bool {
        let state = self.state();
        state.doubt.is_none() && self.clock.offset().saturating_sub(state.offset).saturating_abs() < SET_NS
    }

    /// What is to be noted while nothing is in doubt: the newest time seen, and the one by which footage is aged.
    pub(super) fn seen(&self) -> Option<(WallNs, WallNs)> {
        let (state, now) = (self.state(), self.clock.monotonic());
        state.doubt.is_none().then(|| (wall(now, state.offset), wall(now, state.aging())))
    }

    /// Looks at it. `synchronised` says whether a time service keeps it; it is asked now and then, if that matters. Whether what is in
    /// doubt has changed.
    pub(super) fn look(&self, synchronised: &dyn Fn() -> bool) -> bool {
        let mut state = self.state();
        let before = state.doubt.clone();
        state.follow(&*self.clock);
        let (now, pace) = (state.looked, if state.doubt.is_some() { ASK } else { ASK_SELDOM });
        if state.wants_a_time_service() && state.asked.is_none_or(|asked| now.since(asked) >= pace) {
            state.asked = Some(now);
            drop(state);
            // Waits for a program. If the clock is set meanwhile, the answer may be of the time before: it is asked again.
            let settled = synchronised();
            state = self.state();
            if !state.follow(&*self.clock) && settled && state.wants_a_time_service() {
                state.settle();
            }
        }
        state.doubt != before
    }

    /// Whether a person's word would change anything.
    pub(super) fn wants_a_word(&self) -> bool {
        self.doubt().is_some() || self.younger() > STEP_NS
    }

    /// A person says that it is right.
    pub(super) fn confirm(&self) {
        let mut state = self.state();
        state.follow(&*self.clock);
        state.settle();
    }
}

fn wall(since_boot: Monotonic, offset: i64) -> WallNs {
    WallNs(since_boot.0.saturating_add(offset))
}

#[cfg(test)]
mod tests;
