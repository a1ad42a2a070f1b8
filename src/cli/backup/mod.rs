//! `custodian backup`: makes backups, shows their records, looks whether they are whole, and gets things back from them.

mod init;
mod list;
mod restore;
mod run;
mod sheet;
mod verify;

use std::{path::PathBuf, process::ExitCode};

use super::{check::site_file, inventory::manners, time::Shown};
use crate::{
    services::{
        backup::{Ask, Backups, Connected, Named, elsewhere},
        paths,
        planning::applied_recorder,
    },
    site,
    types::{Lang, RecorderId},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Init(init::Args),
    Run(run::Args),
    List(list::Args),
    Verify(verify::Args),
    Restore(restore::Args),
}

pub(super) fn run(args: &Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    match &args.verb {
        Verb::Init(args) => init::run(args, lang),
        Verb::Run(args) => run::run(args, lang),
        Verb::List(args) => list::run(args, lang),
        Verb::Verify(args) => verify::run(args, lang),
        Verb::Restore(args) => restore::run(args, lang),
    }
}

/// Which site and which machine.
#[derive(Debug, clap::Args)]
#[group(skip)]
struct Here {
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    #[arg(long, value_name = "NAME", env = "CUSTODIAN_RECORDER", hide_env = true)]
    recorder: Option<RecorderId>,
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
}

impl Here {
    /// The site's file: as named, else as applied to this machine, else as everywhere.
    fn site_file(&self) -> PathBuf {
        let applied = self.state.join("current/site.toml");
        if self.site.is_none() && applied.exists() { applied } else { site_file(self.site.as_deref()) }
    }

    fn backups(&self) -> anyhow::Result<Backups> {
        let site = self.site_file();
        // A site that was applied was applied to one of its recorders.
        let applied = || applied_recorder(&self.state).filter(|_| site == self.state.join("current/site.toml"));
        Backups::open(&Ask {
            recorder: self.recorder.clone().or_else(applied),
            site,
            secrets: self.secrets.clone(),
            state: self.state.clone(),
        })
    }

    /// How to speak, and in which time: the site's, where there is one.
    fn manners(&self, lang: Option<Lang>) -> (Lang, Shown) {
        manners(lang, site::load(&self.site_file()).ok().as_ref())
    }
}

/// Which place.
#[derive(Debug, clap::Args)]
#[group(skip)]
struct Where {
    #[arg(long, value_name = "PLACE", conflicts_with_all = ["at", "s3"])]
    place: Option<String>,
    #[arg(long, value_name = "DIR", conflicts_with = "s3")]
    at: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    s3: Option<PathBuf>,
}

impl Where {
    /// The places that are meant: those of the site, or one that the site knows nothing of.
    fn connect(&self, here: &Here) -> anyhow::Result<Vec<Connected>> {
        let named = Named { place: self.place.clone(), at: self.at.clone(), s3: self.s3.clone() };
        if named.elsewhere() {
            return Ok(vec![elsewhere(&named, here.recorder.as_ref())?]);
        }
        here.backups()?.connected(self.place.as_deref())
    }

    /// Whether a place is named at all.
    fn is_named(&self) -> bool {
        self.place.is_some() || self.at.is_some() || self.s3.is_some()
    }
}
