//! `custodian backup verify`: whether backups are as they were written.

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode};

use serde_json::json;

use super::{Here, Where};
use crate::{
    backup::{BackupError, BackupId},
    cli::{
        NOT_ALL, print, print_error,
        progress::{Done, Progress},
        table,
    },
    lang::t,
    services::backup::{as_service, identity, verify},
    types::{ByteSize, Lang},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(value_name = "ID")]
    ids: Vec<BackupId>,
    #[command(flatten)]
    here: Here,
    #[command(flatten)]
    at: Where,
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let (lang, _) = args.here.manners(lang);
    let identity = args.identity.as_deref().map(identity).transpose()?;
    let places = args.at.connect(&args.here)?;
    as_service(&args.here.state)?;
    // Each backup lies at one place.
    let asked: Vec<&[BackupId]> = if args.ids.is_empty() { vec![&[]] } else { args.ids.chunks(1).collect() };
    let (mut well, mut all, mut seen) = (true, true, BTreeSet::new());
    for (place, ids) in places.iter().flat_map(|place| asked.iter().map(move |ids| (place, *ids))) {
        let mut bar = Progress::new(lang, args.json);
        let found = verify(place, ids, identity.as_ref(), &args.here.state, &mut |p| {
            let words = || {
                let (done, of, bytes) = (p.done.to_string(), p.of.to_string(), ByteSize(p.bytes).to_string());
                t(lang, "backup.looked", &[("done", &done), ("of", &of), ("bytes", &bytes)])
            };
            let machine =
                || json!({ "progress": { "place": place.label, "done": p.done, "of": p.of, "bytes": p.bytes } });
            bar.show(Done::Things(p.done, p.of), words, machine);
        });
        drop(bar);
        // One place that does not answer is no matter of the others.
        let found = match found {
            Ok(found) => {
                seen.extend(ids);
                found
            }
            Err(e) if places.len() > 1 && matches!(e.downcast_ref(), Some(BackupError::NoBackup(_))) => continue,
            Err(e) => {
                seen.extend(ids);
                log::error!("{e:#}");
                all = false;
                continue;
            }
        };
        well &= found.damaged.is_empty();
        if args.json {
            table::print(&format!("{}\n", json!({ "place": place.label, "verified": found })))?;
            continue;
        }
        for d in &found.damaged {
            let what = [d.object.as_deref(), d.file.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(", ");
            let values = [("backup", d.backup.as_str()), ("what", &*what), ("why", &*d.what)];
            print_error(&t(lang, "backup.damaged", &values));
        }
        let count = |n: usize| n.to_string();
        let (backups, objects, bytes) =
            (count(found.backups.len()), found.objects.to_string(), ByteSize(found.bytes).to_string());
        let (files, damaged) = (found.files.to_string(), count(found.damaged.len()));
        let values = [
            ("place", &*place.label.0),
            ("backups", &*backups),
            ("objects", &*objects),
            ("bytes", &*bytes),
            ("files", &*files),
            ("damaged", &*damaged),
        ];
        let key = if identity.is_some() { "backup.verified_files" } else { "backup.verified" };
        print(&t(lang, key, &values));
    }
    for id in args.ids.iter().filter(|id| !seen.contains(id)) {
        log::error!("{}", BackupError::NoBackup(id.clone()));
        all = false;
    }
    Ok(match (all, well) {
        (false, _) => ExitCode::FAILURE,
        (true, false) => ExitCode::from(NOT_ALL),
        (true, true) => ExitCode::SUCCESS,
    })
}
