//! What is still to be said to whom: a file that neither a restart nor a receiver that cannot be reached empties.
//!
//! For each receiver there is an alarm per trouble (probe and subject), from the look that first shows it until its end was told. What is
//! due follows from two facts, what was told and how it is now, so that nothing is told twice and nothing that has passed meanwhile is
//! told in pieces: a trouble that is over before it could be said is said once, with its end.
//!
//! A message is written down before it is sent, with a number that stays its own. Whoever is cut off between sending it and hearing that
//! it was taken sends the same once more, and its receiver can tell.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    health::{
        judge::{Code, Kind as Manner},
        steady,
    },
    sys::Files,
    types::{
        RecorderId, WallNs,
        wire::health::{CameraHealth, Finding, Level, Probe, Report, Subject, Turn},
    },
};

/// Version of the file.
const FORMAT: u16 = 1;
/// Alarms of a receiver that are remembered: more than a recorder of 64 cameras can have troubles.
const MOST: usize = 1000;
/// What so many looks in a row do not mention, alone or with all others, is over: its camera or disk is no more, and the turn that said so
/// was missed.
const UNMENTIONED: u32 = 3;

/// A receiver, as far as the outbox needs to know it.
#[derive(Debug, Clone)]
pub(super) struct Wants {
    /// What it is known by in the file: stays as long as it is the same receiver.
    pub(super) key: String,
    /// From which level on.
    pub(super) from_level: Level,
    /// How many alarms a message may have.
    pub(super) at_once: usize,
}

/// What a message says of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// It begins.
    Raised,
    /// It is worse or better than was told.
    Changed,
    /// It is over, or so much better that this receiver is not told any more.
    Ended,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Changed => "changed",
            Self::Ended => "ended",
        }
    }
}

/// Something to say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Event {
    /// The alarm's own number, from its beginning to its end.
    pub(super) alarm: Uuid,
    pub(super) kind: Kind,
    /// When the trouble began.
    pub(super) began: WallNs,
    /// When it became as it is.
    pub(super) at: WallNs,
    /// What was told last; ok: nothing.
    pub(super) from: Level,
    /// How it was when it began.
    pub(super) first: Finding,
    /// How it is.
    pub(super) finding: Finding,
    /// The message that said that it began; none: no message has.
    pub(super) raised_by: Option<Uuid>,
}

/// Something to send.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Message {
    /// Its own number, however often it is sent.
    pub(super) id: Uuid,
    /// When it was made.
    pub(super) at: WallNs,
    pub(super) recorder: Option<RecorderId>,
    /// What it says: one at least.
    pub(super) events: Vec<Event>,
    /// Those of the receiver's addresses that have taken it, by their order.
    #[serde(default)]
    pub(super) taken: BTreeSet<usize>,
}

/// What a receiver was told of an alarm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Told {
    level: Level,
    /// The message that said that it began.
    by: Uuid,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Alarm {
    id: Uuid,
    began: WallNs,
    first: Finding,
    at: WallNs,
    now: Finding,
    /// It is out of the receiver's range: told once more, and then forgotten.
    over: bool,
    told: Option<Told>,
}

impl Alarm {
    fn is(&self, probe: Probe, subject: Option<&Subject>) -> bool {
        self.now.probe == probe && self.now.subject.as_ref() == subject
    }

