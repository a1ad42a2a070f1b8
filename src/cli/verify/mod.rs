//! `custodian verify`: reads footage again and says which second of which camera is not what was recorded.

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde_json::json;

use super::{
    NOT_ALL,
    progress::{Done, Progress},
    table, time,
    time::Shown,
    window::manners,
};
use crate::{
    lang::t,
    services::{
        paths::{self, Paths},
        record::Signals,
        verify::{Ask, Event, Outcome, Report, Scope, finding_json, verify},
    },
    store::{index::Reader, verify::Finding},
    sys::{Clock as _, RealClock},
    types::{ByteSize, CameraId, Lang, RecorderId, Span, VolumeName},
};

/// A round of the scrub begins so often.
const EVERY: Duration = Duration::from_hours(30 * 24);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long, value_name = "NAME")]
    volume: Vec<VolumeName>,
    #[arg(long, value_name = "ID")]
    camera: Vec<CameraId>,
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    #[arg(long, value_name = "TIME/TIME", allow_hyphen_values = true, conflicts_with_all = ["from", "to"])]
    span: Option<String>,
    #[arg(long, value_name = "50MB/s", value_parser = rate)]
    rate: Option<ByteSize>,
    #[arg(long, conflicts_with_all = ["volume", "camera", "from", "to", "span"])]
    scrub: bool,
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
    #[arg(long, value_name = "NAME", requires = "site")]
    recorder: Option<RecorderId>,
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
    #[arg(long)]
    utc: bool,
    #[arg(long)]
    json: bool,
}

fn rate(text: &str) -> Result<ByteSize, String> {
    let size = text.trim().strip_suffix("/s").ok_or("write a rate such as 50MB/s")?;
    size.parse().map_err(|e: crate::types::UnitError| e.to_string())
}

pub(super) fn run(args: Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    // Before the first thread, so that all of them leave the signals to us.
    let stop = stop_by_signal(Signals::take()?)?;
    let index = Reader::open(&Paths::new(&args.state).index())?;
    let (zone, lang) = manners(&index, args.utc, lang)?;
    drop(index);
    let span = span(&args, &zone)?;
    let ask = Ask {
        state: args.state,
        site: args.site,
        recorder: args.recorder,
        scope: Scope { volumes: args.volume, cameras: args.camera, span },
        rate: args.rate,
        every: args.scrub.then_some(EVERY),
    };
    let words = Words { lang, shown: Shown::new(zone), json: args.json };
    let mut bar = Progress::new(lang, args.json);
    let outcome = verify(&ask, &RealClock, &stop, &mut |event| match event {
        Event::Progress(p) => {
            let size = |bytes| ByteSize(bytes).to_string();
            let said = || t(lang, "verify.progress", &[("done", &size(p.bytes)), ("all", &size(p.of_bytes))]);
            bar.show(Done::Bytes(p.bytes, p.of_bytes), said, || {
                json!({
                    "type": "progress",
                    "segments": p.segments,
                    "of_segments": p.of_segments,
                    "bytes": p.bytes,
                    "of_bytes": p.of_bytes,
                })
            });
        }
        Event::Found(finding) => {
            bar.clear();
            words.found(finding);
        }
    });
    bar.clear();
    match outcome? {
        Outcome::NotDue(when) => {
            words.not_due(when);
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Verified(report) => {
            words.report(&report);
            Ok(code(&report, &ask))
        }
    }
}

/// Set when a signal asks for the end. A second one does not wait for a disk that hangs.
fn stop_by_signal(signals: Signals) -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        while signals.next().is_ok() {
            if asked.swap(true, Ordering::SeqCst) {
                std::process::exit(1);
            }
        }
    })?;
    Ok(stop)
}

/// The time asked for; nothing if all.
fn span(args: &Args, zone: &jiff::tz::TimeZone) -> anyhow::Result<Option<Span>> {
    let now = RealClock.wall();
    let (from, to) = match &args.span {
        Some(span) => {
            let (from, to) = span.split_once('/').context("--span: write TIME/TIME, such as -2h/now")?;
            (Some(from), Some(to))
        }
        None => (args.from.as_deref(), args.to.as_deref()),
    };
    let at = |text: Option<&str>| text.map(|text| time::parse(text, zone, now)).transpose();
    let (start, end) = (at(from).context("from")?, at(to).context("to")?);
    if start.is_none() && end.is_none() {
        return Ok(None);
    }
    let all = Span::all();
    match Span::new(start.unwrap_or(all.start), end.unwrap_or(all.end)) {
        Some(span) => Ok(Some(span)),
        None => bail!("the end lies before the beginning"),
    }
}

