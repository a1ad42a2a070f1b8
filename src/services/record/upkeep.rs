//! What goes on beside recording: volumes that come late or come back, and the look at what earlier recording left. Each disk is touched by
//! threads of its own only, so that one that hangs keeps nobody from the others.

use std::{
    io,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use super::{
    Shared,
    comparing::{Comparing, Comparison},
    volumes::{Absent, Context, places},
};
use crate::{
    site::Site,
    store::{
        Footage as _, StoreEvent,
        index::Reader,
        recovery::{self, Beside, Finding},
    },
    sys::{Disk, RealDisk},
    types::{RunId, VolumeName, event},
};

/// How often absent volumes are looked for: booting does not wait for their mounts, so they may come a moment after the recorder.
const LOOK: Duration = Duration::from_secs(1);
/// If the index takes longer to write what a comparison has found, that is told.
const WRITTEN: Duration = Duration::from_secs(10);
/// How long a stop waits for disks that are being looked at.
const LEAVE: Duration = Duration::from_secs(2);
/// How often copies of the holds are written again that could not be, in [`LOOK`]s.
const MEND: u32 = 10;

/// After a reload: volumes that are new in the site are taken into use as soon as they are there.
pub(super) fn expect_volumes(shared: &Shared, site: &Site) {
    let known = shared.store.roots();
    let places = places(site, &shared.recorder);
    for name in known.keys().filter(|n| !places.iter().any(|(p, _)| p == *n)) {
        log::warn!(
            MESSAGE_ID = event::VOLUME_LEFT, VOLUME = name.as_str();
            "volume {name} has left the site; it is used until the recorder is restarted"
        );
    }
    let mut absent = shared.absent.lock().unwrap_or_else(PoisonError::into_inner);
    // A look that is under way goes on.
    absent.retain(|a| places.iter().any(|(name, root)| *name == a.name && *root == a.root));
    for (name, root) in places {
        if !known.contains_key(&name) && !absent.iter().any(|a| a.name == name) {
            absent.push(Absent::new(name, root));
        }
    }
}

/// Runs until the recorder stops.
pub(super) fn run(shared: &Arc<Shared>) {
    let mut events = shared.store.events();
    let mut comparing = Comparing::default();
    comparing.want(shared.store.roots().into_keys());
    let mut looks = 0_u32;
    while !shared.stopping.load(Ordering::SeqCst) {
        comparing.go_on(shared.clock.monotonic(), &mut |name| compare(shared, name));
        std::thread::park_timeout(LOOK);
        look_for_absent(shared);
        super::playback::volumes_changed(shared);
        while let Ok(event) = events.try_recv() {
            if let StoreEvent::VolumeBack(name) = event {
                comparing.want([name]);
            }
        }
        looks = looks.wrapping_add(1);
        if looks.is_multiple_of(MEND) {
            shared.holds.mend(shared.clock.wall());
            super::holds::catch_up(shared);
        }
    }
    let leave = shared.clock.monotonic();
    while comparing.is_busy() && shared.clock.monotonic().since(leave) < LEAVE {
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn look_for_absent(shared: &Shared) {
    let (index, recorder) = (shared.paths.index(), shared.recorder.clone());
    let context = Context { index, recorder, deposits: shared.deposits.clone() };
    let mut absent = shared.absent.lock().unwrap_or_else(PoisonError::into_inner);
    absent.retain_mut(|volume| {
        let Some(setup) = volume.look(&context, &*shared.clock) else { return true };
        match shared.store.add(setup) {
            Ok(()) => {
                log::info!(
                    MESSAGE_ID = event::VOLUME_BACK, VOLUME = volume.name.as_str();
                    "volume {} is there now and is used", volume.name
                );
                false
            }
            Err(e) => {
                volume.say(e.to_string());
                true
            }
        }
    });
}

/// Begins to compare a volume with the index.
fn compare(shared: &Arc<Shared>, name: &VolumeName) -> io::Result<Comparison> {
    let (inside, volume) = (shared.clone(), name.clone());
    let thread = std::thread::Builder::new().name(format!("look {name}"));
    thread.spawn(move || reconcile(&inside, &volume))
}

/// The recorder as one volume is compared with the index.
struct AtWork<'a> {
    shared: &'a Shared,
    volume: &'a VolumeName,
    /// What is no more. The index forgets it once it is noted that it is gone.
    gone: Vec<Finding>,
}

impl Beside for AtWork<'_> {
    fn is_live(&self, run: RunId) -> bool {
        self.shared.store.is_live(run, self.volume)
    }
    fn go_on(&self) -> bool {
        !self.shared.stopping.load(Ordering::SeqCst)
    }
    fn found(&mut self, finding: Finding) {
        match finding {
            Finding::Gone(..) => self.gone.push(finding),
            Finding::Segment(_) => self.shared.store.found(finding),
        }
    }
}

/// Compares a volume with the holds and the index, and mends what is torn. An error is why that has to be done again.
fn reconcile(shared: &Shared, name: &VolumeName) -> Result<(), String> {
    let Some(volume) = shared.store.volume(name) else { return Ok(()) };
    let now = shared.clock.wall();
    shared.holds.mount([volume.clone()], now);
    shared.holds.follow(&shared.site(), &shared.recorder, now);
    // What retention has in hand is neither there nor gone.
    let turn = shared.retention.turn(name);
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    shared.compared.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    let read = Reader::open(&shared.paths.index()).and_then(|index| index.volume_segments(name));
    let rows = read.map_err(|e| crate::types::story(&e))?;
    let disk: &dyn Disk = &RealDisk;
    let mut beside = AtWork { shared, volume: name, gone: Vec::new() };
    let report = recovery::reconcile(disk, &volume, rows, &mut beside);
    log::info!(
        VOLUME = name.as_str();
        "volume {name}: {} segments; {} were new to the index, {} were torn and are closed now, {} are no more",
        report.segments, report.added, report.recovered, report.gone
    );
    let stopping = || shared.stopping.load(Ordering::SeqCst);
    if !stopping() {
        // Noted before the index forgets what is gone: to compare again would find nothing wrong any more.
        shared.retention.compared(name, &report);
        beside.gone.into_iter().for_each(|finding| shared.store.found(finding));
    }
    // Who hears that it was compared reads what was found.
    let mut told = false;
    while !stopping() && !shared.index.flush(WRITTEN) {
        if !std::mem::replace(&mut told, true) {
            log::warn!(VOLUME = name.as_str(); "volume {name} is compared with the index, which does not take what was found; nothing is deleted on it until it has");
        }
    }
    if !stopping() {
        shared.compared.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        if let Err(e) = shared.store.remove_empty_days(name) {
            log::debug!(VOLUME = name.as_str(); "volume {name}: empty folders stay: {}", crate::types::story(&e));
        }
    }
    for lost in &report.lost {
        log::error!(
            MESSAGE_ID = event::FOOTAGE_LOST, VOLUME = name.as_str(), CAUSE = lost.as_str();
            "volume {name}: footage that was there before is lost: {lost}"
        );
    }
    for damaged in &report.damaged {
        log::error!(
            MESSAGE_ID = event::FOOTAGE_DAMAGED, VOLUME = name.as_str(), CAUSE = damaged.as_str();
            "volume {name}: left as it is: {damaged}; `custodian verify` says more"
        );
    }
    for foreign in &report.foreign {
        log::warn!(
            MESSAGE_ID = event::FOOTAGE_FOREIGN, VOLUME = name.as_str(), CAUSE = foreign.as_str();
            "volume {name}: left alone: {foreign}"
        );
    }
    Ok(())
}
