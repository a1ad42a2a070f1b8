//! What each stream does, for those who ask.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

use crate::types::{BitRate, CameraId, Cause, StreamKind, VolumeName, wire::StreamState};

/// Rates are means over this, ns.
const WINDOW_NS: i64 = 10_000_000_000;
const STEP_NS: i64 = 1_000_000_000;

/// What capture knows of one stream.
#[derive(Debug, Clone, PartialEq)]
pub struct CaptureStatus {
    /// The camera.
    pub camera: CameraId,
    /// Its name for people.
    pub name: String,
    /// Main or sub.
    pub stream: StreamKind,
    /// Whether it is to be recorded.
    pub recorded: bool,
    /// What it does.
    pub state: StreamState,
    /// Why it does not run or, while it runs, why it is not recorded.
    pub cause: Option<Cause>,
    /// Received coded pictures over the last 10 s.
    pub bit_rate: BitRate,
    /// Received pictures per second over the last 10 s.
    pub frame_rate: f64,
    /// Pictures received since the process started.
    pub frames: u64,
    /// RTP packets lost since the process started.
    pub lost_packets: u64,
    /// The camera's clock less ours, seconds, by its last sender report.
    pub clock_error: Option<f64>,
    /// Where its present run goes.
    pub volume: Option<VolumeName>,
    /// Picture size.
    pub size: Option<(u16, u16)>,
    /// `avc1.64001f` and the like.
    pub codec: Option<String>,
}

/// One stream's figures, written by its task alone.
#[derive(Debug, Default)]
pub(super) struct Cell {
    bytes: AtomicU64,
    frames: AtomicU64,
    lost: AtomicU64,
    /// When the next snapshot is due, ns since boot.
    next: AtomicI64,
    rare: Mutex<Rare>,
}

/// What changes rarely.
#[derive(Debug, Default, Clone)]
pub(super) struct Rare {
    pub(super) state: Option<StreamState>,
    pub(super) cause: Option<Cause>,
    pub(super) clock_error: Option<f64>,
    pub(super) volume: Option<VolumeName>,
    pub(super) size: Option<(u16, u16)>,
    pub(super) codec: Option<String>,
    /// (ns since boot, bytes, frames), a second apart.
    snapshots: VecDeque<(i64, u64, u64)>,
}

impl Cell {
    /// Counts a picture.
    pub(super) fn frame(&self, len: usize, now: i64) {
        let bytes = self.bytes.load(Relaxed) + u64::try_from(len).unwrap_or(u64::MAX);
        let frames = self.frames.load(Relaxed) + 1;
        self.bytes.store(bytes, Relaxed);
        self.frames.store(frames, Relaxed);
        if now >= self.next.load(Relaxed) {
            self.next.store(now.saturating_add(STEP_NS), Relaxed);
            let mut rare = self.rare();
            rare.snapshots.push_back((now, bytes, frames));
            while rare.snapshots.front().is_some_and(|s| s.0 < now.saturating_sub(WINDOW_NS)) {
                rare.snapshots.pop_front();
            }
        }
    }

    /// Counts lost packets.
    pub(super) fn lost(&self, packets: u32) {
        self.lost.store(self.lost.load(Relaxed) + u64::from(packets), Relaxed);
    }

    /// Pictures received so far.
    pub(super) fn frames(&self) -> u64 {
        self.frames.load(Relaxed)
    }

    /// Packets lost so far.
    pub(super) fn lost_packets(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    pub(super) fn rare(&self) -> MutexGuard<'_, Rare> {
        self.rare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bits and pictures per second, up to `now`.
    pub(super) fn rates(&self, now: i64) -> (BitRate, f64) {
        let rare = self.rare();
        let Some(&(t, bytes, frames)) = rare.snapshots.iter().find(|s| s.0 >= now.saturating_sub(WINDOW_NS)) else {
            return (BitRate(0), 0.0);
        };
        let seconds = now.saturating_sub(t) as f64 / 1e9;
        if seconds <= 0.0 {
            return (BitRate(0), 0.0);
        }
        let bits = self.bytes.load(Relaxed).saturating_sub(bytes).saturating_mul(8) as f64 / seconds;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; `as` saturates")]
        let bits = bits as u64;
        (BitRate(bits), self.frames.load(Relaxed).saturating_sub(frames) as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_last_ten_seconds() {
        let cell = Cell::default();
        let tick = 50_000_000;
        for n in 0..600i64 {
            cell.frame(if n < 300 { 100 } else { 12_500 }, n * tick);
        }
        let (bits, frames) = cell.rates(600 * tick);
        assert!((frames - 20.0).abs() < 0.2, "{frames}");
        assert!((1_950_000..2_050_000).contains(&bits.0), "{bits}");
        assert_eq!(cell.rates(700 * tick + 20_000_000_000), (BitRate(0), 0.0));
        assert_eq!((cell.frames(), cell.lost_packets()), (600, 0));
    }
}
