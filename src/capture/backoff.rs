//! How long to wait before trying a camera again.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// Doubling waits with jitter, so that sixty-four cameras behind one rebooted switch do not come back in step.
#[derive(Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, next: min }
    }

    /// After a good run, or when the site has changed.
    pub(super) fn reset(&mut self) {
        self.next = self.min;
    }

    /// From here on the longest wait: a camera that refuses a password may lock the account if asked again and again.
    pub(super) fn saturate(&mut self) {
        self.next = self.max;
    }

    /// The next wait: between three quarters and all of the present step, never below the minimum. `random` is any number.
    pub(super) fn next(&mut self, random: u64) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.max);
        let quarter = step / 4;
        let jitter = quarter.mul_f64((random >> 11) as f64 / (1u64 << 53) as f64);
        step.saturating_sub(jitter).max(self.min)
    }
}

/// Some randomness; std seeds its hashers with it.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn waits_stay_within_bounds_and_grow(randoms in proptest::collection::vec(any::<u64>(), 12)) {
            let (min, max) = (Duration::from_secs(1), Duration::from_secs(30));
            let mut b = Backoff::new(min, max);
            let waits: Vec<Duration> = randoms.iter().map(|&r| b.next(r)).collect();
            prop_assert!(waits.iter().all(|w| (min..=max).contains(w)));
            prop_assert!(waits[5..].iter().all(|w| *w >= max * 3 / 4));
            prop_assert!(waits[0] < Duration::from_secs(2));
            b.reset();
            prop_assert!(b.next(0) == min);
            b.saturate();
            prop_assert!(b.next(randoms[0]) >= max * 3 / 4);
        }
    }

    #[test]
    fn two_draws_differ() {
        assert_ne!(random(), random());
    }
}
