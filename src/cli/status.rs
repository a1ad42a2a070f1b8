//! `custodian status`: what the recorder does now.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use jiff::tz::TimeZone;

use super::{
    chosen,
    gaps::in_words,
    table::{self, Cell, Mood, Table},
    time::{self, Shown},
    window::manners,
};
use crate::{
    lang::t,
    services::{
        paths::{self, Paths},
        socket::{self, AskError},
    },
    store::index::Reader,
    types::{
        CameraId, Lang, WallNs,
        wire::{Doubt, LedgerStatus, RetentionHealth, Status, StreamState, StreamStatus},
    },
};

/// Between two looks of `--watch`.
const PACE: Duration = Duration::from_secs(2);
/// Footage that was committed longer ago than this is no longer what is happening: two commits and a slow disk.
const LATE_NS: i64 = 10_000_000_000;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
    #[arg(long)]
    watch: bool,
    #[arg(long)]
    utc: bool,
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let paths = Paths::new(&args.state);
    let manners = Reader::open(&paths.index()).ok().and_then(|index| manners(&index, args.utc, lang).ok());
    let (zone, lang) = manners.unwrap_or_else(|| (TimeZone::UTC, chosen(lang, None)));
    let shown = Shown::new(zone);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let socket = paths.status_socket();
    runtime.block_on(async {
        loop {
            let status = match socket::ask::<Status>(&socket, reqwest::Method::GET, "/v1/status").await {
                Ok(status) => status,
                Err(AskError::Nobody(socket)) => {
                    let socket = socket.display().to_string();
                    super::print_error(&t(lang, "status.down", &[("socket", &socket)]));
                    return Ok(ExitCode::FAILURE);
                }
                Err(e) => return Err(e.into()),
            };
            let colour = table::coloured();
            let text = match (args.json, args.watch) {
                (true, false) => serde_json::to_string_pretty(&status)? + "\n",
                // A line for each look, for programs.
                (true, true) => serde_json::to_string(&status)? + "\n",
                (false, _) => as_text(&status, &shown, lang, colour),
            };
            let clear = if args.watch && !args.json && colour { "\x1b[H\x1b[2J" } else { "" };
            table::print(&format!("{clear}{text}"))?;
            if !args.watch {
                return Ok(ExitCode::SUCCESS);
            }
            tokio::time::sleep(PACE).await;
        }
    })
}

fn as_text(status: &Status, shown: &Shown, lang: Lang, colour: bool) -> String {
    let cameras = cameras(status, shown, lang);
    let volumes = volumes(status, lang);
    let running = status.streams.iter().filter(|s| s.recorded && s.state == StreamState::Running).count();
    let recorded = status.streams.iter().filter(|s| s.recorded).count();
    let head = t(
        lang,
        "status.head",
        &[
            ("recorder", status.recorder.as_str()),
            ("version", &status.version),
            ("now", &shown.second(status.now)),
            ("zone", shown.zone()),
            ("since", &time::length(status.now.since(status.started))),
            ("running", &running.to_string()),
            ("recorded", &recorded.to_string()),
            ("queued", &status.queued.to_string()),
        ],
    );
    let mut text = head + "\n";
    if let Some(problem) = &status.index_problem {
        text.push_str(&t(lang, "status.index", &[("problem", problem)]));
        text.push('\n');
    }
    if let Some(ledger) = &status.ledger {
        text.push_str(&self::ledger(ledger, shown, lang));
        text.push('\n');
    }
    for line in status.retention.iter().flat_map(|health| retention(health, lang)) {
        text.push_str(&line);
        text.push('\n');
    }
    for table in [cameras, volumes].into_iter().filter(|table| !table.is_empty()) {
        text.push('\n');
        text.push_str(&table.render(colour));
    }
    text
}

