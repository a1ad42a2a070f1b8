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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        apply::{Look, Watch},
        types::WallNs,
    };

    struct Seen(Vec<Look>);

    impl Cameras for Seen {
        fn look(&self) -> Result<Vec<Look>, String> {
            Ok(self.0.clone())
        }
    }

    #[test]
    fn footage_of_the_session_before_confirms_nothing() {
        let camera: CameraId = "gate-1".parse().unwrap();
        let meta = Meta {
            format: 1,
            number: 2,
            at: WallNs(100),
            by: "root".into(),
            word: None,
            version: "0".into(),
            from: Some(1),
            repeats: None,
            trial: None,
            watch: Watch { recording: Vec::new(), changed: vec![camera.clone()] },
        };
        let with = |recording, newest| {
            doubts(&Seen(vec![Look { camera: camera.clone(), recording, newest: Some(WallNs(newest)) }]), &meta)
        };
        assert_eq!(with(true, 101), []);
        // The old session went on for a moment after the change was written; the new address does not answer.
        assert_eq!(with(false, 101), [Doubt::NoFootage { camera: camera.clone() }]);
        assert_eq!(with(true, 100), [Doubt::NoFootage { camera }]);
    }
}
