//! `custodian confirm`, `rollback`, `generations` and `diff`: the sites that were applied to this machine.

use std::{path::PathBuf, process::ExitCode};

use super::{
    apply::show,
    chosen, print, print_error,
    table::{self, Cell, Mood, Table},
    time::Shown,
};
use crate::{
    apply::{self, ApplyError, Doubt, Listed},
    lang::t,
    services::{
        applying::{self, Place, UNIT_DIR},
        paths,
    },
    sys::RealFiles,
    types::Lang,
};

#[derive(Debug, clap::Args)]
struct Folders {
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
    #[arg(long, value_name = "DIR", default_value = UNIT_DIR)]
    unit_dir: PathBuf,
}

impl From<Folders> for Place {
    fn from(f: Folders) -> Self {
        Self { state: f.state, unit_dir: f.unit_dir }
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct ConfirmArgs {
    #[command(flatten)]
    folders: Folders,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct RollbackArgs {
    #[arg(long, value_name = "N")]
    to: Option<u64>,
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[arg(long, conflicts_with_all = ["to", "reason"])]
    expired: bool,
    #[command(flatten)]
    folders: Folders,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct DiffArgs {
    #[arg(value_name = "N")]
    old: u64,
    #[arg(value_name = "M")]
    new: u64,
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
    #[arg(long)]
    json: bool,
}

fn language(place: &Place, flag: Option<Lang>) -> Lang {
    chosen(flag, place.site().map(|s| s.language()))
}

pub(super) fn confirm(args: ConfirmArgs, flag: Option<Lang>) -> anyhow::Result<ExitCode> {
    let place = Place::from(args.folders);
    let lang = language(&place, flag);
    let e = match place.act(apply::confirm) {
        Ok((generation, new)) if args.json => {
            print(&serde_json::json!({ "ok": true, "generation": generation, "changed": new }).to_string());
            return Ok(ExitCode::SUCCESS);
        }
        Ok((generation, new)) => {
            let key = if new { "apply.confirmed" } else { "apply.confirmed_already" };
            print(&t(lang, key, &[("generation", &generation.to_string())]));
            return Ok(ExitCode::SUCCESS);
        }
        Err(e) => e,
    };
    let Some(ApplyError::Doubts(doubts)) = e.downcast_ref() else { return Err(e) };
    if args.json {
        print(&serde_json::to_string_pretty(&serde_json::json!({ "ok": false, "doubts": doubts }))?);
    } else {
        let lines: Vec<String> = doubts.iter().map(|d| format!("  - {}", in_words(d, lang))).collect();
        print_error(&format!("{}\n{}", t(lang, "apply.doubts", &[]), lines.join("\n")));
    }
    Ok(ExitCode::FAILURE)
}

pub(super) fn in_words(doubt: &Doubt, lang: Lang) -> String {
    match doubt {
        Doubt::NoAnswer { why } => t(lang, "apply.doubt_no_answer", &[("why", why)]),
        Doubt::Stopped { camera } => t(lang, "apply.doubt_stopped", &[("camera", camera.as_str())]),
        Doubt::NoFootage { camera } => t(lang, "apply.doubt_no_footage", &[("camera", camera.as_str())]),
    }
}

pub(super) fn rollback(args: RollbackArgs, flag: Option<Lang>) -> anyhow::Result<ExitCode> {
    let place = Place::from(args.folders);
    let report =
        if args.expired { place.act(apply::expire)? } else { applying::rollback(&place, args.to, args.reason)? };
    show(&report, &place, args.json, language(&place, flag))
}

pub(super) fn list(args: ListArgs, flag: Option<Lang>) -> anyhow::Result<ExitCode> {
    let all = apply::list(&RealFiles, &args.state)?;
    if args.json {
        print(&serde_json::to_string_pretty(&all)?);
        return Ok(ExitCode::SUCCESS);
    }
    let place = Place { state: args.state, unit_dir: UNIT_DIR.into() };
    let site = place.site();
    let lang = chosen(flag, site.as_ref().map(crate::site::Site::language));
    let shown = Shown::new(site.map_or(jiff::tz::TimeZone::UTC, |s| s.timezone().clone()));
    table::print(&as_table(&all, &shown, lang))?;
    Ok(ExitCode::SUCCESS)
}

fn as_table(all: &[Listed], shown: &Shown, lang: Lang) -> String {
    if all.is_empty() {
        return t(lang, "apply.nothing", &[]) + "\n";
    }
    let mut table = Table::default()
        .column(t(lang, "generations.number", &[]), true)
        .column(format!("{} ({})", t(lang, "generations.at", &[]), shown.zone()), false)
        .column(t(lang, "generations.by", &[]), false)
        .column(t(lang, "generations.version", &[]), false)
        .column(t(lang, "generations.state", &[]), false);
    for one in all {
        let state = match (one.current, one.on_trial) {
            (_, true) => Cell::new(t(lang, "generations.on_trial", &[]), Mood::Warn),
            (true, _) => Cell::new(t(lang, "generations.current", &[]), Mood::Good),
            _ if one.confirmed => t(lang, "generations.confirmed", &[]).into(),
            _ => match one.meta.repeats {
                Some(n) => t(lang, "generations.repeats", &[("generation", &n.to_string())]).into(),
                None => "".into(),
            },
        };
        table.row(vec![
            one.meta.number.to_string().into(),
            shown.second(one.meta.at).into(),
            one.meta.by.as_str().into(),
            one.meta.version.as_str().into(),
            state,
        ]);
    }
    table.render(table::coloured())
}

pub(super) fn diff(args: DiffArgs, flag: Option<Lang>) -> anyhow::Result<ExitCode> {
    let difference = apply::diff(&RealFiles, &args.state, args.old, args.new)?;
    if args.json {
        print(&serde_json::to_string_pretty(&difference)?);
        return Ok(ExitCode::SUCCESS);
    }
    let lang = language(&Place { state: args.state, unit_dir: UNIT_DIR.into() }, flag);
    let secrets = if difference.secrets { "generations.secrets_changed" } else { "generations.secrets_same" };
    let site = if difference.site.is_empty() { t(lang, "generations.site_same", &[]) } else { difference.site };
    print(&format!("{}\n{}", site.trim_end(), t(lang, secrets, &[])));
    Ok(ExitCode::SUCCESS)
}