fn ledger(ledger: &LedgerStatus, shown: &Shown, lang: Lang) -> String {
    let count = ledger.entries.map_or_else(|| "–".to_owned(), |n| n.to_string());
    let at = ledger.at.map_or_else(|| "–".to_owned(), |at| shown.second(at));
    let mut text = t(lang, "status.ledger", &[("entries", &count), ("at", &at)]);
    if let Some(problem) = &ledger.problem {
        let waiting = ledger.waiting.to_string();
        text.push('\n');
        text.push_str(&t(lang, "status.ledger_problem", &[("problem", problem), ("waiting", &waiting)]));
    }
    if ledger.dropped > 0 {
        text.push('\n');
        text.push_str(&t(lang, "status.ledger_dropped", &[("count", &ledger.dropped.to_string())]));
    }
    text
}

/// What of retention needs a look, a line each.
fn retention(health: &RetentionHealth, lang: Lang) -> Vec<String> {
    let mut lines = Vec::new();
    for s in health.suspended.iter().filter(|s| s.doubt != Doubt::Comparing) {
        let why = s.volume.as_ref().map_or_else(|| s.why.clone(), |volume| format!("{volume}: {}", s.why));
        lines.push(t(lang, "status.retention_suspended", &[("why", &why)]));
    }
    for (volume, b) in &health.breaks {
        let (days, missing) = (b.day.to_string(), b.missing.to_string());
        let values = [("volume", volume.as_str()), ("days", &days), ("missing", &missing)];
        lines.push(t(lang, "status.retention_breaks", &values));
    }
    let all = [("stopped", &health.stopped), ("substream", &health.substream), ("broken", &health.broken)];
    for (what, cameras) in all.into_iter().filter(|(_, cameras)| !cameras.is_empty()) {
        let cameras = cameras.iter().map(CameraId::as_str).collect::<Vec<_>>().join(", ");
        lines.push(t(lang, &format!("status.retention_{what}"), &[("cameras", &cameras)]));
    }
    lines
}

fn cameras(status: &Status, shown: &Shown, lang: Lang) -> Table {
    let mut table = Table::default()
        .column(t(lang, "status.camera", &[]), false)
        .column(t(lang, "status.name", &[]), false)
        .column(t(lang, "status.stream", &[]), false)
        .column(t(lang, "status.state", &[]), false)
        .column(t(lang, "status.bit_rate", &[]), true)
        .column(t(lang, "status.frame_rate", &[]), true)
        .column(t(lang, "status.newest", &[]), false)
        .column(t(lang, "status.gaps", &[]), true)
        .column(t(lang, "status.lost", &[]), true)
        .column(t(lang, "status.volume", &[]), false)
        .column(t(lang, "status.why", &[]), false);
    for s in &status.streams {
        let gaps = length_of_seconds(s.gap_seconds_today);
        let counted = |n: u64| Cell::new(n.to_string(), if n > 0 { Mood::Warn } else { Mood::Plain });
        let running = s.state == StreamState::Running;
        table.row(vec![
            s.camera.as_str().into(),
            s.name.as_str().into(),
            s.stream.as_str().into(),
            state(s, lang),
            if running { s.bit_rate.to_string().into() } else { "–".into() },
            if running { format!("{:.1}", s.frame_rate).into() } else { "–".into() },
            newest(s, status.now, shown),
            if s.recorded { gaps } else { "–".into() },
            counted(s.lost_packets),
            s.volume.as_ref().map_or("–", |v| v.as_str()).into(),
            why(s, lang).into(),
        ]);
    }
    table
}

fn state(s: &StreamStatus, lang: Lang) -> Cell {
    match s.state {
        StreamState::Idle => t(lang, "status.idle", &[]).into(),
        StreamState::Connecting => Cell::new(t(lang, "status.connecting", &[]), Mood::Warn),
        StreamState::Running if s.recorded => Cell::new(t(lang, "status.recording", &[]), Mood::Good),
        StreamState::Running => t(lang, "status.live", &[]).into(),
        StreamState::Waiting => Cell::new(t(lang, "status.waiting", &[]), Mood::Bad),
    }
}

fn newest(s: &StreamStatus, now: WallNs, shown: &Shown) -> Cell {
    let Some(newest) = s.newest_committed else { return "–".into() };
    let late = s.recorded && now.since(newest) > LATE_NS;
    Cell::new(shown.second(newest), if late { Mood::Warn } else { Mood::Plain })
}

