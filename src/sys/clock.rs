//! Wall time and time since boot.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};

use crate::types::WallNs;

/// Nanoseconds since boot, sleep included (`CLOCK_BOOTTIME`). Never set back, never stepped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Monotonic(pub i64);

impl Monotonic {
    /// Time from `earlier` to here; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock, as it stands: it may have been stepped since the last call.
    fn wall(&self) -> WallNs;
    /// Time since boot.
    fn monotonic(&self) -> Monotonic;
    /// Wall time less time since boot, ns. It changes when the wall clock is set or slewed, and else never.
    fn offset(&self) -> i64 {
        self.wall().0.saturating_sub(self.monotonic().0)
    }
}

/// The kernel's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealClock;

fn read(id: ClockId) -> i64 {
    // The clocks named here exist on every Linux that systemd runs on; a failure leaves nothing to go on with.
    let t = clock_gettime(id).expect("the clocks of every Linux exist");
    t.tv_sec().saturating_mul(1_000_000_000).saturating_add(t.tv_nsec())
}

impl Clock for RealClock {
    fn wall(&self) -> WallNs {
        WallNs(read(ClockId::CLOCK_REALTIME))
    }
    fn monotonic(&self) -> Monotonic {
        Monotonic(read(ClockId::CLOCK_BOOTTIME))
    }
}

/// What this process has had of the processors so far.
pub fn processor_time() -> Duration {
    Duration::from_nanos(u64::try_from(read(ClockId::CLOCK_PROCESS_CPUTIME_ID)).unwrap_or(0))
}

/// A clock that moves when it is told to.
#[derive(Debug, Clone)]
pub struct FakeClock {
    wall: Arc<AtomicI64>,
    monotonic: Arc<AtomicI64>,
}

impl FakeClock {
    /// Stands at `wall`, with 1000 s since boot.
    pub fn at(wall: WallNs) -> Self {
        Self { wall: Arc::new(AtomicI64::new(wall.0)), monotonic: Arc::new(AtomicI64::new(1_000_000_000_000)) }
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let ns = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
        self.wall.fetch_add(ns, Ordering::SeqCst);
        self.monotonic.fetch_add(ns, Ordering::SeqCst);
    }

    /// Sets the wall clock forward or back by `ns`, as `date -s` does.
    pub fn step(&self, ns: i64) {
        self.wall.fetch_add(ns, Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn wall(&self) -> WallNs {
        WallNs(self.wall.load(Ordering::SeqCst))
    }
    fn monotonic(&self) -> Monotonic {
        Monotonic(self.monotonic.load(Ordering::SeqCst))
    }
}