/// A scrub that is interrupted goes on at the next time, and a volume that is away is no news from it.
fn code(report: &Report, ask: &Ask) -> ExitCode {
    if report.is_damaged() {
        ExitCode::from(NOT_ALL)
    } else if report.is_complete() || ask.every.is_some() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Prints a line of what was asked for. Who has closed the pipe does not want to hear of it.
fn line(text: &str) {
    if let Err(e) = table::print(&format!("{text}\n")) {
        log::debug!("a line could not be printed: {e}");
    }
}

/// How things are said.
struct Words {
    lang: Lang,
    shown: Shown,
    json: bool,
}

impl Words {
    fn object(kind: &str, mut value: serde_json::Value) {
        if let Some(object) = value.as_object_mut() {
            object.insert("type".into(), kind.into());
        }
        line(&value.to_string());
    }

    fn found(&self, f: &Finding) {
        if self.json {
            return Self::object("finding", finding_json(f));
        }
        let what = t(self.lang, &format!("verify.kind_{}", f.flaw.kind.code()), &[]);
        let detail = f.flaw.kind.detail();
        let detail = if detail.is_empty() { detail } else { format!(" ({detail})") };
        let span = f.flaw.span;
        // Names and paths come from files: nothing in them moves the cursor.
        let printable = |text: &str| text.replace(|c: char| c.is_control(), " ");
        let values = [
            ("camera", f.camera.as_str()),
            ("stream", f.stream.as_str()),
            ("from", &*self.shown.second(span.start)),
            ("to", &*self.shown.second(span.end)),
            ("what", &*what),
            ("detail", &*printable(&detail)),
            ("volume", f.volume.as_str()),
            ("file", &*printable(&f.path)),
        ];
        line(&t(self.lang, "verify.found", &values));
    }

    fn not_due(&self, when: crate::types::WallNs) {
        if self.json {
            return Self::object("not-due", json!({ "next": when, "next_utc": when.to_string() }));
        }
        line(&t(self.lang, "verify.not_due", &[("when", &self.shown.second(when)), ("zone", self.shown.zone())]));
    }

    fn report(&self, report: &Report) {
        if self.json {
            let mut value = serde_json::to_value(report).unwrap_or_default();
            if let Some(object) = value.as_object_mut() {
                // Each had a line of its own.
                object.remove("findings");
                object.remove("lines");
                object.insert("complete".into(), report.is_complete().into());
            }
            return Self::object("result", value);
        }
        let say = |key: &str, values: &[(&str, &str)]| line(&t(self.lang, key, values));
        for absent in &report.absent {
            let segments = absent.segments.to_string();
            say("verify.absent", &[("volume", absent.volume.as_str()), ("segments", &segments), ("why", &absent.why)]);
        }
        for file in &report.unknown_files {
            say("verify.unknown", &[("file", file)]);
        }
        if let Some(why) = &report.ledger_problem {
            say("verify.ledger_bad", &[("why", why)]);
        } else if report.ledger == 0 {
            say("verify.no_ledger", &[]);
        } else if report.unlogged > 0 {
            say("verify.unlogged", &[("segments", &report.unlogged.to_string())]);
        }
        if report.interrupted {
            say("verify.interrupted", &[]);
        }
        let values = [
            ("segments", &*report.segments.to_string()),
            ("size", &*ByteSize(report.bytes).to_string()),
            ("time", &*time::length(report.ended.since(report.began))),
            ("count", &*report.found.to_string()),
            ("zone", self.shown.zone()),
        ];
        say(if report.is_damaged() { "verify.damaged" } else { "verify.intact" }, &values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_size_in_a_second() {
        assert_eq!(rate("50MB/s"), Ok(ByteSize(50_000_000)));
        assert_eq!(rate("1.5 MiB/s"), Ok(ByteSize(1_572_864)));
        for bad in ["50MB", "50 Mbit/s", "0 MB/s", "fast", "/s"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_kind_has_words() {
        for code in crate::store::verify::Kind::CODES {
            for lang in Lang::ALL {
                let words = t(lang, &format!("verify.kind_{code}"), &[]);
                assert!(!words.starts_with("verify."), "{lang}: {words}");
            }
        }
    }
}
