//! How long a volume's threads took for what they did last.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{sys::Monotonic, types::wire};

/// What is older says nothing of now.
const SPAN: Duration = Duration::from_mins(1);
/// No more than these are remembered: a minute of 64 cameras, and of more cameras less than that.
const MOST: usize = 4096;

/// The durations of the last minute.
#[derive(Debug, Default)]
pub(super) struct Latency(Mutex<VecDeque<(Monotonic, u64)>>);

impl Latency {
    /// Something that began then has been done.
    pub(super) fn note(&self, began: Monotonic, now: Monotonic) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == MOST {
            last.pop_front();
        }
        last.push_back((now, u64::try_from(now.since(began).as_micros()).unwrap_or(u64::MAX)));
    }

    /// What they come to; nothing if nothing was done.
    pub(super) fn told(&self, now: Monotonic) -> Option<wire::Latency> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while last.pop_front_if(|(at, _)| now.since(*at) > SPAN).is_some() {}
        let mut all: Vec<u64> = last.iter().map(|(_, took)| *took).collect();
        drop(last);
        all.sort_unstable();
        // The smallest that so many percent are not above.
        let percent = |p: usize| all.get((all.len() * p).div_ceil(100).saturating_sub(1)).copied();
        Some(wire::Latency {
            count: all.len() as u64,
            p50_us: percent(50)?,
            p99_us: percent(99)?,
            max_us: *all.last()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn what_is_told_is_of_the_last_minute() {
        let latency = Latency::default();
        assert_eq!(latency.told(Monotonic(0)), None);
        latency.note(Monotonic(0), Monotonic(9_000 * MS));
        for n in 1..=100 {
            let now = 20_000 * MS + n;
            latency.note(Monotonic(now - n * MS), Monotonic(now));
        }
        let of = |count, p50_us, p99_us, max_us| Some(wire::Latency { count, p50_us, p99_us, max_us });
        assert_eq!(latency.told(Monotonic(30_000 * MS)), of(101, 51_000, 100_000, 9_000_000));
        assert_eq!(latency.told(Monotonic(70_000 * MS)), of(100, 50_000, 99_000, 100_000));
        assert_eq!(latency.told(Monotonic(90_000 * MS)), None);
    }

    #[test]
    fn memory_is_bounded() {
        let latency = Latency::default();
        for n in 0..10_000 {
            latency.note(Monotonic(n - n / 9_000), Monotonic(n));
        }
        assert_eq!(latency.told(Monotonic(10_000)).map(|l| l.count), Some(MOST as u64));
    }
}
