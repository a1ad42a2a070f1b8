//! Damping: what is said changes only when it was seen twice, and what comes and goes is held at its worst.
//!
//! A finding is known by its probe and subject. Its level is taken over when two looks in a row were worse than what is said, or two were
//! better; at once where its code says that it cannot flap. What began three times within an hour is unsteady: it is held at its worst until
//! nothing changed for 15 minutes. It begins when it becomes worse after it was ok, or had become better: what goes on to a failure and back
//! to ok began once. A finding of a subject that is no longer found is over: at once where the site has it no more, and not while nobody
//! can read the site. All lengths of time are by the time since boot, so
//! a clock that is set neither ends nor prolongs anything.
//!
//! A [`Turn`] is told once for each level, and what was told survives a restart. Nothing worse is told while a finding is silenced, or where
//! it only says that something else is in the way of knowing (the recorder does not answer); if it is still so afterwards, it is told then.

use std::{cmp::Ordering, collections::BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    facts::{Facts, NoSite},
    judge::{Code, Kind},
    report,
};
use crate::types::{
    VolumeName, WallNs,
    wire::health::{Finding, Level, Probe, Subject, Turn},
};

const MINUTE: i64 = 60_000_000_000;
/// So many beginnings within [`WITHIN`] are too many.
const MANY: usize = 3;
const WITHIN: i64 = 60 * MINUTE;
/// What was unsteady is steady again when nothing changed for so long.
const QUIET: i64 = 15 * MINUTE;

/// What the site has, at a look: what else was said of cameras and volumes is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ground {
    /// There is a site, and nobody can read it: what is judged by it can be neither found nor over.
    Unknown,
    /// Its cameras by number, and its volumes.
    Known(BTreeSet<u32>, BTreeSet<VolumeName>),
}

impl Ground {
    /// Of a look.
    pub fn of(facts: &Facts) -> Self {
        match &facts.site {
            Err(NoSite::Broken(_)) => Self::Unknown,
            Err(NoSite::Absent) => Self::Known(BTreeSet::new(), BTreeSet::new()),
            Ok((site, recorder)) => Self::Known(
                report::numbered(facts, site, recorder).map(|(number, _)| number).collect(),
                site.volumes_of(recorder).iter().map(|v| v.name.clone()).collect(),
            ),
        }
    }

    /// Whether a subject is no more.
    fn has_lost(&self, subject: Option<&Subject>) -> bool {
        match (self, subject) {
            (Self::Known(cameras, _), Some(Subject::Camera(number))) => !cameras.contains(number),
            (Self::Known(_, volumes), Some(Subject::Volume(name))) => !volumes.contains(name),
            _ => false,
        }
    }
}

/// What was said at the last look, and what was told. Goes to disk as JSON, so that a restart tells nothing twice.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Steady {
    /// By probe and subject.
    entries: Vec<Entry>,
    /// Time since boot at the last look.
    mono: i64,
    /// Whether there was a look ever.
    begun: bool,
}

/// What is known of one subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    /// What is said; while it is unsteady, its level is the worst one.
    said: Finding,
    /// The level that the last look found.
    raw: Level,
    /// Whether `said` was seen twice, or cannot flap.
    settled: bool,
    /// Whether the last look was worse (`Greater`) or better (`Less`) than `said`.
    leaning: Leaning,
    /// The level that was told last.
    told: Level,
    /// When it began, or nearly did, within the last hour.
    turns: Vec<i64>,
    /// Whether its last turn was to worse.
    #[serde(default)]
    rising: bool,
    /// The worst that was found within the last hour, and when.
    worst: Option<(Finding, i64)>,
    /// When `raw` changed last.
    changed: i64,
    /// Whether it was found by the last look.
    found: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Leaning {
    #[default]
    None,
    Worse,
    Better,
}

type Key<'a> = (Probe, Option<&'a Subject>);

fn key(finding: &Finding) -> Key<'_> {
    (finding.probe, finding.subject.as_ref())
}

/// Whether what is said of the whole of a probe stands for what was said of a part, which is neither over then nor told again.
pub(super) fn covers(whole: &Finding, probe: Probe, subject: Option<&Subject>) -> bool {
    let is_whole = whole.probe == probe && whole.subject.is_none() && whole.level > Level::Ok;
    is_whole && is_part(subject, is_unknown(whole))
}

/// Whether a subject is a part of the whole. Others stand beside it: they are covered only where nothing is known of any.
fn is_part(subject: Option<&Subject>, unknown: bool) -> bool {
    match subject {
        None => false,
        Some(Subject::Camera(_) | Subject::Volume(_)) => true,
        Some(Subject::Other(_)) => unknown,
    }
}

