//! `custodian install`: installs the machine from the stick that it was started from.

use std::{
    fs,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::Duration,
};

use anyhow::Context as _;
use unicode_width::UnicodeWidthStr as _;

use super::{chosen, print, print_error};
use crate::{
    install::{self, FootageState, Then},
    inventory,
    lang::t,
    services::{
        disks::Machine,
        installing::{self, Accounts, Desk, Ended, Installer, Lock, MountedStick, Papers, Session},
        paths,
    },
    site,
    sys::{RealClock, RealCommands},
    types::Lang,
};

/// What was begun and can be gone on with.
const BEGUN: u8 = 3;
/// The boot loader, signed where the system has it so.
const LOADERS: [&str; 2] =
    ["/usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed", "/usr/lib/systemd/boot/efi/systemd-bootx64.efi"];
const RUN: &str = "/run/custodian-install";
/// How often it is looked whether the stick is still in.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long)]
    facts: bool,
}

pub(super) fn run(args: &Args, flag: Option<Lang>) -> anyhow::Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        print_error(&t(chosen(flag, None), "install.not_root", &[]));
        return Ok(ExitCode::FAILURE);
    }
    match session(args, flag) {
        Ok(code) => Ok(code),
        Err(e) => {
            // Who stands at the machine reads no journal.
            print(&wrapped(&t(chosen(flag, None), "install.failed", &[("why", &format!("{e:#}"))])));
            pause(flag);
            Err(e)
        }
    }
}

/// Makes a folder, if it is not there.
fn folder(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

/// Only one console at a time installs.
fn lock() -> Lock {
    Lock::at(PathBuf::from(RUN).join("lock"))
}

/// Waits until no console installs any more: what was begun is finished, also where nobody sees it.
pub(super) fn until_it_is_finished() {
    if let Err(e) = folder(Path::new(RUN)).context(RUN).and_then(|()| lock().wait()) {
        log::warn!(CAUSE = format!("{e:#}"); "whether something is installed cannot be seen: {e:#}");
    }
}

/// What is drawn with, in memory: the stick that it lies on may be pulled. Else where it is.
pub(super) fn in_memory(file: &Path) -> PathBuf {
    installing::stay_in_memory();
    copied(file, Path::new(RUN)).unwrap_or_else(|e| {
        log::warn!(FILE:% = file.display(), CAUSE:% = e; "{} is read from the stick: {e}", file.display());
        file.to_owned()
    })
}

/// A copy of a file in a folder, whole or not at all: one that is in use there is not written to.
fn copied(file: &Path, to: &Path) -> io::Result<PathBuf> {
    let name = file.file_name().unwrap_or_default();
    let (copy, draft) = (to.join(name), to.join(std::process::id().to_string()).with_extension("new"));
    folder(to)?;
    fs::copy(file, &draft)?;
    fs::rename(&draft, &copy)?;
    Ok(copy)
}

/// The console begins anew when this ends: what was said is read first.
fn pause(flag: Option<Lang>) {
    if io::stdin().is_terminal() {
        print(&t(chosen(flag, None), "install.enter", &[]));
        let _ = io::stdin().lock().read_line(&mut String::new());
    }
}

fn session(args: &Args, flag: Option<Lang>) -> anyhow::Result<ExitCode> {
    let parted = inventory::parted(&RealCommands, Path::new("/dev")).context("disks cannot be listed")?;
    let found = installing::find(&parted)?;
    // Each console has a session of its own; only one of them writes.
    let run = PathBuf::from(RUN).join(std::process::id().to_string());
    for dir in [Path::new(RUN), &run] {
        folder(dir).context(dir.display().to_string())?;
    }
    let version = version()?;
    let mounted = MountedStick::new(&RealCommands, found, &run, &version)?;
    let loader = LOADERS.iter().map(PathBuf::from).find(|path| path.exists());
    let installer = Installer {
        machine: Machine { run, spool: None, ..Machine::here(paths::STATE.as_ref()) },
        stick: &mounted.stick,
        clock: &RealClock,
        version,
        loader: loader.with_context(|| format!("none of {LOADERS:?} is here"))?,
        lock: lock(),
        accounts: Accounts::Real,
    };
    let papers = papers(&mounted.stick.data)?;
    if args.facts {
        print(&facts(&installer, &papers)?);
        print(&t(chosen(flag, None), "install.facts_written", &[]));
        return Ok(ExitCode::SUCCESS);
    }
    // For who wants to write install.toml: in the installer there is no shell to ask for it.
    if let Err(e) = facts(&installer, &papers) {
        log::warn!(CAUSE = format!("{e:#}"); "facts.json is not on the stick: {e:#}");
    }
    installing::stay_in_memory();
    let mut terminal = Terminal { bar: io::stdout().is_terminal(), drawn: None };
    let ended = Session::run(&mut terminal, &installer, &papers, flag);
    if !matches!(ended, Ended::Done { .. }) {
        pause(flag);
    }
    match ended {
        Ended::Refused => Ok(ExitCode::FAILURE),
        Ended::Failed => Ok(ExitCode::from(BEGUN)),
        Ended::Done { then, wait } => {
            let disk = mounted.stick.disk.clone();
            drop(mounted);
            end(&disk, then, wait)
        }
    }
}

/// Waits so long for the stick to be pulled, and leaves.
fn end(stick: &str, then: Then, wait: Duration) -> anyhow::Result<ExitCode> {
    nix::unistd::sync();
    let mut waited = Duration::ZERO;
    while waited < wait && installing::is_in(Path::new("/sys"), stick) {
        thread::sleep(LOOK);
        waited += LOOK;
    }
    installing::leave(then).context("the machine does not start again: switch it off and on")?;
    Ok(ExitCode::SUCCESS)
}

/// The version of the system that runs, which is the one that is installed.
fn version() -> anyhow::Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("/etc/os-release")?;
    let version = text.lines().find_map(|line| line.strip_prefix("IMAGE_VERSION="));
    let version = version.map(|v| v.trim_matches(['"', '\'']).to_owned());
    version.filter(|v| !v.is_empty()).context("/etc/os-release has no IMAGE_VERSION: this is no installer")
}

