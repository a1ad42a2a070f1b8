//! `custodian web`: serves the pages.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use super::{check::site_file, chosen, print};
use crate::{
    lang::t,
    services::paths::{self, Paths},
    site::{self, Site},
    sys::{Clock, RealClock, notify},
    types::Lang,
    web::{self, WebConfig},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
}

/// Serves until SIGINT or SIGTERM.
pub(super) fn run(args: &Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let listen = web::loopback_only(args.listen)?;
    // Pages need the site for its name, time zone and language only; without a file they do with what the machine has.
    let file = site_file(args.site.as_deref());
    let site = if args.site.is_some() || file.exists() { Some(site::load(&file)?) } else { None };
    let language = lang.or(site.as_ref().map(Site::language));
    let config = WebConfig {
        media_socket: Paths::new(&args.state).media_socket(),
        site: site.as_ref().map(|s| s.name().to_owned()).unwrap_or_default(),
        time_zone: site.as_ref().map_or_else(machines_zone, |s| s.timezone().iana_name().unwrap_or("UTC").to_owned()),
        language,
        clock: Arc::new(|| RealClock.wall()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let address = format!("http://{}/", listener.local_addr()?);
        print(&t(chosen(lang, language), "web.serving", &[("address", &address)]));
        notify::ready();
        let stop = async move {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
            notify::stopping();
        };
        web::serve(listener, config, stop).await?;
        Ok(ExitCode::SUCCESS)
    })
}

fn machines_zone() -> String {
    jiff::tz::TimeZone::system().iana_name().unwrap_or("UTC").to_owned()
}
