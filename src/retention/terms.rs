//! How long a camera's footage is kept: by site.toml, and for a camera that has left it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    site::{Retention, Site},
    types::{CameraId, WallNs},
};

/// A day of retention: 24 hours, whatever the clocks of the place do.
pub const DAY_NS: i64 = 86_400 * 1_000_000_000;

/// So many days in nanoseconds.
pub(super) fn days_ns(days: u32) -> i64 {
    DAY_NS.saturating_mul(i64::from(days))
}

/// What is promised of a camera's footage, and to whom room goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Terms {
    /// The promise: nothing younger goes. None: as the disks allow.
    pub min_days: Option<u32>,
    /// What is older goes by itself. None: only for lack of room.
    pub max_days: Option<u32>,
    /// 1 (stops first) to 9.
    pub priority: u32,
}

impl Terms {
    /// How far something that ended at `end` is older than the promise, ns; none while it is promised. A segment is as old as its last
    /// picture, so that no second of it goes too early.
    pub fn surplus(self, now: WallNs, end: WallNs) -> Option<i64> {
        let beyond = now.since(end).saturating_sub(days_ns(self.min_days.unwrap_or(0)));
        (beyond > 0).then_some(beyond)
    }

    /// Whether something that ended at `end` may not be kept any longer.
    pub fn is_overdue(self, now: WallNs, end: WallNs) -> bool {
        self.max_days.is_some_and(|days| now.since(end) > days_ns(days))
    }

    fn of(retention: Retention, priority: u32) -> Self {
        Self { min_days: retention.min_days, max_days: retention.max_days, priority }
    }
}

/// The terms of all footage on a machine, also of cameras that site.toml no longer names: a slip of the pen there must not cost footage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    named: BTreeMap<CameraId, Terms>,
    others: Terms,
}

impl Rules {
    /// As the site says; for a camera that has left it, as was `remembered` of it last.
    pub fn new(site: &Site, remembered: BTreeMap<CameraId, Terms>) -> Self {
        let mut named = remembered;
        let of_site = |c: &crate::site::Camera| Terms::of(c.retention, c.priority);
        // A camera that is renamed, and not in use, has its footage under the old name still.
        named.extend(site.cameras().iter().flat_map(|c| c.previously.iter().map(move |p| (p.clone(), of_site(c)))));
        named.extend(site.cameras().iter().map(|c| (c.id.clone(), of_site(c))));
        let all = || site.cameras().iter().map(|c| c.retention).chain([site.retention()]);
        let others = Terms {
            min_days: all().filter_map(|r| r.min_days).max(),
            max_days: all().map(|r| r.max_days).collect::<Option<Vec<_>>>().and_then(|days| days.into_iter().max()),
            priority: 1,
        };
        Self { named, others }
    }

    /// The terms of a camera. One that nothing is known of is kept as long as any of the site.
    pub fn of(&self, camera: &CameraId) -> Terms {
        self.named.get(camera).copied().unwrap_or(self.others)
    }

    /// All that have terms of their own: to be remembered.
    pub fn named(&self) -> &BTreeMap<CameraId, Terms> {
        &self.named
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = "[site]\nname = \"A\"\ntimezone = \"Asia/Ho_Chi_Minh\"\n[retention]\nmin_days = 20\nmax_days = 30\n\
        [recorder.a]\n[[recorder.a.volume]]\nname = \"v1\"\npath = \"/srv/v1\"\n[area.gate]\nname = \"Gate\"\nkind = \"public\"\n\
        [camera.gate]\nname = \"G\"\narea = \"gate\"\nmain = \"rtsp://10.0.0.1/1\"\npreviously = [\"door\"]\npriority = 9\n\
        [camera.yard]\nname = \"Y\"\narea = \"gate\"\nmain = \"rtsp://10.0.0.2/1\"\n[camera.yard.retention]\nmin_days = 7\nmax_days = 60\n";

    fn id(name: &str) -> CameraId {
        name.parse().unwrap()
    }

    #[test]
    fn a_camera_that_left_keeps_its_terms_and_a_strange_one_the_longest() {
        let site = crate::site::parse(SITE, "site.toml").unwrap();
        let left = Terms { min_days: Some(90), max_days: None, priority: 3 };
        let rules = Rules::new(&site, [(id("left"), left), (id("gate"), left)].into());
        let gate = Terms { min_days: Some(20), max_days: Some(30), priority: 9 };
        assert_eq!(rules.of(&id("gate")), gate, "what the site says counts");
        assert_eq!(rules.of(&id("door")), gate, "its former name");
        assert_eq!(rules.of(&id("left")), left);
        assert_eq!(rules.of(&id("stranger")), Terms { min_days: Some(20), max_days: Some(60), priority: 1 });
        let unlimited = crate::site::parse(&SITE.replace("max_days = 30\n", ""), "site.toml").unwrap();
        assert_eq!(Rules::new(&unlimited, BTreeMap::new()).of(&id("stranger")).max_days, None);
    }

    #[test]
    fn a_segment_is_as_old_as_its_end() {
        let terms = Terms { min_days: Some(2), max_days: Some(3), priority: 5 };
        let now = WallNs(10 * DAY_NS);
        assert_eq!(terms.surplus(now, WallNs(8 * DAY_NS)), None, "exactly two days old: promised still");
        assert_eq!(terms.surplus(now, WallNs(8 * DAY_NS - 5)), Some(5));
        assert!(!terms.is_overdue(now, WallNs(7 * DAY_NS)));
        assert!(terms.is_overdue(now, WallNs(7 * DAY_NS - 1)));
        assert_eq!(terms.surplus(now, WallNs(11 * DAY_NS)), None, "from the future");
        let free = Terms { min_days: None, max_days: None, priority: 5 };
        assert_eq!(free.surplus(now, WallNs(10 * DAY_NS - 1)), Some(1));
        assert!(!free.is_overdue(now, WallNs::MIN));
    }
}
