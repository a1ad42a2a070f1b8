//! `custodian disk`: the facts of a disk, and the three verbs that prepare, release and erase one.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;

use super::{
    check::site_file,
    inventory::{content, manners, newest},
    print, print_error,
    time::Shown,
};
use crate::{
    disks::{Refusal, Token, TokenError, Wanted},
    lang::{secrecy, t},
    services::{
        disks::{self, Machine, Sheet},
        paths,
    },
    site::{self, Site, Unlock},
    sys::RealClock,
    types::Lang,
};

/// A verb was given without its token: the facts were shown, nothing was changed.
const NO_TOKEN: u8 = 3;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Facts(FactsArgs),
    Init(InitArgs),
    Release(ReleaseArgs),
    Erase(EraseArgs),
}

#[derive(Debug, clap::Args)]
struct FactsArgs {
    #[arg(value_name = "BY-ID")]
    by_id: String,
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
    #[arg(long)]
    removable: bool,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct InitArgs {
    #[arg(value_name = "BY-ID")]
    by_id: String,
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
    #[arg(long)]
    removable: bool,
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct ReleaseArgs {
    #[arg(value_name = "BY-ID")]
    by_id: String,
}

#[derive(Debug, clap::Args)]
struct EraseArgs {
    #[arg(value_name = "BY-ID")]
    by_id: String,
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
}

/// This machine, and how to speak of it.
struct Here {
    machine: Machine<'static>,
    site: Result<Site, site::LoadError>,
    lang: Lang,
    shown: Shown,
}

impl Here {
    fn new(site: Option<&Path>, flag: Option<Lang>) -> Self {
        let site = site::load(&site_file(site));
        let (lang, shown) = manners(flag, site.as_ref().ok());
        Self { machine: Machine::here(paths::STATE.as_ref()), site, lang, shown }
    }

    fn wanted(&self, by_id: &str, removable: bool) -> Option<(Wanted, Unlock)> {
        disks::wanted(self.site.as_ref().ok()?, by_id, removable)
    }

    /// Shows the facts with the token of one verb.
    fn show(&self, by_id: &str, sheet: &Sheet, verb: &str, token: &Result<Token, Refusal>) -> ExitCode {
        print(&facts(sheet, &self.shown, self.lang));
        match token {
            Ok(token) => {
                let command = format!("custodian disk {verb} {by_id} --token {token}");
                print_error(&t(self.lang, "disk.token_wanted", &[("command", &command)]));
                ExitCode::from(NO_TOKEN)
            }
            Err(refusal) => self.refuse(refusal),
        }
    }

    fn refuse(&self, refusal: &Refusal) -> ExitCode {
        print_error(&t(self.lang, "disk.refused", &[("why", &in_words(refusal, &self.shown, self.lang))]));
        ExitCode::FAILURE
    }
}

pub(super) fn run(args: Args, flag: Option<Lang>) -> anyhow::Result<ExitCode> {
    let site = match &args.verb {
        Verb::Facts(a) => a.site.clone(),
        Verb::Init(a) => a.site.clone(),
        Verb::Release(_) | Verb::Erase(_) => None,
    };
    let here = Here::new(site.as_deref(), flag);
    if !nix::unistd::geteuid().is_root() {
        print_error(&t(here.lang, "disk.not_root", &[]));
        return Ok(ExitCode::FAILURE);
    }
    let done = match args.verb {
        Verb::Facts(args) => show_facts(&args, &here),
        Verb::Init(args) => init(&args, &here),
        Verb::Release(args) => release(&args, &here),
        Verb::Erase(args) => erase(&args, &here),
    };
    // What is refused is said in the language of the school; what fails is for the log.
    match done {
        Err(e) if e.is::<Refusal>() => Ok(e.downcast_ref::<Refusal>().map_or(ExitCode::FAILURE, |r| here.refuse(r))),
        other => other,
    }
}

fn show_facts(args: &FactsArgs, here: &Here) -> anyhow::Result<ExitCode> {
    let wanted = here.wanted(&args.by_id, args.removable);
    let sheet = here.machine.sheet(&args.by_id, wanted.as_ref().map(|(w, _)| w))?;
    if args.json {
        let verb = |token: &Result<Token, Refusal>| match token {
            Ok(token) => serde_json::json!({ "token": token.to_string() }),
            Err(refusal) => serde_json::json!({ "refused": refusal.to_string() }),
        };
        let json = serde_json::json!({
            "disk": sheet.disk,
            "days_of_footage": sheet.footage.map(|f| f.days),
            "init": verb(&sheet.init),
            "erase": verb(&sheet.erase),
        });
        print(&serde_json::to_string_pretty(&json)?);
        return Ok(ExitCode::SUCCESS);
    }
    print(&facts(&sheet, &here.shown, here.lang));
    for (verb, token) in [("init", &sheet.init), ("erase", &sheet.erase)] {
        let line = match token {
            Ok(token) => t(here.lang, "disk.token", &[("verb", verb), ("token", &token.to_string())]),
            Err(refusal) => {
                let why = in_words(refusal, &here.shown, here.lang);
                t(here.lang, "disk.no_token", &[("verb", verb), ("why", &why)])
            }
        };
        print(&line);
    }
    Ok(ExitCode::SUCCESS)
}

fn init(args: &InitArgs, here: &Here) -> anyhow::Result<ExitCode> {
    // Without a site there is nothing that a disk could be prepared for.
    if here.site.is_err() {
        site::load(&site_file(args.site.as_deref()))?;
    }
    let wanted = here.wanted(&args.by_id, args.removable);
    let Some(token) = &args.token else {
        let sheet = here.machine.sheet(&args.by_id, wanted.as_ref().map(|(w, _)| w))?;
        return Ok(here.show(&args.by_id, &sheet, "init", &sheet.init));
    };
    let token: Token = token.parse().map_err(Refusal::Token)?;
    let (wanted, unlock) = wanted.ok_or(Refusal::NotInSite)?;
    let passphrase = args.passphrase_file.as_deref().map(from_file).transpose()?;
    let unlocking = disks::unlocking(unlock, args.key_file.as_deref(), passphrase.as_deref())?;
    let recovery = here.machine.init(&args.by_id, &wanted, &token, unlocking, &RealClock)?;
    print(&t(here.lang, "disk.prepared", &[("disk", &args.by_id), ("volume", wanted.volume.as_str())]));
    if let Some(key) = recovery {
        print(&t(here.lang, "disk.recovery_key", &[("key", &key.reveal())]));
    }
    for line in secrecy(here.lang, unlock.as_str()) {
        print(&line);
    }
    Ok(ExitCode::SUCCESS)
}

/// A secret from a file, or from standard input for `-`.
pub(super) fn from_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut text).context("standard input cannot be read")?;
        return Ok(text);
    }
    fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn release(args: &ReleaseArgs, here: &Here) -> anyhow::Result<ExitCode> {
    here.machine.release(&args.by_id, &RealClock)?;
    print(&t(here.lang, "disk.released", &[("disk", &args.by_id)]));
    Ok(ExitCode::SUCCESS)
}

