//! `custodian backup list`: the records of backups; of one a sheet that can be printed.

use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::{Here, Where, sheet};
use crate::{
    backup::{BackupError, BackupId, ClearRecord, Outcome, Record},
    cli::{
        table::{self, Cell, Mood, Table},
        time::Shown,
    },
    lang::t,
    services::backup::{at_place, records},
    types::{ByteSize, Lang},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(value_name = "ID")]
    id: Option<BackupId>,
    #[command(flatten)]
    here: Here,
    #[command(flatten)]
    at: Where,
    #[arg(long)]
    utc: bool,
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let (lang, shown) = args.here.manners(lang);
    let shown = if args.utc { Shown::new(jiff::tz::TimeZone::UTC) } else { shown };
    if args.at.is_named() {
        return at_places(args, &shown, lang);
    }
    let records = records(&args.here.state)?;
    let text = match &args.id {
        Some(id) => {
            let record = records.iter().find(|r| r.id == *id);
            let record = record.with_context(|| format!("this recorder has made no backup {id}"))?;
            if args.json { serde_json::to_string_pretty(record)? + "\n" } else { sheet::sheet(record, &shown, lang) }
        }
        None if args.json => serde_json::to_string_pretty(&records)? + "\n",
        None => as_table(&records, &shown, lang),
    };
    table::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn as_table(records: &[Record], shown: &Shown, lang: Lang) -> String {
    if records.is_empty() {
        return t(lang, "backup.none", &[]) + "\n";
    }
    let head = |key: &str| t(lang, &format!("backup.{key}"), &[]);
    let mut table = Table::default()
        .column(head("id"), false)
        .column(head("begun"), false)
        .column(head("place"), false)
        .column(head("result"), false)
        .column(head("files"), true)
        .column(head("size"), true)
        .column(head("new"), true)
        .column(head("checked"), false);
    for r in records {
        let count =
            |of: fn(&ClearRecord) -> u64| r.sealed.as_ref().map_or_else(|| "–".to_owned(), |s| of(s).to_string());
        let size = |of: fn(&ClearRecord) -> u64| {
            r.sealed.as_ref().map_or_else(|| "–".to_owned(), |s| ByteSize(of(s)).to_string())
        };
        let mood = match r.outcome {
            _ if r.removed.is_some() => Mood::Plain,
            Outcome::Complete => Mood::Good,
            Outcome::Incomplete | Outcome::Running => Mood::Warn,
            Outcome::Failed | Outcome::Cut => Mood::Bad,
        };
        let result = if r.removed.is_some() { head("outcome_removed") } else { sheet::outcome(r.outcome, lang) };
        let checked = match &r.check {
            None => Cell::from("–"),
            Some(check) if check.damaged.is_empty() => Cell::new(shown.second(check.at), Mood::Good),
            Some(check) => Cell::new(format!("{}: {}", shown.second(check.at), head("check_damaged")), Mood::Bad),
        };
        table.row(vec![
            r.id.as_str().into(),
            shown.second(r.started).into(),
            r.to.0.as_str().into(),
            Cell::new(result, mood),
            count(|s| s.files).into(),
            size(|s| s.bytes).into(),
            size(|s| s.new_bytes).into(),
            checked,
        ]);
    }
    table.render(table::coloured())
}

/// What lies at places, which may not be what this machine has records of.
fn at_places(args: &Args, shown: &Shown, lang: Lang) -> anyhow::Result<ExitCode> {
    let head = |key: &str| t(lang, &format!("backup.{key}"), &[]);
    let mut all = Vec::new();
    let mut code = ExitCode::SUCCESS;
    for place in args.at.connect(&args.here)? {
        let found = match at_place(&place) {
            Ok(found) => found,
            // One place that does not answer is no matter of the others.
            Err(e) => {
                log::error!("{e:#}");
                code = ExitCode::FAILURE;
                continue;
            }
        };
        all.extend(
            found
                .into_iter()
                .filter(|r| args.id.as_ref().is_none_or(|id| r.id == *id))
                .map(|r| (place.label.clone(), r)),
        );
    }
    if let Some(id) = args.id.as_ref().filter(|_| all.is_empty()) {
        return Err(BackupError::NoBackup(id.clone()).into());
    }
    if args.json {
        let all: Vec<_> = all.iter().map(|(place, record)| json!({ "place": place, "record": record })).collect();
        table::print(&(serde_json::to_string_pretty(&all)? + "\n"))?;
        return Ok(code);
    }
    let mut table = Table::default()
        .column(head("id"), false)
        .column(head("begun"), false)
        .column(head("place"), false)
        .column(head("files"), true)
        .column(head("size"), true)
        .column(head("lacking"), true);
    for (place, r) in &all {
        table.row(vec![
            r.id.as_str().into(),
            shown.second(r.started).into(),
            place.0.as_str().into(),
            r.files.to_string().into(),
            ByteSize(r.bytes).to_string().into(),
            r.missing.to_string().into(),
        ]);
    }
    let text = if table.is_empty() { t(lang, "backup.none", &[]) + "\n" } else { table.render(table::coloured()) };
    table::print(&text)?;
    Ok(code)
}
