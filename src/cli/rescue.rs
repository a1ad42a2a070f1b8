//! `custodian rescue`: what is on the screen when the system did not come up.

use std::{path::PathBuf, process::ExitCode};

use super::chosen;
use crate::{
    services::{
        paths,
        rescue::{self, Here, Standard},
        updating,
    },
    site,
    sys::RealClock,
    types::Lang,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
}

pub(super) fn run(args: &Args, flag: Option<Lang>) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(nix::unistd::geteuid().is_root(), "rescue mode is root's");
    let language = site::load(&args.state.join("current/site.toml")).ok().map(|s| s.language());
    let here = Here { state: args.state.clone() };
    // The page is a help, no more: without it there is the screen. In emergency mode nobody has opened the packet filter for it.
    if updating::rescue_asked() {
        match rescue::show(&args.state) {
            Ok(port) => log::info!("how this machine is can be read at port {port}"),
            Err(e) => log::warn!("how this machine is can be read here only: {e:#}"),
        }
    }
    rescue::run(&here, &mut Standard, &RealClock, chosen(flag, language))?;
    Ok(ExitCode::SUCCESS)
}
