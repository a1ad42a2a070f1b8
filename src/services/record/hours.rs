//! The hours in which cameras are recorded (`schedule`), followed while the recorder runs.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError},
    time::Duration,
};

use super::Shared;
use crate::{
    capture::StreamConfig,
    site::Site,
    types::{CameraId, StreamKind, WallNs, wire},
};

/// How often the clock is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What the site wants recorded, and whose hours are over now.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    streams: Vec<StreamConfig>,
    off: BTreeSet<CameraId>,
    /// Cameras that are recorded by their sub stream because the disks are short.
    by_sub: BTreeSet<CameraId>,
}

impl Wanted {
    /// The streams as they are to be captured now. Out of its hours a camera is not recorded; it can be watched all the same.
    fn now(&self) -> Vec<StreamConfig> {
        let wanted =
            |s: &StreamConfig| if self.by_sub.contains(&s.camera) { s.kind == StreamKind::Sub } else { s.record };
        let one = |s: &StreamConfig| StreamConfig { record: wanted(s) && !self.off.contains(&s.camera), ..s.clone() };
        self.streams.iter().map(one).collect()
    }

    /// Cameras that are out of their hours.
    pub(super) fn off(&self) -> &BTreeSet<CameraId> {
        &self.off
    }
}

/// Cameras that are out of their hours.
fn out_of_hours(site: &Site, at: WallNs) -> BTreeSet<CameraId> {
    let local = at.timestamp().to_zoned(site.timezone().clone()).datetime();
    site.cameras().iter().filter(|c| !c.scheduled(local)).map(|c| c.id.clone()).collect()
}

/// Captures these streams from now on, each in its hours.
pub(super) fn take_over(shared: &Shared, site: &Site, streams: Vec<StreamConfig>) -> wire::Reloaded {
    let mut wanted = shared.wanted.lock().unwrap_or_else(PoisonError::into_inner);
    let by_sub = std::mem::take(&mut wanted.by_sub);
    *wanted = Wanted { off: out_of_hours(site, shared.clock.wall()), streams, by_sub };
    shared.supervisor.set_streams(wanted.now())
}

/// Records these cameras by their sub stream from now on.
pub(super) fn short(shared: &Shared, by_sub: BTreeSet<CameraId>) {
    let mut wanted = shared.wanted.lock().unwrap_or_else(PoisonError::into_inner);
    wanted.by_sub = by_sub;
    shared.supervisor.set_streams(wanted.now());
}

/// Looks at the clock from now on, beside the cameras: this waits for no disk.
pub(super) fn follow(shared: &Arc<Shared>) {
    let recorder = Arc::downgrade(shared);
    shared.supervisor.every(LOOK, move || {
        let Some(shared) = recorder.upgrade() else { return };
        let mut wanted = shared.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let off = out_of_hours(&shared.site(), shared.clock.wall());
        if off != wanted.off {
            for camera in off.symmetric_difference(&wanted.off) {
                let what = if off.contains(camera) { "are over" } else { "begin" };
                log::info!(CAMERA = camera.as_str(); "camera {camera}: its hours {what}");
            }
            wanted.off = off;
            shared.supervisor.set_streams(wanted.now());
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site;

    #[test]
    fn a_camera_is_recorded_in_its_hours_by_the_schools_clock() {
        let site = site::parse(
            "[site]\nname = \"A\"\ntimezone = \"Asia/Ho_Chi_Minh\"\n[recorder.a]\n[[recorder.a.volume]]\nname = \"v1\"\npath = \"/srv/v1\"\n\
             [area.gate]\nname = \"Gate\"\nkind = \"public\"\n[camera.day]\nname = \"D\"\narea = \"gate\"\nmain = \"rtsp://10.0.0.1/1\"\n\
             schedule = [\"mon-fri 06:00-18:00\"]\n[camera.always]\nname = \"A\"\narea = \"gate\"\nmain = \"rtsp://10.0.0.2/1\"\n",
            "site.toml",
        )
        .unwrap();
        let off = |time: &str| {
            let all = out_of_hours(&site, WallNs::from(time.parse::<jiff::Timestamp>().unwrap()));
            all.into_iter().map(|c| c.to_string()).collect::<Vec<_>>()
        };
        // 2026-11-23 is a Monday; Ho Chi Minh City is 7 h ahead.
        assert_eq!(off("2026-11-22T22:59:59Z"), ["day"]);
        assert!(off("2026-11-22T23:00:00Z").is_empty());
        assert!(off("2026-11-23T10:59:59Z").is_empty());
        assert_eq!(off("2026-11-23T11:00:00Z"), ["day"]);
        assert_eq!(off("2026-11-28T03:00:00Z"), ["day"], "Saturday");
    }
}