fn papers(data: &Path) -> anyhow::Result<Papers> {
    let read = |name: &str| match fs::read(data.join(name)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).with_context(|| format!("{name} on the stick cannot be read")),
    };
    Ok(Papers { site: read("site.toml")?, secrets: read("secrets.toml")?, install: read("install.toml")? })
}

/// The disks with their codes, for who writes install.toml; on the stick too.
fn facts(installer: &Installer<'_>, papers: &Papers) -> anyhow::Result<String> {
    let looked = installer.look()?;
    let text = papers.site.as_deref().context("there is no site.toml on the stick")?;
    let site = site::parse(std::str::from_utf8(text).context("site.toml")?, "site.toml")?;
    let mut recorders = serde_json::Map::new();
    for recorder in site.recorders() {
        let view = install::look(&looked.survey, &looked.parted, &site, recorder);
        let system = |c: &install::Candidate| match &c.token {
            Ok(token) => serde_json::json!({ "disk": c.disk, "token": token.to_string() }),
            Err(why) => serde_json::json!({ "disk": c.disk, "refused": why.to_string() }),
        };
        let footage = |d: &install::FootageDisk| {
            let (token, state) = match &d.state {
                FootageState::New(token) => (Some(token), "new"),
                FootageState::Unfinished { now, .. } => (Some(now), "unfinished"),
                FootageState::Ours => (None, "ours"),
                FootageState::Refused(_) => (None, "refused"),
            };
            let serial = d.disk.as_ref().and_then(|disk| disk.serial.clone());
            serde_json::json!({
                "volume": d.volume, "by_id": d.by_id, "serial": serial, "state": state,
                "token": token.map(ToString::to_string), "why": install::text::footage(Lang::En, &d.state),
            })
        };
        let all = serde_json::json!({
            "system": view.systems.iter().map(system).collect::<Vec<_>>(),
            "footage": view.footage.iter().map(footage).collect::<Vec<_>>(),
        });
        recorders.insert(recorder.id.to_string(), all);
    }
    let json = serde_json::json!({
        "version": installer.version, "links": looked.survey.inventory.links, "recorders": recorders,
    });
    let json = serde_json::to_string_pretty(&json)? + "\n";
    fs::write(installer.stick.data.join("facts.json"), &json).context("facts.json cannot be written to the stick")?;
    Ok(json)
}

