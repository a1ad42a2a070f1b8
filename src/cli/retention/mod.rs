//! `custodian retention`: how long footage is kept, and for how long that will hold.

mod say;

use std::{path::PathBuf, process::ExitCode};

use jiff::tz::TimeZone;

use super::{NOT_ALL, chosen, print_error, table, time::Shown, window::manners};
use crate::{
    lang::t,
    services::{
        applying::who,
        paths::{self, Paths},
        socket::{self, AskError},
    },
    store::index::Reader,
    types::{
        Lang, VolumeName,
        wire::{Retention, Trust},
    },
};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    show: ShowArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    TrustClock(TrustClockArgs),
    TrustVolume(TrustVolumeArgs),
}

#[derive(Debug, clap::Args)]
#[group(skip)]
struct ShowArgs {
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
    #[arg(long)]
    utc: bool,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct TrustClockArgs {
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
}

#[derive(Debug, clap::Args)]
struct TrustVolumeArgs {
    volume: VolumeName,
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
}

pub(super) fn run(args: &Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    match &args.verb {
        None => show(&args.show, lang),
        Some(Verb::TrustClock(args)) => trust(&args.state, None, &args.reason, lang),
        Some(Verb::TrustVolume(args)) => trust(&args.state, Some(args.volume.clone()), &args.reason, lang),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Manners of the site, where its index can be read.
fn shown(paths: &Paths, utc: bool, lang: Option<Lang>) -> (Shown, Lang) {
    let manners = Reader::open(&paths.index()).ok().and_then(|index| manners(&index, utc, lang).ok());
    let (zone, lang) = manners.unwrap_or_else(|| (TimeZone::UTC, chosen(lang, None)));
    (Shown::new(zone), lang)
}

fn show(args: &ShowArgs, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let paths = Paths::new(&args.state);
    let (shown, lang) = shown(&paths, args.utc, lang);
    let socket = paths.status_socket();
    let asked = socket::ask::<Retention>(&socket, reqwest::Method::GET, "/v1/retention");
    let told = match runtime()?.block_on(asked) {
        Ok(told) => told,
        Err(AskError::Nobody(socket)) => {
            print_error(&t(lang, "status.down", &[("socket", &socket.display().to_string())]));
            return Ok(ExitCode::FAILURE);
        }
        Err(e) => return Err(e.into()),
    };
    let text = if args.json {
        serde_json::to_string_pretty(&told)? + "\n"
    } else {
        say::text(&told, &shown, lang, table::coloured())
    };
    table::print(&text)?;
    // A promise is broken, or will be soon.
    Ok(if told.at_risk() { ExitCode::from(NOT_ALL) } else { ExitCode::SUCCESS })
}

fn trust(
    state: &std::path::Path,
    volume: Option<VolumeName>,
    reason: &str,
    lang: Option<Lang>,
) -> anyhow::Result<ExitCode> {
    let paths = Paths::new(state);
    let (_, lang) = shown(&paths, false, lang);
    let word = Trust { volume, by: who(), reason: reason.to_owned() };
    let socket = paths.control_socket();
    runtime()?.block_on(socket::tell::<serde_json::Value>(&socket, "/v1/trust", &word))?;
    table::print(&(t(lang, "retention.trusted", &[]) + "\n"))?;
    Ok(ExitCode::SUCCESS)
}