    /// What is to be said of it.
    fn due(&self) -> Option<Event> {
        let kind = match &self.told {
            _ if self.over => Kind::Ended,
            None => Kind::Raised,
            Some(told) if told.level != self.now.level => Kind::Changed,
            Some(_) => return None,
        };
        Some(Event {
            alarm: self.id,
            kind,
            began: self.began,
            at: self.at,
            from: self.told.as_ref().map_or(Level::Ok, |told| told.level),
            first: self.first.clone(),
            finding: self.now.clone(),
            raised_by: self.told.as_ref().map(|told| told.by),
        })
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Receiver {
    /// In the order in which they began.
    alarms: Vec<Alarm>,
    /// On its way: made, and not known to be taken.
    sending: Option<Message>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    format: u16,
    recorder: Option<RecorderId>,
    /// Names of cameras, for those who may be told them.
    cameras: Vec<CameraHealth>,
    receivers: BTreeMap<String, Receiver>,
}

/// See the module.
pub(super) struct Outbox {
    files: Arc<dyn Files>,
    path: PathBuf,
    wants: Vec<Wants>,
    kept: Kept,
    /// Whether the file says less than `kept`.
    behind: bool,
    /// When the newest look was, and in how many before it an alarm was not mentioned.
    looked: WallNs,
    unmentioned: BTreeMap<Uuid, u32>,
    /// Messages that somebody may have, though nobody said so: those of a try that was cut off, by the network or by the end of a process.
    doubtful: BTreeSet<Uuid>,
}

impl Outbox {
    /// Takes up what an earlier process has left. A file that cannot be read is begun anew: then what is wrong now is told once more.
    pub(super) fn open(files: Arc<dyn Files>, path: PathBuf, wants: Vec<Wants>) -> Self {
        let read = |text: &[u8]| -> Result<Kept, String> {
            let kept: Kept = serde_json::from_slice(text).map_err(|e| e.to_string())?;
            if kept.format == FORMAT { Ok(kept) } else { Err(format!("format {}", kept.format)) }
        };
        let found = match files.read(&path) {
            Ok(None) => None,
            Ok(Some(text)) => Some(read(&text)),
            Err(e) => Some(Err(e.to_string())),
        };
        let kept =
            found.and_then(|found| found.inspect_err(|e| log::error!("{} is begun anew: {e}", path.display())).ok());
        let mut kept =
            kept.unwrap_or(Kept { format: FORMAT, recorder: None, cameras: Vec::new(), receivers: BTreeMap::new() });
        kept.receivers.retain(|key, _| wants.iter().any(|w| w.key == *key));
        for want in &wants {
            kept.receivers.entry(want.key.clone()).or_default();
        }
        let doubtful = kept.receivers.values().filter_map(|r| Some(r.sending.as_ref()?.id)).collect();
        let (looked, unmentioned) = (WallNs::MIN, BTreeMap::new());
        Self { files, path, wants, kept, behind: false, looked, unmentioned, doubtful }
    }

    /// Takes in a look. What it changes is on the disk when this returns; where that fails it is tried again with the next change, and
    /// a restart before that tells it anew.
    pub(super) fn put(&mut self, turns: &[Turn], report: &Report, names: bool) -> io::Result<()> {
        let before = self.kept.clone();
        self.kept.recorder.clone_from(&report.recorder);
        self.kept.cameras = if names { report.cameras.iter().map(named).collect() } else { Vec::new() };
        let looks = looks(turns, report);
        let is_new = report.at != std::mem::replace(&mut self.looked, report.at);
        // What is said of all of them is said of this one too.
        let covered = |a: &Alarm, f: &Finding| steady::covers(f, a.now.probe, a.now.subject.as_ref());
        let mentioned = |a: &Alarm| {
            let mut said = report.findings.iter().chain(turns.iter().map(|t| &t.finding));
            // Without a site nobody looks for it.
            report.recorder.is_none() || said.any(|f| a.is(f.probe, f.subject.as_ref()) || covered(a, f))
        };
        let mut unmentioned = std::mem::take(&mut self.unmentioned);
        for want in &self.wants {
            let Some(receiver) = self.kept.receivers.get_mut(&want.key) else { continue };
            for (at, finding) in &looks {
                receiver.look(want, *at, finding);
            }
            for alarm in receiver.alarms.iter_mut().filter(|a| !a.over && !mentioned(a)) {
                let so_far = unmentioned.remove(&alarm.id).unwrap_or(0) + u32::from(is_new);
                if so_far < UNMENTIONED {
                    self.unmentioned.insert(alarm.id, so_far);
                } else {
                    let (probe, subject) = (alarm.now.probe, alarm.now.subject.clone());
                    let over = Finding::new(probe, subject, Level::Ok, Code::OVER, report.at);
                    (alarm.over, alarm.at, alarm.now) = (true, report.at, over);
                }
            }
        }
        if self.kept == before && !self.behind { Ok(()) } else { self.write() }
    }

    /// What receiver `n` is to be sent, as written down; none: nothing.
    pub(super) fn next(&mut self, n: usize, now: WallNs) -> io::Result<Option<Message>> {
        let recorder = self.kept.recorder.clone();
        let Some((want, receiver)) = self.receiver(n) else { return Ok(None) };
        if receiver.sending.is_none() {
            let events: Vec<_> = receiver.alarms.iter().filter_map(Alarm::due).take(want.at_once).collect();
            if events.is_empty() {
                return Ok(None);
            }
            let taken = BTreeSet::new();
            receiver.sending = Some(Message { id: Uuid::new_v4(), at: now, recorder, events, taken });
            let sending = receiver.sending.clone();
            self.write()?;
            return Ok(sending);
        }
        Ok(receiver.sending.clone())
    }

    /// What was on its way to receiver `n` was not taken, or by some of its addresses only. Where it is certain that nobody has it, the next
    /// message is made of how it is then; `untouched` says so of this try.
    pub(super) fn failed(&mut self, n: usize, taken: &BTreeSet<usize>, untouched: bool) -> io::Result<()> {
        let Some((_, receiver)) = self.receiver(n) else { return Ok(()) };
        let Some(sending) = &mut receiver.sending else { return Ok(()) };
        let id = sending.id;
        if !taken.is_empty() {
            sending.taken.extend(taken);
            return self.write();
        }
        let nobody = sending.taken.is_empty() && untouched && !self.doubtful.contains(&id);
        if !nobody {
            self.doubtful.insert(id);
            return Ok(());
        }
        if let Some((_, receiver)) = self.receiver(n) {
            receiver.sending = None;
        }
        self.write()
    }

    /// Receiver `n` has what was on its way.
    pub(super) fn told(&mut self, n: usize) -> io::Result<()> {
        let Some((_, receiver)) = self.receiver(n) else { return Ok(()) };
        let Some(message) = receiver.sending.take() else { return Ok(()) };
        let id = message.id;
        for event in message.events {
            let Some(at) = receiver.alarms.iter().position(|a| a.id == event.alarm) else { continue };
            if event.kind == Kind::Ended {
                receiver.alarms.remove(at);
            } else {
                let by = event.raised_by.unwrap_or(message.id);
                receiver.alarms[at].told = Some(Told { level: event.finding.level, by });
            }
        }
        self.doubtful.remove(&id);
        self.write()
    }

    /// The cameras with their names, where somebody may be told them.
    pub(super) fn cameras(&self) -> &[CameraHealth] {
        &self.kept.cameras
    }

    fn receiver(&mut self, n: usize) -> Option<(&Wants, &mut Receiver)> {
        let want = self.wants.get(n)?;
        Some((want, self.kept.receivers.get_mut(&want.key)?))
    }

    fn write(&mut self) -> io::Result<()> {
        let was_behind = std::mem::replace(&mut self.behind, true);
        let text = serde_json::to_vec(&self.kept)?;
        let written = self.files.write(&self.path, &text, 0o600, None);
        self.behind = written.is_err();
        if let Some((level, line)) = news(was_behind, &written) {
            log::log!(level, "{line}");
        }
        written
    }
}

/// What the log is to be told when the file was written, or could not be: each trouble once, and its end.
fn news(was_behind: bool, written: &io::Result<()>) -> Option<(log::Level, String)> {
    match written {
        Err(e) if !was_behind => {
            let and = "They are told all the same, and again after a restart";
            Some((log::Level::Error, format!("the outbox of alarms cannot be written: {e}. {and}")))
        }
        Ok(()) if was_behind => Some((log::Level::Info, "the outbox of alarms can be written again".to_owned())),
        _ => None,
    }
}

/// How a look shows each trouble, and since when. The report has the last word: a turn that an earlier process did not live to hand over
/// is made up for, and one that it handed over already changes nothing. Turns count for what the report does not have any more.
fn looks<'a>(turns: &'a [Turn], report: &'a Report) -> Vec<(WallNs, &'a Finding)> {
    let key = |f: &'a Finding| (f.probe, f.subject.as_ref());
    let mut all: BTreeMap<_, _> = turns.iter().map(|t| (key(&t.finding), (t.at, &t.finding))).collect();
    // What a first look finds is not told before another finds it too, and what only says that something else is in the way never.
    let quiet = |f: &Finding| Code::find(f.probe, &f.code).is_some_and(|code| code.kind == Manner::Quiet);
    for finding in report.findings.iter().filter(|f| f.since < report.at && !quiet(f)) {
        all.entry(key(finding)).or_insert((finding.since, finding));
    }
    all.into_values().collect()
}

/// Of a camera what says who it is.
fn named(camera: &CameraHealth) -> CameraHealth {
    let CameraHealth { number, id, name, .. } = camera.clone();
    let (required, streams, min_days, kept_days, clock_error) = (true, Vec::new(), None, None, None);
    CameraHealth { number, id, name, required, streams, min_days, kept_days, clock_error }
}

impl Receiver {
    /// Takes in how a trouble is at a look.
    fn look(&mut self, want: &Wants, at: WallNs, finding: &Finding) {
        let over = finding.level < want.from_level;
        let open = self.alarms.iter_mut().find(|a| !a.over && a.is(finding.probe, finding.subject.as_ref()));
        match open {
            Some(alarm) if over => (alarm.over, alarm.at, alarm.now) = (true, at, finding.clone()),
            // Work that was announced alarms nobody; how it is then is told when that ends.
            _ if over || finding.silenced.is_some() => {}
            Some(alarm) if alarm.now.level != finding.level => (alarm.at, alarm.now) = (at, finding.clone()),
            Some(_) => {}
            None => {
                let (first, now) = (finding.clone(), finding.clone());
                let began = finding.since.min(at);
                if self.make_room(want) {
                    self.alarms.push(Alarm { id: Uuid::new_v4(), began, first, at, now, over: false, told: None });
                }
            }
        }
    }

    /// Whether there is room for one more; the one that ended first goes for it.
    fn make_room(&mut self, want: &Wants) -> bool {
        if self.alarms.len() < MOST {
            return true;
        }
        let ended = self.alarms.iter().enumerate().filter(|(_, a)| a.over).min_by_key(|(_, a)| a.at).map(|(n, _)| n);
        if let Some(n) = ended {
            let dropped = self.alarms.remove(n);
            let probe = dropped.now.probe;
            log::warn!("{}: too much waits, the end of an alarm of {probe} is not told", want.key);
        }
        ended.is_some()
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
