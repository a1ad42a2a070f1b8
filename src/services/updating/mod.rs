//! What `custodian update` consists of: the machine's folders, the site's hours, the recorder's answer.

use std::{
    cell::{Cell, RefCell},
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use jiff::civil::DateTime;
use nix::unistd::geteuid;

use super::{
    lock::{Busy, Lock},
    paths::{Paths, STATE},
    planning::applied_recorder,
    socket,
};
use crate::{
    ledger,
    plan::{KEY_LABEL, guard},
    site::{self, Site, Unlock},
    sys::{Clock as _, Commands, Disk as _, RealClock, RealCommands, RealDisk, RealFiles},
    types::{WallNs, event, wire::Status},
    update::{
        DEFINITIONS, Entry, Fetched, Machine, Refusal, Seen, Stage, State, Trial, Tries, UpdateError, Updates, Verdict,
        Version, Watch, Word, read, wait,
    },
};

mod fetching;
#[cfg(test)]
mod tests;

pub use fetching::{OnStick, Tell, fetch_from_stick, fetch_now, fetched_so_far, is_busy, server, source};

/// A folder of root's that is gone with this boot.
const RUN: &str = "/run/custodian-update";
/// See os-release(5).
pub(in crate::services) const OS_RELEASE: &str = "/etc/os-release";
/// Where it is noted that a person is asked for a password: systemd's "Password Agents".
const QUESTIONS: &str = "/run/systemd/ask-password";
/// A version that is tried has so long to be as it should be.
const PROBATION: Duration = Duration::from_mins(10);
/// The folder that the site names is looked at no more often.
const DAY: Duration = Duration::from_hours(20);
/// On the kernel's command line: rescue mode was asked for.
const RESCUE: &str = "custodian.rescue";
const LIMIT: Duration = Duration::from_secs(10);

/// Whether rescue mode was asked for, at the loader; systemd's emergency mode, which nobody asked for, is another thing.
pub fn rescue_asked() -> bool {
    let options = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    options.split_whitespace().any(|o| o == RESCUE)
}

fn boot() -> anyhow::Result<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").context("which boot this is")?;
    Ok(boot.trim().to_owned())
}

fn machine(boot: String) -> Machine<'static> {
    Machine {
        commands: &RealCommands,
        files: &RealFiles,
        os_release: OS_RELEASE.into(),
        boot,
        definitions: DEFINITIONS.into(),
        run: RUN.into(),
    }
}

fn lock(paths: &Paths) -> PathBuf {
    paths.updates().join("lock")
}

