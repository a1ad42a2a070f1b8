//! The evidence: how old the newest second on a disk is of each camera that is to be recorded.

use std::time::Duration;

use jiff::{civil::DateTime, tz::TimeZone};

use super::{InForce, Look, Watched, code, level, numbers, other, seconds};
use crate::{
    health::report,
    site::Camera,
    types::{
        StreamKind, WallNs,
        wire::health::{Finding, Level, Value},
    },
};

/// A newest second that lies further ahead than this was noted before the clock was set back.
const AHEAD: Duration = Duration::from_mins(1);
/// Hours that began before that are old enough for every threshold.
const HOURS_BACK: u64 = 24 * 60;

pub(super) fn judge(look: &Look<'_>) -> Vec<Finding> {
    let Some(site) = look.site else { return Vec::new() };
    let mut hours = Hours::new(look, site);
    let stopped: Vec<_> = look.facts.retention.iter().flat_map(|r| &r.cameras).filter(|c| c.stopped).collect();
    // Of a camera that has stopped because the disks are full of promised footage, `kept` tells.
    let is_stopped = |c: &Watched<'_>| stopped.iter().any(|s| s.camera == c.camera.id);
    let (full, required): (Vec<_>, Vec<_>) = look.cameras.iter().filter(|c| c.required).partition(|c| is_stopped(c));
    if required.is_empty() {
        return vec![match full.len() {
            0 => code::footage::IDLE.fine(look),
            count => code::footage::FULL.plain(Level::Fail, look).with("count", Value::Count(count as u64)),
        }];
    }
    let (mut late, mut oldest, mut newest) = (Vec::new(), Duration::ZERO, None);
    for camera in &required {
        let (finding, age, last) = one(look, site, camera, &mut hours);
        oldest = oldest.max(age);
        newest = newest.max(last);
        late.extend(finding);
    }
    let of = required.len();
    let mut found = if late.len() == of && of > 1 {
        let worst = late.iter().map(|f| f.level).max().unwrap_or_default();
        let none = match newest {
            Some(at) => code::footage::NONE.plain(worst, look).with("at", Value::Time(at)),
            None => code::footage::NONE_EVER.plain(worst, look),
        };
        vec![none.with("cameras", numbers(&late))]
    } else {
        let recorded = code::footage::RECORDED.fine(look).with("count", Value::Count(of as u64));
        look.cameras(late, of, recorded.with("age", seconds(oldest)), code::footage::PARTLY, code::footage::MANY)
    };
    found.extend(ahead(look, &required));
    found
}

/// That the clock was set back: it says nothing of whether anything is recorded, and so is said once and of no camera.
fn ahead(look: &Look<'_>, required: &[&Watched<'_>]) -> Option<Finding> {
    let streams =
        required.iter().flat_map(|c| report::recorded(c.camera, &c.streams).map(|kind| (c.camera.id.clone(), kind)));
    let furthest = streams.filter_map(|stream| look.facts.newest.get(&stream).copied()).max()?;
    let is_ahead = furthest.since(look.facts.at) > nanos(AHEAD);
    is_ahead.then(|| code::footage::AHEAD.at(Level::Warn, other("clock"), look).with("at", Value::Time(furthest)))
}

/// What is to be said of one camera, the age of its footage, and when its newest second was, by the clock as it stands now.
fn one(
    look: &Look<'_>,
    site: InForce<'_>,
    camera: &Watched<'_>,
    hours: &mut Hours,
) -> (Option<Finding>, Duration, Option<WallNs>) {
    let (mut worst, mut oldest, mut last) = (None::<Finding>, Duration::ZERO, None);
    let streams: Vec<StreamKind> = report::recorded(camera.camera, &camera.streams).collect();
    for kind in &streams {
        let newest = look.facts.age(&(camera.camera.id.clone(), *kind)).map(|age| look.facts.at - age);
        last = last.max(newest);
        let age = look.age(begins(look, camera, newest, site, hours));
        oldest = oldest.max(age);
        let level = level(age, site.warn.newest, site.fail.newest);
        if level == Level::Ok {
            continue;
        }
        // Its full picture being there, a person must be told that it is the other one that is not.
        let sub = *kind == StreamKind::Sub && streams.len() > 1;
        let finding = match newest {
            Some(at) => {
                let code = if sub { code::footage::SUB_LATE } else { code::footage::LATE };
                code.at(level, camera.subject(), look).with("at", Value::Time(at)).with("age", seconds(look.age(at)))
            }
            None if sub => code::footage::SUB_NEVER.at(level, camera.subject(), look),
            None => code::footage::NEVER.at(level, camera.subject(), look),
        };
        worst = Some(worse(worst, finding));
    }
    (worst, oldest, last)
}

/// The worse of two findings, the first of two that are alike: main comes before sub.
fn worse(a: Option<Finding>, b: Finding) -> Finding {
    match a {
        Some(a) if a.level >= b.level => a,
        _ => b,
    }
}

/// From when on footage is missed: since the newest second, and not while it was not wanted or nobody could record. Where no second is known,
/// since it is wanted, which outlasts a restart of health; only where that is not known either, since health looks.
fn begins(
    look: &Look<'_>,
    camera: &Watched<'_>,
    newest: Option<WallNs>,
    site: InForce<'_>,
    hours: &mut Hours,
) -> WallNs {
    let facts = look.facts;
    let wanted = facts.wanted_since.get(&camera.camera.id).copied();
    let known = newest.or(wanted).unwrap_or(facts.looking_since);
    let booted = facts.machine.uptime_seconds.map(|s| facts.at - Duration::from_secs(s));
    let from = [wanted, booted].into_iter().flatten().fold(known, WallNs::max);
    // Only what would be late otherwise is worth the look at its hours.
    if camera.camera.schedule.is_empty() || look.age(from) < site.warn.newest.min(site.fail.newest) {
        return from;
    }
    hours.began(camera.camera).map_or(from, |began| from.max(began))
}

/// The minutes back from now, by the site's clock.
struct Hours {
    zone: TimeZone,
    at: WallNs,
    /// How far back is worth looking.
    most: u64,
    minutes: Vec<DateTime>,
}

impl Hours {
    fn new(look: &Look<'_>, site: InForce<'_>) -> Self {
        let longest = site.warn.newest.max(site.fail.newest);
        let most = (longest.as_secs() / 60 + 2).min(HOURS_BACK);
        Self { zone: site.site.timezone().clone(), at: look.facts.at, most, minutes: Vec::new() }
    }

    /// When the hours began that a camera is in; none: before it matters.
    fn began(&mut self, camera: &Camera) -> Option<WallNs> {
        let back = |n: u64| self.at - Duration::from_secs(60 * n);
        if self.minutes.is_empty() {
            let local = |n| back(n).timestamp().to_zoned(self.zone.clone()).datetime();
            self.minutes = (0..=self.most).map(local).collect();
        }
        let off = self.minutes.iter().position(|local| !camera.scheduled(*local))?;
        // They began at the full minute after the last one that lay outside.
        let outside = back(off as u64);
        let second = nanos(Duration::from_mins(1));
        Some(WallNs(outside.0.div_euclid(second).saturating_add(1).saturating_mul(second)))
    }
}

fn nanos(length: Duration) -> i64 {
    i64::try_from(length.as_nanos()).unwrap_or(i64::MAX)
}
