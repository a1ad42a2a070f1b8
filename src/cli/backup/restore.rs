//! `custodian backup restore`: gets things back, with the school's key.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, ensure};
use jiff::tz::TimeZone;
use serde_json::json;

use super::{Here, Where};
use crate::{
    backup::{BackupId, Filter, Kind, Order},
    cli::{
        NOT_ALL, print, print_error,
        progress::{Done, Progress},
        table, time,
    },
    lang::t,
    services::backup::{identity, restore},
    sys::{Clock as _, RealClock, RealDisk},
    types::{ByteSize, CameraId, Lang, Span, StreamKind, VolumeName, WallNs},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(value_name = "ID|latest")]
    id: String,
    #[command(flatten)]
    here: Here,
    #[command(flatten)]
    at: Where,
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    #[arg(long, value_name = "NAME", default_value = "restored")]
    volume: VolumeName,
    #[arg(long, value_name = "footage|export|database|ledger|site")]
    only: Vec<Kind>,
    #[arg(long, value_name = "ID")]
    camera: Vec<CameraId>,
    #[arg(long, value_name = "main|sub")]
    stream: Option<StreamKind>,
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    #[arg(long)]
    utc: bool,
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let (lang, shown) = args.here.manners(lang);
    let zone = if args.utc { &TimeZone::UTC } else { shown.time_zone() };
    let id: Option<BackupId> = if args.id == "latest" { None } else { Some(args.id.parse()?) };
    let identity = identity(&args.identity)?;
    let places = args.at.connect(&args.here)?;
    ensure!(places.len() == 1, "site.toml has {} places for backups: say which with --place", places.len());
    let place = places.first().context("no place")?;
    let order = Order {
        place: &*place.place,
        id,
        identity: &identity,
        into: &args.into,
        volume: args.volume.clone(),
        filter: Filter {
            kinds: args.only.clone(),
            cameras: args.camera.clone(),
            stream: args.stream,
            span: span(args, zone)?,
        },
        disk: &RealDisk,
        now: RealClock.wall(),
    };
    let mut bar = Progress::new(lang, args.json);
    let report = restore(&order, &place.label.0, &mut |p| {
        let words = || {
            let (files, of_files) = (p.files.to_string(), p.of_files.to_string());
            let (bytes, of_bytes) = (ByteSize(p.bytes).to_string(), ByteSize(p.of_bytes).to_string());
            let values = [("files", &*files), ("of_files", &of_files), ("bytes", &bytes), ("of_bytes", &of_bytes)];
            t(lang, "backup.progress", &values)
        };
        let machine = || json!({ "progress": { "files": p.files, "of_files": p.of_files, "bytes": p.bytes, "of_bytes": p.of_bytes } });
        bar.show(Done::Bytes(p.bytes, p.of_bytes), words, machine);
    })?;
    drop(bar);
    if args.json {
        table::print(&format!("{}\n", json!({ "restored": report })))?;
    } else {
        for line in &report.failed {
            print_error(&t(lang, "backup.not_restored", &[("what", line)]));
        }
        for line in &report.missing {
            print_error(&t(lang, "backup.lacks", &[("what", line)]));
        }
        let (files, there) = (report.files.to_string(), report.there.to_string());
        let (bytes, into) = (ByteSize(report.bytes).to_string(), report.into.display().to_string());
        let values =
            [("id", report.id.as_str()), ("files", &*files), ("bytes", &*bytes), ("into", &*into), ("there", &*there)];
        print(&t(lang, "backup.restored", &values));
        if let Some(volume) = report.volume.filter(|_| report.segments > 0) {
            print(&t(lang, "backup.restored_footage", &[("into", &into), ("volume", volume.as_str())]));
        }
    }
    let all = report.failed.is_empty() && report.missing.is_empty();
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(NOT_ALL) })
}

/// The span that is asked for; none if neither end is.
fn span(args: &Args, zone: &TimeZone) -> anyhow::Result<Option<Span>> {
    if args.from.is_none() && args.to.is_none() {
        return Ok(None);
    }
    let now = RealClock.wall();
    let read = |text: Option<&str>, otherwise: WallNs| text.map_or(Ok(otherwise), |text| time::parse(text, zone, now));
    let start = read(args.from.as_deref(), WallNs::MIN).context("--from")?;
    let end = read(args.to.as_deref(), WallNs::MAX).context("--to")?;
    Span::new(start, end).map(Some).context("--to lies before --from")
}
