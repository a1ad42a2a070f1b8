//! The page that is there by itself: how the recorder is, where it is found, what is in force, and what to do next.

use super::page::{Line, Paint, Size, width, wrap};
use crate::{lang::t, types::Lang};

/// How it is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All is well.
    Well,
    /// So many things need a look within days.
    Look(usize),
    /// So many promises are broken, or will be.
    Act(usize),
    /// No site was applied yet.
    Empty,
}

/// Something that is wrong, in the language of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Whether it is to be acted on now.
    pub urgent: bool,
    /// What it is.
    pub sentence: String,
    /// What to do first.
    pub step: Option<String>,
}

/// Days that are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kept {
    /// Of the camera with the fewest; none: not measured yet.
    pub least: Option<f64>,
    /// The longest promise; none: as the disks allow.
    pub promised: Option<u32>,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeLine {
    /// Its name.
    pub name: String,
    /// Whether it is written to.
    pub healthy: bool,
    /// Size and what is free, where they are known.
    pub room: Option<(String, String)>,
    /// Of its disk, °C.
    pub temperature: Option<String>,
}

/// What is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Its number.
    pub number: u64,
    /// Since when.
    pub at: String,
    /// By whom.
    pub by: String,
    /// Until when it is on trial.
    pub trial: Option<String>,
}

/// What is known of the machine. Times are local ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Of the school; empty before a site is applied.
    pub school: String,
    /// This recorder.
    pub recorder: String,
    /// The present, to the minute.
    pub now: String,
    /// How it is.
    pub verdict: Verdict,
    /// Worst first.
    pub troubles: Vec<Trouble>,
    /// Cameras that are written, that are to be, and how many seconds the oldest of them lies back; none: it cannot be known.
    pub cameras: Option<(usize, usize, u64)>,
    /// How long footage is kept.
    pub kept: Option<Kept>,
    /// By name.
    pub volumes: Vec<VolumeLine>,
    /// Links and their addresses.
    pub addresses: Vec<(String, Vec<String>)>,
    /// What is in force.
    pub generation: Option<Generation>,
    /// The program's version.
    pub version: String,
    /// A version that waits.
    pub update: Option<String>,
}

const MARGIN: usize = 1;
/// Columns of what stands before each line.
const LABEL: usize = 13;
/// So many troubles are told on this page.
const TOLD: usize = 3;

fn verdict(model: &Model, lang: Lang) -> (Paint, String) {
    let count = |n: usize| n.to_string();
    match model.verdict {
        Verdict::Well => (Paint::GoodBand, t(lang, "console.well", &[])),
        Verdict::Look(n) => (Paint::WarnBand, t(lang, "console.look", &[("count", &count(n))])),
        Verdict::Act(n) => (Paint::BadBand, t(lang, "console.act", &[("count", &count(n))])),
        Verdict::Empty => (Paint::WarnBand, t(lang, "console.empty", &[])),
    }
}

fn rule(columns: usize) -> Line {
    Line::new(Paint::Plain, "─".repeat(columns))
}

/// Two texts, at the left and at the right edge.
fn edges(left: &str, right: &str, columns: usize) -> Line {
    let gap = columns.saturating_sub(width(left) + width(right) + 2 * MARGIN).max(1);
    Line::new(Paint::Title, format!("{:MARGIN$}{left}", "")).and(Paint::Plain, format!("{:gap$}{right}", ""))
}

/// A line with what it is about before it; longer ones go on below.
fn about(label: &str, text: &str, paint: Paint, columns: usize) -> Vec<Line> {
    let room = columns.saturating_sub(MARGIN + LABEL + MARGIN);
    let lines = wrap(text, room).into_iter().enumerate();
    lines
        .map(|(n, text)| {
            let label = if n == 0 { label } else { "" };
            let pad = LABEL.saturating_sub(width(label));
            Line::new(Paint::Title, format!("{:MARGIN$}{label}{:pad$}", "", "")).and(paint, text)
        })
        .collect()
}

