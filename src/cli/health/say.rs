//! A report for people, worst first, and for machines, with its sentences.

use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::{
    cli::{
        table::{Cell, Mood, Table},
        time::{self, Shown},
    },
    health::text::Words,
    lang::t,
    types::{
        ByteSize, Lang, WallNs,
        wire::health::{CameraHealth, Finding, Level, Probe, Report, Silence, StreamHealth, VolumeHealth},
    },
};

const UNKNOWN: &str = "–";

/// The report with each finding's sentence, and what to do, in the three languages.
pub(super) fn json(report: &Report, zone: &TimeZone) -> Value {
    let mut all = json!(report);
    let said = |finding: &Finding, say: &dyn Fn(&Words<'_>, &Finding) -> Value| {
        let each =
            Lang::ALL.map(|lang| (lang.as_str().to_owned(), say(&Words::new(lang, zone, &report.cameras), finding)));
        Value::Object(each.into_iter().collect())
    };
    if let Some(findings) = all["findings"].as_array_mut() {
        for (value, finding) in findings.iter_mut().zip(&report.findings) {
            value["text"] = said(finding, &|words, f| words.sentence(f).into());
            if Words::new(Lang::En, zone, &report.cameras).to_do(finding).is_some() {
                value["todo"] = said(finding, &|words, f| words.to_do(f).into());
            }
        }
    }
    all
}

/// The report for people.
pub(super) fn report(report: &Report, shown: &Shown, lang: Lang, colour: bool) -> String {
    let say = Say { shown, lang, report, words: Words::new(lang, shown.time_zone(), &report.cameras) };
    let mut text = say.head();
    for table in [say.findings(), say.cameras(), say.volumes()].into_iter().filter(|table| !table.is_empty()) {
        text.push('\n');
        text.push_str(&table.render(colour));
    }
    if !report.silences.is_empty() {
        text.push('\n');
        text.push_str(&silences(report, shown, lang));
    }
    text
}

/// Work that is announced.
pub(super) fn silences(report: &Report, shown: &Shown, lang: Lang) -> String {
    if report.silences.is_empty() {
        return t(lang, "health_cli.silences_none", &[]) + "\n";
    }
    let words = Words::new(lang, shown.time_zone(), &report.cameras);
    let camera = |number: &u32| {
        let known = report.cameras.iter().find(|c| c.number == *number).and_then(|c| c.id.as_ref());
        known.map_or_else(|| format!("#{number}"), ToString::to_string)
    };
    let all = || t(lang, "health_cli.all", &[]);
    let listed = |names: Vec<String>| if names.is_empty() { all() } else { names.join(", ") };
    let line = |s: &Silence| {
        let id = s.id.as_simple().to_string();
        let (until, probes) = (shown.second(s.until), listed(s.probes.iter().map(|p| words.probe(*p)).collect()));
        let cameras = listed(s.cameras.iter().map(camera).collect());
        let values = [("id", &id[..8]), ("until", &until), ("probes", &probes), ("cameras", &cameras)];
        let text = t(lang, "health_cli.silence", &[&values[..], &[("by", &s.by), ("reason", &s.reason)]].concat());
        // Names and reasons move no cursor.
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>() + "\n"
    };
    report.silences.iter().map(line).collect()
}

struct Say<'a> {
    shown: &'a Shown,
    lang: Lang,
    report: &'a Report,
    words: Words<'a>,
}

