//! `custodian ledger show`: what happened, in words.

use std::process::ExitCode;

use anyhow::bail;
use serde_json::{Value, json};

use super::{Source, words};
use crate::{
    cli::{
        table::{self, Table},
        time,
    },
    lang::t,
    ledger::{Entry, Record, What},
    sys::{Clock as _, RealClock},
    types::{CameraId, Lang, Span},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    #[arg(long, value_name = "ID")]
    camera: Vec<CameraId>,
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    #[arg(long, conflicts_with_all = ["from", "to"])]
    all: bool,
    #[arg(long)]
    utc: bool,
    #[command(flatten)]
    source: Source,
}

impl Args {
    /// Whether an entry was asked for. One that cannot be read is shown unless kinds or cameras were named.
    fn wants(&self, record: &Record, span: Span) -> bool {
        let Ok(entry) = record.entry() else {
            let at = serde_json::from_slice::<Value>(&record.bytes).ok().and_then(|json| json["at"].as_i64());
            let in_time = at.is_none_or(|at| span.contains(crate::types::WallNs(at)));
            return in_time && self.kind.is_empty() && self.camera.is_empty();
        };
        self.wants_entry(&entry, span)
    }

    fn wants_entry(&self, entry: &Entry, span: Span) -> bool {
        span.contains(entry.at)
            && (self.kind.is_empty() || self.kind.iter().any(|kind| kind == entry.what.kind()))
            && (self.camera.is_empty() || self.camera.iter().any(|camera| entry.what.concerns(camera)))
    }
}

pub(super) fn run(args: &Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    if let Some(unknown) = args.kind.iter().find(|kind| !What::KINDS.contains(&kind.as_str())) {
        bail!("there is no kind {unknown:?}; there are {}", What::KINDS.join(", "));
    }
    let (shown, lang) = args.source.manners(args.utc, lang);
    let span = if args.all {
        Span::all()
    } else {
        time::span(args.from.as_deref(), args.to.as_deref(), shown.time_zone(), RealClock.wall())?
    };
    let view = args.source.view(&args.source.verifier()?)?;
    let mut found = Vec::new();
    for record in view.records(0..view.size()) {
        found.extend(Some(record?).filter(|record| args.wants(record, span)));
    }
    let text = if args.source.json {
        let all: Vec<Value> = found.iter().map(as_json).collect();
        serde_json::to_string_pretty(&all)? + "\n"
    } else if found.is_empty() {
        t(lang, "ledger.none", &[("size", &view.size().to_string())]) + "\n"
    } else {
        let mut table = Table::default()
            .column(t(lang, "ledger.number", &[]), true)
            .column(t(lang, "ledger.time", &[]), false)
            .column(t(lang, "ledger.what", &[]), false);
        for record in &found {
            let (at, said) = words::record(record, &shown, lang);
            table.row(vec![record.n.to_string().into(), at.into(), said.into()]);
        }
        let (count, size) = (found.len().to_string(), view.size().to_string());
        let values = [("count", count.as_str()), ("size", &size), ("zone", shown.zone())];
        format!("{}{}\n", table.render(table::coloured()), t(lang, "ledger.total", &values))
    };
    table::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The entry as it stands, with its number.
fn as_json(record: &Record) -> Value {
    let entry = serde_json::from_slice(&record.bytes)
        .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&record.bytes).into_owned()));
    json!({ "n": record.n, "entry": entry })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::ledger::samples::samples;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn shown(line: &[&str], span: Span) -> Vec<&'static str> {
        let args = Line::parse_from([&["show"], line].concat()).args;
        let records = samples().into_iter().map(|e| Record { n: 0, bytes: e.to_bytes() });
        records.filter(|r| args.wants(r, span)).map(|r| r.entry().unwrap().what.kind()).collect()
    }

    #[test]
    fn kind_camera_and_span_are_chosen() {
        let (all, never) = (Span::all(), Span { start: samples()[0].at.offset(1), end: crate::types::WallNs::MAX });
        assert_eq!(shown(&[], all).len(), samples().len());
        assert!(shown(&[], never).is_empty());
        assert_eq!(shown(&["--kind", "gap", "--kind", "verified"], all), ["gap", "gap", "verified", "verified"]);
        assert_eq!(shown(&["--kind", "hold", "--camera", "elsewhere"], all), ["hold"]);
        let args = Line::parse_from(["show"]).args;
        let later =
            |at: i64| Record { n: 0, bytes: format!(r#"{{"format":9,"at":{at},"kind":"novel"}}"#).into_bytes() };
        assert!(args.wants(&later(never.start.0), never) && !args.wants(&later(0), never));
    }
}
