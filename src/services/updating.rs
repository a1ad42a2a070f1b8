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
    lock::Lock,
    paths::{Paths, STATE},
    planning::applied_recorder,
    socket,
};
use crate::{
    ledger,
    plan::guard,
    site::{self, Site, Unlock},
    sys::{Clock as _, Commands, Disk as _, RealClock, RealCommands, RealDisk, RealFiles},
    types::{WallNs, event, wire::Status},
    update::{
        DEFINITIONS, Entry, Fetched, Machine, Seen, Stage, State, Updates, Verdict, Version, Watch, Word, folder_url,
        Trial, read, wait,
    },
};

/// A folder of root's that is gone with this boot.
const RUN: &str = "/run/custodian-update";
const OS_RELEASE: &str = "/etc/os-release";
/// Where it is noted that a person is asked for a password: systemd's "Password Agents".
const QUESTIONS: &str = "/run/systemd/ask-password";
/// A version that is tried has so long to be as it should be.
const PROBATION: Duration = Duration::from_mins(10);
/// The folder that the site names is looked at no more often.
const DAY: Duration = Duration::from_hours(20);
/// On the kernel's command line: rescue mode was asked for.
const RESCUE: &str = "custodian.rescue";
const LIMIT: Duration = Duration::from_secs(10);

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
        machine: machine(boot()?),
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

/// Where a version is fetched from: a folder of this machine, or one on a server.
///
/// # Errors
/// If it is neither.
pub fn source(text: &str) -> anyhow::Result<String> {
    if text.starts_with("https://") {
        return Ok(text.to_owned());
    }
    let dir = fs::canonicalize(text).with_context(|| format!("{text} is neither a folder nor begins with https://"))?;
    Ok(folder_url(&dir)?)
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
    act(state, |updates| Ok(Some(updates.fetch(url.as_str(), None)?)))
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
    if unlock == Some(Unlock::Passphrase) { Err(NotNow::Passphrase) } else { Ok(()) }
}

