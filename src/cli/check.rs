//! `custodian check`: is site.toml right, and if not, everything that is wrong with it.

use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use serde_json::json;

use super::chosen;
use crate::{
    lang::t,
    site::{self, Errors, LoadError, Site, secrets, secrets::SecretsError},
    types::{CameraId, Lang},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    #[arg(long)]
    json: bool,
}

/// The site's file where none is named: here, else the system's.
pub(super) fn site_file(named: Option<&Path>) -> PathBuf {
    let here = Path::new("site.toml");
    match named {
        Some(path) => path.to_owned(),
        None if here.exists() => here.to_owned(),
        None => PathBuf::from("/etc/custodian/site.toml"),
    }
}

/// Site and secrets, or the errors of both.
fn judge(args: &Args) -> anyhow::Result<Result<Site, Vec<Errors>>> {
    let site = match site::load(&site_file(args.site.as_deref())) {
        Ok(site) => Ok(site),
        Err(LoadError::Refused { errors, .. }) => Err(errors),
        Err(e) => return Err(e.into()),
    };
    let secrets = match args.secrets.as_deref().map(secrets::load) {
        None => None,
        Some(Ok(secrets)) => Some(Ok(secrets)),
        Some(Err(SecretsError::Refused { errors, .. })) => Some(Err(errors)),
        Some(Err(e)) => return Err(e.into()),
    };
    Ok(match (site, secrets) {
        (Ok(site), Some(Ok(secrets))) => secrets.cover(&site).map(|()| site).map_err(|e| vec![e]),
        (Ok(site), None) => Ok(site),
        (Err(errors), Some(Err(more))) => Err(vec![errors, more]),
        (Ok(_), Some(Err(errors))) | (Err(errors), _) => Err(vec![errors]),
    })
}

pub(super) fn run(args: &Args, flag: Option<Lang>) -> anyhow::Result<ExitCode> {
    let judged = judge(args)?;
    let said = match &judged {
        Ok(site) => Some(site.language()),
        Err(all) => all.iter().find_map(Errors::language),
    };
    let lang = chosen(flag, said);
    let text =
        if args.json { json_of(&judged, lang)? } else { text_of(&judged, lang, std::io::stdout().is_terminal()) };
    std::io::stdout().lock().write_all(text.as_bytes()).context("the answer could not be written")?;
    Ok(if judged.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn json_of(judged: &Result<Site, Vec<Errors>>, lang: Lang) -> anyhow::Result<String> {
    let value = match judged {
        Ok(site) => json!({
            "ok": true,
            "site": site.name(),
            "cameras": site.cameras().len(),
            "recorders": site.recorders().len(),
            "stated_bytes": site.stated_size(),
            "min_days": site.retention().min_days,
            "not_carried_out": site.not_carried_out(),
            "cameras_elsewhere": site.recorders().flat_map(|r| site.cameras_elsewhere(r)).collect::<Vec<_>>(),
            "errors": [],
        }),
        Err(all) => json!({ "ok": false, "errors": all.iter().flat_map(|e| e.reports(lang)).collect::<Vec<_>>() }),
    };
    Ok(serde_json::to_string_pretty(&value)? + "\n")
}

/// All that is wrong, each with its place.
pub(super) fn text_of_errors(all: &[Errors], lang: Lang, colour: bool) -> String {
    let count = all.iter().map(Errors::len).sum::<usize>().to_string();
    let rendered: String = all.iter().map(|e| e.render(lang, colour)).collect();
    let key = if count == "1" { "check.refused_one" } else { "check.refused" };
    format!("{rendered}{}\n", t(lang, key, &[("count", &count)]))
}

fn text_of(judged: &Result<Site, Vec<Errors>>, lang: Lang, colour: bool) -> String {
    let site = match judged {
        Ok(site) => site,
        Err(all) => return text_of_errors(all, lang, colour),
    };
    let days = site
        .retention()
        .min_days
        .map_or_else(|| t(lang, "check.days_open", &[]), |days| t(lang, "check.days", &[("days", &days.to_string())]));
    let mut text = t(
        lang,
        "check.ok",
        &[
            ("site", site.name()),
            ("cameras", &site.cameras().len().to_string()),
            ("recorders", &site.recorders().len().to_string()),
            ("size", &site.stated_size().to_string()),
            ("days", &days),
        ],
    );
    text.push('\n');
    for recorder in site.recorders() {
        let elsewhere: Vec<&str> = site.cameras_elsewhere(recorder).into_iter().map(CameraId::as_str).collect();
        if !elsewhere.is_empty() {
            let values = [("recorder", recorder.id.as_str()), ("cameras", &elsewhere.join(", "))];
            text += &t(lang, "check.elsewhere", &values);
            text.push('\n');
        }
    }
    if !site.not_carried_out().is_empty() {
        text += &t(lang, "check.later", &[("keys", &site.not_carried_out().join(", "))]);
        text.push('\n');
    }
    text
}
