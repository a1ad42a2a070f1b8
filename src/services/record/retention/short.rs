//! `when_short = "substream"`: cameras change to their sub stream, and back, while they are recorded.

use std::collections::BTreeSet;

use crate::{
    ledger::What,
    services::record::{Shared, hours},
    types::{CameraId, event},
};

/// Records these cameras by their sub stream from now on, and all others as the site says.
pub(super) fn follow(shared: &Shared, by_sub: &BTreeSet<CameraId>) {
    let before = std::mem::replace(&mut shared.retention.state().by_sub, by_sub.clone());
    if *by_sub == before {
        return;
    }
    for camera in by_sub.symmetric_difference(&before) {
        let substream = by_sub.contains(camera);
        if substream {
            log::error!(
                MESSAGE_ID = event::SUBSTREAM_ONLY, CAMERA = camera.as_str();
                "camera {camera}: the disks are short, so it is recorded by its sub stream"
            );
        } else {
            log::info!(CAMERA = camera.as_str(); "camera {camera}: the disks are no longer short for it, so it is recorded in full");
        }
        // One that has never been recorded belongs on any volume.
        let volume = shared.store.homes(camera).into_iter().next().or_else(|| shared.store.roots().into_keys().next());
        if let Some(volume) = volume {
            shared.journal.put(What::Room { camera: camera.clone(), volume, recorded: true, substream });
        }
    }
    hours::short(shared, by_sub.clone());
}