impl Say<'_> {
    fn t(&self, key: &str, values: &[(&str, &str)]) -> String {
        t(self.lang, &format!("health_cli.{key}"), values)
    }

    fn heads(&self, columns: &[(&str, bool)]) -> Table {
        columns.iter().fold(Table::default(), |table, (key, number)| table.column(self.t(key, &[]), *number))
    }

    fn head(&self) -> String {
        let report = self.report;
        let recorder = report.recorder.as_ref().map_or(UNKNOWN, |r| r.as_str());
        let values = [
            ("recorder", recorder),
            ("level", &self.words.level(report.level)),
            ("at", &self.shown.second(report.at)),
            ("zone", self.shown.zone()),
            ("version", &report.version),
        ];
        let mut text = self.t("head", &values);
        if let Some((version, since)) = report.recording.as_ref().filter(|(version, _)| *version != report.version) {
            text.push_str(&self.t("head_other", &[("version", version), ("since", &self.shown.second(*since))]));
        }
        text + "\n"
    }

    /// Worst first; below what is not in order, what to do.
    fn findings(&self) -> Table {
        let mut findings: Vec<&Finding> = self.report.findings.iter().collect();
        findings.sort_by_key(|f| (std::cmp::Reverse(f.level), Probe::ALL.iter().position(|p| *p == f.probe)));
        let mut table = self.heads(&[("state", false), ("what", false), ("how", false)]);
        for finding in findings {
            let mood = mood(finding.level);
            let mut sentence = self.words.sentence(finding);
            if finding.unsteady {
                sentence.push_str(&self.t("unsteady", &[]));
            }
            if let Some(until) = finding.silenced {
                sentence.push_str(&self.t("silenced", &[("until", &self.shown.second(until))]));
            }
            let level = Cell::new(self.words.level(finding.level), mood);
            table.row(vec![level, self.words.probe(finding.probe).into(), sentence.into()]);
            if let Some(todo) = self.words.to_do(finding) {
                table.row(vec!["".into(), "".into(), format!("→ {todo}").into()]);
            }
        }
        table
    }

    fn cameras(&self) -> Table {
        let mut table = self.heads(&[
            ("number", true),
            ("camera", false),
            ("name", false),
            ("stream", false),
            ("age", true),
            ("gaps_today", true),
            ("gaps_day", true),
            ("kept", true),
            ("clock_error", true),
        ]);
        for camera in &self.report.cameras {
            for (n, stream) in camera.streams.iter().enumerate() {
                let own = |text: String| if n == 0 { text } else { String::new() };
                table.row(vec![
                    own(camera.number.to_string()).into(),
                    own(camera.id.as_ref().map_or_else(|| UNKNOWN.into(), ToString::to_string)).into(),
                    own(camera.name.clone().unwrap_or_else(|| UNKNOWN.into())).into(),
                    stream.stream.as_str().into(),
                    self.age(camera, stream),
                    gaps(stream.gap_seconds_today),
                    gaps(stream.gap_seconds_day),
                    own(kept(camera)).into(),
                    own(camera.clock_error.map_or_else(|| UNKNOWN.into(), clock)).into(),
                ]);
            }
        }
        table
    }

    fn age(&self, camera: &CameraHealth, stream: &StreamHealth) -> Cell {
        if !camera.required {
            return self.t("not_wanted", &[]).into();
        }
        let length = |age: Duration| time::length(i64::try_from(age.as_nanos()).unwrap_or(i64::MAX));
        stream.age(self.report.at).map_or_else(|| UNKNOWN.into(), |age| length(age).into())
    }

    fn volumes(&self) -> Table {
        let mut table = self.heads(&[
            ("volume", false),
            ("state", false),
            ("size", true),
            ("free", true),
            ("committed", false),
            ("writes", true),
            ("commits", true),
            ("temperature", true),
            ("bad_sectors", true),
        ]);
        for volume in &self.report.volumes {
            table.row(self.volume(volume));
        }
        table
    }

    fn volume(&self, v: &VolumeHealth) -> Vec<Cell> {
        let (state, mood) = if v.healthy { ("used", Mood::Good) } else { ("not_used", Mood::Bad) };
        let size = |size: Option<ByteSize>| size.map_or_else(|| UNKNOWN.to_owned(), |s| s.to_string());
        let latency =
            |us: Option<u64>| us.map_or_else(|| UNKNOWN.to_owned(), |us| format!("{:.1} ms", us as f64 / 1e3));
        let known = |text: Option<String>| text.unwrap_or_else(|| UNKNOWN.to_owned());
        vec![
            v.name.as_str().into(),
            Cell::new(self.t(state, &[]), mood),
            size(v.size).into(),
            size(v.free).into(),
            known(v.committed.map(|at: WallNs| self.shown.second(at))).into(),
            latency(v.write_p99_us).into(),
            latency(v.commit_p99_us).into(),
            known(v.temperature.map(|t| format!("{t:.0} °C"))).into(),
            known(v.bad_sectors.map(|n| n.to_string())).into(),
        ]
    }
}

fn mood(level: Level) -> Mood {
    match level {
        Level::Ok => Mood::Good,
        Level::Warn => Mood::Warn,
        Level::Fail => Mood::Bad,
    }
}

fn gaps(seconds: Option<f64>) -> Cell {
    match seconds {
        None => UNKNOWN.into(),
        Some(seconds) if seconds <= 0.0 => "0".into(),
        #[expect(clippy::cast_possible_truncation, reason = "a cast of f64 saturates, and a day is far below")]
        Some(seconds) => Cell::new(time::length((seconds * 1e9) as i64), Mood::Warn),
    }
}

/// `31.5/30`: what is kept, of what is promised.
fn kept(camera: &CameraHealth) -> String {
    let kept = camera.kept_days.map_or_else(|| UNKNOWN.to_owned(), |days| format!("{days:.1}"));
    camera.min_days.map_or(kept.clone(), |promised| format!("{kept}/{promised}"))
}

/// Nobody is interested in whether nothing is ahead or behind.
fn clock(seconds: f64) -> String {
    if seconds.abs() < 0.05 { "0 s".into() } else { format!("{seconds:+.1} s") }
}

#[cfg(test)]
#[path = "say_tests.rs"]
mod tests;
