//! From facts to findings. Each file judges one probe, or a few that belong together.
//!
//! Nothing is in order that is not known to be: where something else is in the way of knowing (the recorder does not answer, root has not
//! looked), the finding says so. Of each probe and subject there is one finding at most, the worst; findings of single cameras, volumes and
//! so on come with one of all of them together. Where many cameras have the same trouble, there is that one alone, which counts them.

mod cameras;
mod capacity;
mod code;
mod elsewhere;
mod footage;
mod kept;
mod machine;
mod maintenance;
mod recorder;
mod volumes;

#[cfg(test)]
mod tests;

use std::{cell::OnceCell, time::Duration};

#[cfg(test)]
pub(crate) use code::ALL as CODES;
pub(crate) use code::{Code, Kind};

use super::{
    facts::{Facts, RootLook},
    mask::Mask,
    report,
};
use crate::{
    site::{Camera, Fail, Site, Warn},
    types::{
        RecorderId, WallNs,
        wire::{
            Status, StreamStatus,
            health::{Finding, Level, Subject, Value},
        },
    },
};

/// Root looks at the machine at least so often; a look that is older is no longer true.
const LOOK_OLD: Duration = Duration::from_mins(30);
/// What has just begun need not know everything.
const GRACE: Duration = Duration::from_mins(10);

/// The findings of a look, in the order of [`crate::types::wire::health::Probe::ALL`].
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let look = Look::new(facts);
    let mut found = Vec::new();
    for probe in [
        recorder::answers,
        footage::judge,
        cameras::gaps,
        kept::judge,
        capacity::forecast,
        volumes::judge,
        volumes::disks,
        volumes::latency,
        machine::system_disk,
        machine::memory,
        machine::load,
        machine::temperature,
        machine::clock,
        cameras::clocks,
        recorder::units,
        maintenance::generation,
        maintenance::certificates,
        elsewhere::backups,
        maintenance::verification,
        recorder::ledger,
        elsewhere::witness,
        elsewhere::push,
        maintenance::updates,
        maintenance::vendor,
    ] {
        found.extend(probe(&look));
    }
    found
}

/// Facts, and what several probes make of them.
struct Look<'a> {
    facts: &'a Facts,
    /// The site, this recorder and the thresholds; none: no site is in force, and only what needs no threshold is judged.
    site: Option<InForce<'a>>,
    /// What the recorder says of itself.
    status: Option<&'a Status>,
    /// The recorder's cameras by number.
    cameras: Vec<Watched<'a>>,
    /// Takes names out of texts for technicians; made for the first one.
    mask: OnceCell<Mask>,
}

#[derive(Clone, Copy)]
struct InForce<'a> {
    site: &'a Site,
    recorder: &'a RecorderId,
    warn: &'a Warn,
    fail: &'a Fail,
}

/// A camera.
struct Watched<'a> {
    number: u32,
    camera: &'a Camera,
    /// Whether it is to be recorded now.
    required: bool,
    /// What the recorder says of its streams.
    streams: Vec<&'a StreamStatus>,
}

impl Watched<'_> {
    fn subject(&self) -> Subject {
        Subject::Camera(self.number)
    }
}

impl<'a> Look<'a> {
    fn new(facts: &'a Facts) -> Self {
        let site = facts.site.as_ref().ok().map(|(site, recorder)| {
            let health = site.health();
            InForce { site, recorder, warn: &health.warn, fail: &health.fail }
        });
        let mut told = report::streams(facts);
        let cameras = site.map_or_else(Vec::new, |s| {
            let local = facts.at.timestamp().to_zoned(s.site.timezone().clone()).datetime();
            let watched = |(number, camera): (u32, &'a Camera)| Watched {
                number,
                camera,
                required: camera.wanted_at(local),
                streams: told.remove(camera.id.as_str()).unwrap_or_default(),
            };
            report::numbered(facts, s.site, s.recorder).map(watched).collect()
        });
        Self { facts, site, status: facts.status.as_ref().ok().map(|s| &**s), cameras, mask: OnceCell::new() }
    }

    /// How long ago something was; nothing for what lies ahead.
    fn age(&self, then: WallNs) -> Duration {
        Duration::from_nanos(u64::try_from(self.facts.at.since(then)).unwrap_or(0))
    }

    /// Whether so little time has passed since it began to look, or the recorder started, that not everything can be known.
    fn is_fresh(&self) -> bool {
        let started = self.status.map(|s| s.started);
        self.age(self.facts.looking_since.max(started.unwrap_or(self.facts.looking_since))) < GRACE
    }

    /// What root saw, unless that is long ago.
    fn root_now(&self) -> Option<&'a RootLook> {
        self.facts.root.as_ref().filter(|root| self.age(root.at) <= LOOK_OLD)
    }

    /// Whether what takes so long may not have happened yet.
    fn is_new(&self, long: Duration) -> bool {
        self.age(self.facts.first_looked) < long
    }

    /// A text for technicians, without names.
    fn text(&self, text: &str) -> Value {
        let mask = self.mask.get_or_init(|| Mask::new(self.site.map(|s| s.site), None, &self.facts.numbers));
        Value::Text(mask.apply(text.trim()))
    }

    /// What is to be said of cameras of which `of` were looked at: one finding each after that of all others, or, where many have trouble at
    /// once, one for all of them.
    fn cameras(&self, each: Vec<Finding>, of: usize, fine: Finding, partly: Code, many: Code) -> Vec<Finding> {
        if each.is_empty() {
            return vec![fine];
        }
        let counted = |finding: Finding, count: usize| {
            finding.with("count", Value::Count(count as u64)).with("of", Value::Count(of as u64))
        };
        if is_many(each.len(), of) {
            let level = each.iter().map(|f| f.level).max().unwrap_or_default();
            return vec![counted(many.plain(level, self), each.len()).with("cameras", numbers(&each))];
        }
        let rest = counted(partly.fine(self), of.saturating_sub(each.len()));
        std::iter::once(rest).chain(each).collect()
    }
}

/// Whether so many cameras with the same trouble have a common cause rather than one each.
fn is_many(count: usize, of: usize) -> bool {
    count >= 4 && (count > 8 || count * 2 > of)
}

/// The cameras that findings are about.
fn numbers(findings: &[Finding]) -> Value {
    let number = |f: &Finding| if let Some(Subject::Camera(n)) = f.subject { Some(n) } else { None };
    Value::Cameras(findings.iter().filter_map(number).collect())
}

/// The level of something that is the worse the more it is.
fn level<T: PartialOrd + Copy>(value: T, warn: T, fail: T) -> Level {
    if value >= fail {
        Level::Fail
    } else if value >= warn {
        Level::Warn
    } else {
        Level::Ok
    }
}

fn seconds(length: Duration) -> Value {
    Value::Seconds(length.as_secs_f64())
}

fn other(name: &str) -> Subject {
    Subject::Other(name.to_owned())
}