fn length_of_seconds(seconds: f64) -> Cell {
    #[expect(clippy::cast_possible_truncation, reason = "a cast of f64 saturates, and a day is far below")]
    let ns = (seconds * 1e9) as i64;
    let mood = if ns > 0 { Mood::Warn } else { Mood::Plain };
    Cell::new(if ns > 0 { time::length(ns) } else { "0".to_owned() }, mood)
}

fn why(s: &StreamStatus, lang: Lang) -> String {
    match &s.cause {
        Some(cause) if cause.detail.is_empty() => in_words(cause, lang),
        Some(cause) => format!("{} ({})", in_words(cause, lang), cause.detail),
        None => String::new(),
    }
}

fn volumes(status: &Status, lang: Lang) -> Table {
    let mut table = Table::default()
        .column(t(lang, "status.volume", &[]), false)
        .column(t(lang, "status.state", &[]), false)
        .column(t(lang, "status.free", &[]), true)
        .column(t(lang, "status.size", &[]), true)
        .column(t(lang, "status.waiting_bytes", &[]), true)
        .column(t(lang, "status.why", &[]), false);
    for v in &status.volumes {
        let state = if v.healthy {
            Cell::new(t(lang, "status.healthy", &[]), Mood::Good)
        } else {
            Cell::new(t(lang, "status.failed", &[]), Mood::Bad)
        };
        table.row(vec![
            v.name.as_str().into(),
            state,
            v.free.to_string().into(),
            v.size.to_string().into(),
            v.queued.to_string().into(),
            v.problem.clone().unwrap_or_default().into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the socket would answer: one camera recording, one refused, one volume away.
    fn status() -> Status {
        serde_json::from_value(serde_json::json!({
            "recorder": "a", "version": "0.1.0", "started": 1_795_334_400_000_000_000_i64, "now": 1_795_336_200_000_000_000_i64,
            "queued": 1_200_000,
            "streams": [
                {"camera": "gate-1", "name": "Cổng chính 1", "stream": "main", "recorded": true, "state": "running", "cause": null,
                 "bit_rate": 2_010_000, "frame_rate": 25.04, "newest_committed": 1_795_336_198_000_000_000_i64,
                 "gap_seconds_today": 0.0, "lost_packets": 0, "clock_error": 0.2, "volume": "a1", "size": [1920, 1080],
                 "codec": "avc1.64001f"},
                {"camera": "hall", "name": "大厅", "stream": "main", "recorded": true, "state": "waiting",
                 "cause": {"kind": "credentials", "detail": "401"}, "bit_rate": 0, "frame_rate": 0.0,
                 "newest_committed": null, "gap_seconds_today": 1800.0, "lost_packets": 3, "clock_error": null, "volume": null,
                 "size": null, "codec": null},
            ],
            "volumes": [{"name": "a1", "healthy": false, "problem": "marker is missing", "free": 1_000_000_000,
                         "size": 2_000_000_000, "queued": 0}],
            "ledger": {"entries": 1234, "at": 1_795_336_195_000_000_000_i64, "waiting": 3, "dropped": 1,
                       "problem": "cannot write /var/lib/custodian/record/ledger/next: No space left on device"},
            "retention": {"suspended": [{"volume": "a1", "doubt": "contents", "why": "1 files are gone"},
                                        {"volume": "a2", "doubt": "comparing", "why": "it is being compared"}],
                          "breaks": [["a1", {"day": 5, "at": 0, "missing": 2_000_000_000}]], "stopped": ["hall", "yard"],
                          "substream": ["lane"], "broken": ["gate-1"]},
        }))
        .unwrap()
    }

    #[test]
    fn a_table_for_people() {
        let shown = Shown::new(TimeZone::get("Asia/Ho_Chi_Minh").unwrap());
        insta::assert_snapshot!(as_text(&status(), &shown, Lang::En, false));
        insta::assert_snapshot!(as_text(&status(), &shown, Lang::Vi, false));
    }
}
