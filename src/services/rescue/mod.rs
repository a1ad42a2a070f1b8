//! Rescue mode: what is wrong, and the few things that help when the system does not come up. Footage stays locked.
//!
//! Whoever stands at the machine may see what is wrong, restart, start the other version once, and take a text without names along. What changes
//! the configuration wants the recovery key of the state's partition, also where that is open already.

mod menu;
mod page;
mod talk;
#[cfg(test)]
mod tests;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::Context as _;

pub use self::{
    menu::{Hands, run},
    page::{Page, serve},
    talk::{Standard, Talk},
};
use super::{
    applying::{self, Place},
    factors::SealedWord,
    paths, resetting,
    stick::{Pause, Stick, StickError},
    updating,
};
use crate::{
    apply::{self, Listed},
    disks::{self, RecoveryKey, Token},
    inventory::{self, Roots},
    plan::guard,
    state,
    sys::{Clock as _, Commands, Files as _, RealClock, RealCommands, RealFiles},
    update::{Version, Word},
};

/// So many lines of the journal are shown of each unit.
const LINES: &str = "5";
/// One that opens nothing.
const NO_KEY: &str = "cccccccc-cccccccc-cccccccc-cccccccc-cccccccc-cccccccc-cccccccc-cccccccc";
const LIMIT: Duration = Duration::from_secs(15);
/// A folder of root's that is gone with this boot.
const RUN: &str = "/run/custodian-rescue";
/// The bus, which emergency mode has not.
const BUS: &str = "/run/dbus/system_bus_socket";

/// A unit that failed, and what it said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The unit.
    pub unit: String,
    /// The last lines of its journal.
    pub lines: Vec<String>,
}

fn lines(commands: &dyn Commands, program: &str, args: &[&str]) -> Vec<String> {
    let said = commands.run(program, args, b"", LIMIT).ok().filter(crate::sys::Output::ok);
    let text = said.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    text.lines().map(str::to_owned).filter(|line| !line.trim().is_empty()).collect()
}

