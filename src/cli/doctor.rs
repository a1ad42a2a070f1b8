//! `custodian doctor`: what is wrong, what it means for the recordings, and what to do next. For a person at the console who has never done
//! this before.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde::Serialize;

use super::{
    NOT_ALL,
    inventory::manners,
    table,
    time::{self, Shown},
};
use crate::{
    console,
    health::text::Words,
    lang::{raw, t},
    services::{
        doctor::{self, Absence, Evidence, Seen},
        paths,
    },
    types::{
        Lang, WallNs,
        wire::health::{Finding, Level, Probe},
    },
};

/// So many of one kind are told one by one.
const OF_A_KIND: usize = 8;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
    #[arg(long)]
    json: bool,
}

/// What is said: docs/ref/health.md.
#[derive(Debug, Serialize)]
struct Said<'a> {
    format: u16,
    at: WallNs,
    by_health: bool,
    level: Level,
    evidence: &'a Evidence,
    troubles: Vec<Trouble<'a>>,
    /// Troubles that do not count, because the work was announced.
    announced: usize,
}

#[derive(Debug, Serialize)]
struct Trouble<'a> {
    level: Level,
    /// A probe's name; `health` or `site` where no probe can say it.
    about: &'static str,
    title: String,
    sentences: Vec<String>,
    means: String,
    steps: Vec<String>,
    call: String,
    findings: Vec<&'a Finding>,
}

pub(super) fn run(args: &Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let seen = doctor::look(&args.state)?;
    let (lang, shown) = manners(lang, seen.site.as_ref());
    let doctor = of(&seen, lang, &shown);
    let evidence = doctor::evidence(&seen.report);
    let said = doctor.says(&seen, &evidence, &args.state.display().to_string());
    let text = if args.json { serde_json::to_string_pretty(&said)? + "\n" } else { doctor.text(&seen, &said) };
    table::print(&text)?;
    Ok(if said.troubles.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(NOT_ALL) })
}

fn of<'a>(seen: &'a Seen, lang: Lang, shown: &'a Shown) -> Doctor<'a> {
    Doctor { lang, shown, words: Words::new(lang, shown.time_zone(), &seen.report.cameras) }
}

/// The troubles, worst first, each in a sentence and with what to do first: for the console.
pub(super) fn troubles(seen: &Seen, state: &Path, lang: Lang, shown: &Shown) -> Vec<console::Trouble> {
    let evidence = doctor::evidence(&seen.report);
    let said = of(seen, lang, shown).says(seen, &evidence, &state.display().to_string());
    let told = |trouble: Trouble<'_>| console::Trouble {
        urgent: trouble.level == Level::Fail,
        sentence: trouble.sentences.into_iter().next().unwrap_or(trouble.title),
        step: trouble.steps.into_iter().next(),
    };
    said.troubles.into_iter().map(told).collect()
}

/// All of it, as this command prints it: for the console.
pub(super) fn in_words(seen: &Seen, state: &Path, lang: Lang, shown: &Shown) -> String {
    let evidence = doctor::evidence(&seen.report);
    let doctor = of(seen, lang, shown);
    doctor.text(seen, &doctor.says(seen, &evidence, &state.display().to_string()))
}

struct Doctor<'a> {
    lang: Lang,
    shown: &'a Shown,
    words: Words<'a>,
}

