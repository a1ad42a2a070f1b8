//! Sound beside pictures on one time line.

use super::clockmap::{LeastDelay, ns_to_ticks, ticks_to_ns};

/// How far sound may be from the pictures that arrive with it before its own time stamps are doubted, ns.
const TOLERANCE_NS: i64 = 250_000_000;

/// Puts audio frames on the time line of the pictures.
///
/// Both count from the start of play, which the camera gives for each (RTP-Info, RFC 2326 section 12.33). Where that is
/// missing or wrong, or the audio clock drifts away, what arrives at the same time belongs together.
#[derive(Debug)]
pub(super) struct AudioClock {
    rate: u32,
    delay: LeastDelay,
    offset: Option<i64>,
    end: Option<i64>,
}

impl AudioClock {
    /// For `rate` ticks a second.
    pub(super) fn new(rate: u32) -> Self {
        Self { rate: rate.max(1), delay: LeastDelay::default(), offset: None, end: None }
    }

    /// Ticks a second.
    pub(super) fn rate(&self) -> u32 {
        self.rate
    }

    /// The decode time of a frame of `length` ticks with time stamp `elapsed`, or nothing for one that would overlap what
    /// is there. `video_delay` is the pictures' least delay, ns.
    pub(super) fn place(&mut self, elapsed: i64, length: u32, now: i64, video_delay: i64) -> Option<i64> {
        let ns = ticks_to_ns(elapsed, self.rate);
        self.delay.note(now.saturating_sub(ns), now);
        let apart = self.delay.get()?.saturating_sub(video_delay);
        let offset = match self.offset {
            None if apart.abs() <= TOLERANCE_NS => 0,
            Some(o) if apart.saturating_sub(o).abs() <= TOLERANCE_NS => o,
            _ => apart,
        };
        self.offset = Some(offset);
        let wish = ns_to_ticks(ns.saturating_add(offset), self.rate);
        let half = i64::from(length / 2);
        let dts = match self.end {
            Some(end) if wish < end.saturating_sub(half) => return None,
            Some(end) if wish <= end.saturating_add(half) => end,
            _ => wish,
        };
        self.end = Some(dts.saturating_add(i64::from(length)));
        Some(dts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounded_time_stamps_become_a_row() {
        let mut a = AudioClock::new(8_000);
        for n in 0..500i64 {
            let jitter = [0, 3, -2][usize::try_from(n % 3).unwrap()];
            assert_eq!(a.place(n * 160 + jitter, 160, n * 20_000_000, 0), Some(n * 160));
        }
    }

    #[test]
    fn a_wrong_start_is_put_right_by_arrival() {
        let mut a = AudioClock::new(8_000);
        // Says one hour, arrives with the first pictures.
        assert_eq!(a.place(3_600 * 8_000, 160, 40_000_000, 30_000_000), Some(80));
    }

    #[test]
    fn a_drifting_audio_clock_is_pulled_back() {
        let mut a = AudioClock::new(8_000);
        let mut worst = 0;
        // 1 % too fast for ten minutes.
        for n in 0..30_000i64 {
            let now = n * 20_000_000;
            if let Some(dts) = a.place(n * 160 + n * 160 / 100, 160, now, 0) {
                worst = worst.max((ticks_to_ns(dts, 8_000) - now).abs());
            }
        }
        assert!(worst < 900_000_000, "{worst}");
    }
}
