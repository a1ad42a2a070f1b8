//! `custodian web`: serves the pages.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use super::chosen;
use crate::{
    lang::t,
    sys::{Clock, RealClock, notify},
    types::Lang,
    web::{self, WebConfig},
};

/// `custodian web`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    #[arg(long, value_name = "DIR", default_value = "/var/lib/custodian")]
    state: PathBuf,
}

/// Serves until SIGINT or SIGTERM.
pub(super) fn run(args: Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let listen = web::loopback_only(args.listen)?;
    let config = WebConfig {
        media_socket: args.state.join("run").join("media.sock"),
        site: String::new(),
        time_zone: jiff::tz::TimeZone::system().iana_name().unwrap_or("UTC").to_owned(),
        language: lang,
        clock: Arc::new(|| RealClock.wall()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let address = format!("http://{}/", listener.local_addr()?);
        println(&t(chosen(lang, config.language), "web.serving", &[("address", &address)]));
        notify::ready();
        let stop = async move {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
            notify::stopping();
        };
        web::serve(listener, config, stop).await?;
        Ok(ExitCode::SUCCESS)
    })
}

#[expect(clippy::print_stdout, reason = "a subcommand prints")]
fn println(text: &str) {
    println!("{text}");
}
