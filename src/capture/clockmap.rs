//! From a camera's media clock to our wall clock.
//!
//! A camera's clock drifts against ours and its pictures arrive with jitter. The earliest arrivals tell most: the least
//! delay of the last half minute says where the camera's clock stands. At fragment boundaries, and only there, the mapping
//! follows that by at most [`MAX_SLEW_PPM`]; between them it runs at the media clock's own rate. So it has no jumps, never
//! goes back, and spans of fragments adjoin.
//!
//! Arrivals are taken on the monotonic clock, so that a step of the wall clock cannot be mistaken for delay.

use crate::types::WallNs;

/// How much faster or slower than the media clock wall time may run, parts per million. More than twice the drift of a bad
/// crystal, less than anybody sees.
const MAX_SLEW_PPM: i64 = 500;

/// Arrivals are forgotten after one to two of these.
const WINDOW_NS: i64 = 20_000_000_000;

/// Ticks of a clock as nanoseconds.
pub(super) fn ticks_to_ns(ticks: i64, rate: u32) -> i64 {
    let ns = i128::from(ticks) * 1_000_000_000 / i128::from(rate.max(1));
    i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

/// Nanoseconds as ticks of a clock, rounded to the nearest.
pub(super) fn ns_to_ticks(ns: i64, rate: u32) -> i64 {
    let scaled = i128::from(ns) * i128::from(rate);
    let ticks = (scaled + if scaled < 0 { -500_000_000 } else { 500_000_000 }) / 1_000_000_000;
    i64::try_from(ticks).unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX })
}

/// The least of what was seen lately.
#[derive(Debug, Default)]
pub(super) struct LeastDelay {
    since: i64,
    present: Option<i64>,
    previous: Option<i64>,
}

impl LeastDelay {
    /// Notes a delay (arrival less media time, any common zero) seen at `now`, both ns.
    pub(super) fn note(&mut self, delay: i64, now: i64) {
        if self.present.is_none() {
            self.since = now;
        } else if now.saturating_sub(self.since) > WINDOW_NS {
            self.previous = self.present.take();
            self.since = now;
        }
        self.present = Some(self.present.map_or(delay, |p| p.min(delay)));
    }

