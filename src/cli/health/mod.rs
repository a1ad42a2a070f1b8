//! `custodian health`: how the recorder is, worst first; and the service that looks.

mod say;
pub(super) mod silence;

use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
};

use jiff::tz::TimeZone;
use nix::unistd::geteuid;

use super::{
    NOT_ALL,
    check::site_file,
    chosen, print_error, table,
    time::{self, Shown},
};
use crate::{
    lang::t,
    services::{
        health::{self, Options, look, prepare},
        paths::{self, Paths},
        socket::{self, AskError},
    },
    site,
    sys::{Clock as _, RealClock, RealFiles},
    types::{
        Lang, RecorderId,
        wire::health::{Level, Report},
    },
};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[expect(clippy::struct_excessive_bools, reason = "flags")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[arg(long, conflicts_with_all = ["prepare", "look"])]
    serve: bool,
    #[arg(long, conflicts_with = "look")]
    prepare: bool,
    #[arg(long)]
    look: bool,
    #[arg(long)]
    json: bool,
    #[arg(long)]
    utc: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Silence(silence::Args),
}

/// Which recorder.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
struct Place {
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    #[arg(long, value_name = "NAME", env = "CUSTODIAN_RECORDER", hide_env = true)]
    recorder: Option<RecorderId>,
}

impl Place {
    fn is_standard(&self) -> bool {
        self.state == Path::new(paths::STATE)
    }

    /// The site that is looked by: what is named, else what is in force, else what lies here.
    fn options(&self) -> Options {
        let in_force = self.state.join("current/site.toml");
        let site = match &self.site {
            None if self.is_standard() || in_force.exists() => in_force,
            named => site_file(named.as_deref()),
        };
        let credentials = env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from).filter(|_| self.site.is_none());
        // As for the recorder: beside the site, unless the service manager hands over what health may know.
        let beside = || Some(site.with_file_name("secrets.toml")).filter(|path| credentials.is_none() && path.exists());
        Options {
            secrets: self.secrets.clone().or_else(beside),
            recorder: self.recorder.clone(),
            state: self.state.clone(),
            credentials,
            site,
        }
    }

    /// Zone and language of the site, as far as it can be read.
    fn manners(&self, utc: bool, lang: Option<Lang>) -> (Shown, Lang) {
        let site = site::load(&self.options().site).ok();
        let zone = site.as_ref().filter(|_| !utc).map_or(TimeZone::UTC, |site| site.timezone().clone());
        (Shown::new(zone), chosen(lang, site.as_ref().map(site::Site::language)))
    }
}

pub(super) fn run(args: Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    match args.verb {
        Some(Verb::Silence(silence)) => silence::run(silence, lang),
        None if args.serve => {
            health::serve(&args.place.options(), health::ways::go)?;
            Ok(ExitCode::SUCCESS)
        }
        None if args.prepare => {
            let to = if args.place.is_standard() {
                PathBuf::from(prepare::CREDENTIAL)
            } else {
                Paths::new(&args.place.state).health_run().join("custodian.health-secrets")
            };
            prepare::prepare(&RealFiles, &args.place.state, &to)?;
            Ok(ExitCode::SUCCESS)
        }
        None if args.look => {
            look::look(&args.place.state, &Paths::new(&args.place.state).look())?;
            Ok(ExitCode::SUCCESS)
        }
        None => show(&args, lang),
    }
}

/// What the service says; nothing if it does not answer.
fn ask(paths: &Paths, lang: Lang) -> anyhow::Result<Option<Report>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let socket = paths.health_socket();
    match runtime.block_on(socket::at_once(socket::ask(&socket, reqwest::Method::GET, "/v1/report"))) {
        Ok(report) => Ok(Some(report)),
        Err(AskError::Nobody(_)) => Ok(None),
        Err(e @ AskError::Slow(_)) => Err(e.of_health().context(t(lang, "health_cli.slow", &[]))),
        Err(e) => Err(e.of_health()),
    }
}

fn show(args: &Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let paths = Paths::new(&args.place.state);
    let (shown, lang) = args.place.manners(args.utc, lang);
    let mut stale = false;
    let report = if let Some(report) = ask(&paths, lang)? {
        let site = site::load(&args.place.options().site).ok();
        if let Some(age) = health::overdue(report.at, site.as_ref(), RealClock.wall()) {
            stale = true;
            let age = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
            print_error(&t(lang, "health_cli.stale", &[("length", &time::length(age))]));
        }
        report
    } else {
        let socket = paths.health_socket().display().to_string();
        // Without root a look would find nothing where there is something.
        if args.place.is_standard() && !geteuid().is_root() {
            print_error(&t(lang, "health_cli.down_ask_root", &[("socket", &socket)]));
            return Ok(ExitCode::FAILURE);
        }
        print_error(&t(lang, "health_cli.down", &[("socket", &socket)]));
        health::glance(&args.place.options())?
    };
    if args.json {
        table::print(&(serde_json::to_string_pretty(&say::json(&report, shown.time_zone()))? + "\n"))?;
    } else {
        table::print(&say::report(&report, &shown, lang, table::coloured()))?;
    }
    let well = !stale && report.findings.iter().all(|f| f.level == Level::Ok);
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(NOT_ALL) })
}