/// What there is to know, most important first: what does not fit is left out from the end.
fn facts(model: &Model, lang: Lang, columns: usize) -> Vec<Vec<Line>> {
    let say = |key: &str, values: &[(&str, &str)]| t(lang, &format!("console.{key}"), values);
    let row = |key: &str, text: &str, paint| about(&say(key, &[]), text, paint, columns);
    let mut facts = Vec::new();
    let (text, paint) = match model.cameras {
        Some((_, 0, _)) => (say("no_cameras", &[]), Paint::Plain),
        Some((n, m, age)) => {
            let values = [("recorded", &*n.to_string()), ("all", &m.to_string()), ("seconds", &age.to_string())];
            let key = if n == 0 { "recorded_none" } else { "recorded" };
            (say(key, &values), if n == m { Paint::Good } else { Paint::Bad })
        }
        None => (say("unknown", &[]), Paint::Warn),
    };
    facts.push(row("cameras", &text, paint));
    if let Some(kept) = model.kept {
        let least = kept.least.map_or_else(|| say("not_yet", &[]), |d| format!("{d:.1}"));
        let text = match kept.promised {
            Some(days) => say("kept_promised", &[("days", &least), ("promised", &days.to_string())]),
            None => say("kept_open", &[("days", &least)]),
        };
        facts.push(row("kept", &text, Paint::Plain));
    }
    for (n, volume) in model.volumes.iter().enumerate() {
        let unknown = || ("–".to_owned(), "–".to_owned());
        let (size, free) = volume.room.clone().unwrap_or_else(unknown);
        let mut text = say("volume", &[("volume", &volume.name), ("size", &size), ("free", &free)]);
        text.extend(volume.temperature.iter().flat_map(|t| [" · ", t.as_str()]));
        let (state, paint) = if volume.healthy { ("volume_good", Paint::Plain) } else { ("volume_bad", Paint::Bad) };
        text = format!("{text} · {}", say(state, &[]));
        facts.push(about(&if n == 0 { say("disks", &[]) } else { String::new() }, &text, paint, columns));
    }
    let addresses = model.addresses.iter().map(|(link, all)| format!("{link} {}", all.join(" ")));
    let addresses = addresses.collect::<Vec<_>>().join(" · ");
    facts.push(row("address", if addresses.is_empty() { "–" } else { &addresses }, Paint::Plain));
    if let Some(generation) = &model.generation {
        let number = generation.number.to_string();
        let text = say("generation", &[("number", &number), ("at", &generation.at), ("by", &generation.by)]);
        facts.push(row("in_force", &text, Paint::Plain));
        if let Some(until) = &generation.trial {
            facts.push(about("", &say("on_trial", &[("until", until)]), Paint::Warn, columns));
        }
    }
    let version = match &model.update {
        Some(waiting) => say("version_waiting", &[("version", &model.version), ("waiting", waiting)]),
        None => model.version.clone(),
    };
    facts.push(row("version", &version, if model.update.is_some() { Paint::Warn } else { Paint::Plain }));
    facts
}

fn troubles(model: &Model, lang: Lang, columns: usize) -> Vec<Vec<Line>> {
    let room = columns.saturating_sub(2 * MARGIN + 2);
    let told = model.troubles.iter().take(TOLD).map(|trouble| {
        let paint = if trouble.urgent { Paint::Bad } else { Paint::Warn };
        let indented = |text: &str, mark: &str, paint| {
            let lines = wrap(text, room).into_iter().enumerate();
            let line =
                |(n, text): (usize, String)| Line::new(paint, format!(" {} {text}", if n == 0 { mark } else { " " }));
            lines.map(line).collect::<Vec<_>>()
        };
        let mut lines = indented(&trouble.sentence, "!", paint);
        lines.extend(trouble.step.iter().flat_map(|step| indented(step, ">", Paint::Plain)));
        lines
    });
    let mut told: Vec<_> = told.collect();
    if let Some(more) = model.troubles.len().checked_sub(TOLD).filter(|n| *n > 0) {
        told.push(vec![Line::new(
            Paint::Plain,
            format!("   {}", t(lang, "console.more", &[("count", &more.to_string())])),
        )]);
    }
    told
}

