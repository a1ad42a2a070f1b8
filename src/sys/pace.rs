//! A limit on how much passes in a second.

use std::{
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use super::{Clock, Monotonic, RealClock};
use crate::types::BitRate;

/// So much may pass at once after a pause.
const BURST: Duration = Duration::from_millis(100);

/// Lets bytes pass at a limited rate, or at any rate if there is no limit. Whoever asks is told how long to wait; what is paced with one `Pace`
/// shares its rate.
#[derive(Debug)]
pub struct Pace {
    /// Bytes in a second.
    rate: Option<u64>,
    /// When all that was let pass has had its time.
    next: Mutex<Monotonic>,
}

impl Pace {
    /// At most that rate.
    pub fn new(rate: Option<BitRate>) -> Self {
        Self { rate: rate.map(|r| (r.0 / 8).max(1)), next: Mutex::default() }
    }

    /// Bytes in a second, if there is a limit.
    pub fn rate(&self) -> Option<u64> {
        self.rate
    }

    /// Lets so many bytes pass, and says how long to wait before they do.
    pub fn reserve(&self, bytes: u64, now: Monotonic) -> Duration {
        let Some(rate) = self.rate else { return Duration::ZERO };
        let took = u128::from(bytes) * 1_000_000_000 / u128::from(rate);
        let took = i64::try_from(took).unwrap_or(i64::MAX);
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let burst = i64::try_from(BURST.as_nanos()).unwrap_or(0);
        let start = next.0.max(now.0.saturating_sub(burst));
        next.0 = start.saturating_add(took);
        Monotonic(start).since(now)
    }

    /// Lets so many bytes pass when it is their time.
    pub fn wait(&self, bytes: u64) {
        let wait = self.reserve(bytes, RealClock.monotonic());
        if !wait.is_zero() {
            thread::sleep(wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{sys::FakeClock, types::WallNs};

    #[test]
    fn no_more_passes_than_the_rate_allows() {
        let clock = FakeClock::at(WallNs(0));
        let pace = Pace::new(Some(BitRate(8_000_000)));
        let mut passed = 0_u32;
        for _ in 0..100 {
            // A megabyte in a second.
            let wait = pace.reserve(50_000, clock.monotonic());
            clock.advance(wait);
            passed += 50_000;
        }
        let took = clock.monotonic().since(FakeClock::at(WallNs(0)).monotonic());
        assert_eq!(passed, 5_000_000);
        assert!((4.8..5.0).contains(&took.as_secs_f64()), "{took:?}");
        // After a pause no more than a tenth of a second is made up for.
        clock.advance(Duration::from_mins(1));
        assert_eq!(pace.reserve(200_000, clock.monotonic()), Duration::ZERO);
        assert_eq!(pace.reserve(1, clock.monotonic()), Duration::from_millis(100));
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        assert_eq!(Pace::new(None).reserve(u64::MAX, Monotonic(0)), Duration::ZERO);
    }
}
