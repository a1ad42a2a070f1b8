//! When the next request is due.
//!
//! Beats stand on a grid of half the monitor's interval. A beat has up to 5 tries, all of them before the next one is due: what cannot be
//! told by then is left to that one, which tells what is true then. A request that is still under way when the next beat is due is let
//! end; that beat follows at once, and those that passed meanwhile are left out.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::service::Verdict;

const TRIES: u32 = 5;
/// Before the second try; twice as long before each further one.
const FIRST: Duration = Duration::from_secs(1);
/// Nobody has us wait longer, whatever he asks for: the monitor is to know of us.
const LONGEST: Duration = Duration::from_mins(10);
/// Nobody is told more often.
const SHORTEST: Duration = Duration::from_secs(5);

/// When the next request is due.
#[derive(Debug)]
pub(super) struct Pace {
    every: Duration,
    /// When the next beat is due.
    beat: Instant,
    /// Tries of this beat that failed.
    failed: u32,
    /// Beats in a row that were refused as wrong.
    wrong: u32,
    /// When it was asked last, if there is a limit on how often within a minute.
    asked: Option<VecDeque<Instant>>,
}

impl Pace {
    /// For a monitor that expects a beat every `interval`; the first is due now.
    pub(super) fn new(interval: Duration, per_minute: Option<usize>, now: Instant) -> Self {
        let every = (interval / 2).max(SHORTEST);
        let asked = per_minute.map(|n| std::iter::repeat_n(now - Duration::from_mins(1), n).collect());
        Self { every, beat: now + every, failed: 0, wrong: 0, asked }
    }

    /// How often it is told.
    pub(super) fn every(&self) -> Duration {
        self.every
    }

    /// A request begins.
    pub(super) fn asks(&mut self, now: Instant) {
        if let Some(asked) = &mut self.asked {
            asked.pop_front();
            asked.push_back(now);
        }
    }

    /// It ended like this: when the next one begins. `jitter` is from 0 to below 1.
    pub(super) fn after(&mut self, now: Instant, verdict: &Verdict, jitter: f64) -> Instant {
        let polite = self.asked.as_ref().and_then(|a| a.front()).map_or(now, |t| *t + Duration::from_mins(1)).max(now);
        match verdict {
            Verdict::Taken { .. } => {
                self.wrong = 0;
                self.next_beat(polite)
            }
            Verdict::Wrong(_) => {
                self.wrong = (self.wrong + 1).min(16);
                let pause = self.every.saturating_mul(1 << (self.wrong - 1)).min(LONGEST.max(self.every));
                self.next_beat(polite.max(now + pause))
            }
            Verdict::Later(_, wait) => {
                self.failed += 1;
                let pause = (FIRST * (1 << (self.failed - 1))).mul_f64(0.5 + jitter);
                let wait = wait.unwrap_or_default().min(LONGEST);
                let again = polite.max(now + pause.max(wait));
                if self.failed < TRIES && again < self.beat { again } else { self.next_beat(polite.max(now + wait)) }
            }
        }
    }

    /// Whether what failed was the last try of its beat.
    pub(super) fn gave_up(&self) -> bool {
        self.failed == 0
    }

    /// The next beat, not before `earliest`.
    fn next_beat(&mut self, earliest: Instant) -> Instant {
        self.failed = 0;
        let at = self.beat.max(earliest);
        let passed = (at - self.beat).div_duration_f64(self.every).floor();
        // From 0 to what fits into ten minutes.
        self.beat += self.every.mul_f64(passed + 1.0);
        at
    }
}