/// Does something with this machine's updates; one at a time.
///
/// # Errors
/// If this is not root or somebody else is at it; else what `act` says.
pub fn act<T>(state: &Path, act: impl FnOnce(&Updates<'_>) -> anyhow::Result<T>) -> anyhow::Result<T> {
    act_by(&RealCommands, state, act)
}

fn act_by<T>(
    commands: &dyn Commands,
    state: &Path,
    act: impl FnOnce(&Updates<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    anyhow::ensure!(
        state != Path::new(STATE) || geteuid().is_root(),
        "only root may update this machine: nothing was changed"
    );
    let paths = Paths::new(state);
    for dir in [paths.updates(), PathBuf::from(RUN)] {
        crate::sys::Files::make_dir(&RealFiles, &dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let _lock = Lock::take(&lock(&paths), "another command is at work on an update")?;
    let free = |dir: &Path| RealDisk.space(dir).map(|space| space.free);
    act(&Updates {
        machine: Machine { commands, ..machine(boot()?) },
        files: &RealFiles,
        clock: &RealClock,
        free: &free,
        dir: paths.updates(),
        spool: paths.ledger_spool(),
        ledger: ledger::public(&paths.ledger()),
    })
}

/// What is known, for people. Nothing is changed.
pub struct Known {
    /// What is remembered.
    pub state: State,
    /// The version that runs; none where the system is not updated as a whole.
    pub running: Option<Version>,
    /// Whether it is on probation.
    pub on_probation: bool,
    /// What the loader can start.
    pub entries: Vec<Entry>,
}

/// Looks without changing anything.
///
/// # Errors
/// If the state cannot be read.
pub fn known(state: &Path) -> anyhow::Result<Known> {
    let machine = machine(boot()?);
    Ok(Known {
        state: read(&RealFiles, &Paths::new(state).updates())?,
        running: machine.running().ok(),
        on_probation: machine.trial() == Trial::Counted,
        entries: machine.entries().unwrap_or_default(),
    })
}

/// The version that waits for somebody. For a page that is drawn again and again: no program is run, and the loader's partition not mounted.
pub fn waiting(state: &Path) -> Option<Version> {
    waits(&machine(String::new()), &Paths::new(state).updates())
}

fn waits(machine: &Machine<'_>, dir: &Path) -> Option<Version> {
    machine.running().ok()?;
    let candidate = read(machine.files, dir).ok()?.candidate?;
    (candidate.stage != Stage::Trying).then_some(candidate.version)
}

fn in_force(state: &Path) -> Option<Site> {
    site::load(&state.join("current/site.toml")).ok()
}

/// Fetches from the folder that the site names, if that is due; nothing, if it is not.
///
/// # Errors
/// If it cannot be reached, is not signed, and the like.
pub fn fetch_when_due(state: &Path) -> anyhow::Result<Option<Fetched>> {
    let Some(url) = in_force(state).and_then(|site| site.update_url().cloned()) else { return Ok(None) };
    // Before anything else: the loader, which is asked of a version that is written, cannot be seen from this service's sandbox, and what
    // became of such a version is for `apply` to find out.
    if !fetch_is_due(&read(&RealFiles, &Paths::new(state).updates())?, RealClock.wall()) {
        return Ok(None);
    }
    unless_busy(act(state, |updates| Ok(updates.fetch_unasked(url.as_str())?)), None)
}

/// What was done; something else, if another command is at work: whatever it was to be is done the next time.
fn unless_busy<T>(done: anyhow::Result<T>, else_: T) -> anyhow::Result<T> {
    match done {
        Err(e) if e.is::<Busy>() => {
            log::info!("not now: {e}");
            Ok(else_)
        }
        done => done,
    }
}

fn fetch_is_due(known: &State, now: WallNs) -> bool {
    let under_way = known.candidate.as_ref().is_some_and(|c| !matches!(c.stage, Stage::Offered | Stage::Consented));
    let day = i64::try_from(DAY.as_nanos()).unwrap_or(i64::MAX);
    // A clock that was wrong may have said that it will have been looked tomorrow.
    !under_way && known.looked.is_none_or(|at| !(0..day).contains(&now.since(at)))
}

/// What came of it that an update was to be made if it is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// Nothing waits to be done.
    Nothing,
    /// Something does, and this speaks against doing it now.
    NotNow(NotNow),
    /// A version was written. It comes with the next start.
    Written(Version),
    /// The machine restarts with this version.
    Restarts(Version),
}

/// What speaks against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotNow {
    /// The site names no hours.
    NoWindow,
    /// The hours are others.
    OtherHours,
    /// Somebody has to type a passphrase when it starts.
    Passphrase,
    /// The stick that opens the disks when it starts is not in.
    NoStick,
    /// Another command is at work: a version is being fetched, say.
    Busy,
    /// The version that runs is not as it should be: there would be nothing to go back to.
    NotGood(String),
}

fn local(site: &Site, at: WallNs) -> DateTime {
    at.timestamp().to_zoned(site.timezone().clone()).datetime()
}

/// Whether the site lets the machine be updated and restarted at this time.
pub fn is_open(site: &Site, at: WallNs) -> Result<(), NotNow> {
    if site.update_window().is_empty() {
        return Err(NotNow::NoWindow);
    }
    let now = local(site, at);
    if site.update_window().iter().any(|hours| hours.covers(now)) { Ok(()) } else { Err(NotNow::OtherHours) }
}

fn against(state: &Path, site: Option<&Site>, at: WallNs) -> Result<(), NotNow> {
    let site = site.ok_or(NotNow::NoWindow)?;
    is_open(site, at)?;
    let unlock = applied_recorder(state).and_then(|id| site.recorder(&id).map(|r| r.unlock));
    starts_alone(unlock, &Path::new("/dev/disk/by-label").join(KEY_LABEL))
}

/// Whether the machine comes up without a person: `stick` is where its key's stick is, if it is in.
fn starts_alone(unlock: Option<Unlock>, stick: &Path) -> Result<(), NotNow> {
    match unlock {
        Some(Unlock::Passphrase) => Err(NotNow::Passphrase),
        Some(Unlock::UsbKey) if !stick.exists() => Err(NotNow::NoStick),
        _ => Ok(()),
    }
}

/// Writes what was consented to, and restarts, in the hours of the site. Takes over what the last start brought, too.
///
/// # Errors
/// If it cannot be done.
pub fn apply_when_due(state: &Path) -> anyhow::Result<Due> {
    unless_busy(applied_when_due(state), Due::NotNow(NotNow::Busy))
}

fn applied_when_due(state: &Path) -> anyhow::Result<Due> {
    act(state, |updates| {
        let (known, facts, seen) = updates.look()?;
        if seen != Seen::Nothing {
            log::info!("updates: {seen:?}");
        }
        // Said as long as it is so: this service has failed, and health says that.
        if let Some(version) = known.given_up() {
            return Err(UpdateError::GivenUp { version: version.clone() }.into());
        }
        if let Some(version) = known.not_started(&facts) {
            return Err(UpdateError::NotStarted { version: version.clone() }.into());
        }
        let Some(candidate) = known.candidate else { return Ok(Due::Nothing) };
        let site = in_force(state);
        let against = |at| against(state, site.as_ref(), at);
        if matches!(candidate.stage, Stage::Offered | Stage::Trying) {
            return Ok(Due::Nothing);
        }
        if let Err(why) = against(RealClock.wall()) {
            return Ok(Due::NotNow(why));
        }
        if let Verdict::NotYet(why) = verdict(state, &RealCommands) {
            return Ok(Due::NotNow(NotNow::NotGood(why)));
        }
        let version = candidate.version;
        if candidate.stage != Stage::Applied {
            updates.apply()?;
        }
        // Writing takes its time: the hour may be over.
        if against(RealClock.wall()).is_err() {
            return Ok(Due::Written(version));
        }
        updates.restart()?;
        Ok(Due::Restarts(version))
    })
}

/// The school's word, by whoever is root and says why.
///
/// # Errors
/// If there is none.
pub fn word(reason: Option<String>) -> anyhow::Result<Word> {
    word_of(&root(reason))
}

/// Whoever gives the command, if it is root.
pub fn root(reason: Option<String>) -> guard::RootWithReason {
    guard::RootWithReason { root: geteuid().is_root(), user: super::applying::who(), reason }
}

fn word_of(authority: &dyn guard::Authority) -> anyhow::Result<Word> {
    let guard::Word { who, reason } = authority.word(&[])?;
    Ok(Word { by: who, reason })
}

/// The school consents to a version that is offered: on the word of root with a reason, or of the leaders' sealed code. Says whether that is new.
///
/// # Errors
/// If there is no such word, no such version, or the ledger cannot be told.
pub fn consent(state: &Path, version: &Version, authority: &dyn guard::Authority) -> anyhow::Result<bool> {
    let word = word_of(authority)?;
    act(state, |updates| Ok(updates.consent(version, word)?))
}

/// Whether the recorder is as it should be after a start: it answers and a volume takes footage. Cameras are not asked for. Where no site
/// is in force, that has to have been looked for.
fn verdict(state: &Path, commands: &dyn Commands) -> Verdict {
    let not_yet = |why: &str| Verdict::NotYet(why.to_owned());
    if !state.is_dir() {
        return not_yet("the state is not there");
    }
    if !state.join("current/site.toml").exists() {
        let args = ["show", "custodian-apply.service", "--property=ConditionTimestampMonotonic,ConditionResult"];
        let said =
            commands.run("systemctl", &args, b"", LIMIT).map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
        let said = said.unwrap_or_default();
        let has = |line: &str| said.lines().any(|l| l == line);
        let looked = has("ConditionResult=no") && !has("ConditionTimestampMonotonic=0");
        return if looked { Verdict::Good } else { not_yet("it is not known whether a site is in force") };
    }
    let socket = Paths::new(state).status_socket();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return Verdict::NotYet(e.to_string()),
    };
    let asked = runtime
        .block_on(async { socket::at_once(socket::ask::<Status>(&socket, reqwest::Method::GET, "/v1/status")).await });
    match asked {
        Err(e) => Verdict::NotYet(crate::types::story(&e)),
        // One that is full takes footage again as soon as something may go.
        Ok(status) if status.volumes.iter().any(|v| v.healthy || v.full) => Verdict::Good,
        Ok(status) => {
            let why = status.volumes.iter().find_map(|v| v.problem.clone()).unwrap_or_default();
            Verdict::NotYet(format!("no volume can be written: {why}"))
        }
    }
}

/// What is to be said of a start: one that may be counted is judged, and never taken for one that is not.
fn of_start(trial: Trial, judge: impl FnOnce() -> Verdict) -> Verdict {
    match trial {
        Trial::NotCounted => Verdict::Good,
        Trial::Counted => judge(),
        Trial::Unknown => Verdict::NotYet("it is not known yet whether this start is counted".to_owned()),
    }
}

struct Proof<'a> {
    state: &'a Path,
    machine: &'a Machine<'a>,
    trial: Cell<Trial>,
    said: RefCell<String>,
}

