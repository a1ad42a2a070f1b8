//! `custodian ledger verify`: whether all of the log is what was written, and agrees with checkpoints that somebody kept.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context as _;

use super::{Source, kept};
use crate::{
    cli::{
        NOT_ALL, print,
        progress::{Done, Progress},
    },
    lang::t,
    ledger::{self, Checkpoint, Flaw, Inclusion, LedgerError, Verified, Verifier, View},
    sys::RealFiles,
    types::Lang,
};

/// Between two words on how far it has come.
const STEP: u64 = 1 << 16;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    #[arg(long, value_name = "FILE", conflicts_with_all = ["checkpoint", "dir"])]
    proof: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
}

pub(super) fn run(args: &Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let (_, lang) = args.source.manners(true, lang);
    let verifier = args.source.verifier()?;
    if let Some(path) = &args.proof {
        return proof(path, &verifier, lang);
    }
    let kept = args.checkpoint.iter().map(|path| kept(path, &verifier)).collect::<anyhow::Result<Vec<_>>>()?;
    let view = head(&args.source, &verifier, &kept)?;
    let (mut bar, size) = (Progress::new(lang, false), view.size());
    let found = ledger::verify(&view, &kept, &mut |done| {
        if done.is_multiple_of(STEP) {
            let words = || format!("{done}/{size}");
            bar.show(Done::Things(done, size), words, || serde_json::Value::Null);
        }
    });
    drop(bar);
    print(&if args.source.json { as_json(&view, &found, &verifier)? } else { as_text(&view, &found, &verifier, lang) });
    Ok(if found.flaws.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(NOT_ALL) })
}

/// The log at its own checkpoint; where it has none, at the newest one that was kept.
fn head(source: &Source, verifier: &Verifier, kept: &[Checkpoint]) -> anyhow::Result<View> {
    match (source.view(verifier), kept.iter().max_by_key(|kept| kept.size())) {
        (Err(LedgerError::Lost { .. }), Some(newest)) => {
            Ok(View::at_kept(Arc::new(RealFiles), source.folder(), newest.clone()))
        }
        (view, _) => Ok(view?),
    }
}

fn proof(path: &std::path::Path, verifier: &Verifier, lang: Lang) -> anyhow::Result<ExitCode> {
    let text = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let proof: Inclusion = serde_json::from_slice(&text)
        .with_context(|| format!("{} is no proof of `ledger prove --json`", path.display()))?;
    let head = proof.check(verifier).with_context(|| format!("{} vouches for nothing", path.display()))?;
    let n = proof.n.to_string();
    Ok(if let Some(head) = head {
        print(&t(lang, "ledger.proven", &[("n", &n), ("size", &head.size().to_string()), ("log", verifier.name())]));
        ExitCode::SUCCESS
    } else {
        print(&t(lang, "ledger.not_proven", &[("n", &n)]));
        ExitCode::from(NOT_ALL)
    })
}

fn as_json(view: &View, found: &Verified, verifier: &Verifier) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&serde_json::json!({
        "ok": found.flaws.is_empty(),
        "size": view.size(),
        "root": view.head().root(),
        "vkey": verifier.to_string(),
        "found": found,
    }))?)
}

fn as_text(view: &View, found: &Verified, verifier: &Verifier, lang: Lang) -> String {
    let number = |n: u64| n.to_string();
    let values = [
        ("size", number(view.size())),
        ("root", view.head().root().to_string()),
        ("key", verifier.to_string()),
        ("kept", number(found.kept)),
        ("unknown", number(found.unknown)),
        ("flaws", number(found.flaws.len() as u64)),
    ];
    let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut lines: Vec<String> = found.flaws.iter().map(|flaw| format!("  - {}", in_words(flaw, lang))).collect();
    if found.flaws.is_empty() {
        lines.push(t(lang, "ledger.sound", &values));
        if found.kept > 0 {
            lines.push(t(lang, "ledger.kept", &values));
        }
    } else {
        lines.insert(0, t(lang, "ledger.unsound", &values));
    }
    if found.unknown > 0 {
        lines.push(t(lang, "ledger.later", &values));
    }
    lines.join("\n")
}

fn in_words(flaw: &Flaw, lang: Lang) -> String {
    match flaw {
        Flaw::Unreadable { path, why } => {
            t(lang, "ledger.flaw_unreadable", &[("path", &path.display().to_string()), ("why", why)])
        }
        Flaw::Entry { n } => t(lang, "ledger.flaw_entry", &[("n", &n.to_string())]),
        Flaw::Nonsense { n, why } => t(lang, "ledger.flaw_nonsense", &[("n", &n.to_string()), ("why", why)]),
        Flaw::Tile { path } => t(lang, "ledger.flaw_tile", &[("path", &path.display().to_string())]),
        Flaw::Root { size } => t(lang, "ledger.flaw_root", &[("size", &size.to_string())]),
        Flaw::Shorter { kept, size } => {
            t(lang, "ledger.flaw_shorter", &[("kept", &kept.to_string()), ("size", &size.to_string())])
        }
        Flaw::Rewritten { kept } => t(lang, "ledger.flaw_rewritten", &[("kept", &kept.to_string())]),
    }
}
