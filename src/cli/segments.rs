//! `custodian segments`: the files that hold a span of footage.

use std::process::ExitCode;

use serde_json::json;

use super::{
    table::{self, Cell, Mood, Table},
    time,
    window::{self, Window},
};
use crate::{
    lang::t,
    store::index::{SegmentRow, SegmentState},
    types::{ByteSize, Lang, StreamKey},
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
        rows.extend(window.index.segments(stream.id, window.span)?.into_iter().map(|row| (stream, row)));
    }
    let text = if args.window.json {
        let all: Vec<_> = rows.iter().map(|(stream, row)| as_json(stream, row)).collect();
        serde_json::to_string_pretty(&all)? + "\n"
    } else {
        as_table(&window, &rows)
    };
    table::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Times in nanoseconds, as on the sockets, and in words of RFC 3339.
fn as_json(stream: &StreamKey, row: &SegmentRow) -> serde_json::Value {
    json!({
        "camera": stream.camera, "stream": stream.kind, "stream_id": row.id.stream, "run": row.id.run, "seq": row.id.seq,
        "volume": row.volume, "path": row.path, "start": row.span.start, "end": row.span.end,
        "start_utc": row.span.start.to_string(), "end_utc": row.span.end.to_string(),
        "clock_correction": row.clock_correction, "bytes": row.bytes, "frames": row.frames,
        "lost_packets": row.lost_packets, "state": row.state,
    })
}

fn as_table(window: &Window, rows: &[(&StreamKey, SegmentRow)]) -> String {
    let lang = window.lang;
    if rows.is_empty() {
        return t(lang, "segments.none", &[]) + "\n";
    }
    let mut table = Table::default()
        .column(t(lang, "segments.camera", &[]), false)
        .column(t(lang, "segments.stream", &[]), false)
        .column(t(lang, "segments.start", &[]), false)
        .column(t(lang, "segments.length", &[]), true)
        .column(t(lang, "segments.size", &[]), true)
        .column(t(lang, "segments.frames", &[]), true)
        .column(t(lang, "segments.lost", &[]), true)
        .column(t(lang, "segments.state", &[]), false)
        .column(t(lang, "segments.volume", &[]), false)
        .column(t(lang, "segments.file", &[]), false);
    let (mut bytes, mut length) = (0u64, 0i64);
    for (stream, row) in rows {
        bytes = bytes.saturating_add(row.bytes);
        length = length.saturating_add(row.span.len_ns());
        let (state, mood) = match row.state {
            SegmentState::Open => (t(lang, "segments.open", &[]), Mood::Good),
            SegmentState::Closed => (t(lang, "segments.closed", &[]), Mood::Plain),
            SegmentState::Recovered => (t(lang, "segments.recovered", &[]), Mood::Warn),
            SegmentState::Retiring => (t(lang, "segments.retiring", &[]), Mood::Plain),
        };
        let lost = if row.lost_packets > 0 { Mood::Warn } else { Mood::Plain };
        table.row(vec![
            stream.camera.as_str().into(),
            stream.kind.as_str().into(),
            window.shown.second(row.span.start).into(),
            time::length(row.span.len_ns()).into(),
            ByteSize(row.bytes).to_string().into(),
            row.frames.to_string().into(),
            Cell::new(row.lost_packets.to_string(), lost),
            Cell::new(state, mood),
            row.volume.as_str().into(),
            row.path.as_str().into(),
        ]);
    }
    let (count, size, length) = (rows.len().to_string(), ByteSize(bytes).to_string(), time::length(length));
    let values = [("count", &*count), ("size", &*size), ("length", &*length), ("zone", window.shown.zone())];
    format!("{}{}\n", table.render(table::coloured()), t(lang, "segments.total", &values))
}