impl Proof<'_> {
    fn judge(&self) -> Verdict {
        match verdict(self.state, &RealCommands) {
            // That it is good has to be on the disk before it is called so.
            Verdict::Good => match act(self.state, |updates| Ok(updates.good()?)) {
                Ok(_) => Verdict::Good,
                Err(e) => Verdict::NotYet(format!("{e:#}")),
            },
            not_yet @ Verdict::NotYet(_) => not_yet,
        }
    }
}

impl Watch for Proof<'_> {
    fn verdict(&self) -> Verdict {
        if self.trial.get() == Trial::Unknown {
            self.trial.set(self.machine.trial());
        }
        let verdict = of_start(self.trial.get(), || self.judge());
        if let Verdict::NotYet(why) = &verdict
            && *self.said.borrow() != *why
        {
            log::info!("not good yet: {why}");
            self.said.replace(why.clone());
        }
        verdict
    }

    fn does_not_count(&self) -> bool {
        // Whoever is at work on an update has hours for it, and the machine is not to restart for that.
        if is_busy(self.state) {
            return true;
        }
        let names = fs::read_dir(QUESTIONS).into_iter().flatten().flatten();
        names.filter_map(|entry| entry.file_name().into_string().ok()).any(|name| name.starts_with("ask."))
    }

    fn pause(&self) {
        thread::sleep(Duration::from_secs(2));
    }
}

