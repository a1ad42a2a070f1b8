//! Whether the clock can be relied on where footage goes by its age.
//!
//! It is trusted by a time service, or because it goes on from where this recorder last knew it to be. Once it was set by more than
//! [`STEP_NS`] while the recorder ran, a person has to say that it is right: whoever can set a clock could delete everything
//! otherwise. A restart changes nothing about that.

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
/// What is less at a time is slewing.
const SLEW_NS: i64 = 1_000_000_000;
/// A recorder that was off for longer wants a time service, or a person, to say that it was.
const AWAY_NS: i64 = 7 * 86_400 * 1_000_000_000;
/// Between two questions whether a time service is at work.
const ASK: Duration = Duration::from_mins(1);

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
    /// It was set from one of these to where it could be right.
    Unconfirmed {
        /// The last time that this recorder had seen before.
        newest: WallNs,
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
        }
    }

    /// Whether a time service can settle it. A step is not: its word may be what set the clock.
    fn can_be_settled(&self) -> bool {
        !matches!(self, Self::Stepped { .. })
    }
}

#[derive(Debug)]
struct State {
    /// Wall time less time since boot at the last look.
    offset: i64,
    /// What steps have come to since the clock was last trusted.
    steps: i64,
    doubt: Option<ClockDoubt>,
    asked: Option<Monotonic>,
}

