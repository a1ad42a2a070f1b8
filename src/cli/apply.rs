//! `custodian apply`: puts a site in force on this machine.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;

use super::{
    check::site_file,
    chosen,
    demo::duration,
    plan::{refused_json, refused_site, refused_text},
    print, print_error,
    recovery::{self, Asked, Given},
    time::Shown,
};
use crate::{
    apply::{ApplyError, Done, Outcome, Report, StalePart},
    lang::t,
    plan::text,
    services::{
        applying::{self, Answer, How, Place, UNIT_DIR},
        paths,
        planning::{self, Ask},
        recovering::{Keys, RecoveryError},
    },
    types::{Lang, RecorderId},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(value_name = "PLAN", conflicts_with = "activate")]
    plan: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    #[arg(long, value_name = "NAME")]
    recorder: Option<RecorderId>,
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
    #[arg(long, value_name = "DIR", default_value = UNIT_DIR)]
    unit_dir: PathBuf,
    #[arg(long = "try", value_name = "DURATION", value_parser = length)]
    trial: Option<Duration>,
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[arg(long, value_name = "FILE")]
    recovery_key: Option<PathBuf>,
    #[arg(long, conflicts_with_all = ["trial", "site", "secrets", "recorder", "reason", "recovery_key"])]
    activate: bool,
    #[arg(long)]
    json: bool,
}

/// A trial that is shorter than cameras take to come back could never be confirmed.
fn length(text: &str) -> Result<Duration, String> {
    let length = duration(text)?;
    if (Duration::from_secs(30)..=Duration::from_hours(24)).contains(&length) {
        Ok(length)
    } else {
        Err("30s … 24h".to_owned())
    }
}

pub(super) fn run(args: Args, flag: Option<Lang>) -> anyhow::Result<ExitCode> {
    let place = Place { state: args.state.clone(), unit_dir: args.unit_dir };
    if args.activate {
        let report = place.act(crate::apply::activate)?;
        let lang = chosen(flag, place.site().map(|s| s.language()));
        return show(&report, &place, args.json, lang);
    }
    let ask = Ask {
        site: site_file(args.site.as_deref()),
        secrets: args.secrets,
        recorder: args.recorder,
        state: args.state,
        offline: false,
    };
    let wanted = match planning::read(&ask) {
        Ok(wanted) => wanted,
        Err(e) => return refused_site(e, args.json, flag),
    };
    let lang = chosen(flag, Some(wanted.site.language()));
    let recover = args.recovery_key.is_some();
    let mut given = args.recovery_key.as_deref().map(Given::read).transpose()?;
    let mut asked = Asked::possible().then(|| Asked::new(lang));
    let keys = match (&mut given, &mut asked) {
        (Some(given), _) => Some(given as &mut dyn Keys),
        (None, Some(asked)) => Some(asked as &mut dyn Keys),
        (None, None) => None,
    };
    let how = How { plan: args.plan, reason: args.reason, trial: args.trial, keys, recover, ..How::default() };
    match applying::apply(&place, &ask, wanted, how) {
        Ok(Answer::Applied(report)) => show(&report, &place, args.json, lang),
        Ok(Answer::Refused(refused)) => {
            if args.json {
                print(&serde_json::to_string_pretty(&refused_json(&refused, lang))?);
            } else {
                print_error(&refused_text(&refused, lang));
            }
            Ok(ExitCode::FAILURE)
        }
        Err(e) if e.is::<RecoveryError>() => recovery::refused(e, args.json, lang),
        Err(e) => stale(e, args.json, lang),
    }
}

/// What a plan was bound to is told in words.
fn stale(e: anyhow::Error, json: bool, lang: Lang) -> anyhow::Result<ExitCode> {
    let Some(ApplyError::Stale(parts)) = e.downcast_ref() else { return Err(e) };
    if json {
        let parts: Vec<&str> = parts.iter().map(|p| p.as_str()).collect();
        print(&serde_json::to_string_pretty(&serde_json::json!({ "ok": false, "why": "stale", "changed": parts }))?);
    } else {
        print_error(&stale_text(parts, lang));
    }
    Ok(ExitCode::FAILURE)
}

pub(super) fn stale_text(parts: &[StalePart], lang: Lang) -> String {
    let words = |p: &StalePart| t(lang, &format!("apply.stale_{p}"), &[]);
    let changed: Vec<String> = parts.iter().map(words).collect();
    t(lang, "apply.stale", &[("changed", &changed.join(", "))])
}

/// What was done, for people or machines.
pub(super) fn show(report: &Report, place: &Place, json: bool, lang: Lang) -> anyhow::Result<ExitCode> {
    if json {
        print(&serde_json::to_string_pretty(report).context("the report")?);
        return Ok(ExitCode::SUCCESS);
    }
    let zone = place.site().map_or(jiff::tz::TimeZone::UTC, |s| s.timezone().clone());
    print(&as_text(report, &Shown::new(zone), lang));
    Ok(ExitCode::SUCCESS)
}

pub(super) fn as_text(report: &Report, shown: &Shown, lang: Lang) -> String {
    let Some(generation) = report.generation else { return t(lang, "apply.nothing", &[]) };
    let mut lines = Vec::new();
    lines.extend(report.recovered.iter().map(|r| {
        let key = if r.opens { "apply.recovered" } else { "apply.recovered_once" };
        t(lang, key, &[("volume", r.volume.volume.as_str()), ("disk", &r.volume.disk)])
    }));
    if !report.finished.is_empty() {
        lines.push(t(lang, "apply.finished", &[]));
        lines.extend(report.finished.iter().map(|d| line(d, lang)));
    }
    lines.extend(report.steps.iter().map(|d| line(d, lang)));
    let number = generation.to_string();
    let same = report.from == report.generation && report.steps.is_empty() && report.recovered.is_empty();
    let key = if same { "apply.same" } else { "apply.done" };
    lines.push(t(lang, key, &[("generation", &number)]));
    if let Some(until) = report.trial_until {
        let until = format!("{} ({})", shown.second(until), shown.zone());
        lines.push(t(lang, "apply.trial", &[("until", &until)]));
    }
    lines.join("\n")
}

fn line(done: &Done, lang: Lang) -> String {
    let outcome = match &done.outcome {
        Outcome::Changed => t(lang, "apply.changed", &[]),
        Outcome::AsItWas => t(lang, "apply.as_it_was", &[]),
        Outcome::NotNeeded => t(lang, "apply.not_needed", &[]),
        Outcome::NotYet(why) => t(lang, "apply.not_yet", &[("why", why)]),
    };
    format!("  - {}: {outcome}", text::step(lang, &done.step))
}
