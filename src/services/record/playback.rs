//! Playback on the media socket: [`crate::retrieve`] with this recorder's index, volumes and cameras.

use std::sync::{Arc, Weak};

use axum::Router;

use super::Shared;
use crate::{
    retrieve::{self, Library},
    services::paths::root_note,
    store::index::IndexQueue,
    types::{CameraId, wire},
};

/// The routes, and the library that must hear of new volumes.
pub(super) fn router(shared: &Arc<Shared>) -> Router {
    let known: Weak<Shared> = Arc::downgrade(shared);
    let cameras = move || known.upgrade().map(|shared| cameras(&shared)).unwrap_or_default();
    retrieve::router(shared.library.clone(), Arc::new(cameras), shared.clock.clone())
}

/// The site's cameras in its order, then those that have left it but have footage.
fn cameras(shared: &Shared) -> Vec<wire::Camera> {
    let site = shared.site();
    let mut cameras: Vec<wire::Camera> = site
        .cameras_of(&shared.recorder)
        .map(|c| wire::Camera {
            id: c.id.clone(),
            name: c.name.clone(),
            area: site.area(&c.area).map(|a| a.name.clone()).unwrap_or_default(),
            streams: c.streams().map(|(kind, ..)| kind).collect(),
            configured: true,
        })
        .collect();
    for key in shared.store.streams() {
        let id: CameraId = key.camera;
        match cameras.iter_mut().find(|c| c.id == id) {
            Some(c) if !c.streams.contains(&key.kind) && !c.configured => c.streams.push(key.kind),
            Some(_) => {}
            None => cameras.push(wire::Camera {
                name: id.to_string(),
                id,
                area: String::new(),
                streams: vec![key.kind],
                configured: false,
            }),
        }
    }
    cameras
}

/// After volumes came, or their disks fell silent: footage is read where disks answer, so that readers of one that does not
/// take no threads from the others.
pub(super) fn volumes_changed(shared: &Shared) {
    if shared.library.set_volumes(shared.store.answering()) {
        note_roots(&shared.index, &shared.store);
    }
}

/// The library of a recorder that starts.
pub(super) fn library(index: std::path::PathBuf, store: &crate::store::Store) -> Arc<Library> {
    Arc::new(Library::new(index, store.roots()))
}

/// Leaves word in the index of where the volumes are, for `custodian clip`.
pub(super) fn note_roots(index: &IndexQueue, store: &crate::store::Store) {
    index.put(|batch| {
        for (volume, root) in store.roots() {
            batch.meta.insert(root_note(&volume), root.display().to_string());
        }
    });
}
