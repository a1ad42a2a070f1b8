//! `custodian demo`: a school's cameras recorded and shown, with nothing to set up.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use super::{chosen, print};
use crate::{
    demo::{cameras::Fault, site::MAX_CAMERAS},
    lang::t,
    services::{
        demo::{Demo, DemoOptions},
        record::{Signal, Signals},
    },
    types::Lang,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    cameras: u8,
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
    #[arg(long, value_name = "KIND")]
    fault: Option<Fault>,
    #[arg(long)]
    open: bool,
}

const _: () = assert!(MAX_CAMERAS == 64, "the range of --cameras");

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let signed: jiff::SignedDuration = text.parse().map_err(|e| format!("{e}; write 20s, 5m or 1h30m"))?;
    Duration::try_from(signed).map_err(|e| e.to_string())
}

pub(super) fn run(args: Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let language = chosen(lang, None);
    // Before the first thread, so that all of them leave the signals to us.
    let signals = Signals::take()?;
    let demo = Demo::start(&DemoOptions {
        cameras: usize::from(args.cameras),
        listen: args.listen,
        dir: args.dir,
        fault: args.fault,
        language,
    })?;
    let address = format!("http://{}/", demo.address());
    print(&t(
        language,
        "demo.started",
        &[("cameras", &args.cameras.to_string()), ("address", &address), ("dir", &demo.dir().display().to_string())],
    ));
    if let (Some(camera), Some(fault)) = (demo.faulty(), args.fault) {
        print(&t(language, "demo.faulty", &[("camera", camera.as_str()), ("fault", fault.as_str())]));
    }
    if args.open {
        browse(&address);
    }
    let who = wait(&signals, args.duration)?;
    let status = demo.status();
    let faulty = demo.faulty().cloned();
    demo.stop(&who);
    let main: Vec<_> = status.streams.iter().filter(|s| s.recorded).collect();
    let recorded = main.iter().filter(|s| s.newest_committed.is_some()).count();
    let (recorded_text, all) = (recorded.to_string(), main.len().to_string());
    print(&t(language, "demo.ended", &[("recorded", &recorded_text), ("all", &all)]));
    let healthy = main.iter().filter(|s| Some(&s.camera) != faulty.as_ref());
    let failed = args.duration.is_some() && healthy.clone().any(|s| s.newest_committed.is_none());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Until somebody says stop, or the time is over. Answers who ended it.
fn wait(signals: &Signals, limit: Option<Duration>) -> anyhow::Result<String> {
    loop {
        match signals.next_within(limit)? {
            Some(Signal::Stop(who)) => return Ok(who),
            Some(Signal::Reload) => {}
            None => return Ok("the end of the demo's time".to_owned()),
        }
    }
}

fn browse(address: &str) {
    let opened = Command::new("xdg-open").arg(address).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    if let Err(e) = opened {
        log::warn!(CAUSE:% = e; "no browser could be opened: {e}");
    }
}
