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
    ledger::{Entry, LedgerError, Record, View, What},
    sys::{Clock as _, RealClock},
    types::{CameraId, Lang, Span, WallNs},
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
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    #[arg(long)]
    utc: bool,
    #[command(flatten)]
    source: Source,
}

/// So many entries in a row that are all older than what is asked for by [`MARGIN_NS`] end the search: what is before them is older still,
/// unless the clock was wrong for long.
const OLDER: usize = 256;
/// Entries come late by as much: those that a command left while the recorder did not run.
const MARGIN_NS: i64 = 86_400 * 1_000_000_000;

impl Args {
    /// Whether an entry was asked for. One that cannot be read is shown unless kinds or cameras were named.
    fn wants(&self, record: &Record, span: Span) -> bool {
        let Ok(entry) = record.entry() else {
            let in_time = time_of(record).is_none_or(|at| span.contains(at));
            return in_time && self.kind.is_empty() && self.camera.is_empty();
        };
        self.wants_entry(&entry, span)
    }

    /// What was asked for, looked for from the end of the log: no more of it is read than that takes.
    fn find(&self, view: &View, span: Span) -> Result<Vec<Record>, LedgerError> {
        let (mut found, mut older) = (Vec::new(), 0);
        let long_before = span.start.offset(-MARGIN_NS);
        let mut records = view.records_back();
        while found.len() < self.last.unwrap_or(usize::MAX)
            && older < OLDER
            && let Some(record) = records.next().transpose()?
        {
            older = if time_of(&record).is_some_and(|at| at < long_before) { older + 1 } else { 0 };
            found.extend(Some(record).filter(|record| self.wants(record, span)));
        }
        found.reverse();
        Ok(found)
    }

    fn wants_entry(&self, entry: &Entry, span: Span) -> bool {
        span.contains(entry.at)
            && (self.kind.is_empty() || self.kind.iter().any(|kind| kind == entry.what.kind()))
            && (self.camera.is_empty() || self.camera.iter().any(|camera| entry.what.concerns(camera)))
    }
}

/// When an entry was made, also one of a later version.
fn time_of(record: &Record) -> Option<WallNs> {
    match record.entry() {
        Ok(entry) => Some(entry.at),
        Err(_) => serde_json::from_slice::<Value>(&record.bytes).ok()?["at"].as_i64().map(WallNs),
    }
}

pub(super) fn run(args: &Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    if let Some(unknown) = args.kind.iter().find(|kind| !What::KINDS.contains(&kind.as_str())) {
        bail!("there is no kind {unknown:?}; there are {}", What::KINDS.join(", "));
    }
    let (shown, lang) = args.source.manners(args.utc, lang);
    let all = args.all || (args.last.is_some() && args.from.is_none() && args.to.is_none());
    let span = if all {
        Span::all()
    } else {
        time::span(args.from.as_deref(), args.to.as_deref(), shown.time_zone(), RealClock.wall())?
    };
    let view = args.source.view(&args.source.verifier()?)?;
    let found = args.find(&view, span)?;
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
    use std::sync::Arc;

    use clap::Parser;

    use super::*;
    use crate::{
        ledger::{Log, Place, samples::samples},
        sys::{FakeFiles, Files as _},
    };

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
        let (all, never) = (Span::all(), Span { start: samples()[0].at.offset(1), end: WallNs::MAX });
        assert_eq!(shown(&[], all).len(), samples().len());
        assert!(shown(&[], never).is_empty());
        assert_eq!(shown(&["--kind", "gap", "--kind", "verified"], all), ["gap", "gap", "verified", "verified"]);
        assert_eq!(shown(&["--kind", "hold", "--camera", "elsewhere"], all), ["hold"]);
        let args = Line::parse_from(["show"]).args;
        let later =
            |at: i64| Record { n: 0, bytes: format!(r#"{{"format":9,"at":{at},"kind":"novel"}}"#).into_bytes() };
        assert!(args.wants(&later(never.start.0), never) && !args.wants(&later(0), never));
    }
    /// Entries a minute apart, of two kinds in turn, in a log whose bundles before this one are gone.
    fn log_without_bundles_before(kept: u64, entries: i64) -> View {
        let files = FakeFiles::new();
        let place = Place { dir: "/ledger".into(), credential: None, origin: "custodian/school/a/record".into() };
        let mut log = Log::open(Arc::new(files.clone()), &place).unwrap();
        let all = (0..entries).map(|n| {
            let what = if n % 2 == 0 {
                What::ClockStep { by: n }
            } else {
                What::ServiceStopped { service: "record".into(), by: n.to_string() }
            };
            Entry::new(WallNs(n * MINUTE), "a".parse().unwrap(), what).to_bytes()
        });
        log.append(&all.collect::<Vec<_>>()).unwrap();
        for n in 0..kept {
            let bundle = place.public().join(format!("tile/entries/{n:03}"));
            assert!(files.read(&bundle).unwrap().is_some(), "{}", bundle.display());
            files.remove(&bundle).unwrap();
        }
        log.view()
    }

    const MINUTE: i64 = 60_000_000_000;

    fn numbers(line: &[&str], view: &View, span: Span) -> Result<Vec<u64>, LedgerError> {
        let args = Line::parse_from([&["show"], line].concat()).args;
        Ok(args.find(view, span)?.into_iter().map(|r| r.n).collect())
    }

    #[test]
    fn no_more_of_the_log_is_read_than_what_is_asked_for_takes() {
        // 3000 entries in 12 bundles, of which the last two are left, with 440 entries.
        let view = log_without_bundles_before(10, 3000);
        assert_eq!(numbers(&["--last", "3"], &view, Span::all()).unwrap(), [2997, 2998, 2999]);
        assert_eq!(numbers(&["--last", "440"], &view, Span::all()).unwrap().len(), 440);
        assert!(matches!(numbers(&["--last", "441"], &view, Span::all()), Err(LedgerError::Lost { .. })));
        let steps = numbers(&["--last", "220", "--kind", "clock-step"], &view, Span::all()).unwrap();
        assert_eq!((steps.len(), steps[0], steps[219]), (220, 2560, 2998));
        assert!(numbers(&["--last", "221", "--kind", "clock-step"], &view, Span::all()).is_err());

        // A day has 1440 entries: once 256 more are older than that, all is.
        let view = log_without_bundles_before(5, 6000);
        let span = Span { start: WallNs(4000 * MINUTE), end: WallNs(4003 * MINUTE) };
        assert_eq!(numbers(&[], &view, span).unwrap(), [4000, 4001, 4002]);
        let span = Span { start: WallNs(2000 * MINUTE), ..span };
        assert!(numbers(&[], &view, span).is_err(), "it goes on until it is sure");
    }
}
