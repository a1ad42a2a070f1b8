//! The hours in which cameras are recorded (`schedule`), and the streams that they are recorded by (`when_short`), followed while the
//! recorder runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError},
    time::Duration,
};

use super::Shared;
use crate::{
    capture::StreamConfig,
    site::Site,
    store::Footage,
    types::{CameraId, StreamId, StreamKind, WallNs, wire},
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
    /// Cameras that change to it or back: recorded by both until there is footage of the one that they change to. With those streams, and
    /// how far their footage went before.
    changing: BTreeMap<CameraId, Vec<(StreamId, Option<WallNs>)>>,
}

impl Wanted {
    /// The site wants these streams from now on, and these cameras are out of their hours.
    fn take_over(&mut self, streams: Vec<StreamConfig>, off: BTreeSet<CameraId>) {
        // A camera that has no sub stream any more is recorded by its main one.
        self.by_sub.retain(|camera| streams.iter().any(|s| s.camera == *camera && s.kind == StreamKind::Sub));
        (self.streams, self.off) = (streams, off);
    }

    /// Whether a stream is recorded in its camera's hours.
    fn is_chosen(&self, s: &StreamConfig) -> bool {
        if self.by_sub.contains(&s.camera) { s.kind == StreamKind::Sub } else { s.record }
    }

    /// These cameras are recorded by their sub stream from now on, all others as the site says; in a moment, those that change.
    fn change(&mut self, by_sub: BTreeSet<CameraId>, footage: &dyn Footage) {
        let before = std::mem::replace(&mut self.by_sub, by_sub);
        let changed: Vec<CameraId> = before.symmetric_difference(&self.by_sub).cloned().collect();
        for camera in changed {
            let chosen = self.streams.iter().filter(|s| s.camera == camera && self.is_chosen(s));
            let ids = chosen.map(|s| footage.stream_id(&s.camera, s.kind));
            let ends = ids.map(|id| (id, footage.last_end(id))).collect();
            self.changing.insert(camera, ends);
        }
    }

    /// Whether cameras have changed: there is footage by the stream that they change to.
    fn have_changed(&mut self, footage: &dyn Footage) -> bool {
        let before = self.changing.len();
        let off = &self.off;
        self.changing.retain(|camera, streams| {
            !off.contains(camera) && streams.iter().any(|(id, end)| footage.last_end(*id) <= *end)
        });
        self.changing.len() != before
    }

    /// The streams as they are to be captured now. Out of its hours a camera is not recorded; it can be watched all the same.
    fn now(&self) -> Vec<StreamConfig> {
        let one = |s: &StreamConfig| {
            let chosen = self.is_chosen(s);
            let both = self.changing.contains_key(&s.camera) && (s.record || s.kind == StreamKind::Sub);
            let record = (chosen || both) && !self.off.contains(&s.camera);
            StreamConfig { record, short: s.record && !chosen && !both, ..s.clone() }
        };
        self.streams.iter().map(one).collect()
    }

    /// Whether the site wants a stream recorded, in its hours.
    pub(super) fn wants(&self, camera: &CameraId, kind: StreamKind) -> bool {
        self.streams.iter().any(|s| s.camera == *camera && s.kind == kind && self.is_chosen(s))
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
    wanted.take_over(streams, out_of_hours(site, shared.clock.wall()));
    shared.supervisor.set_streams(wanted.now())
}

/// Records these cameras by their sub stream from now on. No camera loses a second by that: see [`Wanted::changing`].
pub(super) fn short(shared: &Shared, by_sub: BTreeSet<CameraId>) {
    let mut wanted = shared.wanted.lock().unwrap_or_else(PoisonError::into_inner);
    wanted.change(by_sub, &*shared.store);
    shared.supervisor.set_streams(wanted.now());
}

/// Looks at the clock from now on, beside the cameras: this waits for no disk.
pub(super) fn follow(shared: &Arc<Shared>) {
    let recorder = Arc::downgrade(shared);
    shared.supervisor.every(LOOK, move || {
        let Some(shared) = recorder.upgrade() else { return };
        let mut wanted = shared.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let off = out_of_hours(&shared.site(), shared.clock.wall());
        let changed = wanted.have_changed(&*shared.store);
        if off == wanted.off {
            if changed {
                shared.supervisor.set_streams(wanted.now());
            }
        } else {
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
    use crate::{
        capture::{Transport, fake::FakeFootage},
        site,
    };

    #[test]
    fn a_camera_that_changes_streams_is_recorded_by_both_until_there_is_footage_of_the_new_one() {
        let footage = FakeFootage::new(&["v1"]);
        let has = |kind, end| footage.set_last_end(footage.stream_id(&"low".parse().unwrap(), kind), WallNs(end));
        let stream = |camera: &str, kind| StreamConfig {
            camera: camera.parse().unwrap(),
            camera_name: camera.into(),
            kind,
            url: "rtsp://10.0.0.1/1".parse().unwrap(),
            credentials: None,
            transport: Transport::Tcp,
            record: kind == StreamKind::Main,
            short: false,
        };
        let streams =
            ["low", "high"].into_iter().flat_map(|c| [StreamKind::Main, StreamKind::Sub].map(|k| stream(c, k)));
        let mut wanted = Wanted { streams: streams.collect(), ..Wanted::default() };
        // Of `low`, main and sub; whether main is off for want of room.
        let now = |wanted: &Wanted| {
            let now = wanted.now();
            assert!(now[2].record && !now[3].record && !now[2].short, "the other one is left alone");
            (now[0].record, now[1].record, now[0].short)
        };
        assert_eq!(now(&wanted), (true, false, false));
        wanted.change(["low".parse().unwrap()].into(), &*footage);
        assert_eq!(now(&wanted), (true, true, false));
        assert!(!wanted.have_changed(&*footage));
        has(StreamKind::Sub, 10);
        assert!(wanted.have_changed(&*footage) && !wanted.have_changed(&*footage));
        assert_eq!(now(&wanted), (false, true, true));
        // Back, before and after.
        wanted.change(BTreeSet::new(), &*footage);
        assert_eq!(now(&wanted), (true, true, false));
        has(StreamKind::Sub, 20);
        assert!(!wanted.have_changed(&*footage), "that is the one that it comes from");
        has(StreamKind::Main, 30);
        assert!(wanted.have_changed(&*footage));
        assert_eq!(now(&wanted), (true, false, false));
        // By its main stream again where the site has no other any more.
        wanted.change(["low".parse().unwrap()].into(), &*footage);
        has(StreamKind::Sub, 40);
        assert!(wanted.have_changed(&*footage));
        assert_eq!(now(&wanted), (false, true, true));
        let all = wanted.streams.clone();
        wanted.take_over(all.iter().filter(|s| s.kind == StreamKind::Main).cloned().collect(), BTreeSet::new());
        assert_eq!(wanted.now().iter().map(|s| (s.record, s.short)).collect::<Vec<_>>(), [(true, false); 2]);
        wanted.take_over(all, BTreeSet::new());
        // Out of its hours there is nothing to wait for.
        wanted.change(["low".parse().unwrap()].into(), &*footage);
        wanted.off.insert("low".parse().unwrap());
        assert!(wanted.have_changed(&*footage));
        assert_eq!(now(&wanted), (false, false, true));
    }

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
