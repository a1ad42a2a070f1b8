//! What goes on beside recording: volumes that come late or come back, and the look at what earlier recording left.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use super::Shared;
use crate::{
    services::paths,
    site::{Site, VolumePlace},
    store::{Footage as _, StoreEvent, Timing, VolumeSetup, index::Reader, recovery, volume},
    sys::{Disk, RealDisk},
    types::{ByteSize, RecorderId, VolumeName, wire},
};

/// A volume of the site that can't be written to yet.
#[derive(Debug, Clone)]
pub(super) struct Absent {
    pub name: VolumeName,
    pub root: PathBuf,
    pub problem: String,
}

impl Absent {
    pub(super) fn status(&self) -> wire::VolumeStatus {
        wire::VolumeStatus {
            name: self.name.clone(),
            healthy: false,
            problem: Some(self.problem.clone()),
            free: ByteSize(0),
            size: ByteSize(0),
            queued: ByteSize(0),
        }
    }
}

/// How often absent volumes are looked for: booting does not wait for their mounts, so they may come a moment after the recorder.
const LOOK: Duration = Duration::from_secs(1);

/// Names and places of a recorder's volumes.
pub(in crate::services) fn places(site: &Site, recorder: &RecorderId) -> Vec<(VolumeName, PathBuf)> {
    let place = |v: &crate::site::Volume| match &v.place {
        VolumePlace::Disk(_) => paths::mount_point(&v.name),
        VolumePlace::Path(path) => path.clone(),
    };
    site.volumes_of(recorder).iter().map(|v| (v.name.clone(), place(v))).collect()
}

/// Opens a volume, if its marker is the expected one.
pub(super) fn open(name: &VolumeName, root: PathBuf, index: Option<&Reader>) -> Result<VolumeSetup, Absent> {
    let id = index.and_then(|index| index.volume_id(name).ok().flatten());
    // Which disk a volume is says site.toml, and its mount unit mounts no other. A folder has only its marker to be known by.
    let disk = root == paths::mount_point(name);
    match volume::open(&RealDisk, name, &root, id.as_deref().filter(|_| !disk)) {
        Ok(volume) => {
            if id.is_some_and(|id| id != volume.marker.id.to_string()) {
                log::warn!(VOLUME = name.as_str(); "volume {name} is another disk than before");
            }
            // A folder shares its disk with everything else on this machine; that it is slow does not mean that it is broken.
            let limit = if volume.mount_point { Duration::from_secs(3) } else { Duration::from_secs(30) };
            let timing = Timing { commit: Duration::from_secs(2), limit, retry: Duration::from_secs(10) };
            Ok(VolumeSetup { volume, timing })
        }
        Err(e) => {
            let problem = super::start::story(&e);
            Err(Absent { name: name.clone(), root, problem })
        }
    }
}

/// After a reload: volumes that are new in the site are taken into use as soon as they are there.
pub(super) fn expect_volumes(shared: &Shared, site: &Site) {
    let known = shared.store.roots();
    let places = places(site, &shared.recorder);
    for name in known.keys().filter(|n| !places.iter().any(|(p, _)| p == *n)) {
        log::warn!(VOLUME = name.as_str(); "volume {name} has left the site; it is used until the recorder is restarted");
    }
    *shared.absent.lock().unwrap_or_else(PoisonError::into_inner) = places
        .into_iter()
        .filter(|(name, _)| !known.contains_key(name))
        .map(|(name, root)| Absent { name, root, problem: "not looked for yet".into() })
        .collect();
}

/// Runs until the recorder stops.
pub(super) fn run(shared: &Arc<Shared>) {
    let mut events = shared.store.events();
    for name in shared.store.roots().into_keys() {
        reconcile(shared, &name);
    }
    while !shared.stopping.load(Ordering::SeqCst) {
        std::thread::park_timeout(LOOK);
        look_for_absent(shared);
        while let Ok(event) = events.try_recv() {
            if let StoreEvent::VolumeBack(name) = event {
                reconcile(shared, &name);
            }
        }
    }
}

fn look_for_absent(shared: &Shared) {
    let absent = shared.absent.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if absent.is_empty() || shared.stopping.load(Ordering::SeqCst) {
        return;
    }
    let index = Reader::open(&shared.paths.index()).ok();
    let mut still = Vec::new();
    for was in absent {
        match open(&was.name, was.root.clone(), index.as_ref()) {
            Ok(setup) => match shared.store.add(setup) {
                Ok(()) => {
                    super::playback::volumes_changed(shared);
                    log::info!(VOLUME = was.name.as_str(); "volume {} is there now and is used", was.name);
                }
                Err(e) => still.push(Absent { problem: e.to_string(), ..was }),
            },
            Err(now) => {
                if now.problem != was.problem {
                    log::error!(VOLUME = now.name.as_str(); "{}", now.problem);
                }
                still.push(now);
            }
        }
    }
    *shared.absent.lock().unwrap_or_else(PoisonError::into_inner) = still;
}

/// Compares a volume with the index and mends what is torn.
fn reconcile(shared: &Shared, name: &VolumeName) {
    let Some(volume) = shared.store.volume(name) else { return };
    let rows = match Reader::open(&shared.paths.index()).and_then(|index| index.volume_segments(name)) {
        Ok(rows) => rows,
        Err(e) => {
            log::error!("volume {name} is not compared with the index: {}", super::start::story(&e));
            return;
        }
    };
    let disk: &dyn Disk = &RealDisk;
    let report = recovery::reconcile(disk, &volume, rows, &|run| shared.store.is_live(run, name), &mut |finding| {
        shared.store.found(finding);
    });
    log::info!(
        VOLUME = name.as_str();
        "volume {name}: {} segments; {} were new to the index, {} were torn and are closed now, {} are no more",
        report.segments, report.added, report.recovered, report.gone
    );
    for foreign in &report.foreign {
        log::warn!(VOLUME = name.as_str(); "volume {name}: left alone: {foreign}");
    }
}
