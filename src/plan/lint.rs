//! A second look at a plan, by rules that know nothing of how it was made.
//!
//! That no step formats a disk is not a rule here: there is no such step ([`super::Step`]).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    model::{Plan, Step},
    network::is_system_file,
    units::{RECORD, is_mount},
};
use crate::{
    site::Site,
    types::{CameraId, VolumeName},
};

/// What is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lint {
    /// A camera without a place for its footage.
    #[error("camera {0} has no volume")]
    NoVolume(CameraId),
    /// A volume that the camera's recorder does not have.
    #[error("camera {camera} is laid on volume {volume}, which its recorder does not have")]
    StrangeVolume {
        /// The camera.
        camera: CameraId,
        /// The volume.
        volume: VolumeName,
    },
    /// Both copies on one volume.
    #[error("both copies of camera {0} are on one volume")]
    CopiesTogether(CameraId),
    /// A camera on another volume than the site pins it to.
    #[error("camera {0} is not on the volume that the site names for it")]
    Pin(CameraId),
    /// More promised than fits, though the plan says that it fits.
    #[error("volume {0} is over its capacity")]
    OverCapacity(VolumeName),
    /// A unit that is started without being there.
    #[error("unit {0} is started and nothing defines it")]
    NoUnit(String),
    /// A unit that is removed and started.
    #[error("unit {0} is removed while it is needed")]
    Removed(String),
    /// Units are changed, and systemd is not told before it is asked to act.
    #[error("systemd acts on unit {0} before it has read the units again")]
    NotReloaded(String),
    /// The recorder is stopped though it has cameras, and not started again.
    #[error("the recorder is stopped though it has cameras, and not started again")]
    RecorderStopped,
}

/// Checks a plan; nothing is wrong if nothing comes back. `units`: those of the current generation.
pub fn lint(plan: &Plan, site: &Site, units: Option<&BTreeMap<String, String>>) -> Vec<Lint> {
    let mut all = Vec::new();
    cameras(plan, site, &mut all);
    if plan.short.is_none() {
        all.extend(
            plan.capacity.volumes.iter().filter(|v| v.margin() < 0).map(|v| Lint::OverCapacity(v.volume.clone())),
        );
    }
    steps(plan, site, units, &mut all);
    all
}

fn cameras(plan: &Plan, site: &Site, all: &mut Vec<Lint>) {
    for camera in site.cameras().iter().filter(|c| c.enabled) {
        let volumes = plan.layout.get(&camera.id).map_or(&[][..], Vec::as_slice);
        if volumes.is_empty() {
            all.push(Lint::NoVolume(camera.id.clone()));
        }
        let own = site.volumes_of(&camera.recorder);
        for volume in volumes.iter().filter(|v| !own.iter().any(|o| o.name == **v)) {
            all.push(Lint::StrangeVolume { camera: camera.id.clone(), volume: volume.clone() });
        }
        let apart: BTreeSet<_> = volumes.iter().collect();
        if apart.len() < volumes.len() && own.len() > 1 {
            all.push(Lint::CopiesTogether(camera.id.clone()));
        }
        if camera.volume.is_some() && camera.volume.as_ref() != volumes.first() {
            all.push(Lint::Pin(camera.id.clone()));
        }
    }
}

fn steps(plan: &Plan, site: &Site, units: Option<&BTreeMap<String, String>>, all: &mut Vec<Lint>) {
    // Units that the generation does not make are the system's: those of ours that stand in the image, and systemd's.
    let made = is_mount;
    let mut there: BTreeSet<&str> = units.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let (mut stale, mut stopped) = (false, false);
    for step in &plan.steps {
        match step {
            Step::WriteUnit { unit, .. } => {
                there.insert(unit);
                stale |= !is_system_file(unit);
            }
            Step::RemoveUnit { unit } => {
                there.remove(unit.as_str());
                stale |= !is_system_file(unit);
            }
            Step::ReloadManager => stale = false,
            Step::Switch | Step::Refresh { .. } => {}
            Step::Start { unit } | Step::Restart { unit } | Step::Reload { unit } => {
                if made(unit) && !there.contains(unit.as_str()) {
                    all.push(Lint::NoUnit(unit.clone()));
                }
                if stale {
                    all.push(Lint::NotReloaded(unit.clone()));
                }
                stopped &= unit != RECORD;
            }
            Step::Stop { unit } => stopped |= unit == RECORD,
        }
    }
    // For a moment it may: a volume that is taken away is let go in no other manner.
    if stopped && site.cameras_of(&plan.recorder).any(|c| c.enabled) {
        all.push(Lint::RecorderStopped);
    }
    let removed = plan.steps.iter().filter_map(|s| match s {
        Step::RemoveUnit { unit } => Some(unit),
        _ => None,
    });
    let started: BTreeSet<&String> = plan
        .steps
        .iter()
        .filter_map(|s| match s {
            Step::Start { unit } | Step::Restart { unit } | Step::Reload { unit } => Some(unit),
            _ => None,
        })
        .collect();
    all.extend(removed.filter(|u| started.contains(u)).map(|u| Lint::Removed(u.clone())));
}
