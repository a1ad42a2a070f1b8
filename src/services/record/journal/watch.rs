//! What is looked at each second: the clock, the volumes, gaps that last.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::sync::broadcast::{Receiver, error::TryRecvError};

use super::deposits::When;
use crate::{
    ledger::What,
    services::record::Shared,
    store::{StoreEvent, index::Reader},
    sys::Clock,
    types::{CauseKind, StreamId, VolumeName, WallNs, event},
};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Between two looks at the index.
const INDEX: Duration = Duration::from_secs(5);
/// So long a gap, or the absence of a volume, has to last before it is spoken of; and so long the recorder itself.
const LASTING: Duration = Duration::from_mins(1);
/// The clock was set, if it has gone so much further than time has.
const STEP_NS: i64 = 1_000_000_000;

/// Runs until the recorder stops.
pub(super) fn run(shared: &Arc<Shared>, events: Receiver<StoreEvent>) {
    let began = shared.clock.monotonic();
    let mut clock = ClockWatch::new(&*shared.clock);
    let mut volumes = VolumeWatch::new(shared, events);
    let (mut gaps, mut looked) = (GapWatch::default(), began);
    while !shared.stopping.load(Ordering::SeqCst) {
        std::thread::park_timeout(LOOK);
        if let Some(by) = clock.look(&*shared.clock) {
            let seconds = format!("{:+.3}", by as f64 / 1e9);
            log::warn!(
                MESSAGE_ID = event::CLOCK_STEPPED, SECONDS = seconds.as_str();
                "the clock of this machine was set by {seconds} s"
            );
            shared.journal.put(What::ClockStep { by });
        }
        let now = shared.clock.monotonic();
        let long = now.since(began) >= LASTING;
        volumes.look(shared, long);
        if long && now.since(looked) >= INDEX {
            looked = now;
            gaps.look(shared);
        }
        shared.deposits.lay(shared, When::Due);
    }
}

/// Compares the wall clock with the time that passes.
struct ClockWatch {
    /// At the last look.
    offset: i64,
}

impl ClockWatch {
    fn new(clock: &dyn Clock) -> Self {
        Self { offset: clock.offset() }
    }

    /// By how much the clock was set since the last look. What a time service slews is not.
    fn look(&mut self, clock: &dyn Clock) -> Option<i64> {
        let offset = clock.offset();
        let by = offset.saturating_sub(std::mem::replace(&mut self.offset, offset));
        (by.saturating_abs() >= STEP_NS).then_some(by)
    }
}

/// What happens to volumes.
struct VolumeWatch {
    events: Receiver<StoreEvent>,
    /// Those that were taken into use, with their problem while they have one.
    used: BTreeSet<VolumeName>,
    /// Those that were said to be absent.
    absent: BTreeSet<VolumeName>,
}

impl VolumeWatch {
    fn new(shared: &Shared, events: Receiver<StoreEvent>) -> Self {
        let mut this = Self { events, used: BTreeSet::new(), absent: BTreeSet::new() };
        for name in shared.store.roots().into_keys() {
            this.came(shared, &name);
        }
        this
    }

    /// A volume takes footage, for the first time or again.
    fn came(&mut self, shared: &Shared, name: &VolumeName) {
        self.absent.remove(name);
        let event = if self.used.insert(name.clone()) { "opened" } else { "back" };
        put(shared, name, event, "");
    }

    fn look(&mut self, shared: &Shared, long: bool) {
        loop {
            match self.events.try_recv() {
                Ok(StoreEvent::VolumeBack(name)) => self.came(shared, &name),
                Ok(StoreEvent::VolumeFailed { volume, cause }) => put(shared, &volume, "failed", &cause.detail),
                Err(TryRecvError::Lagged(n)) => log::error!(COUNT = n; "{n} events of volumes are not in the ledger"),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        if long {
            // Not while it is asked for its state: looking for volumes takes its time.
            let Ok(absent) = shared.absent.try_lock() else { return };
            let fresh: Vec<_> = absent.iter().filter(|a| !self.absent.contains(&a.name)).collect();
            let fresh: Vec<(VolumeName, String)> = fresh.iter().map(|a| (a.name.clone(), a.problem.clone())).collect();
            drop(absent);
            for (name, problem) in fresh {
                put(shared, &name, "absent", &problem);
                self.absent.insert(name);
            }
        }
    }
}

fn put(shared: &Shared, volume: &VolumeName, event: &str, detail: &str) {
    let id = shared.store.volume(volume).map(|v| v.marker.id);
    let (volume, event, detail) = (volume.to_string(), event.to_owned(), detail.to_owned());
    shared.journal.put(What::Volume { volume, id, event, detail });
}

/// Gaps that last. Their ends are told with the first segment after them.
#[derive(Default)]
struct GapWatch {
    /// Where the gaps began that were told.
    told: BTreeMap<StreamId, WallNs>,
}

/// The note in the index of a gap that was told: it may outlive the process.
fn note(stream: StreamId) -> String {
    format!("ledger-gap.{stream}")
}

impl GapWatch {
    fn look(&mut self, shared: &Shared) {
        if let Err(e) = self.try_look(shared) {
            log::debug!("gaps are not looked at: {e}");
        }
    }

    fn try_look(&mut self, shared: &Shared) -> Result<(), crate::store::index::IndexError> {
        let (index, now) = (Reader::open(&shared.paths.index())?, shared.clock.wall());
        for key in shared.store.streams() {
            let Some(gap) = index.open_gap(key.id)? else { continue };
            let lasts = now.since(gap.start) >= i64::try_from(LASTING.as_nanos()).unwrap_or(i64::MAX);
            if !lasts || self.told.get(&key.id) == Some(&gap.start) {
                continue;
            }
            self.told.insert(key.id, gap.start);
            let start = gap.start.0.to_string();
            if index.meta(&note(key.id))?.as_deref() == Some(&start) {
                continue;
            }
            // What the site does not want recorded is missed by nobody.
            if gap.cause.kind != CauseKind::Site {
                log::warn!(
                    MESSAGE_ID = event::RECORDING_GAP,
                    CAMERA = key.camera.as_str(), STREAM = key.kind.as_str(), CAUSE:% = gap.cause;
                    "{} {}: nothing is recorded since {}: {}", key.camera, key.kind, gap.start.timestamp(), gap.cause
                );
            }
            let (stream, camera) = (key.id, key.camera);
            shared.journal.put(What::Gap { stream, camera, start: gap.start, end: None, cause: gap.cause });
            shared.index.put(|batch| _ = batch.meta.insert(note(stream), start));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::FakeClock;

    #[test]
    fn a_step_of_the_clock_is_seen_and_time_that_passes_is_none() {
        let clock = FakeClock::at(WallNs(1_000_000_000_000));
        let mut watch = ClockWatch::new(&clock);
        clock.advance(Duration::from_hours(7));
        assert_eq!(watch.look(&clock), None);
        clock.step(999_000_000);
        assert_eq!(watch.look(&clock), None);
        clock.step(999_000_000);
        assert_eq!(watch.look(&clock), None, "slewed: a little at each look");
        clock.step(-3_600_000_000_000);
        clock.advance(Duration::from_secs(1));
        assert_eq!(watch.look(&clock), Some(-3_600_000_000_000));
        assert_eq!(watch.look(&clock), None, "told once");
    }
}
