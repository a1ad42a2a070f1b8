//! Whether the cameras are as they should be after a change.

use serde::Serialize;

use super::{Cameras, generations::Meta};
use crate::types::CameraId;

/// Why a generation is not confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "doubt", rename_all = "kebab-case")]
pub enum Doubt {
    /// The recorder does not answer.
    NoAnswer {
        /// Why not.
        why: String,
    },
    /// It was recorded when apply began, the change does not concern it, and it is not recorded now.
    Stopped {
        /// Which.
        camera: CameraId,
    },
    /// It is new, or recorded otherwise than before, and has no footage since.
    NoFootage {
        /// Which.
        camera: CameraId,
    },
}

/// Everything that speaks against confirming.
pub(super) fn doubts(cameras: &dyn Cameras, meta: &Meta) -> Vec<Doubt> {
    let looks = match cameras.look() {
        Ok(looks) => looks,
        Err(why) => return vec![Doubt::NoAnswer { why }],
    };
    let look = |camera: &CameraId| looks.iter().find(|l| l.camera == *camera);
    let still = |camera: &&CameraId| look(camera).is_some_and(|l| l.recording);
    // The session of before may have brought footage after the change was written: it must be recorded now, too.
    let since = |camera: &&CameraId| look(camera).is_some_and(|l| l.recording && l.newest.is_some_and(|n| n > meta.at));
    let stopped = meta.watch.recording.iter().filter(|c| !still(c));
    let without = meta.watch.changed.iter().filter(|c| !since(c));
    stopped
        .map(|camera| Doubt::Stopped { camera: camera.clone() })
        .chain(without.map(|camera| Doubt::NoFootage { camera: camera.clone() }))
        .collect()
}
