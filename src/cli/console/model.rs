//! What was seen, as the page shows it.

use std::path::Path;

use super::{Lang, Looked, Shown, Verdict, WallNs, doctor, manners, t};
use crate::{
    console::{Generation, Kept, Model, VolumeLine},
    services::{console::Print, doctor::evidence},
    types::wire::health::Report,
};

pub(super) fn of(looked: &Looked, state: &Path, lang: Lang, now: WallNs) -> Model {
    let (lang, shown) = manners(Some(lang), looked.seen.site.as_ref());
    let seen = &looked.seen;
    let troubles = doctor::troubles(seen, state, lang, &shown);
    let urgent = troubles.iter().filter(|t| t.urgent).count();
    let verdict = match (&looked.generation, troubles.len()) {
        (None, _) => Verdict::Empty,
        (Some(_), 0) => Verdict::Well,
        (Some(_), all) if urgent == 0 => Verdict::Look(all),
        (Some(_), all) => Verdict::Act(all),
    };
    let evidence = evidence(&seen.report);
    let cameras = evidence.known.then_some((evidence.written, evidence.required, evidence.within_seconds));
    let volumes = seen.report.volumes.iter().map(|v| VolumeLine {
        name: v.name.to_string(),
        healthy: v.healthy,
        room: v.size.zip(v.free).map(|(size, free)| (size.to_string(), free.to_string())),
        temperature: v.temperature.map(|t| format!("{t:.0} °C")),
    });
    Model {
        school: seen.site.as_ref().map_or_else(String::new, |s| s.name().to_owned()),
        recorder: seen.report.recorder.as_ref().map_or_else(String::new, ToString::to_string),
        now: minute(now, &shown),
        verdict,
        troubles,
        cameras: cameras.filter(|_| looked.generation.is_some()),
        kept: kept(&seen.report),
        volumes: volumes.collect(),
        addresses: looked.addresses.clone(),
        generation: looked.generation.as_ref().map(|g| Generation {
            number: g.meta.number,
            at: minute(g.meta.at, &shown),
            by: g.meta.by.clone(),
            trial: trial(&seen.report, &shown),
        }),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        update: looked.waits.as_ref().map(ToString::to_string),
    }
}

fn minute(at: WallNs, shown: &Shown) -> String {
    let text = shown.second(at);
    text.rsplit_once(':').map_or(text.clone(), |(minute, _)| minute.to_owned())
}

fn trial(report: &Report, shown: &Shown) -> Option<String> {
    report.generation.as_ref()?.trial_until.map(|until| minute(until, shown))
}

fn kept(report: &Report) -> Option<Kept> {
    let days = report.cameras.iter().filter_map(|c| c.kept_days);
    let least = days.fold(None, |least: Option<f64>, days| Some(least.map_or(days, |l| l.min(days))));
    let promised = report.cameras.iter().filter_map(|c| c.min_days).max();
    (!report.cameras.is_empty()).then_some(Kept { least, promised })
}

/// Keys in full: they are compared letter by letter.
pub(super) fn prints(looked: &Looked, lang: Lang) -> String {
    let (lang, shown) = manners(Some(lang), looked.seen.site.as_ref());
    if looked.prints.is_empty() {
        return t(lang, "console.keys_none", &[]);
    }
    let print = |print: &Print| match print {
        Print::Ledger(key) => format!("{}\n{key}\n", t(lang, "console.key_ledger", &[])),
        Print::Door { name, fingerprint, until } => {
            let values = [("door", *name), ("until", &*minute(*until, &shown))];
            // Two halves of sixteen bytes, each shorter than a line.
            let (first, second) = fingerprint.split_at(fingerprint.len().min(48));
            format!("{}\n  {first}\n  {second}\n", t(lang, "console.key_door", &values))
        }
    };
    looked.prints.iter().map(print).collect::<Vec<_>>().join("\n")
}