    /// The least delay of the last 20 to 40 s in which anything came.
    pub(super) fn get(&self) -> Option<i64> {
        match (self.present, self.previous) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

/// The mapping of one session's media time line to uncorrected wall time.
#[derive(Debug)]
pub(super) struct ClockMap {
    rate: u32,
    delay: LeastDelay,
    /// The last boundary: ticks and the wall time given to them.
    boundary: Option<(i64, i64)>,
    /// Wall clock less monotonic clock.
    offset: i64,
}

impl ClockMap {
    /// For a media clock of `rate` ticks a second; `offset` is the wall clock less the monotonic clock.
    pub(super) fn new(rate: u32, offset: i64) -> Self {
        Self { rate, delay: LeastDelay::default(), boundary: None, offset }
    }

    /// Notes when a picture with presentation time `pts` (ticks) arrived (ns since boot).
    pub(super) fn arrived(&mut self, pts: i64, now: i64) {
        self.delay.note(now.saturating_sub(ticks_to_ns(pts, self.rate)), now);
    }

    /// Says how far the wall clock is ahead of the monotonic one. Small changes are followed gently; after a step call
    /// [`Self::forget`] too.
    pub(super) fn set_offset(&mut self, offset: i64) {
        self.offset = offset;
    }

    /// After a step of the wall clock: the mapping wants an anchor again.
    pub(super) fn forget(&mut self) {
        self.boundary = None;
    }

    /// Whether wall times can be told already.
    pub(super) fn is_anchored(&self) -> bool {
        self.boundary.is_some()
    }

    /// Where wall time should be by the earliest arrivals.
    pub(super) fn ideal(&self, ticks: i64) -> Option<WallNs> {
        let delay = self.delay.get()?;
        Some(WallNs(ticks_to_ns(ticks, self.rate).saturating_add(delay).saturating_add(self.offset)))
    }

    /// Least delay of pictures, ns; see [`LeastDelay`].
    pub(super) fn least_delay(&self) -> Option<i64> {
        self.delay.get()
    }

    /// Fixes the beginning of the mapping.
    pub(super) fn anchor(&mut self, ticks: i64, wall: WallNs) {
        self.boundary = Some((ticks, wall.0));
    }

    /// The wall time of any ticks, by the last boundary. The epoch if there is none yet.
    pub(super) fn wall(&self, ticks: i64) -> WallNs {
        let (t, w) = self.boundary.unwrap_or_default();
        WallNs(w.saturating_add(ticks_to_ns(ticks.saturating_sub(t), self.rate)))
    }

    /// Sets the next boundary at the end of a fragment from `start` to `end` ticks and returns its wall time.
    pub(super) fn advance(&mut self, start: i64, end: i64) -> WallNs {
        let from = self.wall(start);
        let nominal = ticks_to_ns(end.saturating_sub(start), self.rate).max(1);
        let slew = (nominal / 1_000_000 * MAX_SLEW_PPM).max(1);
        let least = from.offset(nominal.saturating_sub(slew).max(1));
        let most = from.offset(nominal.saturating_add(slew));
        let wall = self.ideal(end).unwrap_or(from.offset(nominal)).clamp(least, most);
        self.boundary = Some((end, wall.0));
        wall
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: u32 = 90_000;

    #[test]
    fn ticks_and_nanoseconds() {
        assert_eq!(ticks_to_ns(90_000, RATE), 1_000_000_000);
        assert_eq!(ticks_to_ns(-45_000, RATE), -500_000_000);
        assert_eq!(ns_to_ticks(-500_000_000, RATE), -45_000);
        for t in [-7i64, 0, 1, 3, 123_456_789] {
            assert_eq!(ns_to_ticks(ticks_to_ns(t, RATE), RATE), t);
        }
    }

    /// A camera for `days` whose clock is `ppm` off and whose pictures arrive up to `jitter` late; a fragment every 2 s.
    /// Returns the greatest error after the first minute, and whether spans adjoined and increased.
    fn simulate(ppm: i64, jitter_ns: i64, days: i64, stall_every: i64, seed: u64) -> (i64, bool) {
        let offset = 1_800_000_000_000_000_000;
        let mut map = ClockMap::new(RATE, offset);
        let mut state = seed;
        let mut random = move |n: i64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if n == 0 { 0 } else { i64::try_from(state >> 34).unwrap() % n }
        };
        let (mut worst, mut good) = (0, true);
        let mut last_end: Option<(i64, WallNs)> = None;
        for fragment in 0..days * 43_200 {
            let camera_start = fragment * 2_000_000_000;
            // What the camera calls 2 s takes 2 s · (1 - ppm) of ours.
            let ours = |camera_ns: i64| camera_ns - camera_ns / 1_000_000 * ppm;
            let stall = if stall_every > 0 && fragment % stall_every == stall_every - 1 { 3_000_000_000 } else { 0 };
            for k in 0..4 {
                let t = camera_start + k * 500_000_000;
                map.arrived(ns_to_ticks(t, RATE), ours(t) + 5_000_000 + random(jitter_ns) + stall);
            }
            let (start, end) = (fragment * 180_000, (fragment + 1) * 180_000);
            if !map.is_anchored() {
                let w = map.ideal(start).unwrap();
                map.anchor(start, w);
                last_end = Some((start, w));
            }
            let (t, w) = last_end.unwrap();
            good &= t == start && map.wall(start) == w;
            let end_wall = map.advance(start, end);
            good &= end_wall > w;
            last_end = Some((end, end_wall));
            if fragment > 30 {
                worst = worst.max((end_wall.0 - offset - ours(camera_start + 2_000_000_000)).abs());
            }
        }
        (worst, good)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_drifting_camera_stays_in_time_for_days(
            ppm in -200i64..=200, jitter_ms in 0i64..=150, stall_every in prop_oneof![Just(0i64), 3i64..200], seed in any::<u64>(),
        ) {
            let (worst, good) = simulate(ppm, jitter_ms * 1_000_000, 4, stall_every, seed);
            prop_assert!(good, "spans overlapped");
            prop_assert!(worst < 250_000_000, "off by {} ms", worst / 1_000_000);
        }
    }

    #[test]
    fn without_slewing_the_test_above_would_fail() {
        // 200 ppm over four days is more than a minute: the bound above means something.
        let drift: i64 = 4 * 86_400 * 200 * 1_000;
        assert!(drift > 60_000_000_000);
    }
}
