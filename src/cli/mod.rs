//! The command line: one file a subcommand. A subcommand prints what others decided, and decides nothing.
//!
//! A subcommand is a module with `struct Args` (clap) and `fn run(args, lang) -> anyhow::Result<ExitCode>`. Its help
//! stands in the catalogs: `help.<command>` and `help.<command>-<argument>`.

mod apply;
mod backup;
mod check;
mod clip;
mod console;
mod demo;
mod diagnose;
mod disk;
mod doctor;
mod gaps;
mod generations;
mod health;
mod help;
mod hold;
mod install;
mod inventory;
mod ledger;
pub mod logger;
mod plan;
mod progress;
mod record;
mod recovery;
mod reindex;
mod rescue;
mod reset;
mod retention;
mod schema;
mod screen;
mod segments;
mod state;
mod status;
mod table;
mod time;
mod update;
mod vendor;
mod verify;
mod volume;
mod web;
mod window;

use std::{
    env,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{FromArgMatches, Parser, Subcommand};

use crate::types::Lang;

/// The exit code of what was done and found something missing, damaged or at risk, and named it. 1 is what was not done, and 2 a command
/// line that is not understood.
const NOT_ALL: u8 = 3;

/// What was asked for on the command line.
#[derive(Debug, Parser)]
#[command(name = "custodian", version, disable_help_subcommand = true)]
pub struct Cli {
    #[arg(long, global = true, value_name = "vi|zh|en", value_parser = language)]
    lang: Option<Lang>,
    /// Log more: once for debugging this program, twice for its libraries too.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Record(record::Args),
    Status(status::Args),
    Doctor(doctor::Args),
    Segments(segments::Args),
    Gaps(gaps::Args),
    Clip(clip::Args),
    Hold(hold::Args),
    Retention(retention::Args),
    Health(health::Args),
    Ledger(ledger::Args),
    Check(check::Args),
    Plan(plan::Args),
    Apply(apply::Args),
    Confirm(generations::ConfirmArgs),
    Rollback(generations::RollbackArgs),
    Generations(generations::ListArgs),
    Diff(generations::DiffArgs),
    Diagnose(diagnose::Args),
    Vendor(vendor::Args),
    Reindex(reindex::Args),
    Verify(verify::Args),
    Volume(volume::Args),
    Inventory(inventory::Args),
    Disk(disk::Args),
    Install(install::Args),
    State(state::Args),
    Schema(schema::Args),
    Web(web::Args),
    Backup(backup::Args),
    Update(update::Args),
    ResetConfig(reset::Args),
    Rescue(rescue::Args),
    Screen(screen::Args),
    Console(console::Args),
}

impl Cli {
    /// Whether it is only a show.
    pub fn is_demo(&self) -> bool {
        matches!(self.command, Command::Demo(_))
    }
}

/// Reads the command line. Help, version and mistakes end the process, as is usual.
pub fn parse() -> Cli {
    let args = screen::arguments(env::args().collect(), env::var(screen::SCREEN).ok().as_deref());
    let matches = help::command(chosen(flag_before_parsing(args.iter().cloned()), None)).get_matches_from(args);
    Cli::from_arg_matches(&matches).unwrap_or_else(|e| e.exit())
}

/// Carries out what was asked for. An error is for the log, and the exit code is then 1.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Demo(args) => demo::run(args, cli.lang),
        Command::Record(args) => record::run(args, cli.lang),
        Command::Reindex(args) => reindex::run(&args, cli.lang),
        Command::Verify(args) => verify::run(args, cli.lang),
        Command::Volume(args) => volume::run(args, cli.lang),
        Command::Inventory(args) => inventory::run(&args, cli.lang),
        Command::Disk(args) => disk::run(args, cli.lang),
        Command::Install(args) => install::run(&args, cli.lang),
        Command::State(args) => Ok(state::run(&args, cli.lang)),
        Command::Status(args) => status::run(&args, cli.lang),
        Command::Doctor(args) => doctor::run(&args, cli.lang),
        Command::Segments(args) => segments::run(&args, cli.lang),
        Command::Gaps(args) => gaps::run(&args, cli.lang),
        Command::Clip(args) => clip::run(&args, cli.lang),
        Command::Hold(args) => hold::run(args, cli.lang),
        Command::Retention(args) => retention::run(&args, cli.lang),
        Command::Health(args) => health::run(args, cli.lang),
        Command::Ledger(args) => ledger::run(&args, cli.lang),
        Command::Check(args) => check::run(&args, cli.lang),
        Command::Plan(args) => plan::run(args, cli.lang),
        Command::Apply(args) => apply::run(args, cli.lang),
        Command::Confirm(args) => generations::confirm(args, cli.lang),
        Command::Rollback(args) => generations::rollback(args, cli.lang),
        Command::Generations(args) => generations::list(args, cli.lang),
        Command::Diff(args) => generations::diff(args, cli.lang),
        Command::Vendor(args) => vendor::run(&args, cli.lang),
        Command::Diagnose(args) => diagnose::run(&args, cli.lang),
        Command::Schema(args) => schema::run(&args),
        Command::Web(args) => web::run(&args, cli.lang),
        Command::Backup(args) => backup::run(&args, cli.lang),
        Command::Update(args) => update::run(args, cli.lang),
        Command::ResetConfig(args) => reset::run(args, cli.lang),
        Command::Rescue(args) => rescue::run(&args, cli.lang),
        Command::Screen(args) => screen::run(&args),
        Command::Console(args) => console::run(args, cli.lang),
    }
}

/// `--lang` as it stands on the command line: help is printed while the arguments are still being parsed.
fn flag_before_parsing(args: impl Iterator<Item = String>) -> Option<Lang> {
    let args: Vec<String> = args.collect();
    let joined = args.iter().find_map(|a| a.strip_prefix("--lang="));
    let apart = || args.iter().position(|a| a == "--lang").and_then(|at| args.get(at + 1)).map(String::as_str);
    joined.or_else(apart)?.parse().ok()
}

/// The language for what is printed: `--lang`, else the site's, else that of the environment, else English.
fn chosen(flag: Option<Lang>, site: Option<Lang>) -> Lang {
    flag.unwrap_or_else(|| wanted(site))
}

fn wanted(site: Option<Lang>) -> Lang {
    let from_env = || {
        // POSIX: LC_ALL wins over LC_MESSAGES, that over LANG; an empty one counts as unset.
        let locale =
            ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(|v| env::var(v).ok().filter(|s| !s.is_empty()));
        locale.and_then(|locale| Lang::from_locale(&locale))
    };
    site.or_else(from_env).unwrap_or_default()
}

fn language(text: &str) -> Result<Lang, String> {
    text.parse().map_err(|()| "vi, zh, en".to_owned())
}

/// Prints what was asked for. Who has closed the pipe does not want to hear of it.
fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{}", text.trim_end());
}

#[expect(clippy::print_stderr, reason = "a subcommand prints")]
fn print_error(text: &str) {
    eprintln!("{}", text.trim_end());
}
