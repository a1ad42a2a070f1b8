//! `custodian health silence`: work that is announced, so that nobody is alarmed meanwhile.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, bail};
use nix::unistd::geteuid;

use super::{Place, ask, say};
use crate::{
    cli::{demo::duration, table},
    lang::t,
    services::{
        applying::who,
        health::announcing::{self, LONGEST, Work},
        paths::{self, Paths},
    },
    sys::{Clock as _, RealClock},
    types::{
        CameraId, Lang,
        wire::health::{Probe, Report},
    },
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long = "for", value_name = "DURATION", value_parser = length, required_unless_present_any = ["end", "list"],
        conflicts_with_all = ["end", "list"])]
    length: Option<Duration>,
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["end", "list"], conflicts_with_all = ["end", "list"])]
    reason: Option<String>,
    #[arg(long, value_name = "PROBE", value_parser = probe, conflicts_with_all = ["end", "list"])]
    probe: Vec<Probe>,
    #[arg(long, value_name = "ID", conflicts_with_all = ["end", "list"])]
    camera: Vec<CameraId>,
    #[arg(long, value_name = "TEXT", conflicts_with = "list")]
    by: Option<String>,
    #[arg(long, value_name = "ID", conflicts_with = "list")]
    end: Option<String>,
    #[arg(long)]
    list: bool,
    #[arg(long)]
    json: bool,
    #[arg(long)]
    utc: bool,
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
}

/// Days are written as often as hours.
pub(in crate::cli) fn length(text: &str) -> Result<Duration, String> {
    let days = text.trim().strip_suffix('d').and_then(|days| days.trim().parse::<u64>().ok());
    let length = match days {
        Some(days) => Duration::from_secs(days.saturating_mul(86_400)),
        None => duration(text)?,
    };
    match length {
        Duration::ZERO => Err("no time at all; write 30m, 2h or 1d".into()),
        length if length > LONGEST => Err("7 days at most; announce it again when these are over".into()),
        length => Ok(length),
    }
}

fn probe(text: &str) -> Result<Probe, String> {
    let names = || Probe::ALL.map(Probe::as_str).join(", ");
    Probe::ALL.into_iter().find(|p| p.as_str() == text).ok_or_else(names)
}

pub(super) fn run(args: Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let place = Place { state: args.state.clone(), site: None, secrets: None, recorder: None };
    let (shown, lang) = place.manners(args.utc, lang);
    let paths = Paths::new(&args.state);
    let report = || {
        ask(&paths, lang)?.with_context(|| {
            format!("health does not answer at {}: is it running, with this --state?", paths.health_socket().display())
        })
    };
    if args.list {
        let silences = report()?.silences;
        let text = if args.json {
            serde_json::to_string_pretty(&silences)? + "\n"
        } else {
            say::silences(&report()?, &shown, lang)
        };
        table::print(&text)?;
        return Ok(ExitCode::SUCCESS);
    }
    // Elsewhere than in the standard folder whoever runs the recorder may: it is a trial.
    if place.is_standard() && !geteuid().is_root() {
        bail!("only root may announce work on this machine, or end it: nothing was changed");
    }
    let report: Report = report()?;
    let by = args.by.clone().unwrap_or_else(who);
    let now = RealClock.wall();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (silence, key) = match (args.end, args.length, args.reason) {
        (Some(id), ..) => (runtime.block_on(announcing::end(&paths, &report, &id, by, now))?, "silence_ended"),
        (None, Some(length), Some(reason)) => {
            let work = Work { span: (now, now + length), probes: args.probe, cameras: args.camera, by, reason };
            (runtime.block_on(announcing::begin(&paths, &report, work))?, "silence_begun")
        }
        _ => bail!("--for and --reason say what is announced"),
    };
    let text = if args.json {
        serde_json::to_string_pretty(&silence)?
    } else {
        let (id, until) = (silence.id.as_simple().to_string(), shown.second(silence.until));
        let values = [("id", &id[..8]), ("until", &until), ("zone", shown.zone())];
        t(lang, &format!("health_cli.{key}"), &values)
    };
    table::print(&(text + "\n"))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_seven_days_at_most() {
        let hours = |text| length(text).map(|l| l.as_secs() / 3600);
        assert_eq!((hours("2h"), hours("7d"), hours("168h"), hours("90m")), (Ok(2), Ok(168), Ok(168), Ok(1)));
        for wrong in ["0s", "8d", "169h", "99999999999999999999d", "soon", "-2h", ""] {
            assert!(length(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn probes_have_their_names() {
        assert_eq!(probe("camera-clock"), Ok(Probe::CameraClock));
        assert!(probe("cameras").unwrap_err().contains("footage, gaps"));
    }
}