/// The keys that can be pressed here: what can be done, and below it the languages; beside it where it ends in a line that has room.
fn keys(lang: Lang, columns: usize) -> Vec<Line> {
    let does = ["a", "d", "k", "u", "s", "t", "p"];
    let does = does.map(|key| (key.to_owned(), t(lang, &format!("console.key_{key}"), &[])));
    let languages = Lang::ALL.iter().enumerate().map(|(n, lang)| ((n + 1).to_string(), t(*lang, "lang.name", &[])));
    let apart = in_rows(does.clone().into_iter(), columns);
    let together = in_rows(does.into_iter().chain(languages.clone()), columns);
    let below = [apart.clone(), in_rows(languages, columns)].concat();
    if apart.len() > 1 && together.len() < below.len() { together } else { below }
}

fn in_rows(keys: impl Iterator<Item = (String, String)>, columns: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (key, text) in keys {
        let wanted = 2 + width(&key) + 1 + width(&text);
        let line = match lines.pop() {
            Some(line) if line.width() + wanted <= columns => line.and(Paint::Plain, "  "),
            full => {
                lines.extend(full);
                Line::new(Paint::Plain, " ")
            }
        };
        lines.push(line.and(Paint::Key, key).and(Paint::Plain, format!(" {text}")));
    }
    lines
}

/// The page.
pub fn status(model: &Model, lang: Lang, (columns, rows): Size) -> Vec<Line> {
    let name = match (model.school.is_empty(), model.recorder.is_empty()) {
        (false, false) => format!("custodian · {} · {}", model.school, model.recorder),
        _ => "custodian".to_owned(),
    };
    let (paint, text) = verdict(model, lang);
    let middle = columns.saturating_sub(width(&text)) / 2;
    let band = [String::new(), format!("{:middle$}{text}", ""), String::new()];
    let mut lines = vec![edges(&name, &model.now, columns), rule(columns)];
    lines.extend(band.map(|text| Line::new(paint, text)));
    let mut foot = vec![rule(columns)];
    foot.extend(keys(lang, columns));
    let room = rows.saturating_sub(lines.len() + foot.len());
    let mut body = Vec::new();
    // What is wrong comes first, and leaves room for what is known at a glance.
    let told = troubles(model, lang, columns);
    if told.is_empty() {
        let next = if model.verdict == Verdict::Empty { "next_empty" } else { "next_none" };
        let next = t(lang, &format!("console.{next}"), &[]);
        body.extend(
            wrap(&next, columns.saturating_sub(4))
                .into_iter()
                .map(|text| Line::new(Paint::Plain, format!("   {text}"))),
        );
    }
    body.extend(fitting(told, room.saturating_sub(4)));
    body.push(Line::default());
    let left = room.saturating_sub(body.len());
    body.extend(fitting(facts(model, lang, columns), left));
    body.truncate(room);
    body.resize(room, Line::default());
    [lines, body, foot].concat()
}

/// As many of these as fit, none of them in part.
fn fitting(all: Vec<Vec<Line>>, rows: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for some in all {
        if lines.len() + some.len() > rows {
            break;
        }
        lines.extend(some);
    }
    lines
}

/// What is shown when nobody has pressed a key for a while: three lines, each time elsewhere, so that nothing burns in.
pub fn rest(model: &Model, lang: Lang, (columns, rows): Size, times: usize) -> Vec<Line> {
    let (band, text) = verdict(model, lang);
    let paint = match band {
        Paint::GoodBand => Paint::Good,
        Paint::WarnBand => Paint::Warn,
        _ => Paint::Bad,
    };
    let cameras = model.cameras.map(|(n, m, _)| format!("{n} / {m}")).unwrap_or_default();
    let texts = [
        (paint, text),
        (Paint::Plain, format!("{cameras}   {}", model.now)),
        (Paint::Plain, t(lang, "console.wake", &[])),
    ];
    let widest = texts.iter().map(|(_, text)| width(text)).max().unwrap_or(0);
    // Steps that have no common measure with the screen, so that every place has its turn.
    let at = (times * 7) % columns.saturating_sub(widest).max(1);
    let from = (times * 5) % rows.saturating_sub(texts.len()).max(1);
    let mut lines = vec![Line::default(); from];
    lines.extend(texts.map(|(paint, text)| Line::new(paint, format!("{:at$}{text}", ""))));
    lines.truncate(rows);
    lines
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