impl Doctor<'_> {
    fn t(&self, key: &str, values: &[(&str, &str)]) -> String {
        t(self.lang, &format!("doctor.{key}"), values)
    }

    fn says<'a>(&self, seen: &'a Seen, evidence: &'a Evidence, state: &str) -> Said<'a> {
        let mut troubles: Vec<_> = seen.absent.iter().map(|a| self.absent(a, state)).collect();
        troubles.extend(doctor::troubles(&seen.report).into_iter().map(|group| self.trouble(group)));
        // Equal ones stay as they are: what health cannot say comes before what it says.
        troubles.sort_by_key(|t| std::cmp::Reverse(t.level));
        let level = troubles.first().map_or(Level::Ok, |t| t.level);
        let announced = seen.report.findings.iter().filter(|f| f.level > Level::Ok && f.silenced.is_some()).count();
        Said { format: 1, at: seen.report.at, by_health: seen.by_health, level, evidence, troubles, announced }
    }

    /// A trouble, explained. `own`: what is to be done about this very one.
    fn explained<'a>(&self, (level, about): (Level, &'static str), title: String, own: Vec<String>) -> Trouble<'a> {
        let say = |what: &str| self.t(&format!("{about}_{what}"), &[]);
        let steps = own.into_iter().chain(say("steps").lines().map(str::to_owned)).collect();
        let (sentences, findings) = (Vec::new(), Vec::new());
        Trouble { level, about, title, sentences, means: say("means"), steps, call: say("call"), findings }
    }

    fn trouble<'a>(&self, group: Vec<&'a Finding>) -> Trouble<'a> {
        let (level, probe) = group.first().map_or((Level::Ok, Probe::Recorder), |f| (f.level, f.probe));
        let mut sentences: Vec<_> = group.iter().take(OF_A_KIND).map(|f| self.words.sentence(f)).collect();
        if let Some(more) = group.len().checked_sub(OF_A_KIND).filter(|n| *n > 0) {
            sentences.push(self.t("more", &[("count", &more.to_string())]));
        }
        let mut own: Vec<String> = Vec::new();
        for to_do in group.iter().filter_map(|f| self.words.to_do(f)) {
            if !own.contains(&to_do) {
                own.push(to_do);
            }
        }
        let explained = self.explained((level, probe.as_str()), self.words.probe(probe), own);
        Trouble { sentences, findings: group, ..explained }
    }

    fn absent<'a>(&self, absence: &Absence, state: &str) -> Trouble<'a> {
        let (level, about, sentence) = match absence {
            Absence::Health(Ok(age)) => (Level::Fail, "health", self.t("stale", &[("length", &time::length(*age))])),
            Absence::Health(Err(why)) => (Level::Warn, "health", self.t("absent_health", &[("why", why)])),
            Absence::State => (Level::Fail, "site", self.t("absent_state", &[("folder", state)])),
            Absence::Disk(volume) => (Level::Fail, "volume", self.t("absent_disk", &[("volume", volume.as_str())])),
        };
        let title = match absence {
            Absence::Disk(_) => self.words.probe(Probe::Volume),
            _ => self.t(&format!("{about}_title"), &[]),
        };
        Trouble { sentences: vec![sentence], ..self.explained((level, about), title, Vec::new()) }
    }

    fn text(&self, seen: &Seen, said: &Said<'_>) -> String {
        let (at, zone) = (self.shown.second(said.at), self.shown.zone());
        let mut lines = vec![
            self.t(if said.by_health { "looked" } else { "own" }, &[("at", &at), ("zone", zone)]),
            self.evidence(seen, said.evidence),
            String::new(),
        ];
        match said.troubles.len() {
            0 => lines.push(self.t("healthy", &[])),
            n => lines.push(self.t("wrong", &[("count", &n.to_string())])),
        }
        for (n, trouble) in said.troubles.iter().enumerate() {
            let level = self.words.level(trouble.level);
            let heading = [("number", &*(n + 1).to_string()), ("title", &trouble.title), ("level", &level)];
            lines.extend([String::new(), self.t("heading", &heading)]);
            lines.extend(trouble.sentences.iter().map(|s| format!("   {s}")));
            lines.push(format!("   {}", self.t("means", &[("text", &trouble.means)])));
            lines.push(format!("   {}", self.t("steps", &[])));
            lines.extend(trouble.steps.iter().enumerate().map(|(n, step)| format!("     {}) {step}", n + 1)));
            lines.push(format!("   {}", self.t("call", &[("text", &trouble.call)])));
        }
        if said.announced > 0 {
            lines.extend([String::new(), self.t("silenced", &[("count", &said.announced.to_string())])]);
        }
        if !said.troubles.is_empty() {
            lines.extend([String::new(), self.t("bundle", &[]), self.t("again", &[])]);
        }
        // Names and details come from files and cameras: nothing in them moves the cursor.
        let plain = |line: &String| line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
        lines.iter().map(plain).collect::<Vec<_>>().join("\n") + "\n"
    }

    fn evidence(&self, seen: &Seen, evidence: &Evidence) -> String {
        let (required, written) = (evidence.required.to_string(), evidence.written.to_string());
        let seconds = evidence.within_seconds.to_string();
        let name = |number: &u32| {
            let known = seen.report.cameras.iter().find(|c| c.number == *number).and_then(|c| c.name.clone());
            known.unwrap_or_else(|| self.t("camera", &[("number", &number.to_string())]))
        };
        let mut cameras = evidence.lost.iter().take(OF_A_KIND).map(name).collect::<Vec<_>>();
        if let Some(more) = evidence.lost.len().checked_sub(OF_A_KIND).filter(|n| *n > 0) {
            cameras.push(self.t("more", &[("count", &more.to_string())]));
        }
        let comma = raw(self.lang, "health.comma").unwrap_or(", ");
        let cameras = cameras.join(comma);
        let values = [("required", &*required), ("written", &written), ("seconds", &seconds), ("cameras", &cameras)];
        let key = match evidence {
            e if !e.known => "evidence_unknown",
            e if e.required == 0 => "evidence_no_cameras",
            e if e.written == 0 => "evidence_none",
            e if e.lost.is_empty() => "evidence_all",
            _ => "evidence_some",
        };
        self.t(key, &values)
    }
}

#[cfg(test)]
#[path = "doctor_tests.rs"]
mod tests;
