//! `custodian diagnose`: a plain text for the technician, without names, addresses, secrets and pictures. What is in it is shown first.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use serde::de::DeserializeOwned;

use super::{
    check::site_file,
    chosen, print_error,
    table::{self, Table},
};
use crate::{
    health::diagnose::{self as bundle, Section},
    inventory::{self, Roots},
    lang::t,
    services::{
        diagnose::{Known, sections},
        paths::{self, Paths},
        socket,
    },
    site::{
        self,
        secrets::{self, SecretsError},
    },
    sys::{Clock as _, RealClock, RealCommands},
    types::{
        ByteSize, CameraId, Lang,
        wire::{Retention, Status, health::Report},
    },
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[arg(long, conflicts_with = "out")]
    show: bool,
    #[arg(long, requires = "out")]
    yes: bool,
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=720))]
    hours: u32,
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
}

pub(super) fn run(args: &Args, flag: Option<Lang>) -> anyhow::Result<ExitCode> {
    let paths = Paths::new(&args.state);
    let in_force = args.state.join("current/site.toml");
    let file = args.site.clone().unwrap_or_else(|| if in_force.exists() { in_force } else { site_file(None) });
    let site = site::load(&file).ok();
    let lang = chosen(flag, site.as_ref().map(site::Site::language));
    if site.is_none() {
        // Without it nobody knows what a name is.
        print_error(&t(lang, "diagnose.no_site", &[("file", &file.display().to_string())]));
        return Ok(ExitCode::FAILURE);
    }
    let secrets = match secrets::load(&file.with_file_name("secrets.toml")) {
        Ok(secrets) => Some(secrets),
        Err(SecretsError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
        Err(e) => {
            // Without them nobody knows what is to be taken out.
            print_error(&t(lang, "diagnose.no_secrets", &[("why", &e.to_string())]));
            return Ok(ExitCode::FAILURE);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (report, status, retention) = runtime.block_on(async {
        tokio::join!(
            asked::<Report>(paths.health_socket(), "/v1/report"),
            asked::<Status>(paths.status_socket(), "/v1/status"),
            asked::<Retention>(paths.status_socket(), "/v1/retention"),
        )
    });
    let mut numbers = numbers(report.as_ref(), site.as_ref());
    for (camera, number) in crate::services::health::numbers(&paths) {
        numbers.entry(camera).or_insert(number);
    }
    let inventory = inventory::probe(&RealCommands, &Roots::new(&args.state, paths::VOLUMES.as_ref()));
    let known = Known {
        site: site.as_ref(),
        secrets: secrets.as_ref(),
        numbers: &numbers,
        report: report.as_ref(),
        status: status.as_ref(),
        retention: retention.as_ref(),
        inventory: Some(&inventory),
    };
    let all = sections(&known, &RealCommands, &inventory.host, args.hours);
    // Whoever reads it may be elsewhere: English, and UTC.
    let head = format!("custodian diagnose, {}\n{}", RealClock.wall(), t(Lang::En, "diagnose.masked", &[]));
    let text = bundle::text(&head, &all);
    if args.show {
        table::print(&text)?;
        return Ok(ExitCode::SUCCESS);
    }
    table::print(&contents(&all, lang))?;
    let Some(out) = &args.out else {
        table::print(&(t(lang, "diagnose.how", &[]) + "\n"))?;
        return Ok(ExitCode::SUCCESS);
    };
    if !args.yes && !confirmed(out, lang)? {
        print_error(&t(lang, "diagnose.not_written", &[]));
        return Ok(ExitCode::FAILURE);
    }
    write(out, &text)?;
    let size = ByteSize(text.len() as u64).to_string();
    table::print(&(t(lang, "diagnose.written", &[("file", &out.display().to_string()), ("size", &size)]) + "\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// What a service says; nothing if it does not say it now.
async fn asked<T: DeserializeOwned>(socket: PathBuf, path: &str) -> Option<T> {
    // One that hangs is what the technician is asked about.
    socket::at_once(socket::ask(&socket, reqwest::Method::GET, path)).await.ok()
}

/// The cameras' numbers as health gives them; while it is silent, numbers in the order of the site.
fn numbers(report: Option<&Report>, site: Option<&site::Site>) -> BTreeMap<CameraId, u32> {
    match report {
        Some(report) => report.cameras.iter().filter_map(|c| Some((c.id.clone()?, c.number))).collect(),
        None => site.into_iter().flat_map(site::Site::cameras).map(|c| c.id.clone()).zip(1..).collect(),
    }
}

fn contents(all: &[Section], lang: Lang) -> String {
    let head = |key: &str| t(lang, key, &[]);
    let mut table = Table::default()
        .column(head("diagnose.part"), false)
        .column(head("diagnose.size"), true)
        .column(head("diagnose.holds"), false);
    for section in all {
        let holds = t(lang, &format!("diagnose.{}", section.name), &[]);
        table.row(vec![section.name.into(), ByteSize(section.text.len() as u64).to_string().into(), holds.into()]);
    }
    format!("{}\n{}\n", table.render(table::coloured()), t(lang, "diagnose.masked", &[]))
}

fn confirmed(out: &Path, lang: Lang) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    let mut stdout = io::stdout();
    write!(stdout, "{} ", t(lang, "diagnose.ask", &[("file", &out.display().to_string())]))?;
    stdout.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes" | "c" | "co" | "có" | "是"))
}

/// What is there already is nobody's to write over.
fn write(out: &Path, text: &str) -> anyhow::Result<()> {
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(out);
    let mut file = file.with_context(|| format!("{} cannot be written", out.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("{} cannot be written", out.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_explained() {
        let names = ["versions", "health", "site", "recorder", "machine", "units", "journal"];
        for lang in Lang::ALL {
            let all = names.map(|name| Section { name, text: "x".into() });
            let text = contents(&all, lang);
            assert!(!text.contains("diagnose."), "{text}");
            assert_eq!(text.lines().filter(|l| names.iter().any(|n| l.starts_with(n))).count(), 7, "{text}");
        }
    }

    #[test]
    fn a_file_that_is_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d.txt");
        write(&path, "a").unwrap();
        assert!(write(&path, "b").is_err());
        assert_eq!(fs::read_to_string(path).unwrap(), "a");
    }
}