/// Waits until a start that the loader counts has proven itself. One that does not in time is given up: the machine restarts, and the
/// loader goes back when it has been tried often enough. One that is not counted never restarts anything.
///
/// # Errors
/// If it has not proven itself.
pub fn prove(state: &Path) -> anyhow::Result<()> {
    let machine = machine(boot()?);
    let trial = machine.trial();
    if trial == Trial::NotCounted {
        return Ok(());
    }
    // What is not started there is not proven, and nobody is thrown out of it.
    anyhow::ensure!(!rescue_asked(), "rescue mode proves nothing");
    let proof = Proof { state, machine: &machine, trial: Cell::new(trial), said: RefCell::default() };
    let Err(why) = wait(&RealClock, &proof, PROBATION) else {
        return may_stay(&machine.running()?, &read(&RealFiles, &Paths::new(state).updates())?.refused);
    };
    let counted = match machine.trial() {
        Trial::Counted => true,
        Trial::NotCounted => false,
        // This runs before anybody calls the start a good one: if the loader has counted it, it counts.
        Trial::Unknown => machine.was_counted(),
    };
    if counted {
        log::error!(
            MESSAGE_ID = event::UPDATE_NOT_GOOD, CAUSE = why.as_str();
            "this start has not proven the version that runs, and the machine restarts: {why}"
        );
        machine.reboot()?;
    }
    anyhow::bail!("this start has not proven itself: {why}")
}

/// Whether a version that is good may be called so: one that was refused is not started again by itself, however it came to run.
fn may_stay(running: &Version, refused: &[Refusal]) -> anyhow::Result<()> {
    let is_refused = refused.iter().any(|r| r.version == *running);
    anyhow::ensure!(!is_refused, "version {running} was refused: it runs this once, and is not called good");
    Ok(())
}

/// Starts the machine again.
///
/// # Errors
/// If it does not.
pub fn restart() -> anyhow::Result<()> {
    Ok(machine(boot()?).reboot()?)
}

/// Lets the other slot start next, once. The version is the one that it holds.
///
/// # Errors
/// If there is no other, or the loader does not take it.
pub fn start_other(state: &Path) -> anyhow::Result<Version> {
    let machine = machine(boot()?);
    let running = machine.running()?;
    let entries = machine.entries()?;
    let known = read(&RealFiles, &Paths::new(state).updates());
    let other = other(&entries, &running, &known.map(|k| k.refused).unwrap_or_default())?;
    machine.start_next(other)?;
    Ok(other.version.clone())
}

/// The entry of the other slot, if it may be started. One without tries left has failed: systemd-boot counts it all the same when it is started
/// by hand, and it could prove itself and become what is started always. In rescue mode that is all there is to know.
fn other<'a>(entries: &'a [Entry], running: &Version, refused: &[Refusal]) -> anyhow::Result<&'a Entry> {
    let other = entries.iter().find(|entry| entry.version != *running).context("the other slot is empty")?;
    let is_refused = refused.iter().any(|r| r.version == other.version);
    anyhow::ensure!(
        !is_refused && other.tries != Tries::Left(0),
        "version {} in the other slot did not come up as it should, or was refused: it is not started",
        other.version
    );
    Ok(other)
}
