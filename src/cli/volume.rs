//! `custodian volume init`: prepares folders as volumes. Disks are prepared by their own command, with a token.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;

use super::{check::site_file, chosen, print};
use crate::{
    lang::t,
    site::{self, VolumePlace},
    store::volume,
    sys::{Clock as _, RealClock, RealDisk},
    types::{Lang, RecorderId, VolumeName},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Init(InitArgs),
}

#[derive(Debug, clap::Args)]
struct InitArgs {
    #[arg(value_name = "VOLUME")]
    volumes: Vec<VolumeName>,
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
    #[arg(long, value_name = "NAME")]
    recorder: Option<RecorderId>,
}

pub(super) fn run(args: Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let Verb::Init(args) = args.verb;
    let site = site::load(&site_file(args.site.as_deref()))?;
    let lang = chosen(lang, Some(site.language()));
    let here = site.recorders().filter(|r| args.recorder.as_ref().is_none_or(|wanted| r.id == *wanted));
    let volumes: Vec<&site::Volume> =
        here.flat_map(|r| &r.volumes).filter(|v| args.volumes.is_empty() || args.volumes.contains(&v.name)).collect();
    for name in &args.volumes {
        volumes.iter().find(|v| v.name == *name).with_context(|| format!("the site has no volume {name} here"))?;
    }
    for v in volumes {
        let VolumePlace::Path(root) = &v.place else {
            anyhow::bail!("volume {} is a disk: this command prepares folders only", v.name);
        };
        // One that is prepared already is left as it is, so that the command can be given again.
        let key = match volume::open(&RealDisk, &v.name, root, None) {
            Ok(_) => "volume.there",
            Err(volume::VolumeError::NoFolder { .. } | volume::VolumeError::NoMarker { .. }) => {
                volume::init(&RealDisk, &v.name, root, site.id(), RealClock.wall())?;
                "volume.prepared"
            }
            Err(e) => return Err(e.into()),
        };
        print(&t(lang, key, &[("volume", v.name.as_str()), ("path", &root.display().to_string())]));
    }
    Ok(ExitCode::SUCCESS)
}