fn erase(args: &EraseArgs, here: &Here) -> anyhow::Result<ExitCode> {
    let Some(token) = &args.token else {
        let sheet = here.machine.sheet(&args.by_id, None)?;
        return Ok(here.show(&args.by_id, &sheet, "erase", &sheet.erase));
    };
    here.machine.erase(&args.by_id, &token.parse().map_err(Refusal::Token)?, &RealClock)?;
    print(&t(here.lang, "disk.erased", &[("disk", &args.by_id)]));
    Ok(ExitCode::SUCCESS)
}

/// What a person should know of a disk before something is done to it.
pub(super) fn facts(sheet: &Sheet, shown: &Shown, lang: Lang) -> String {
    let d = &sheet.disk;
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".to_owned());
    let mut text = t(
        lang,
        "disk.facts",
        &[
            ("disk", &d.by_id.join(", ")),
            ("name", &d.name),
            ("model", &dash(&d.model)),
            ("serial", &dash(&d.serial)),
            ("wwn", &dash(&d.wwn)),
            ("size", &d.size.to_string()),
            ("content", content(d, shown, lang).text()),
        ],
    );
    if let Some(footage) = sheet.footage {
        let days = footage.days.to_string();
        text.push('\n');
        text.push_str(&t(lang, "disk.footage", &[("days", &days)]));
    }
    text
}

/// Why a verb is refused.
pub(super) fn in_words(refusal: &Refusal, shown: &Shown, lang: Lang) -> String {
    match refusal {
        Refusal::NoDisk { by_id } => t(lang, "disk.no_disk", &[("disk", by_id)]),
        Refusal::NotInSite => t(lang, "disk.not_in_site", &[]),
        Refusal::System => t(lang, "disk.system", &[]),
        Refusal::Mounted { at } => t(lang, "disk.mounted", &[("at", at)]),
        Refusal::Held { by } => t(lang, "disk.held", &[("by", by)]),
        Refusal::ReadOnly => t(lang, "disk.read_only", &[]),
        Refusal::Removable => t(lang, "disk.removable", &[]),
        Refusal::TooSmall { size, stated } => {
            t(lang, "disk.too_small", &[("size", &size.to_string()), ("stated", &stated.to_string())])
        }
        Refusal::Unknown { why } => t(lang, "disk.unknown", &[("why", why)]),
        Refusal::Ours { site, volume, newest: at } => {
            let newest = at.map(|at| format!(" ({})", newest(at, shown, lang))).unwrap_or_default();
            t(lang, "disk.ours", &[("volume", volume.as_str()), ("site", site), ("newest", &newest)])
        }
        Refusal::Foreign { found } => t(lang, "disk.foreign", &[("found", found)]),
        Refusal::Empty => t(lang, "disk.empty", &[]),
        Refusal::NotOurs => t(lang, "disk.not_ours", &[]),
        Refusal::LongName { site, volume } => t(lang, "disk.long_name", &[("volume", volume.as_str()), ("site", site)]),
        Refusal::Token(e) => match e {
            TokenError::OtherVerb => t(lang, "disk.token_verb", &[]),
            TokenError::OtherDisk => t(lang, "disk.token_disk", &[]),
            TokenError::OtherSize => t(lang, "disk.token_size", &[]),
            TokenError::OtherContent => t(lang, "disk.token_content", &[]),
            TokenError::Mistyped => t(lang, "disk.token_mistyped", &[]),
            TokenError::Malformed => t(lang, "disk.token_malformed", &[]),
        },
    }
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
