//! `custodian hold`: footage that is kept until a person lets it go.

mod say;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use jiff::tz::TimeZone;
use nix::unistd::geteuid;

use super::{
    chosen, print_error, table,
    time::{self, Shown},
    window::manners,
};
use crate::{
    lang::t,
    services::{
        applying::who,
        holding,
        paths::{self, Paths, STATE},
        socket::{self, AskError},
    },
    store::index::Reader,
    sys::{Clock as _, RealClock},
    types::{
        CameraId, HoldId, Lang, Span, WallNs,
        wire::{HoldAnswer, HoldCommand, HoldList, HoldOrder},
    },
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Add(AddArgs),
    List(ListArgs),
    Extend(ExtendArgs),
    Release(ReleaseArgs),
}

/// What all of them take.
#[derive(Debug, clap::Args)]
#[group(skip)]
struct Common {
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
    #[arg(long)]
    utc: bool,
    #[arg(long)]
    json: bool,
}

/// Who orders it, and why.
#[derive(Debug, clap::Args)]
#[group(skip)]
struct OrderArgs {
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[arg(long, value_name = "TEXT")]
    by: String,
    #[arg(long, value_name = "TEXT")]
    case: Option<String>,
}

#[derive(Debug, clap::Args)]
struct AddArgs {
    #[arg(long, value_name = "ID", required_unless_present = "all_cameras", conflicts_with = "all_cameras")]
    camera: Vec<CameraId>,
    #[arg(long)]
    all_cameras: bool,
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: String,
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: String,
    #[command(flatten)]
    order: OrderArgs,
    #[arg(long, value_name = "DATE")]
    review: String,
    #[arg(long)]
    even_if_short: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct ExtendArgs {
    #[arg(value_name = "ID")]
    hold: String,
    #[arg(long, value_name = "ID", conflicts_with = "all_cameras")]
    camera: Vec<CameraId>,
    #[arg(long)]
    all_cameras: bool,
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    #[command(flatten)]
    order: OrderArgs,
    #[arg(long, value_name = "DATE")]
    review: Option<String>,
    #[arg(long)]
    even_if_short: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct ReleaseArgs {
    #[arg(value_name = "ID")]
    hold: String,
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    common: Common,
}

/// In what manner people of this site are spoken to, and who is asked.
struct Desk {
    paths: Paths,
    zone: TimeZone,
    lang: Lang,
    shown: Shown,
    now: WallNs,
    json: bool,
}

impl Desk {
    fn open(common: &Common, lang: Option<Lang>) -> Self {
        let paths = Paths::new(&common.state);
        let manners = Reader::open(&paths.index()).ok().and_then(|index| manners(&index, common.utc, lang).ok());
        let (zone, lang) = manners.unwrap_or_else(|| (TimeZone::UTC, chosen(lang, None)));
        Self { paths, shown: Shown::new(zone.clone()), zone, lang, now: RealClock.wall(), json: common.json }
    }

    fn time(&self, option: &'static str, text: &str) -> anyhow::Result<WallNs> {
        time::parse(text, &self.zone, self.now).context(option)
    }

    fn day(&self, text: &str) -> anyhow::Result<String> {
        Ok(time::day(text, &self.zone, self.now).context("--review")?.to_string())
    }

    fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
        Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
    }

    /// The holds; those in the recorder's folder where it does not run, which is said.
    fn list(&self) -> anyhow::Result<(HoldList, bool)> {
        let socket = self.paths.control_socket();
        match Self::runtime()?.block_on(socket::ask(&socket, reqwest::Method::GET, "/v1/holds")) {
            Ok(list) => Ok((list, true)),
            Err(AskError::Nobody(_)) => {
                let today = self.now.timestamp().to_zoned(self.zone.clone()).date();
                let holds = holding::list(&holding::read(self.paths.state())?, today);
                Ok((HoldList { holds, ..HoldList::default() }, false))
            }
            Err(e) => Err(e.into()),
        }
    }

    /// The hold whose id begins so.
    fn find(&self, text: &str) -> anyhow::Result<HoldId> {
        let (list, _) = self.list()?;
        let digits = text.replace('-', "").to_lowercase();
        let mut found = list.holds.iter().map(|h| h.id).filter(|id| id.to_string().starts_with(&digits));
        match (found.next(), found.next()) {
            (Some(id), None) if digits.len() >= 4 => Ok(id),
            (Some(_), Some(_)) => bail!("several holds begin with {text}: write more of the id"),
            (Some(_), None) => bail!("write at least four digits of the hold's id"),
            (None, _) => bail!("there is no hold {text}: `custodian hold list --all` lists them"),
        }
    }

    fn tell(&self, command: &HoldCommand) -> anyhow::Result<ExitCode> {
        let socket = self.paths.control_socket();
        let answer: HoldAnswer = Self::runtime()?.block_on(socket::tell(&socket, "/v1/holds", command))?;
        let short = matches!(answer, HoldAnswer::Short(_));
        match &answer {
            _ if self.json => table::print(&(serde_json::to_string_pretty(&answer)? + "\n"))?,
            HoldAnswer::Short(short) => print_error(&say::refused(short, &self.shown, self.lang)),
            HoldAnswer::Done(done) => {
                table::print(&say::done(done, self.now, &self.shown, self.lang, table::coloured()))?;
                let doubts = say::doubts(done, &self.shown, self.lang);
                if !doubts.is_empty() {
                    print_error(&doubts);
                }
            }
        }
        Ok(if short { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn order(args: OrderArgs, even_if_short: bool) -> HoldOrder {
    HoldOrder { by: args.by, reason: args.reason, case: args.case, entered_by: who(), even_if_short }
}

pub(super) fn run(args: Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    match args.verb {
        Verb::Add(args) => add(args, lang),
        Verb::List(args) => list(&args, lang),
        Verb::Extend(args) => extend(args, lang),
        Verb::Release(args) => release(args, lang),
    }
}

fn add(args: AddArgs, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let desk = Desk::open(&args.common, lang);
    let (from, to) = (desk.time("--from", &args.from)?, desk.time("--to", &args.to)?);
    let span = Span::new(from, to).context("--to lies before --from")?;
    let review = desk.day(&args.review)?;
    desk.tell(&HoldCommand::Add { cameras: args.camera, span, review, order: order(args.order, args.even_if_short) })
}

fn extend(args: ExtendArgs, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let desk = Desk::open(&args.common, lang);
    let from = args.from.as_deref().map(|text| desk.time("--from", text)).transpose()?;
    let to = args.to.as_deref().map(|text| desk.time("--to", text)).transpose()?;
    let review = args.review.as_deref().map(|text| desk.day(text)).transpose()?;
    let hold = desk.find(&args.hold)?;
    let (cameras, all_cameras) = (args.camera, args.all_cameras);
    let order = order(args.order, args.even_if_short);
    desk.tell(&HoldCommand::Extend { hold, cameras, all_cameras, from, to, review, order })
}

fn release(args: ReleaseArgs, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    // Until approvals exist. Elsewhere than in the standard folder whoever runs the recorder may: it is a trial.
    if args.common.state.as_path() == STATE && !geteuid().is_root() {
        bail!("only root may release a hold on this machine: nothing was changed");
    }
    let desk = Desk::open(&args.common, lang);
    let hold = desk.find(&args.hold)?;
    desk.tell(&HoldCommand::Release { hold, order: order(args.order, false) })
}

fn list(args: &ListArgs, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let desk = Desk::open(&args.common, lang);
    let (mut list, running) = desk.list()?;
    list.holds.retain(|h| args.all || h.released.is_none());
    if desk.json {
        table::print(&(serde_json::to_string_pretty(&list)? + "\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    table::print(&say::list(&list, &desk.shown, desk.lang, table::coloured()))?;
    if !running {
        let socket = desk.paths.control_socket().display().to_string();
        print_error(&t(desk.lang, "hold.down", &[("socket", &socket)]));
    }
    Ok(ExitCode::SUCCESS)
}