fn kind(finding: &Finding) -> Kind {
    Code::find(finding.probe, &finding.code).map_or(Kind::Damped, |code| code.kind)
}

impl Steady {
    /// Takes in what a look has found, and says what is to be said, by probe and subject, and what has turned. `mono` is time since boot, ns.
    ///
    /// After the first look ever everything is said as it was found; it is told when a second look finds it too.
    pub fn settle(
        &mut self,
        mut found: Vec<Finding>,
        ground: &Ground,
        (now, mono): (WallNs, i64),
    ) -> (Vec<Finding>, Vec<Turn>) {
        self.follow(mono);
        let judged: BTreeSet<Probe> = found.iter().map(|f| f.probe).collect();
        found.sort_by(|a, b| key(a).cmp(&key(b)));
        found.dedup_by(|later, first| {
            let same = key(later) == key(first);
            // The worst of what is said of one subject.
            if same && later.level > first.level {
                std::mem::swap(later, first);
            }
            same
        });
        let mut before = std::mem::take(&mut self.entries).into_iter().peekable();
        let (mut said, mut turns) = (Vec::with_capacity(found.len()), Vec::new());
        let mut entries = Vec::with_capacity(found.len());
        let mut found = found.into_iter().peekable();
        let mut cover: Option<Cover> = None;
        loop {
            let order = match (before.peek(), found.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(entry), Some(finding)) => key(&entry.said).cmp(&key(finding)),
            };
            let entry = if order.is_le() { before.next() } else { None };
            let finding = if order.is_ge() { found.next() } else { None };
            let unknown = finding.as_ref().is_some_and(is_unknown);
            let mut entry = match (entry, finding) {
                (Some(mut entry), Some(finding)) => {
                    entry.found = true;
                    entry.take(finding, now, mono);
                    entry
                }
                (None, Some(finding)) => Entry::new(finding, now, mono, !self.begun),
                (Some(mut entry), None) => {
                    entry.found = false;
                    if ground.has_lost(entry.said.subject.as_ref()) {
                        entry.end(now);
                        turns.extend(entry.tell(now));
                        continue;
                    }
                    if *ground == Ground::Unknown && !judged.contains(&entry.said.probe) {
                        // Nobody knows whether it is over: that the site cannot be read is said instead.
                        entries.push(entry);
                        continue;
                    }
                    if let Some(cover) = cover.filter(|c| c.covers(&entry.said)) {
                        // What is found of all of them is true of this one too: it is neither over nor told again.
                        if !cover.said && entry.said.level > Level::Ok {
                            said.push(entry.said.clone());
                        }
                        entries.push(entry);
                        continue;
                    }
                    let over = over(&entry.said, now);
                    entry.take(over, now, mono);
                    entry
                }
                (None, None) => break,
            };
            entry.said.silenced.take_if(|until| *until <= now);
            turns.extend(entry.tell(now));
            let bad = entry.said.level > Level::Ok;
            if entry.said.subject.is_none() && (bad || entry.raw > Level::Ok) {
                let unknown = unknown || is_unknown(&entry.said);
                cover = Some(Cover { probe: entry.said.probe, said: bad, unknown });
            }
            if bad || entry.found && entry.settled {
                said.push(entry.said.clone());
            }
            if bad || entry.found || !entry.turns.is_empty() {
                entries.push(entry);
            }
        }
        (self.entries, self.begun) = (entries, true);
        (said, turns)
    }

    /// Time since boot begins anew with each boot: what was before it was as long ago as it was at the last look.
    fn follow(&mut self, mono: i64) {
        if mono < self.mono {
            let moved = mono.saturating_sub(self.mono);
            for entry in &mut self.entries {
                entry.changed = entry.changed.saturating_add(moved);
                let worst = entry.worst.iter_mut().map(|(_, at)| at);
                entry.turns.iter_mut().chain(worst).for_each(|t| *t = t.saturating_add(moved));
            }
        }
        self.mono = mono;
    }
}

/// That something not in order is found of the whole of a probe.
#[derive(Debug, Clone, Copy)]
struct Cover {
    probe: Probe,
    /// Whether it is said already.
    said: bool,
    /// Whether it is only that nothing is known.
    unknown: bool,
}

impl Cover {
    fn covers(&self, part: &Finding) -> bool {
        part.probe == self.probe && is_part(part.subject.as_ref(), self.unknown)
    }
}

/// That something else is in the way of knowing.
fn is_unknown(finding: &Finding) -> bool {
    finding.level > Level::Ok && kind(finding) == Kind::Quiet
}

/// That what was said is over.
fn over(said: &Finding, now: WallNs) -> Finding {
    Finding::new(said.probe, said.subject.clone(), Level::Ok, Code::OVER, now)
}

