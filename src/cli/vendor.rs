//! `custodian vendor`: whether the vendor may reach this recorder. Off, unless the school allows it for a stated time.

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode, time::Duration};

use super::{check::site_file, chosen, print_error, table, time};
use crate::{
    lang::t,
    services::{
        applying::who,
        paths::{self, Paths},
        socket::{self, AskError},
        vendor::{LONGEST, SHORTEST, opening},
    },
    site,
    sys::{Clock as _, RealClock, RealCommands, RealFiles},
    types::{Lang, WallNs, wire::health::VendorAccess},
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
    Allow(AllowArgs),
    End(EndArgs),
}

#[derive(Debug, clap::Args)]
#[group(skip)]
struct ShowArgs {
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct AllowArgs {
    #[arg(long = "for", value_name = "TIME", value_parser = length)]
    length: Duration,
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
}

#[derive(Debug, clap::Args)]
struct EndArgs {
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
}

fn length(text: &str) -> Result<Duration, String> {
    let length = super::health::silence::length(text)?;
    if (SHORTEST..=LONGEST).contains(&length) { Ok(length) } else { Err("5m … 7d".to_owned()) }
}

pub(super) fn run(args: &Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    match &args.verb {
        None => show(&args.show, lang),
        Some(Verb::Allow(args)) => allow(args, lang),
        Some(Verb::End(args)) => end(args, lang),
    }
}

/// The site in force, as far as it can be read.
fn in_force(state: &std::path::Path) -> Option<site::Site> {
    let in_force = state.join("current/site.toml");
    site::load(&if in_force.exists() { in_force } else { site_file(None) }).ok()
}

/// Its manners.
fn manners(state: &std::path::Path, lang: Option<Lang>) -> (time::Shown, Lang) {
    let site = in_force(state);
    let zone = site.as_ref().map_or(jiff::tz::TimeZone::UTC, |site| site.timezone().clone());
    (time::Shown::new(zone), chosen(lang, site.as_ref().map(site::Site::language)))
}

/// How it is now; nothing if health does not run, which is said.
fn access(paths: &Paths, lang: Lang) -> anyhow::Result<Option<VendorAccess>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let socket = paths.health_socket();
    match runtime.block_on(socket::at_once(socket::ask(&socket, reqwest::Method::GET, "/v1/vendor"))) {
        Ok(access) => Ok(Some(access)),
        // One that hangs lets nobody in either, and the tunnel can be shut without it.
        Err(AskError::Nobody(_) | AskError::Slow(_)) => {
            print_error(&t(lang, "vendor.down", &[("socket", &socket.display().to_string())]));
            Ok(None)
        }
        Err(e) => Err(e.of_health()),
    }
}

fn show(args: &ShowArgs, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let (shown, lang) = manners(&args.state, lang);
    let Some(access) = access(&Paths::new(&args.state), lang)? else { return Ok(ExitCode::FAILURE) };
    let text =
        if args.json { serde_json::to_string_pretty(&access)? + "\n" } else { as_text(&access, &shown, lang) + "\n" };
    table::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn as_text(access: &VendorAccess, shown: &time::Shown, lang: Lang) -> String {
    let Some(listen) = access.listen else { return t(lang, "vendor.not_configured", &[]) };
    let Some(until) = access.until else { return t(lang, "vendor.shut", &[]) };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (by, reason, uses) = (text(&access.by), text(&access.reason), access.uses.to_string());
    let last = access.last_use.map_or_else(|| "–".to_owned(), |at| shown.second(at));
    let values = [
        ("until", shown.second(until)),
        ("listen", listen.to_string()),
        ("by", by),
        ("reason", reason),
        ("uses", uses),
        ("last", last),
    ];
    let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    t(lang, "vendor.open", &values)
}

fn allow(args: &AllowArgs, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let (shown, lang) = manners(&args.state, lang);
    let paths = Paths::new(&args.state);
    let Some(now) = access(&paths, lang)? else { return Ok(ExitCode::FAILURE) };
    if now.listen.is_none() {
        print_error(&t(lang, "vendor.not_configured", &[]));
        return Ok(ExitCode::FAILURE);
    }
    if args.reason.trim().is_empty() {
        print_error(&t(lang, "vendor.no_reason", &[]));
        return Ok(ExitCode::FAILURE);
    }
    let until: WallNs = RealClock.wall() + args.length;
    let by = args.by.clone().unwrap_or_else(who);
    let order = opening::Order { until, length: args.length, by, reason: args.reason.clone(), tunnel: now.tunnel };
    opening::allow(&paths, &RealFiles, &RealCommands, &order)?;
    table::print(&(t(lang, "vendor.allowed", &[("until", &shown.second(until))]) + "\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn end(args: &EndArgs, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let (_, lang) = manners(&args.state, lang);
    let paths = Paths::new(&args.state);
    // Whether health answers or not: the tunnel of the site, and the one that health knows of.
    let mut tunnels: BTreeSet<String> = in_force(&args.state).iter().filter_map(tunnel).collect();
    let said = access(&paths, lang);
    tunnels.extend(said.iter().flatten().filter_map(|now| now.tunnel.clone()));
    opening::end(&paths, &RealCommands, &tunnels)?;
    table::print(&(t(lang, "vendor.ended", &[]) + "\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn tunnel(site: &site::Site) -> Option<String> {
    site.health().vendor.as_ref()?.tunnel.clone()
}
