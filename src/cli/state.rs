//! `custodian state`: the partition of the appliance that `/var` is mounted from.

use std::process::ExitCode;

use super::{print, print_error};
use crate::{
    lang::t,
    state::{Opener, Problem},
    types::Lang,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Open,
}

pub(super) fn run(args: &Args, flag: Option<Lang>) -> ExitCode {
    let Verb::Open = args.verb;
    match Opener::here().open() {
        Ok(device) => {
            let values = [("device", &*device.display().to_string())];
            print(&t(flag.unwrap_or_default(), "state.opened", &values));
            ExitCode::SUCCESS
        }
        Err(e) => {
            log::error!(CAUSE:% = e; "the state is not open: {e}");
            // In which language the school reads stands on what is closed.
            let problem = Problem::of(&e);
            let all = flag.map_or_else(|| Lang::ALL.to_vec(), |lang| vec![lang]);
            all.into_iter().for_each(|lang| print_error(&problem.text(lang)));
            ExitCode::from(e.exit_code())
        }
    }
}
