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
        let (offset, now) = (offset(clock), clock.monotonic());
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
        let (offset, looked) = (offset(&*clock), clock.monotonic());
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
        state.doubt.is_none() && offset(&*self.clock).saturating_sub(state.offset).saturating_abs() < SET_NS
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
        let seen = newest.map(|ago| (NOW.offset(-ago), NOW.offset(-ago)));
        let before = Before { doubt: left, seen, trace: None, is_new: newest.is_none() };
        let trust = ClockTrust::new(Arc::new(clock.clone()), before);
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
            b.look();
            assert_eq!(b.asked.get(), 1, "seldom");
        }
    }

    #[test]
    fn a_step_wants_a_persons_word_whatever_a_time_service_says() {
        let b = bench(Some(0), None);
        b.ntp.set(true);
        assert_eq!(b.look(), None);
        b.clock.step(59 * S);
        assert_eq!(b.look(), None);
        b.clock.step(5 * S);
        let slewed = 5 * S / SLEW;
        assert!(
            matches!(b.look(), Some(ClockDoubt::Stepped { by, .. }) if by == 64 * S - slewed),
            "two steps together"
        );
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
        // Whether the recorder or the time service is first after a long time off makes no difference.
        for newest in [-year, 0] {
            let b = bench(Some(newest), None);
            b.look();
            b.clock.step(2 * year);
            assert!(matches!(b.look(), Some(ClockDoubt::Away { .. })));
            b.ntp.set(true);
            b.clock.advance(ASK);
            assert_eq!(b.look(), None);
            // From then on it is a step as any other, whatever the time service says.
            b.clock.step(year);
            assert!(matches!(b.look(), Some(ClockDoubt::Stepped { .. })));
        }
        // A step that leads back before what was seen, too.
        let b = bench(Some(0), None);
        b.ntp.set(true);
        b.clock.step(-year);
        assert!(matches!(b.look(), Some(ClockDoubt::Stepped { .. })));
    }

    /// A clock on the board that runs by local time is hours ahead at each start, until a time service has set it.
    #[test]
    fn until_somebody_says_that_the_clock_is_right_footage_ages_only_while_the_recorder_runs() {
        let b = bench(Some(9 * 3600 * S), None);
        assert_eq!(b.look(), None);
        assert_eq!((b.trust.now(), b.trust.younger()), (NOW.offset(-9 * 3600 * S + 5 * S), 9 * 3600 * S));
        b.clock.step(-8 * 3600 * S);
        assert!(matches!(b.look(), Some(ClockDoubt::Unconfirmed { .. })), "nobody says yet that it is right now");
        assert_eq!(b.trust.now(), NOW.offset(-9 * 3600 * S + 10 * S));
        b.ntp.set(true);
        b.clock.advance(ASK);
        assert_eq!(b.look(), None, "and it takes no person");
        assert_eq!((b.trust.now(), b.trust.younger()), (b.clock.wall(), 0));
        // Where the time service is quick, nobody sees anything of it.
        let b = bench(Some(9 * 3600 * S), None);
        b.look();
        b.clock.step(-8 * 3600 * S);
        b.ntp.set(true);
        assert_eq!((b.look(), b.trust.now()), (None, b.clock.wall()));
    }

    #[test]
    fn a_clock_that_is_set_while_the_recorder_is_off_ages_nothing_however_often() {
        let clock = FakeClock::at(NOW);
        let mut seen = (NOW, NOW);
        for n in 1..=4 {
            clock.step(6 * DAY);
            let before = Before { seen: Some(seen), ..Before::default() };
            let trust = ClockTrust::new(Arc::new(clock.clone()), before);
            clock.advance(Duration::from_hours(1));
            trust.look(&|| false);
            seen = trust.seen().unwrap();
            assert_eq!(seen, (clock.wall(), NOW.offset(n * 3600 * S)));
            assert_eq!(trust.now(), NOW.offset(n * 3600 * S));
            assert!(trust.wants_a_word());
        }
        let before = Before { seen: Some(seen), ..Before::default() };
        let trust = ClockTrust::new(Arc::new(clock.clone()), before);
        trust.confirm();
        assert_eq!((trust.now(), trust.wants_a_word()), (clock.wall(), false));
    }

    #[test]
    fn what_is_not_known_is_a_doubt() {
        let clock = FakeClock::at(NOW);
        let trace = Some(NOW.offset(-DAY));
        let unknown = |ntp| {
            let trust = ClockTrust::new(Arc::new(clock.clone()), Before { trace, ..Before::default() });
            assert!(matches!(trust.doubt(), Some(ClockDoubt::Unknown { newest }) if newest == trace));
            clock.step(400 * DAY);
            trust.look(&|| ntp);
            trust
        };
        assert!(matches!(unknown(false).doubt(), Some(ClockDoubt::Unknown { .. })));
        assert_eq!(unknown(true).doubt(), None);
        let unread = Some(ClockDoubt::Unread { why: "damaged".into() });
        let trust = ClockTrust::new(Arc::new(clock.clone()), Before { doubt: unread.clone(), ..Before::default() });
        trust.look(&|| true);
        assert_eq!(trust.doubt(), unread, "it may have said that a person is waited for");
        trust.confirm();
        assert_eq!(trust.doubt(), None);
    }

    #[test]
    fn an_answer_of_the_time_before_the_clock_was_set_settles_nothing() {
        let b = bench(Some(-365 * DAY), None);
        b.trust.look(&|| {
            b.clock.step(365 * DAY + 3600 * S);
            true
        });
        assert!(matches!(b.trust.doubt(), Some(ClockDoubt::Unconfirmed { .. })));
        b.ntp.set(true);
        assert_eq!(b.look(), None, "it is asked again at once");
    }

    #[test]
    fn a_clock_that_is_moved_bit_by_bit_is_set_and_one_that_is_corrected_is_not() {
        let moved = |by: i64, looks: usize| {
            let b = bench(Some(0), None);
            b.trust.confirm();
            (0..looks).find(|_| {
                b.clock.step(by);
                b.look().is_some()
            })
        };
        assert_eq!(moved(2_500_000, 50_000), None, "500 ppm");
        assert_eq!(moved(-2_500_000, 50_000), None);
        assert_eq!(moved(S - 1, 100), Some(60), "a fifth");
    }

    #[test]
    fn what_was_decided_by_a_clock_that_was_set_since_does_not_stand() {
        let b = bench(Some(0), None);
        b.trust.confirm();
        b.look();
        let decided = b.trust.now();
        b.clock.step(30 * DAY);
        assert!(!b.trust.stands());
        assert_eq!((b.trust.now(), b.trust.wall()), (decided, decided));
        b.look();
        assert!(!b.trust.stands(), "it is in doubt");
        b.trust.confirm();
        assert!(b.trust.stands());
    }
}