/// Columns that every console has.
const COLUMNS: usize = 79;

/// Lines that end at a word, where there are words. What has no spaces the terminal breaks.
fn wrapped(text: &str) -> String {
    let line = |line: &str| {
        let indent = line.len() - line.trim_start().len();
        let (mut out, mut used) = (String::new(), 0);
        for word in line.split_inclusive(' ') {
            let width = word.trim_end().width();
            if used > indent && used + width > COLUMNS {
                out.truncate(out.trim_end().len());
                out.push('\n');
                out.push_str(&" ".repeat(indent));
                used = indent;
            }
            out.push_str(word);
            used += word.width();
        }
        out
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// A screen or a serial line.
struct Terminal {
    /// Whether a line can be written over.
    bar: bool,
    /// What was drawn last, in percent.
    drawn: Option<u64>,
}

/// Width of the bar.
const WIDTH: usize = 40;

impl Desk for Terminal {
    fn say(&mut self, text: &str) {
        if self.drawn.take().is_some() && self.bar {
            let _ = write!(io::stdout(), "\r\x1b[K");
        }
        print(&wrapped(text));
    }

    fn ask(&mut self, prompt: &str) -> io::Result<Option<String>> {
        let mut out = io::stdout();
        write!(out, "\n{}", wrapped(prompt))?;
        out.flush()?;
        let mut line = String::new();
        Ok((io::stdin().lock().read_line(&mut line)? > 0).then_some(line))
    }

    fn wait(&mut self, how_long: Duration) {
        thread::sleep(how_long);
    }

    fn copied(&mut self, done: u64, all: u64) {
        let percent = (done * 100).checked_div(all).unwrap_or(100);
        // A line that cannot be written over is written now and then.
        let next = if self.bar {
            self.drawn != Some(percent)
        } else {
            percent.is_multiple_of(25) && self.drawn != Some(percent)
        };
        if !next {
            return;
        }
        self.drawn = Some(percent);
        let mut out = io::stdout();
        let _ = if self.bar {
            let full = usize::try_from(percent).unwrap_or(100) * WIDTH / 100;
            write!(out, "\r      [{}{}] {percent} %", "#".repeat(full), " ".repeat(WIDTH - full))
        } else {
            writeln!(out, "      {percent} %")
        };
        let _ = out.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_with_is_copied_whole_and_what_is_in_use_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (font, run) = (dir.path().join("unifont.bgf"), dir.path().join("run"));
        let (old, new) = (vec![7; 3 << 20], vec![8; 1 << 20]);
        fs::write(&font, &old).unwrap();
        let copy = copied(&font, &run).unwrap();
        assert_eq!((copy.as_path(), fs::read(&copy).unwrap()), (&*run.join("unifont.bgf"), old.clone()));
        let in_use = fs::File::open(&copy).unwrap();
        fs::write(&font, &new).unwrap();
        assert_eq!(fs::read(copied(&font, &run).unwrap()).unwrap(), new);
        assert_eq!(io::read_to_string(in_use).unwrap().into_bytes(), old);
        assert_eq!(fs::read_dir(&run).unwrap().count(), 1, "nothing is left beside it");
        assert!(copied(&dir.path().join("none"), &run).is_err());
    }

    #[test]
    fn lines_end_at_words_and_keep_their_indent() {
        let text = format!("  - {}\nshort: ", "word ".repeat(20).trim_end());
        let shown = wrapped(&text);
        let lines: Vec<&str> = shown.split('\n').collect();
        assert_eq!(lines.len(), 3, "{shown}");
        assert!(lines[0].len() <= COLUMNS && lines[0].ends_with("word") && lines[1].starts_with("  word"), "{shown}");
        assert_eq!(lines[2], "short: ", "a prompt keeps its space");
        let no_words = "字".repeat(60);
        assert_eq!(wrapped(&no_words), no_words);
        assert_eq!(wrapped("a\n\n    b"), "a\n\n    b");
    }
}