/// Watches the clock.
pub(super) struct ClockTrust {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

impl ClockTrust {
    /// `newest` is the newest time that this recorder has seen before, and `left` what was in doubt when it stopped.
    pub(super) fn new(clock: Arc<dyn Clock>, newest: Option<WallNs>, left: Option<ClockDoubt>) -> Self {
        let now = clock.wall();
        let found = newest.and_then(|newest| {
            let since = now.since(newest);
            let behind = since < -STEP_NS;
            (behind || since > AWAY_NS).then_some(if behind {
                ClockDoubt::Behind { newest }
            } else {
                ClockDoubt::Away { newest }
            })
        });
        let state = State { offset: offset(&*clock), steps: 0, doubt: left.or(found), asked: None };
        Self { clock, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why it is not trusted now.
    pub(super) fn doubt(&self) -> Option<ClockDoubt> {
        self.state().doubt.clone()
    }

    /// Looks at it. `synchronised` says whether a time service keeps it; it is asked now and then, if that matters. Whether something
    /// has changed.
    pub(super) fn look(&self, synchronised: &dyn Fn() -> bool) -> bool {
        let (now, since_boot) = (self.clock.wall(), self.clock.monotonic());
        let mut state = self.state();
        let before = state.doubt.clone();
        let by = offset(&*self.clock).saturating_sub(state.offset);
        state.offset = state.offset.saturating_add(by);
        if by.saturating_abs() >= SLEW_NS {
            state.steps = state.steps.saturating_add(by);
            state.asked = None;
            if state.steps.saturating_abs() > STEP_NS {
                // Out of a doubt that a time service can settle, a step may be just what was missing.
                state.doubt = match &state.doubt {
                    Some(
                        ClockDoubt::Behind { newest }
                        | ClockDoubt::Away { newest }
                        | ClockDoubt::Unconfirmed { newest },
                    ) if (-STEP_NS..=AWAY_NS).contains(&now.since(*newest)) => {
                        Some(ClockDoubt::Unconfirmed { newest: *newest })
                    }
                    _ => Some(ClockDoubt::Stepped { by: state.steps, at: now }),
                };
            }
        }
        let due = state.asked.is_none_or(|asked| since_boot.since(asked) >= ASK);
        if due && state.doubt.as_ref().is_some_and(ClockDoubt::can_be_settled) {
            state.asked = Some(since_boot);
            drop(state);
            // Waits for a program; a step meanwhile is seen at the next look.
            let settled = synchronised();
            state = self.state();
            if settled && state.doubt.as_ref().is_some_and(ClockDoubt::can_be_settled) {
                (state.doubt, state.steps) = (None, 0);
            }
        }
        state.doubt != before
    }

    /// A person says that it is right.
    pub(super) fn confirm(&self) {
        let mut state = self.state();
        (state.doubt, state.steps) = (None, 0);
    }
}

fn offset(clock: &dyn Clock) -> i64 {
    clock.wall().0.saturating_sub(clock.monotonic().0)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::sys::FakeClock;

    const S: i64 = 1_000_000_000;
    const DAY: i64 = 86_400 * S;
    const NOW: WallNs = WallNs(20_000 * DAY);

    struct Bench {
        clock: FakeClock,
        trust: ClockTrust,
        ntp: Cell<bool>,
        asked: Cell<usize>,
    }

    fn bench(newest: Option<i64>, left: Option<ClockDoubt>) -> Bench {
        let clock = FakeClock::at(NOW);
        let trust = ClockTrust::new(Arc::new(clock.clone()), newest.map(|ago| NOW.offset(-ago)), left);
        Bench { clock, trust, ntp: Cell::new(false), asked: Cell::new(0) }
    }

    impl Bench {
        fn look(&self) -> Option<ClockDoubt> {
            self.clock.advance(Duration::from_secs(5));
            self.trust.look(&|| {
                self.asked.set(self.asked.get() + 1);
                self.ntp.get()
            });
            self.trust.doubt()
        }
    }

    #[test]
    fn a_clock_that_goes_on_is_trusted_and_time_that_passes_is_no_step() {
        for newest in [None, Some(0), Some(6 * DAY), Some(-30 * S)] {
            let b = bench(newest, None);
            b.clock.advance(Duration::from_hours(24 * 40));
            b.clock.step(999 * S / 1000);
            assert_eq!(b.look(), None, "{newest:?}");
            assert_eq!(b.asked.get(), 0);
        }
    }

    #[test]
    fn a_step_wants_a_persons_word_whatever_a_time_service_says() {
        let b = bench(Some(0), None);
        b.ntp.set(true);
        b.clock.step(59 * S);
        assert_eq!(b.look(), None);
        b.clock.step(5 * S);
        assert!(matches!(b.look(), Some(ClockDoubt::Stepped { by, .. }) if by == 64 * S), "two steps together");
        b.clock.step(-64 * S);
        assert!(b.look().is_some(), "set back: a person has to look all the same");
        b.trust.confirm();
        assert_eq!(b.look(), None);
        b.clock.step(-61 * S);
        let left = b.look();
        assert!(matches!(left, Some(ClockDoubt::Stepped { .. })));
        assert_eq!(bench(Some(0), left.clone()).look(), left, "a restart changes nothing");
    }

    #[test]
    fn a_clock_before_or_long_after_what_was_seen_waits_for_a_time_service() {
        for (newest, behind) in [(-61 * S, true), (8 * DAY, false)] {
            let b = bench(Some(newest), None);
            let doubt = b.look().unwrap();
            assert_eq!(matches!(doubt, ClockDoubt::Behind { .. }), behind);
            b.look();
            assert_eq!(b.asked.get(), 1, "not all the time");
            b.ntp.set(true);
            b.clock.advance(ASK);
            assert_eq!(b.look(), None);
        }
    }

    /// A machine whose battery is empty starts in 1970, and a time service puts that right.
    #[test]
    fn a_step_out_of_the_past_is_what_a_time_service_is_for() {
        let year = 365 * DAY;
        let b = bench(Some(-year), None);
        assert!(b.look().is_some());
        b.clock.step(year + 3600 * S);
        assert!(matches!(b.look(), Some(ClockDoubt::Unconfirmed { .. })), "it could be right, but nobody says so");
        b.ntp.set(true);
        b.clock.advance(ASK);
        assert_eq!(b.look(), None);
        // A step that leads elsewhere is one as any other.
        let b = bench(Some(-year), None);
        b.ntp.set(true);
        b.clock.step(2 * year);
        assert!(matches!(b.look(), Some(ClockDoubt::Stepped { .. })));
    }
}
