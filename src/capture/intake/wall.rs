//! How far the wall clock is ahead of the monotonic one, and when it is stepped.

use crate::sys::Clock;

/// A change beyond this between two pictures is a step, ns. Less is slewing by NTP.
const STEP_NS: i64 = 200_000_000;

/// The offset as a run uses it, and as it is.
#[derive(Debug)]
pub(super) struct WallOffset {
    used: i64,
    actual: i64,
    /// They differ by a step, until the next key frame.
    stepping: bool,
}

impl WallOffset {
    pub(super) fn new(clock: &dyn Clock) -> Self {
        let actual = clock.wall().0.saturating_sub(clock.monotonic().0);
        Self { used: actual, actual, stepping: false }
    }

    /// Wall clock less monotonic clock, ns, until the present run ends.
    pub(super) fn used(&self) -> i64 {
        self.used
    }

    /// Looks at the clock, `now` ns since boot. Says whether it was stepped; what is less is followed.
    pub(super) fn look(&mut self, clock: &dyn Clock, now: i64) -> bool {
        let actual = clock.wall().0.saturating_sub(now);
        // On a busy machine time may pass between the two looks: that is no step of the clock.
        if clock.monotonic().0.saturating_sub(now) > STEP_NS / 4 {
            return false;
        }
        let stepped = actual.saturating_sub(self.actual).abs() > STEP_NS;
        self.stepping |= stepped;
        self.actual = actual;
        if !self.stepping {
            self.used = actual;
        }
        stepped
    }

    /// A new run uses the actual offset; returns the step, if there was one. One that was taken back is none.
    pub(super) fn settle(&mut self) -> Option<i64> {
        let step = self.actual.saturating_sub(self.used);
        let stepped = std::mem::take(&mut self.stepping) && step.abs() > STEP_NS;
        self.used = self.actual;
        stepped.then_some(step)
    }
}
