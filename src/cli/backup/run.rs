//! `custodian backup run`: makes a backup now.

use std::process::ExitCode;

use serde_json::json;

use super::{Here, sheet};
use crate::{
    backup::{Outcome, Record},
    cli::{
        NOT_ALL, print, print_error,
        progress::{Done, Progress},
        table,
    },
    lang::t,
    services::backup::{Told, as_service},
    types::{ByteSize, Lang},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    here: Here,
    #[arg(long, value_name = "PLACE")]
    place: Option<String>,
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let backups = args.here.backups()?;
    let (lang, _) = args.here.manners(lang);
    as_service(&args.here.state)?;
    let mut bar = Progress::new(lang, args.json);
    let made = backups.run(args.place.as_deref(), &mut |told| match told {
        Told::Begins(place) => {
            bar.begin();
            if !args.json {
                print(&t(lang, "backup.begins", &[("place", &place.0)]));
            }
        }
        Told::Progress(place, p) => {
            let size = |bytes| ByteSize(bytes).to_string();
            let words = || {
                let (files, of_files) = (p.files.to_string(), p.of_files.to_string());
                let (bytes, of_bytes) = (size(p.bytes), size(p.of_bytes));
                let values =
                    [("files", &*files), ("of_files", &of_files), ("bytes", &bytes), ("of_bytes", &of_bytes)];
                t(lang, "backup.progress", &values)
            };
            let machine = || {
                json!({ "progress": { "place": place, "files": p.files, "of_files": p.of_files, "bytes": p.bytes, "of_bytes": p.of_bytes } })
            };
            bar.show(Done::Bytes(p.bytes, p.of_bytes), words, machine);
        }
    })?;
    drop(bar);
    if args.json {
        table::print(&format!("{}\n", json!({ "backups": made.records, "in_ledger": made.told })))?;
    } else {
        made.records.iter().for_each(|record| tell(record, lang));
        if !made.told {
            print_error(&t(lang, "backup.not_in_ledger", &[]));
        }
    }
    Ok(match made.worst() {
        Outcome::Complete if made.told => ExitCode::SUCCESS,
        Outcome::Incomplete if made.told => ExitCode::from(NOT_ALL),
        _ => ExitCode::FAILURE,
    })
}

fn tell(record: &Record, lang: Lang) {
    let outcome = sheet::outcome(record.outcome, lang);
    let place = record.to.to_string();
    let Some(sealed) = &record.sealed else {
        let why = record.problem.clone().unwrap_or_default();
        print_error(&t(lang, "backup.failed", &[("place", &place), ("why", &why)]));
        return;
    };
    let count = |n: u64| n.to_string();
    let (files, new) = (count(sealed.files), count(sealed.new_objects));
    let (bytes, new_bytes) = (ByteSize(sealed.bytes).to_string(), ByteSize(sealed.new_bytes).to_string());
    let values = [
        ("id", record.id.as_str()),
        ("place", &place),
        ("outcome", &outcome),
        ("files", &files),
        ("bytes", &bytes),
        ("new", &new),
        ("new_bytes", &new_bytes),
    ];
    print(&t(lang, "backup.made", &values));
    for line in &record.missing {
        print_error(&t(lang, "backup.lacks", &[("what", line)]));
    }
    if record.open > 0 {
        print(&t(lang, "backup.open", &[("count", &count(record.open))]));
    }
    if record.lost > 0 {
        print_error(&t(lang, "backup.lost", &[("count", &count(record.lost))]));
    }
    if !record.expired.is_empty() {
        print(&t(lang, "backup.removed", &[("count", &record.expired.len().to_string())]));
    }
    if let Some(why) = &record.kept {
        print_error(&t(lang, "backup.kept", &[("why", why)]));
    }
}
