//! Whether a volume's threads go on, for somebody who looks again and again and must not wait.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread::JoinHandle,
    time::Duration,
};

use super::Worker;
use crate::sys::Monotonic;

/// A count that goes up while there is something to do.
#[derive(Debug, Default)]
struct Count {
    /// What it was, and since when it has been that.
    last: Option<(u64, Monotonic)>,
}

impl Count {
    /// Whether it has stood still for longer than that though there was something to do.
    fn stands_still(&mut self, count: &AtomicU64, idle: bool, now: Monotonic, patience: Duration) -> bool {
        let count = count.load(Ordering::Acquire);
        match self.last {
            Some((before, since)) if before == count && !idle => now.since(since) > patience,
            _ => {
                self.last = Some((count, now));
                false
            }
        }
    }
}

/// What was seen of a volume's threads.
#[derive(Debug, Default)]
pub(in crate::store) struct WorkerSeen {
    writer: Count,
    committer: Count,
}

impl Worker {
    /// What stands still and should not; nothing where all goes on, or the disk is to blame: then the volume is marked failed.
    pub(in crate::store) fn standstill(&self, seen: &mut WorkerSeen) -> Option<&'static str> {
        // Whoever has the lock ends them.
        if self.threads.try_lock().is_ok_and(|threads| threads.iter().any(JoinHandle::is_finished)) {
            return Some("writer or committer has ended");
        }
        if !self.healthy() {
            *seen = WorkerSeen::default();
            return None;
        }
        let (shared, now) = (&self.shared, self.shared.clock.monotonic());
        // What takes longer than the limit and is the disk's fault was noticed just now.
        let patience = shared.timing.limit + shared.timing.commit;
        let idle = shared.queued.load(Ordering::Acquire) == 0;
        let writer = seen.writer.stands_still(&shared.written, idle, now, patience);
        let committer = seen.committer.stands_still(&shared.turns, false, now, patience);
        if writer { Some("writer stands still") } else { committer.then_some("committer stands still") }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        store::{
            VolumeSetup,
            segment::Written,
            volume,
            worker::{Report, Timing},
        },
        sys::{FakeClock, RealDisk},
        types::{ByteSize, VolumeName, WallNs},
    };

    struct Quiet;

    impl Report for Quiet {
        fn committed(&self, _: &VolumeName, _: &[Written], _: WallNs) {}
        fn failed(&self, _: &VolumeName, _: &str) {}
        fn back(&self, _: &VolumeName) {}
        fn streams_file(&self, _: u64, _: WallNs) -> Option<(u64, Vec<u8>)> {
            None
        }
    }

    #[test]
    fn a_queue_that_nobody_takes_from_is_a_standstill() {
        let dir = tempfile::tempdir().unwrap();
        let volume = volume::init(&RealDisk, &"a1".parse().unwrap(), &dir.path().join("a1"), "x", WallNs(0)).unwrap();
        let timing =
            Timing { commit: Duration::from_millis(5), limit: Duration::from_secs(3), retry: Duration::from_millis(5) };
        let setup = VolumeSetup { space: volume.space(&RealDisk).unwrap(), volume, traces: Vec::new(), timing };
        let clock = FakeClock::at(WallNs(0));
        let worker =
            Worker::start(setup, Arc::new(RealDisk), Arc::new(clock.clone()), Arc::new(Quiet), ByteSize(1)).unwrap();
        let mut seen = WorkerSeen::default();
        let turns = || worker.shared.turns.load(Ordering::SeqCst);
        // As if there were footage in it.
        worker.shared.queued.store(1000, Ordering::SeqCst);
        assert_eq!(worker.standstill(&mut seen), None);
        clock.advance(Duration::from_secs(4));
        let before = turns();
        while turns() < before + 2 {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        assert_eq!(worker.standstill(&mut seen), Some("writer stands still"));
        worker.shared.written.fetch_add(1, Ordering::SeqCst);
        assert_eq!(worker.standstill(&mut seen), None, "it has taken something");
        worker.stop();
    }

    #[test]
    fn a_count_stands_still_only_while_there_is_something_to_do() {
        let patience = Duration::from_secs(5);
        let mut seen = Count::default();
        let mut stands = |count: u64, idle, s: i64| {
            seen.stands_still(&AtomicU64::new(count), idle, Monotonic(s * 1_000_000_000), patience)
        };
        assert!(!stands(7, false, 0));
        assert!(!stands(7, false, 5) && stands(7, false, 6));
        assert!(!stands(8, false, 7), "it has gone on");
        assert!(!stands(8, true, 60) && !stands(8, false, 65), "it had nothing to do until a moment ago");
        assert!(stands(8, false, 66));
        // Far later, as after a sleep: one look may be wrong, the next is not.
        assert!(stands(8, false, 9000) && !stands(9, false, 9001));
    }
}
