//! `custodian plan`: what applying site.toml would do.

use std::{fmt::Write as _, fs, path::PathBuf, process::ExitCode};

use anyhow::Context as _;

use super::{
    check::{site_file, text_of_errors},
    chosen, print, print_error,
    table::{self, Cell, Mood, Table},
};
use crate::{
    lang::{secrecy, t},
    plan::{Capacity, Change, Plan, Refused, VolumeUse, text},
    services::{
        paths,
        planning::{self, Ask},
    },
    site::{Errors, LoadError, Recorder, Site, VolumePlace},
    types::{ByteSize, Lang, RecorderId},
};

/// Exit codes, as `custodian plan` promises them: 0 nothing to do, 1 an error.
const CHANGES: u8 = 2;
const DESTRUCTIVE: u8 = 3;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    #[arg(long, value_name = "NAME")]
    recorder: Option<RecorderId>,
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
    #[arg(long)]
    offline: bool,
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args, flag: Option<Lang>) -> anyhow::Result<ExitCode> {
    let ask = Ask {
        site: site_file(args.site.as_deref()),
        secrets: args.secrets,
        recorder: args.recorder,
        state: args.state,
        offline: args.offline,
    };
    let wanted = match planning::read(&ask) {
        Ok(wanted) => wanted,
        Err(e) => return refused_site(e, args.json, flag),
    };
    let lang = chosen(flag, Some(wanted.site.language()));
    let plan = match planning::make(&ask, &wanted)? {
        Ok(plan) => plan,
        Err(refused) => {
            if args.json {
                print(&serde_json::to_string_pretty(&refused_json(&refused, lang))?);
            } else {
                print_error(&refused_text(&refused, lang));
            }
            return Ok(ExitCode::FAILURE);
        }
    };
    let json = serde_json::to_string_pretty(&plan)?;
    if let Some(path) = &args.out {
        fs::write(path, format!("{json}\n"))
            .with_context(|| format!("the plan cannot be written to {}", path.display()))?;
    }
    if args.json {
        print(&json);
    } else {
        table::print(&as_text(&plan, &wanted.site, args.offline, lang, table::coloured()))?;
        if let Some(path) = &args.out {
            print(&t(lang, "plan.written", &[("path", &path.display().to_string())]));
        }
    }
    Ok(match &plan {
        p if p.is_empty() => ExitCode::SUCCESS,
        p if p.is_destructive() => ExitCode::from(DESTRUCTIVE),
        _ => ExitCode::from(CHANGES),
    })
}

/// A site that is wrong in itself is shown as `custodian check` shows it.
pub(super) fn refused_site(e: anyhow::Error, json: bool, flag: Option<Lang>) -> anyhow::Result<ExitCode> {
    match e.downcast::<LoadError>() {
        Ok(LoadError::Refused { errors, .. }) if json => {
            let lang = chosen(flag, errors.language());
            print(&serde_json::to_string_pretty(&serde_json::json!({ "ok": false, "errors": errors.reports(lang) }))?);
            Ok(ExitCode::FAILURE)
        }
        Ok(LoadError::Refused { errors, .. }) => {
            let lang = chosen(flag, errors.language());
            print_error(&text_of_errors(&[errors], lang, false));
            Ok(ExitCode::FAILURE)
        }
        Ok(e) => Err(e.into()),
        // What secrets.toml lacks is a mistake with a place too.
        Err(e) => match e.downcast::<Errors>() {
            Ok(errors) => {
                let lang = chosen(flag, errors.language());
                print_error(&text_of_errors(&[errors], lang, false));
                Ok(ExitCode::FAILURE)
            }
            Err(e) => Err(e),
        },
    }
}

/// Why there is no plan, in words.
pub(super) fn refused_text(refused: &Refused, lang: Lang) -> String {
    let mut lines = Vec::new();
    match refused {
        Refused::Short { short, capacity } => {
            lines.push(t(lang, "plan.refused_short", &[]));
            lines.extend(text::short(lang, short));
            lines.push(String::new());
            lines.push(room(capacity, None, lang).render(false));
        }
        Refused::Disks(notes) => {
            lines.push(t(lang, "plan.refused_disks", &[]));
            lines.extend(notes.iter().map(|n| format!("  - {}", text::disk(lang, n))));
        }
        Refused::Links(notes) => {
            lines.push(t(lang, "plan.refused_links", &[]));
            lines.extend(notes.iter().map(|n| format!("  - {}", text::link(lang, n))));
        }
        Refused::Unsafe(_) => lines.push(refused.to_string()),
    }
    lines.join("\n")
}

