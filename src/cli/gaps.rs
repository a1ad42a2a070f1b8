//! `custodian gaps`: when there was no footage, and why.

use std::process::ExitCode;

use serde_json::json;

use super::{
    table::{self, Cell, Mood, Table},
    time,
    window::{self, Window},
};
use crate::{
    lang::t,
    sys::{Clock as _, RealClock},
    types::{Cause, Lang, StreamKey, wire::Gap},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    window: window::Args,
}

pub(super) fn run(args: &Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let window = Window::open(&args.window, lang)?;
    let mut rows = Vec::new();
    for stream in &window.streams {
        rows.extend(window.index.gaps(stream.id, window.span)?.into_iter().map(|gap| (stream, gap)));
    }
    let text = if args.window.json {
        let all: Vec<_> = rows.iter().map(|(stream, gap)| as_json(stream, gap)).collect();
        serde_json::to_string_pretty(&all)? + "\n"
    } else {
        as_table(&window, &rows)
    };
    table::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn as_json(stream: &StreamKey, gap: &Gap) -> serde_json::Value {
    json!({
        "camera": stream.camera, "stream": stream.kind, "start": gap.start, "end": gap.end,
        "start_utc": gap.start.to_string(), "end_utc": gap.end.map(|t| t.to_string()), "cause": gap.cause,
    })
}

/// The cause in the words of people.
pub(super) fn in_words(cause: &Cause, lang: Lang) -> String {
    t(lang, &format!("cause.{}", cause.kind), &[])
}

fn as_table(window: &Window, rows: &[(&StreamKey, Gap)]) -> String {
    let lang = window.lang;
    if rows.is_empty() {
        return t(lang, "gaps.none", &[]) + "\n";
    }
    let mut table = Table::default()
        .column(t(lang, "gaps.camera", &[]), false)
        .column(t(lang, "gaps.stream", &[]), false)
        .column(t(lang, "gaps.start", &[]), false)
        .column(t(lang, "gaps.end", &[]), false)
        .column(t(lang, "gaps.length", &[]), true)
        .column(t(lang, "gaps.cause", &[]), false)
        .column(t(lang, "gaps.detail", &[]), false);
    let now = RealClock.wall();
    let mut sum = 0i64;
    for (stream, gap) in rows {
        let length = gap.end.unwrap_or(now).since(gap.start).max(0);
        sum = sum.saturating_add(length);
        let end = match gap.end {
            Some(end) => window.shown.second(end).into(),
            None => Cell::new(t(lang, "gaps.lasts", &[]), Mood::Bad),
        };
        table.row(vec![
            stream.camera.as_str().into(),
            stream.kind.as_str().into(),
            window.shown.second(gap.start).into(),
            end,
            time::length(length).into(),
            in_words(&gap.cause, lang).into(),
            gap.cause.detail.as_str().into(),
        ]);
    }
    let (count, length) = (rows.len().to_string(), time::length(sum));
    let values = [("count", &*count), ("length", &*length), ("zone", window.shown.zone())];
    format!("{}{}\n", table.render(table::coloured()), t(lang, "gaps.total", &values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::CauseKind;

    #[test]
    fn every_cause_has_words() {
        for (lang, kind) in Lang::ALL.into_iter().flat_map(|lang| CauseKind::ALL.map(|kind| (lang, kind))) {
            let words = in_words(&Cause::new(kind, ""), lang);
            assert!(!words.starts_with("cause."), "{lang}: {words}");
        }
    }
}
