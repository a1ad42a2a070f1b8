//! What an endpoint is told: how the recorder is, how many of what, and the ledger's checkpoint. No name of anything is among it, unless
//! the site wants names: not of cameras, volumes, units, the recorder or the site.
//!
//! In English whatever the site's language: monitors are set to match on words.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;

use crate::types::{
    WallNs,
    wire::health::{CameraHealth, Finding, Level, Probe, Report, StreamHealth, Subject, Value, Witnessed},
};

/// So many names stand in a message for one trouble; then how many more.
const NAMES: usize = 5;

/// What an endpoint is told. As JSON it is what the kind `http` sends.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Beat {
    format: u16,
    /// When it was looked last; none: never.
    at: Option<String>,
    pub(super) level: Level,
    up: bool,
    /// Whether health still looks.
    looking: bool,
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    recorder: Option<String>,
    counts: Option<Counts>,
    troubles: Vec<Trouble>,
    pub(super) checkpoints: Vec<Checkpoint>,
    /// How long looking took, of the processor, ms.
    pub(super) cost_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Counts {
    cameras_required: usize,
    cameras_recorded: usize,
    gap_seconds_day: Option<f64>,
    kept_days_min: Option<f64>,
    volumes: usize,
    volumes_healthy: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Trouble {
    level: Level,
    probe: Probe,
    code: String,
    count: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    about: Vec<String>,
}

/// A checkpoint without the name of its log, which is the site's: with the name, who has the verifier key makes the signed note of it again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Checkpoint {
    pub(super) ledger: String,
    pub(super) entries: u64,
    at: String,
    root: String,
    signature: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

fn instant(at: WallNs) -> String {
    at.timestamp().to_string()
}

/// Whether the newest second of all that is recorded of it is on a disk, and not older than `late`.
fn recorded(camera: &CameraHealth, at: WallNs, late: Duration) -> bool {
    let fresh = |s: &StreamHealth| s.age(at).is_some_and(|age| age < late);
    !camera.streams.is_empty() && camera.streams.iter().all(fresh)
}

impl Counts {
    fn of(report: &Report, late: Duration) -> Self {
        let required: Vec<_> = report.cameras.iter().filter(|c| c.required).collect();
        let gaps = report.cameras.iter().flat_map(|c| &c.streams).map(|s| s.gap_seconds_day);
        Self {
            cameras_required: required.len(),
            cameras_recorded: required.iter().filter(|c| recorded(c, report.at, late)).count(),
            gap_seconds_day: gaps.sum::<Option<f64>>().map(tenths),
            kept_days_min: report.cameras.iter().filter_map(|c| c.kept_days).reduce(f64::min).map(tenths),
            volumes: report.volumes.len(),
            volumes_healthy: report.volumes.iter().filter(|v| v.healthy).count(),
        }
    }

    fn text(&self) -> String {
        let gaps =
            self.gap_seconds_day.map_or("missing footage unknown".into(), |s| format!("{s:.0} s missing in 24 h"));
        let days = self.kept_days_min.map_or("days kept unknown".into(), |d| format!("{d:.1} days kept"));
        let Self { cameras_required, cameras_recorded, volumes, volumes_healthy, .. } = self;
        format!(
            "{cameras_recorded} of {cameras_required} cameras recorded, {gaps}, {days}, {volumes_healthy} of {volumes} volumes healthy"
        )
    }
}

/// Whom a finding is about: one may be about many cameras.
fn subjects(finding: &Finding) -> Vec<Option<Subject>> {
    match finding.values.get("cameras") {
        Some(Value::Cameras(numbers)) => numbers.iter().map(|n| Some(Subject::Camera(*n))).collect(),
        _ => vec![finding.subject.clone()],
    }
}

fn name(subject: &Subject, cameras: &[CameraHealth]) -> String {
    match subject {
        Subject::Camera(number) => {
            let camera = cameras.iter().find(|c| c.number == *number);
            let id = |c: &CameraHealth| c.id.as_ref().map(ToString::to_string);
            camera.and_then(|c| c.name.clone().or_else(|| id(c))).unwrap_or_else(|| format!("camera {number}"))
        }
        Subject::Volume(name) => name.to_string(),
        Subject::Other(name) => name.clone(),
    }
}

impl Trouble {
    /// Worst first, equal ones together. The order says nothing of names.
    fn all(report: &Report, names: bool) -> Vec<Self> {
        let mut all = BTreeMap::<_, Vec<_>>::new();
        for finding in report.troubles() {
            let key = (Reverse(finding.level), finding.probe, finding.code.clone());
            all.entry(key).or_default().extend(subjects(finding));
        }
        let trouble = |((Reverse(level), probe, code), subjects): ((_, _, String), Vec<Option<Subject>>)| {
            let about = subjects.iter().flatten().filter(|_| names).map(|s| name(s, &report.cameras)).collect();
            Self { level, probe, code, count: subjects.len(), about }
        };
        all.into_iter().map(trouble).collect()
    }

    fn short(&self) -> String {
        format!("{} {}.{} ({})", self.level, self.probe, self.code, self.count)
    }

    fn long(&self) -> String {
        let more = self.about.len().saturating_sub(NAMES);
        let names =
            self.about.iter().take(NAMES).map(|n| n.replace(char::is_control, " ")).collect::<Vec<_>>().join(", ");
        match (names.is_empty(), more) {
            (true, _) => self.short(),
            (false, 0) => format!("{}: {names}", self.short()),
            (false, more) => format!("{}: {names} and {more} more", self.short()),
        }
    }
}

impl Checkpoint {
    /// None if it is not as ours are: then nothing of it goes out.
    fn of(witnessed: &Witnessed, names: bool) -> Option<Self> {
        let (text, signatures) = witnessed.checkpoint.split_once("\n\n")?;
        let [_, size, root] = text.lines().collect::<Vec<_>>().try_into().ok()?;
        let signature = signatures.strip_suffix('\n')?.strip_prefix("— ")?.split_once(' ')?.1;
        let plain = size.parse() == Ok(witnessed.entries)
            && BASE64_STANDARD.decode(root).is_ok_and(|r| r.len() == 32)
            && BASE64_STANDARD.decode(signature).is_ok_and(|s| s.len() == 68);
        plain.then(|| Self {
            ledger: witnessed.ledger.clone(),
            entries: witnessed.entries,
            at: instant(witnessed.at),
            root: root.to_owned(),
            signature: signature.to_owned(),
            note: names.then(|| witnessed.checkpoint.clone()),
        })
    }

    fn text(&self) -> String {
        format!("ledger {} {} {} {}", self.ledger, self.entries, self.root, self.signature)
    }
}

impl Beat {
    /// What is told of a report. A camera whose footage is older than `late` is not recorded.
    pub(super) fn of(report: &Report, names: bool, late: Duration) -> Self {
        Self {
            format: 1,
            at: Some(instant(report.at)),
            level: report.level,
            up: report.level < Level::Fail,
            looking: true,
            version: env!("CARGO_PKG_VERSION"),
            recorder: report.recorder.as_ref().filter(|_| names).map(ToString::to_string),
            counts: Some(Counts::of(report, late)),
            troubles: Trouble::all(report, names),
            checkpoints: report.checkpoints.iter().filter_map(|c| Checkpoint::of(c, names)).collect(),
            cost_ms: report.cost_us.div_ceil(1000),
        }
    }

    /// What is told when reports have stopped: what was true once is no evidence.
    pub(super) fn silent(last: Option<WallNs>) -> Self {
        Self {
            format: 1,
            at: last.map(instant),
            level: Level::Fail,
            up: false,
            looking: false,
            version: env!("CARGO_PKG_VERSION"),
            recorder: None,
            counts: None,
            troubles: Vec::new(),
            checkpoints: Vec::new(),
            cost_ms: 0,
        }
    }

    /// Whether the monitor is to take it as well: a warning is no reason to be called at night, and stands in the message.
    pub(super) fn up(&self) -> bool {
        self.up
    }

    fn head(&self) -> String {
        match (&self.counts, &self.at) {
            (Some(counts), _) => format!("{}: {}", self.level, counts.text()),
            (None, Some(at)) => format!("{}: health does not look any more, last at {at}", self.level),
            (None, None) => format!("{}: health has not looked since it started", self.level),
        }
    }

    /// One line, not longer than `most` by `measure`: the troubles that have no room are counted, the checkpoints stand whole or not at all.
    pub(super) fn line(&self, most: usize, checkpoints: bool, measure: impl Fn(&str) -> usize) -> String {
        let lines = if checkpoints { self.checkpoint_lines() } else { Vec::new() };
        let tail = lines.into_iter().fold(String::new(), |tail, line| tail + "; " + &line);
        self.filled(self.head(), "; ", &tail, most, measure)
    }

    /// A page, not longer than `most` bytes, and where its checkpoints end. They stand above what has to be cut.
    pub(super) fn page(&self, most: usize) -> (String, usize) {
        let mut head = self.head();
        for line in self.checkpoint_lines() {
            head = format!("{head}\n{line}");
        }
        let end = head.len();
        (self.filled(head, "\n", "", most - 1, str::len) + "\n", end)
    }

    fn checkpoint_lines(&self) -> Vec<String> {
        self.checkpoints.iter().map(Checkpoint::text).collect()
    }

    fn filled(&self, head: String, between: &str, tail: &str, most: usize, measure: impl Fn(&str) -> usize) -> String {
        let mut text = head;
        for (i, trouble) in self.troubles.iter().enumerate() {
            let left = self.troubles.len() - i;
            let rest = if left > 1 { format!("{between}and {} more", left - 1) } else { String::new() };
            let with = |one: String| format!("{text}{between}{one}");
            let fits = |text: &String| measure(&format!("{text}{rest}{tail}")) <= most;
            let Some(longer) = [trouble.long(), trouble.short()].map(with).into_iter().find(fits) else {
                return format!("{text}{between}and {left} more{tail}");
            };
            text = longer;
        }
        text + tail
    }
}