pub(super) fn refused_json(refused: &Refused, lang: Lang) -> serde_json::Value {
    let message = refused_text(refused, lang);
    match refused {
        Refused::Short { short, capacity } => {
            serde_json::json!({ "ok": false, "why": "short", "short": short, "capacity": capacity, "message": message })
        }
        Refused::Disks(disks) => serde_json::json!({ "ok": false, "why": "disks", "disks": disks, "message": message }),
        Refused::Links(links) => serde_json::json!({ "ok": false, "why": "links", "links": links, "message": message }),
        Refused::Unsafe(_) => serde_json::json!({ "ok": false, "why": "unsafe", "message": message }),
    }
}

/// The plan for people.
pub(super) fn as_text(plan: &Plan, site: &Site, offline: bool, lang: Lang, colour: bool) -> String {
    let head = |key: &str| format!("\n{}\n", t(lang, key, &[]));
    let recorder = plan.recorder.as_str();
    let mut out = match plan.base.generation {
        Some(n) => {
            t(lang, "plan.title", &[("site", site.name()), ("recorder", recorder), ("generation", &n.to_string())])
        }
        None => t(lang, "plan.title_first", &[("site", site.name()), ("recorder", recorder)]),
    };
    out.push('\n');
    if offline {
        out += &t(lang, "plan.offline", &[]);
        out.push('\n');
    }
    if !plan.changes.is_empty() {
        out += &head("plan.changes");
        for change in &plan.changes {
            out += &line(change, plan, lang, colour);
        }
    }
    out += &head("plan.room");
    out += &room(&plan.capacity, Some(&plan.recorder), lang).render(colour);
    out += &promise(&plan.capacity, lang);
    if let Some(short) = &plan.short {
        out += &head("plan.accepted_short");
        out += &text::short(lang, short).join("\n");
        out.push('\n');
    }
    if !plan.disks.is_empty() {
        out += &head("plan.disks");
        for note in &plan.disks {
            let _ = writeln!(out, "  - {}", text::disk(lang, note));
        }
    }
    let here = site.recorder(&plan.recorder);
    let has_disks = |r: &&Recorder| r.volumes.iter().any(|v| matches!(v.place, VolumePlace::Disk(_)));
    if let Some(recorder) = here.filter(has_disks) {
        out += &head("plan.theft");
        for words in secrecy(lang, recorder.unlock.as_str()) {
            let _ = writeln!(out, "  - {words}");
        }
    }
    if !plan.steps.is_empty() || !plan.recover.is_empty() {
        out += &head("plan.steps");
        for recover in &plan.recover {
            let _ = writeln!(out, "  - {}", text::recover(lang, recover));
        }
        for step in &plan.steps {
            let _ = writeln!(out, "  - {}", text::step(lang, step));
        }
    }
    out.push('\n');
    out += &summary(plan, lang);
    out.push('\n');
    out
}

/// `+` comes, `-` goes, `~` changes; what wants leadership's word or lets footage go stands out.
fn line(change: &Change, plan: &Plan, lang: Lang, colour: bool) -> String {
    use crate::plan::What as W;
    let (mark, mood) = match &change.what {
        W::FirstSite { .. }
        | W::CameraAdded { .. }
        | W::CameraStarted { .. }
        | W::VolumeAdded { .. }
        | W::RecorderAdded { .. } => ("+", "\x1b[32m"),
        W::CameraRemoved { .. } | W::CameraStopped { .. } | W::VolumeRemoved { .. } | W::RecorderRemoved { .. } => {
            ("-", "\x1b[31m")
        }
        _ => ("~", "\x1b[33m"),
    };
    let (on, off) = if colour { (mood, "\x1b[0m") } else { ("", "") };
    let mut text = format!("  {on}{mark}{off} {}\n", text::change(lang, change));
    if !change.concerns(&plan.recorder) {
        let others = change.recorders.iter().map(RecorderId::as_str).collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "      · {}", t(lang, "plan.elsewhere", &[("recorders", &others)]));
    }
    for remark in text::remarks(lang, change) {
        let _ = writeln!(text, "      ! {remark}");
    }
    text
}