/// Writes what was consented to, and restarts, in the hours of the site. Takes over what the last start brought, too.
///
/// # Errors
/// If it cannot be done.
pub fn apply_when_due(state: &Path) -> anyhow::Result<Due> {
    act(state, |updates| {
        let (known, _, seen) = updates.look()?;
        if seen != Seen::Nothing {
            log::info!("updates: {seen:?}");
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
        updates.machine.reboot()?;
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
                Ok(()) => Verdict::Good,
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
        let paths = Paths::new(self.state);
        if paths.updates().is_dir() && Lock::take(&lock(&paths), "").is_err() {
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
    let options = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    anyhow::ensure!(options.split_whitespace().all(|o| o != RESCUE), "rescue mode proves nothing");
    let proof = Proof { state, machine: &machine, trial: Cell::new(trial), said: RefCell::default() };
    let Err(why) = wait(&RealClock, &proof, PROBATION) else { return Ok(()) };
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
pub fn start_other() -> anyhow::Result<Version> {
    let machine = machine(boot()?);
    let running = machine.running()?;
    let entries = machine.entries()?;
    let other = entries.iter().find(|entry| entry.version != running).context("the other slot is empty")?;
    machine.start_next(other)?;
    Ok(other.version.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sys::{FakeCommands, Output},
        update::Candidate,
    };

    fn site(update: &str) -> Site {
        let text = include_str!("../../image/site.example.toml");
        let cut = text.find("[update]").map_or(text, |at| &text[..at]);
        let Ok(site) = site::parse(&format!("{cut}{update}"), "site.toml") else { panic!("{update}") };
        site
    }

    #[test]
    fn hours_are_those_of_the_school() {
        let site = site("[update]\nwindow = [\"sun 02:00-04:00\", \"wed 22:00-01:00\"]\n");
        assert_eq!(site.timezone().iana_name(), Some("Asia/Ho_Chi_Minh"));
        // 2026-11-22 is a Sunday; the school is seven hours ahead.
        let at = |text: &str| WallNs(i64::try_from(text.parse::<jiff::Timestamp>().unwrap().as_nanosecond()).unwrap());
        for (time, open) in [
            ("2026-11-21T18:59:59Z", false),
            ("2026-11-21T19:00:00Z", true),
            ("2026-11-21T20:59:59Z", true),
            ("2026-11-21T21:00:00Z", false),
            ("2026-11-25T15:00:00Z", true),
            ("2026-11-25T17:59:59Z", true),
            ("2026-11-25T18:00:00Z", false),
        ] {
            assert_eq!(is_open(&site, at(time)), if open { Ok(()) } else { Err(NotNow::OtherHours) }, "{time}");
        }
    }

    #[test]
    fn a_start_of_which_nothing_is_known_is_not_called_good() {
        let not_yet = || Verdict::NotYet("no recorder answers".into());
        assert!(matches!(of_start(Trial::Unknown, || Verdict::Good), Verdict::NotYet(_)));
        assert_eq!(of_start(Trial::Counted, not_yet), not_yet());
        assert_eq!(of_start(Trial::Counted, || Verdict::Good), Verdict::Good);
        assert_eq!(of_start(Trial::NotCounted, not_yet), Verdict::Good);
    }

    #[test]
    fn nothing_is_fetched_while_a_version_is_under_way() {
        let candidate = |stage| Candidate {
            version: "0.2.0".parse().unwrap(),
            sums: crate::types::merkle::Hash([7; 32]),
            offered: WallNs(0),
            stage,
            written_in: None,
        };
        let due = |stage: Option<Stage>, looked| {
            fetch_is_due(&State { candidate: stage.map(candidate), looked, ..State::default() }, WallNs(DAY.as_nanos() as i64))
        };
        assert!(due(None, None) && due(None, Some(WallNs(0))) && !due(None, Some(WallNs(1))));
        assert!(due(Some(Stage::Offered), None) && due(Some(Stage::Consented), None));
        for stage in [Stage::Writing, Stage::Applied, Stage::Trying] {
            assert!(!due(Some(stage), None), "{stage:?}");
        }
    }

    #[test]
    fn a_command_that_is_at_work_on_an_update_stops_the_clock() {
        let dir = tempfile::tempdir().unwrap();
        let files = crate::sys::FakeFiles::new();
        let commands = FakeCommands::new(|_, _: &[&str]| Ok(Output::default()));
        let machine = Machine {
            commands: &commands,
            files: &files,
            os_release: PathBuf::new(),
            boot: String::new(),
            definitions: PathBuf::new(),
            run: PathBuf::new(),
        };
        let proof =
            Proof { state: dir.path(), machine: &machine, trial: Cell::new(Trial::Counted), said: RefCell::default() };
        let paths = Paths::new(dir.path());
        fs::create_dir_all(paths.updates()).unwrap();
        let before = proof.does_not_count();
        let held = Lock::take(&lock(&paths), "").unwrap();
        assert!(proof.does_not_count());
        drop(held);
        assert_eq!(proof.does_not_count(), before, "it goes on");
        assert!(!before, "nobody is asked for a password here");
    }

    #[test]
    fn without_hours_only_by_hand() {
        for update in ["", "[update]\nurl = \"https://updates.example.vn/\"\n"] {
            assert_eq!(is_open(&site(update), WallNs(0)), Err(NotNow::NoWindow));
        }
        assert_eq!(against(Path::new("/nowhere"), None, WallNs(0)), Err(NotNow::NoWindow));
    }

    #[test]
    fn a_machine_without_a_site_is_good_once_that_was_looked_for() {
        let dir = tempfile::tempdir().unwrap();
        let judged = |state: &Path, said: &str| {
            let said = said.as_bytes().to_vec();
            verdict(
                state,
                &FakeCommands::new(move |_, _: &[&str]| {
                    Ok(Output { code: Some(0), stdout: said.clone(), ..Output::default() })
                }),
            )
        };
        let no = "ConditionResult=no\nConditionTimestampMonotonic=";
        assert_eq!(judged(dir.path(), &format!("{no}812\n")), Verdict::Good);
        for said in [format!("{no}0\n"), "ConditionResult=yes\nConditionTimestampMonotonic=812\n".into(), String::new()]
        {
            assert!(matches!(judged(dir.path(), &said), Verdict::NotYet(_)), "{said}");
        }
        assert!(matches!(judged(&dir.path().join("none"), &format!("{no}812\n")), Verdict::NotYet(_)));
        // With a site in force the recorder has to answer, whatever apply says.
        fs::create_dir(dir.path().join("current")).unwrap();
        fs::write(dir.path().join("current/site.toml"), "").unwrap();
        let Verdict::NotYet(why) = judged(dir.path(), &format!("{no}812\n")) else { panic!("nobody answers") };
        assert!(why.contains("no recorder answers"), "{why}");
    }
}
