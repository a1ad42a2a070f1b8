//! `custodian update`: another version of the system, from the offer to the proof that it is a good one.

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;
use serde::Serialize;

use super::{NOT_ALL, chosen, inventory::manners, print, time::Shown};
use crate::{
    lang::t,
    services::{
        paths,
        updating::{self, Due, Known, NotNow},
    },
    site,
    types::Lang,
    update::{Candidate, Fetched, Stage, Tries, Version, Why},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[arg(long, global = true, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Status,
    Fetch(FetchArgs),
    Consent(WordArgs),
    Refuse(WordArgs),
    Apply(ApplyArgs),
    Other(OtherArgs),
    Good,
}

#[derive(Debug, clap::Args)]
struct FetchArgs {
    #[arg(long, value_name = "DIR|URL", conflicts_with = "when_due")]
    from: Option<String>,
    #[arg(long, value_name = "VERSION", conflicts_with = "when_due")]
    again: Option<Version>,
    #[arg(long)]
    when_due: bool,
}

#[derive(Debug, clap::Args)]
struct WordArgs {
    #[arg(value_name = "VERSION")]
    version: Version,
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, clap::Args)]
struct ApplyArgs {
    #[arg(long)]
    restart: bool,
    #[arg(long, conflicts_with = "restart")]
    when_due: bool,
}

#[derive(Debug, clap::Args)]
struct OtherArgs {
    #[arg(long)]
    restart: bool,
}

struct Say {
    lang: Lang,
    json: bool,
}

impl Say {
    fn t(&self, key: &str, values: &[(&str, &str)]) -> String {
        t(self.lang, &format!("update_cli.{key}"), values)
    }

    /// Says what was done; to programs its name and the version.
    fn done(&self, key: &str, version: &Version) -> anyhow::Result<ExitCode> {
        if self.json {
            print(&serde_json::to_string(&serde_json::json!({ "ok": true, "done": key, "version": version }))?);
        } else {
            print(&self.t(key, &[("version", version.as_str())]));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn nothing(&self, key: &str, why: &str) -> anyhow::Result<ExitCode> {
        if self.json {
            print(&serde_json::to_string(&serde_json::json!({ "ok": true, "done": null, "why": key, "detail": why }))?);
        } else {
            print(&self.t(key, &[("why", why)]));
        }
        Ok(ExitCode::SUCCESS)
    }
}

pub(super) fn run(args: Args, flag: Option<Lang>) -> anyhow::Result<ExitCode> {
    let site = site::load(&args.state.join("current/site.toml")).ok();
    let say = Say { lang: chosen(flag, site.as_ref().map(site::Site::language)), json: args.json };
    let state = &*args.state;
    match args.verb {
        Verb::Status => {
            let known = updating::known(state)?;
            let (_, shown) = manners(flag, site.as_ref());
            status(&say, &known, &shown)
        }
        Verb::Fetch(FetchArgs { when_due: true, .. }) => match updating::fetch_when_due(state)? {
            Some(fetched) => told(&say, &fetched),
            None => say.nothing("not_due", ""),
        },
        Verb::Fetch(FetchArgs { from, again, .. }) => {
            let named = site.as_ref().and_then(|s| s.update_url()).map(ToString::to_string);
            let Some(from) = from.or(named) else { anyhow::bail!(say.t("no_source", &[])) };
            let source = updating::source(&from)?;
            told(&say, &updating::act(state, |updates| Ok(updates.fetch(&source, again.as_ref())?))?)
        }
        Verb::Consent(WordArgs { version, reason }) => {
            let new = updating::consent(state, &version, &updating::root(reason))?;
            say.done(if new { "consented" } else { "consented_already" }, &version)
        }
        Verb::Refuse(WordArgs { version, reason }) => {
            let word = updating::word(reason)?;
            updating::act(state, |updates| Ok(updates.refuse(&version, word)?))?;
            say.done("refused", &version)
        }
        Verb::Apply(ApplyArgs { when_due: true, .. }) => due(&say, updating::apply_when_due(state)?),
        Verb::Apply(ApplyArgs { restart, .. }) => updating::act(state, |updates| {
            let version = updates.apply()?;
            if restart {
                updates.machine.reboot()?;
            }
            say.done(if restart { "restarts" } else { "written" }, &version)
        }),
        Verb::Other(OtherArgs { restart }) => {
            let version = updating::start_other(state)?;
            if restart {
                updating::act(state, |updates| Ok(updates.machine.reboot()?))?;
            }
            say.done(if restart { "restarts" } else { "other" }, &version)
        }
        Verb::Good => {
            updating::prove(state)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn told(say: &Say, fetched: &Fetched) -> anyhow::Result<ExitCode> {
    say.done(if fetched.new { "offered" } else { "offered_already" }, &fetched.version)
}

fn due(say: &Say, due: Due) -> anyhow::Result<ExitCode> {
    match due {
        Due::Nothing => say.nothing("nothing", ""),
        Due::NotNow(NotNow::NoWindow) => say.nothing("no_window", ""),
        Due::NotNow(NotNow::OtherHours) => say.nothing("other_hours", ""),
        Due::NotNow(NotNow::NoStick) => say.nothing("no_stick", ""),
        Due::NotNow(NotNow::Busy) => say.nothing("busy", ""),
        Due::NotNow(NotNow::Passphrase) => say.nothing("passphrase", ""),
        Due::NotNow(NotNow::NotGood(why)) => say.nothing("not_good", &why),
        Due::Written(version) => say.done("written", &version),
        Due::Restarts(version) => say.done("restarts", &version),
    }
}

/// What programs read: docs/ref/update.md.
#[derive(Debug, Serialize)]
struct Said<'a> {
    format: u16,
    running: Option<&'a Version>,
    on_probation: bool,
    slots: Vec<(&'a Version, Tries)>,
    looked: Option<crate::types::WallNs>,
    candidate: Option<&'a Candidate>,
    good: Option<&'a Version>,
    refused: Vec<(&'a Version, Why)>,
    fell_back: Option<&'a Version>,
}

fn status(say: &Say, known: &Known, shown: &Shown) -> anyhow::Result<ExitCode> {
    let state = &known.state;
    let code = if state.fell_back().is_some() { ExitCode::from(NOT_ALL) } else { ExitCode::SUCCESS };
    if say.json {
        let said = Said {
            format: 1,
            running: known.running.as_ref(),
            on_probation: known.on_probation,
            slots: known.entries.iter().map(|e| (&e.version, e.tries)).collect(),
            looked: state.looked,
            candidate: state.candidate.as_ref(),
            good: state.good.as_ref().map(|g| &g.version),
            refused: state.refused.iter().map(|r| (&r.version, r.why)).collect(),
            fell_back: state.fell_back(),
        };
        print(&serde_json::to_string_pretty(&said)?);
    } else {
        print(&in_words(say, known, shown));
    }
    Ok(code)
}

/// What is known, for the console.
pub(super) fn text(known: &Known, lang: Lang, shown: &Shown) -> String {
    in_words(&Say { lang, json: false }, known, shown)
}

fn in_words(say: &Say, known: &Known, shown: &Shown) -> String {
    let state = &known.state;
    let mut lines = vec![match &known.running {
        Some(version) if known.on_probation && state.is_proven(version) => {
            say.t("proven_not_told", &[("version", version.as_str())])
        }
        Some(version) if known.on_probation => say.t("runs_on_probation", &[("version", version.as_str())]),
        Some(version) => say.t("runs", &[("version", version.as_str())]),
        None => say.t("no_image", &[]),
    }];
    if let Some(version) = known.running.as_ref().and_then(|running| state.left_behind(running)) {
        lines.push(say.t("left_behind", &[("version", version.as_str())]));
    }
    for entry in known.entries.iter().filter(|e| Some(&e.version) != known.running.as_ref()) {
        let version = entry.version.as_str();
        lines.push(match entry.tries {
            Tries::Left(0) => say.t("slot_spent", &[("version", version)]),
            Tries::Left(n) => say.t("slot_tries", &[("version", version), ("count", &n.to_string())]),
            Tries::NoEntry | Tries::NotCounted => say.t("slot", &[("version", version)]),
        });
    }
    lines.push(match state.looked {
        Some(at) => say.t("looked", &[("at", &shown.second(at)), ("zone", shown.zone())]),
        None => say.t("never_looked", &[]),
    });
    match &state.candidate {
        None => lines.push(say.t("none", &[])),
        Some(candidate) => {
            let key = match candidate.stage {
                Stage::Offered => "stage_offered",
                Stage::Consented => "stage_consented",
                Stage::Writing => "stage_writing",
                Stage::Applied => "stage_applied",
                Stage::Trying => "stage_trying",
            };
            let sums = candidate.sums.to_string();
            lines.push(say.t(key, &[("version", candidate.version.as_str()), ("sums", &sums)]));
        }
    }
    for refusal in &state.refused {
        let key = match (refusal.why, refusal.known) {
            (Why::Person, _) => "was_refused",
            (Why::FellBack, true) => "fell_back",
            (Why::FellBack, false) => "fell_back_new",
        };
        lines.push(say.t(key, &[("version", refusal.version.as_str()), ("at", &shown.second(refusal.at))]));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::{
        types::{WallNs, merkle::Hash},
        update::{Entry, Good, Refusal, State},
    };

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn known(stage: Option<Stage>) -> Known {
        let refusal = |v: &str, why, known| Refusal { version: version(v), why, at: WallNs(0), known };
        let entry = |v: &str, tries| Entry { name: String::new(), version: version(v), tries };
        let state = State {
            candidate: stage.map(|stage| Candidate {
                version: version("0.4.0"),
                sums: Hash([7; 32]),
                offered: WallNs(0),
                stage,
                written_in: None,
                failures: 0,
            }),
            looked: stage.map(|_| WallNs(0)),
            refused: vec![
                refusal("0.2.0", Why::Person, true),
                refusal("0.2.1", Why::FellBack, true),
                refusal("0.3.0", Why::FellBack, false),
            ],
            ..State::default()
        };
        Known {
            state,
            running: stage.map(|_| version("0.1.0")),
            on_probation: stage == Some(Stage::Trying),
            entries: vec![
                entry("0.1.0", Tries::NotCounted),
                entry("0.4.0", Tries::Left(2)),
                entry("0.3.0", Tries::Left(0)),
                entry("0.0.9", Tries::NotCounted),
            ],
        }
    }

    #[test]
    fn everything_that_can_be_said_has_words() {
        let shown = Shown::new(TimeZone::UTC);
        for lang in Lang::ALL {
            let say = Say { lang, json: false };
            let stages = [Stage::Offered, Stage::Consented, Stage::Writing, Stage::Applied, Stage::Trying];
            let mut all = std::collections::BTreeSet::new();
            for stage in stages.map(Some).into_iter().chain([None]) {
                let text = in_words(&say, &known(stage), &shown);
                assert!(!text.contains("update_cli.") && !text.contains('{'), "{lang}: {text}");
                assert!(stage.is_none() || text.contains(&"07".repeat(32)) || stage == Some(Stage::Trying), "{text}");
                assert!(all.insert(text));
            }
            // It is good, and the loader counts all the same; or the loader took the one before.
            let of = |good: &str, on_probation| {
                let mut known = known(Some(Stage::Offered));
                known.on_probation = on_probation;
                known.state.good = Some(Good { version: version(good), at: WallNs(0), boot: None });
                in_words(&say, &known, &shown)
            };
            for (good, on_probation, key) in [("0.1.0", true, "proven_not_told"), ("0.2.0", false, "left_behind")] {
                let line = say.t(key, &[("version", good)]);
                assert!(of(good, on_probation).contains(&line) && !line.contains("update_cli."), "{lang} {key}");
                assert!(!of("0.0.9", on_probation).contains(&line), "{lang} {key}");
            }
            for key in [
                "offered",
                "offered_already",
                "consented",
                "consented_already",
                "refused",
                "written",
                "restarts",
                "other",
                "not_due",
                "no_source",
                "nothing",
                "no_window",
                "other_hours",
                "passphrase",
                "no_stick",
                "busy",
                "not_good",
            ] {
                let text = say.t(key, &[("version", "0.4.0"), ("why", "x")]);
                assert!(!text.contains("update_cli.") && !text.contains('{'), "{lang} {key}: {text}");
            }
        }
    }
}