/// Units that failed.
pub fn failed(commands: &dyn Commands) -> Vec<String> {
    let all = lines(commands, "systemctl", &["list-units", "--failed", "--plain", "--no-legend", "--no-pager"]);
    all.iter().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// What is wrong.
pub fn troubles(commands: &dyn Commands) -> Vec<Trouble> {
    let of = |unit: String| {
        let args = ["--boot", "--no-pager", "--output=cat", "--lines", LINES, "--unit", &unit];
        Trouble { lines: lines(commands, "journalctl", &args), unit }
    };
    failed(commands).into_iter().map(of).collect()
}

/// Disks, without names that a person gave.
fn seen(commands: &dyn Commands, state: &Path) -> Vec<String> {
    let survey = inventory::survey(commands, &Roots::new(state, paths::VOLUMES.as_ref()));
    let one = |disk: &inventory::Disk| {
        let model = disk.model.as_deref().unwrap_or("–");
        format!("{}: {model}, {}", disk.name, disk.size)
    };
    survey.inventory.disks.iter().map(one).collect()
}

/// This machine's.
pub struct Here {
    /// The state folder.
    pub state: PathBuf,
}

impl Here {
    /// Nothing is told to the service manager, which would open volumes: what is chosen comes with the next start.
    fn place(&self) -> anyhow::Result<Place> {
        let unit_dir = Path::new(RUN).join("units");
        for dir in [Path::new(RUN), &unit_dir] {
            RealFiles.make_dir(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        Ok(Place { state: self.state.clone(), unit_dir })
    }
}

fn systemctl(args: &[&str]) -> anyhow::Result<()> {
    let out = RealCommands.run("systemctl", args, b"", LIMIT)?;
    anyhow::ensure!(out.ok(), "systemctl {}: {}", args.join(" "), out.stderr.trim());
    Ok(())
}

impl Hands for Here {
    fn page(&self) -> Page {
        page::look(&RealCommands, &self.state)
    }

    fn troubles(&self) -> Vec<Trouble> {
        troubles(&RealCommands)
    }

    fn is_open(&self) -> bool {
        self.state.join("generations").is_dir()
    }

    fn open(&self, typed: &str) -> anyhow::Result<()> {
        open_state(&self.state, typed)
    }

    fn generations(&self) -> anyhow::Result<Vec<Listed>> {
        Ok(apply::list(&RealFiles, &self.state)?)
    }

    fn go_back(&self, number: u64, word: &Word) -> anyhow::Result<()> {
        let word = guard::Word { who: word.by.clone(), reason: word.reason.clone() };
        applying::rollback_on(&self.place()?, number, &word).map(drop)
    }

    fn sheet(&self) -> anyhow::Result<resetting::Sheet> {
        resetting::sheet(&self.state, false)
    }

    fn reset(&self, token: &Token, word: &Word) -> anyhow::Result<PathBuf> {
        Ok(resetting::reset(&self.place()?, false, token, word)?.folder)
    }

    fn start_other(&self) -> anyhow::Result<Version> {
        updating::start_other(&self.state)
    }

    /// What `custodian diagnose` says where the site is known, and so what has to be left out; else what stands on the page.
    fn diagnosis(&self, to: &Path) -> anyhow::Result<()> {
        if self.state.join("current/site.toml").exists() {
            let program = std::env::current_exe().context("where this program is")?;
            let done = Command::new(program).args(["diagnose", "--yes", "--out"]).arg(to).output()?;
            anyhow::ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            return Ok(());
        }
        Ok(fs::write(to, self.page().text())?)
    }

    fn to_stick(&self) -> anyhow::Result<String> {
        RealFiles.make_dir(Path::new(RUN)).with_context(|| format!("cannot make {RUN}"))?;
        let name = format!("diagnose-{}.txt", RealClock.wall().timestamp().strftime("%Y%m%dT%H%M%SZ"));
        let file = Path::new(RUN).join(&name);
        let _ = fs::remove_file(&file);
        self.diagnosis(&file)?;
        let written = put(&RealCommands, &thread::sleep, Path::new(BUS).exists(), &name, &file);
        let _ = fs::remove_file(&file);
        written?;
        Ok(name)
    }

    fn restart(&self) -> anyhow::Result<()> {
        systemctl(&["reboot"])
    }

    fn power_off(&self) -> anyhow::Result<()> {
        systemctl(&["poweroff"])
    }
}

/// Copies a file to the stick that is there, in the cage in which the console reads and writes sticks: neither this program nor the kernel looks
/// at the stick's file system.
fn put(commands: &dyn Commands, pause: Pause<'_>, has_bus: bool, name: &str, file: &Path) -> Result<(), StickError> {
    let stick = Stick::open(commands, pause)?;
    if !has_bus {
        return stick.write_busless(name, file, &file.with_extension("said"));
    }
    let text = fs::read_to_string(file).map_err(|e| StickError::Program(e.to_string()))?;
    stick.write(name, &text)
}

/// Shows the state of this machine, read-only, to whoever asks on the school's side. Says at which port, or why not.
pub fn show(state: &Path) -> anyhow::Result<u16> {
    let state = state.to_owned();
    serve(Box::new(move || page::look(&RealCommands, &state)), page::PORT)
}

/// Opens the partition of the state with its recovery key, and has it mounted. The key has to fit also where it is open already. One that is
/// not encrypted has no key: then the leaders' sealed code is asked for.
///
/// # Errors
/// If what was typed does not fit, or there is no such partition.
pub fn open_state(state: &Path, typed: &str) -> anyhow::Result<()> {
    let all = inventory::parted(&RealCommands, Path::new("/dev"))?;
    let part = state::find(&all)?;
    let encrypted = part.kind.as_deref() == Some("crypto_LUKS");
    let key = typed.parse::<RecoveryKey>();
    if encrypted {
        let fits = key.as_ref().is_ok_and(|key| disks::opens_state(&RealCommands, &part.device, key).unwrap_or(false));
        anyhow::ensure!(fits, "that is not the recovery key of this system disk");
    }
    // What is not encrypted is opened by any key.
    state::open_with_recovery_key(&key.or_else(|_| NO_KEY.parse())?)?;
    let out = RealCommands.run("systemctl", &["start", "var.mount"], b"", Duration::from_mins(2))?;
    anyhow::ensure!(out.ok(), "it is open, and cannot be mounted: {}", out.stderr.trim());
    if !encrypted {
        SealedWord::check(state, typed, "rescue mode")?;
    }
    Ok(())
}
