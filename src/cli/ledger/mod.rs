//! `custodian ledger`: reads the log of what happened, and checks that nobody has changed it. Works without the recorder, and
//! anywhere else with a copy of the log's public folder.

mod check;
mod show;
mod words;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use jiff::tz::TimeZone;

use super::{chosen, print, time::Shown, window};
use crate::{
    lang::t,
    ledger::{self, Checkpoint, LedgerError, Verifier, View},
    services::paths::{self, Paths},
    store::index::Reader,
    sys::RealFiles,
    types::Lang,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Show(show::Args),
    Checkpoint(CheckpointArgs),
    Prove(ProveArgs),
    Verify(check::Args),
}

/// Which log, and in which manner it is spoken of.
#[derive(Debug, clap::Args)]
#[group(skip)]
struct Source {
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[arg(long, value_name = "KEY|FILE")]
    key: Option<String>,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct CheckpointArgs {
    #[command(flatten)]
    source: Source,
}

#[derive(Debug, clap::Args)]
struct ProveArgs {
    #[arg(value_name = "N")]
    n: u64,
    #[arg(long)]
    utc: bool,
    #[command(flatten)]
    source: Source,
}

impl Source {
    /// The folder with checkpoint and tiles.
    fn folder(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(|| ledger::public(&Paths::new(&self.state).ledger()))
    }

    /// The key that signatures are checked with: the one that was given, else the one in the folder.
    fn verifier(&self) -> anyhow::Result<Verifier> {
        let Some(given) = &self.key else { return Ok(ledger::verifier(&RealFiles, &self.folder())?) };
        if given.contains('+') {
            return given.trim().parse().context("--key");
        }
        let text = std::fs::read_to_string(given).with_context(|| format!("--key {given}"))?;
        text.trim().parse().with_context(|| format!("--key {given}"))
    }

    fn view(&self, verifier: &Verifier) -> Result<View, LedgerError> {
        View::open(Arc::new(RealFiles), self.folder(), verifier)
    }

    /// Times of the site and its language, where its index is at hand.
    fn manners(&self, utc: bool, lang: Option<Lang>) -> (Shown, Lang) {
        let index = Reader::open(&Paths::new(&self.state).index()).ok();
        let manners = index.and_then(|index| window::manners(&index, utc, lang).ok());
        let (zone, lang) = manners.unwrap_or_else(|| (TimeZone::UTC, chosen(lang, None)));
        (Shown::new(zone), lang)
    }
}

pub(super) fn run(args: &Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    match &args.verb {
        Verb::Show(args) => show::run(args, lang),
        Verb::Checkpoint(args) => checkpoint(&args.source),
        Verb::Prove(args) => prove(args, lang),
        Verb::Verify(args) => check::run(args, lang),
    }
}

/// Prints the newest checkpoint, byte for byte, to be kept elsewhere.
fn checkpoint(source: &Source) -> anyhow::Result<ExitCode> {
    let verifier = source.verifier()?;
    let head = source.view(&verifier)?.head().clone();
    if source.json {
        let (size, root) = (head.size(), head.root());
        let json =
            serde_json::json!({ "size": size, "root": root, "checkpoint": head.note(), "vkey": verifier.to_string() });
        print(&serde_json::to_string_pretty(&json)?);
    } else {
        super::table::print(head.note())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints an entry and the proof that it is in the log.
fn prove(args: &ProveArgs, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let source = &args.source;
    let (shown, lang) = source.manners(args.utc, lang);
    let verifier = source.verifier()?;
    let view = source.view(&verifier)?;
    let proof = view.prove(args.n, &verifier)?;
    if source.json {
        print(&serde_json::to_string_pretty(&proof)?);
        return Ok(ExitCode::SUCCESS);
    }
    let record = view.record(args.n)?;
    let path: Vec<String> = proof.path.iter().map(|hash| format!("  {hash}")).collect();
    let values = [
        ("n", args.n.to_string()),
        ("said", words::record(&record, &shown, lang).1),
        ("entry", proof.entry.clone()),
        ("leaf", proof.leaf.to_string()),
        ("path", path.join("\n")),
        ("size", view.size().to_string()),
        ("root", view.head().root().to_string()),
        ("key", proof.vkey.clone()),
    ];
    let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    print(&t(lang, "ledger.proof", &values));
    Ok(ExitCode::SUCCESS)
}

/// Reads a checkpoint that somebody kept: a signed note, or what the recorder lays down on its volumes.
fn kept(path: &Path, verifier: &Verifier) -> anyhow::Result<Checkpoint> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let nothing = || format!("{} vouches for nothing", path.display());
    let note = match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(json) => json["checkpoint"].as_str().with_context(nothing)?.to_owned(),
        Err(_) => text,
    };
    Checkpoint::verify(&note, verifier).with_context(nothing)
}
