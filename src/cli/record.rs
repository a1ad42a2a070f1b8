//! `custodian record`: records a recorder's cameras until it is told to stop.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use super::{check::site_file, chosen, print};
use crate::{
    lang::t,
    services::{
        paths::{self, Paths},
        record::{Options, Recorder, Signal, Signals},
        socket,
    },
    site::{Errors, LoadError, secrets::SecretsError},
    sys::RealClock,
    types::{Lang, RecorderId, event, wire},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    #[arg(long, value_name = "NAME", env = "CUSTODIAN_RECORDER", hide_env = true)]
    recorder: Option<RecorderId>,
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
    #[arg(long)]
    reload: bool,
}

pub(super) fn run(args: Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    if args.reload {
        return reload(&Paths::new(args.state), lang);
    }
    // Before the first thread, so that all of them leave the signals to us.
    let signals = Signals::take()?;
    let options = Options {
        site: site_file(args.site.as_deref()),
        secrets: args.secrets,
        recorder: args.recorder,
        state: args.state,
    };
    let recorder = match Recorder::start(&options, Arc::new(RealClock)) {
        Ok(recorder) => recorder,
        Err(e) => return refuse(e, lang),
    };
    loop {
        match signals.next()? {
            Signal::Stop(who) => {
                recorder.stop(&who);
                return Ok(ExitCode::SUCCESS);
            }
            Signal::Reload => {
                if let Err(e) = recorder.reload() {
                    log::error!(
                        MESSAGE_ID = event::SITE_REFUSED, CAUSE = format!("{e:#}");
                        "the site is not taken over, recording goes on as before: {e:#}"
                    );
                }
            }
        }
    }
}

/// A wrong site is shown as `check` shows it; everything else is an error like any other.
fn refuse(e: anyhow::Error, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let refused: Option<&Errors> = match (e.downcast_ref(), e.downcast_ref()) {
        (Some(LoadError::Refused { errors, .. }), _) | (_, Some(SecretsError::Refused { errors, .. })) => Some(errors),
        _ => e.downcast_ref(),
    };
    let Some(errors) = refused else { return Err(e) };
    super::print_error(&errors.render(chosen(lang, errors.language()), false));
    Ok(ExitCode::FAILURE)
}

fn reload(paths: &Paths, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let socket = paths.control_socket();
    let changes: wire::Reloaded = runtime.block_on(socket::ask(&socket, reqwest::Method::POST, "/v1/reload"))?;
    let names = |ids: &[crate::types::CameraId]| {
        let names: Vec<&str> = ids.iter().map(crate::types::CameraId::as_str).collect();
        if names.is_empty() { "–".to_owned() } else { names.join(", ") }
    };
    print(&t(
        chosen(lang, None),
        "record.reloaded",
        &[
            ("added", &names(&changes.added)),
            ("removed", &names(&changes.removed)),
            ("changed", &names(&changes.changed)),
            ("untouched", &changes.untouched.to_string()),
        ],
    ));
    Ok(ExitCode::SUCCESS)
}
