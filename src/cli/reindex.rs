//! `custodian reindex`: makes the index anew from the volumes alone.

use std::{path::PathBuf, process::ExitCode};

use super::{check::site_file, chosen, print};
use crate::{
    lang::t,
    services::{paths, record},
    types::{Lang, RecorderId},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
    #[arg(long, value_name = "NAME")]
    recorder: Option<RecorderId>,
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let site = crate::site::load(&site_file(args.site.as_deref()))?;
    let lang = chosen(lang, Some(site.language()));
    let progress = |volume: &str, segments: u64| {
        if !args.json {
            log::info!(VOLUME = volume, COUNT = segments; "volume {volume}: {segments} segments so far");
        }
    };
    let report = record::reindex(&site, args.recorder.as_ref(), &args.state, &progress)?;
    if args.json {
        print(&serde_json::to_string_pretty(&report)?);
        return Ok(ExitCode::SUCCESS);
    }
    let (segments, runs, recovered) =
        (report.segments.to_string(), report.runs.to_string(), report.recovered.to_string());
    print(&t(lang, "reindex.done", &[("segments", &segments), ("runs", &runs), ("recovered", &recovered)]));
    for foreign in &report.foreign {
        print(&t(lang, "reindex.foreign", &[("file", foreign)]));
    }
    Ok(ExitCode::SUCCESS)
}