fn size(bytes: i128) -> String {
    let size = ByteSize(u64::try_from(bytes.unsigned_abs()).unwrap_or(u64::MAX));
    if bytes < 0 { format!("−{size}") } else { size.to_string() }
}

fn room(capacity: &Capacity, here: Option<&RecorderId>, lang: Lang) -> Table {
    let head = |key: &str| t(lang, &format!("plan.col_{key}"), &[]);
    let mut table = Table::default()
        .column(head("volume"), false)
        .column(head("recorder"), false)
        .column(head("cameras"), true)
        .column(head("size"), true)
        .column(head("usable"), true)
        .column(head("needed"), true);
    // Most sites hold nothing.
    let held = capacity.held() > 0;
    if held {
        table = table.column(head("held"), true);
    }
    table = table.column(head("margin"), true).column(head("days"), true);
    let margin = |m: i128| Cell::new(size(m), if m < 0 { Mood::Bad } else { Mood::Plain });
    let known = |v: &VolumeUse| v.size.is_some();
    for v in &capacity.volumes {
        let open = || Cell::from("–");
        let mut row = vec![
            v.volume.as_str().into(),
            match here {
                Some(here) if *here == v.recorder => t(lang, "plan.here", &[("recorder", here.as_str())]).into(),
                _ => v.recorder.as_str().into(),
            },
            v.cameras.to_string().into(),
            v.size.map_or_else(open, |s| s.to_string().into()),
            if known(v) { v.usable.to_string().into() } else { open() },
            v.needed.to_string().into(),
        ];
        row.extend(held.then(|| v.held.to_string().into()));
        row.push(if known(v) { margin(v.margin()) } else { open() });
        row.push(if known(v) && v.per_day.0 > 0 { format!("{:.1}", v.days()).into() } else { open() });
        table.row(row);
    }
    if capacity.volumes.len() > 1 && capacity.volumes.iter().all(known) {
        let sum = |f: fn(&VolumeUse) -> u64| capacity.volumes.iter().map(f).sum::<u64>();
        let mut row = vec![
            t(lang, "plan.total", &[]).into(),
            "".into(),
            capacity.volumes.iter().map(|v| v.cameras).sum::<usize>().to_string().into(),
            ByteSize(sum(|v| v.size.unwrap_or_default().0)).to_string().into(),
            ByteSize(capacity.usable()).to_string().into(),
            ByteSize(sum(|v| v.needed.0)).to_string().into(),
        ];
        row.extend(held.then(|| ByteSize(capacity.held()).to_string().into()));
        row.push(margin(capacity.volumes.iter().map(VolumeUse::margin).sum()));
        row.push("".into());
        table.row(row);
    }
    table
}

/// How long footage is kept, in a sentence or two.
fn promise(capacity: &Capacity, lang: Lang) -> String {
    let promised: Vec<u32> = capacity.needs.iter().filter_map(|n| n.min_days).collect();
    let mut lines = Vec::new();
    if capacity.fits {
        lines.push(match (promised.iter().min(), promised.iter().max()) {
            (Some(least), Some(most)) if least == most => t(lang, "plan.promise", &[("days", &least.to_string())]),
            (Some(least), Some(most)) => {
                t(lang, "plan.promises", &[("least", &least.to_string()), ("most", &most.to_string())])
            }
            _ => t(lang, "plan.no_promises", &[]),
        });
    }
    let measured = capacity.needs.iter().filter(|n| n.measured).count().to_string();
    let cameras = capacity.needs.len().to_string();
    lines.push(t(lang, "plan.rates", &[("measured", &measured), ("cameras", &cameras)]));
    lines.join("\n") + "\n"
}

fn summary(plan: &Plan, lang: Lang) -> String {
    if plan.is_empty() {
        return t(lang, "plan.nothing", &[]);
    }
    let seconds = plan.changes.iter().map(|c| c.lost_seconds).max().unwrap_or(0);
    let mut lost = match seconds {
        0 => t(lang, "plan.lost_none", &[]),
        s => t(lang, "plan.lost_some", &[("seconds", &s.to_string())]),
    };
    if plan.is_destructive() {
        lost = format!("{lost} {}", t(lang, "plan.destroys", &[]));
    }
    let (changes, guarded) = (plan.changes.len().to_string(), plan.guarded().count().to_string());
    t(lang, "plan.summary", &[("changes", &changes), ("guarded", &guarded), ("lost", &lost)])
}
