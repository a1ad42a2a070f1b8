//! `custodian backup init`: prepares places, once.

use std::process::ExitCode;

use super::Here;
use crate::{cli::print, lang::t, services::backup::Prepared, types::Lang};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    here: Here,
    #[arg(long, value_name = "PLACE")]
    place: Option<String>,
    #[arg(long)]
    same_disk: bool,
}

pub(super) fn run(args: &Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let backups = args.here.backups()?;
    let (lang, _) = args.here.manners(lang);
    for (label, prepared) in backups.init(args.place.as_deref(), args.same_disk)? {
        let key = match prepared {
            Prepared::Now => "backup.prepared",
            Prepared::Already => "backup.prepared_already",
        };
        print(&t(lang, key, &[("place", &label.0)]));
    }
    Ok(ExitCode::SUCCESS)
}