impl Entry {
    /// The first look at a subject; `first` of all: there is nothing that it could differ from.
    fn new(finding: Finding, now: WallNs, mono: i64, first: bool) -> Self {
        let (raw, settled) = (finding.level, finding.level == Level::Ok || kind(&finding) == Kind::Sure);
        let worst = Some((finding.clone(), mono));
        let began = settled && raw > Level::Ok && !first;
        let turns = if began { vec![mono] } else { Vec::new() };
        let (mut said, leaning) =
            if first || settled { (finding, Leaning::None) } else { (over(&finding, now), Leaning::Worse) };
        said.since = now;
        Self { said, raw, settled, leaning, told: Level::Ok, turns, rising: began, worst, changed: mono, found: true }
    }

    /// The next look at it.
    fn take(&mut self, finding: Finding, now: WallNs, mono: i64) {
        let recent = |t: i64| mono.saturating_sub(t) < WITHIN;
        self.turns.retain(|t| recent(*t));
        if self.worst.as_ref().is_none_or(|(worst, at)| worst.level <= finding.level || !recent(*at)) {
            self.worst = Some((finding.clone(), mono));
        }
        if std::mem::replace(&mut self.raw, finding.level) != finding.level {
            self.changed = mono;
        }
        if self.said.unsteady {
            return self.hold(finding, now, mono);
        }
        let was = std::mem::take(&mut self.leaning);
        let sure = kind(&finding) == Kind::Sure;
        match finding.level.cmp(&self.said.level) {
            // The first look ever was not in order, and is not confirmed by this one, or at another level.
            _ if !self.settled && self.said.level > Level::Ok => {
                if finding.level == Level::Ok {
                    self.turns.push(mono);
                }
                self.say(finding, now);
            }
            Ordering::Equal => {
                if was == Leaning::Worse && finding.level == Level::Ok {
                    self.turns.push(mono);
                }
                self.say(finding, now);
            }
            Ordering::Greater if was == Leaning::Worse || sure => self.turn(finding, now, mono),
            Ordering::Less if was == Leaning::Better => self.turn(finding, now, mono),
            Ordering::Greater => self.lean(Leaning::Worse, &finding),
            Ordering::Less => self.lean(Leaning::Better, &finding),
        }
        if self.turns.len() >= MANY {
            if let Some((worst, _)) = self.worst.clone().filter(|(worst, _)| worst.level > self.said.level) {
                self.say(worst, now);
            }
            self.said.unsteady = true;
        }
    }

    /// One look that differs: what is said stays.
    fn lean(&mut self, to: Leaning, finding: &Finding) {
        self.leaning = to;
        self.heed(finding);
    }

    /// What is said is as silent as what was found.
    fn heed(&mut self, finding: &Finding) {
        if finding.level > Level::Ok && self.said.level > Level::Ok {
            self.said.silenced = finding.silenced;
        }
    }

    /// Says what was found.
    fn say(&mut self, finding: Finding, now: WallNs) {
        let since = if self.said.level == finding.level { self.said.since } else { now };
        let unsteady = self.said.unsteady;
        self.said = Finding { since, unsteady, ..finding };
        self.settled = true;
    }

    /// Says what was found, at its new level.
    fn turn(&mut self, finding: Finding, now: WallNs, mono: i64) {
        let rises = finding.level > self.said.level;
        if rises && !self.rising {
            self.turns.push(mono);
        }
        self.rising = rises;
        self.say(finding, now);
    }

    /// Unsteady: the worst is said until nothing changed for long enough.
    fn hold(&mut self, finding: Finding, now: WallNs, mono: i64) {
        if mono.saturating_sub(self.changed) >= QUIET {
            (self.said.unsteady, self.leaning, self.turns) = (false, Leaning::None, Vec::new());
            (self.worst, self.rising) = (None, false);
            self.say(finding, now);
        } else if finding.level >= self.said.level {
            self.say(finding, now);
        } else {
            self.heed(&finding);
        }
    }

    /// It is no more, and so is all that was said of it.
    fn end(&mut self, now: WallNs) {
        self.said = over(&self.said, now);
        self.settled = true;
    }

    /// What is told of it now.
    fn tell(&mut self, now: WallNs) -> Option<Turn> {
        let level = self.said.level;
        let unspoken = self.said.silenced.is_some() || kind(&self.said) == Kind::Quiet;
        if level == self.told || !self.settled || level > Level::Ok && unspoken {
            return None;
        }
        let from = std::mem::replace(&mut self.told, level);
        Some(Turn { at: now, from, finding: self.said.clone() })
    }
}

#[cfg(test)]
mod tests;
