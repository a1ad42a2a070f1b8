//! What is done, step by step. Before each step that cannot be taken back, what is about to be done is on the disk.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    error::{UpdateError, failed},
    kept,
    machine::Machine,
    source::Source,
    state::{Facts, Seen, Stage, Stamp, State, Trial, Tries, Word},
    sums::{Found, PARTS, SIGNATURE, SUMS, newest, sha256},
    version::Version,
};
use crate::{
    ledger,
    sys::{Clock, Files},
    types::event,
};

/// A version that is fetched lies here until it is whole.
const NEW: &str = "new";
/// The version that is offered.
const OFFERED: &str = "offered";
/// A list names a few files.
const LIST: u64 = 1 << 20;
/// So much stays free on the file system of the state, whatever is fetched.
const RESERVE: u64 = 512 << 20;

/// A machine's updates.
pub struct Updates<'a> {
    /// Its programs.
    pub machine: Machine<'a>,
    /// Its files.
    pub files: &'a dyn Files,
    /// Its clock.
    pub clock: &'a dyn Clock,
    /// Free bytes of a file system.
    pub free: &'a dyn Fn(&Path) -> io::Result<u64>,
    /// Where the state and what is offered lie.
    pub dir: PathBuf,
    /// Where word is left for the ledger.
    pub spool: PathBuf,
    /// The part of the ledger that everybody may read.
    pub ledger: PathBuf,
}

/// What a look for updates has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The version that is offered now.
    pub version: Version,
    /// Whether it was not before.
    pub new: bool,
}

impl Updates<'_> {
    fn stamp(&self) -> Result<Stamp, UpdateError> {
        let salt = ledger::new_salt().map_err(failed("cannot read", Path::new("/dev/urandom")))?;
        let from = ledger::claimed_size(self.files, &self.ledger);
        Ok(Stamp { at: self.clock.wall(), from, salt })
    }

    fn write(&self, state: &State) -> Result<(), UpdateError> {
        self.files.make_dir(&self.dir).map_err(failed("cannot make", &self.dir))?;
        kept::write(self.files, &self.dir, state)
    }

    /// Writes the state, then tells the ledger.
    fn settle(&self, state: &mut State) -> Result<(), UpdateError> {
        self.write(state)?;
        kept::tell(self.files, &self.dir, &self.spool, state)
    }

    fn offered(&self) -> PathBuf {
        self.dir.join(OFFERED)
    }

    /// What is known, once what the machine says is taken over. What is new is logged, and told to the ledger.
    pub fn look(&self) -> Result<(State, Facts, Seen), UpdateError> {
        let mut state = kept::read(self.files, &self.dir)?;
        let candidate = state.candidate.as_ref().map(|c| c.version.clone());
        // What the loader says matters once there is something for it to start.
        let written = state.candidate.as_ref().is_some_and(|c| !matches!(c.stage, Stage::Offered | Stage::Consented));
        let running = self.machine.running()?;
        let facts = self.machine.facts(candidate.as_ref().filter(|version| written || **version == running))?;
        let seen = state.observe(&facts, self.stamp()?);
        if seen != Seen::Nothing {
            self.write(&state)?;
            say(seen, candidate.as_ref(), &facts);
        }
        kept::tell(self.files, &self.dir, &self.spool, &mut state)?;
        if matches!(seen, Seen::Good | Seen::FellBack | Seen::Overtaken) {
            self.clear()?;
        }
        Ok((state, facts, seen))
    }

    /// What lies here is not needed any more.
    fn clear(&self) -> Result<(), UpdateError> {
        [NEW, OFFERED]
            .iter()
            .map(|name| self.dir.join(name))
            .try_for_each(|dir| self.files.remove_dir(&dir).map_err(failed("cannot remove", &dir)))
    }

    /// Looks at an update directory, by its URL, and fetches the newest version if it may be offered; `again`: also if it was this one that was
    /// refused. What was offered before stays until the new version is here.
    pub fn fetch(&self, url: &str, again: Option<&Version>) -> Result<Fetched, UpdateError> {
        self.fetch_from(Source::Url(url), again)
    }

    /// The same, wherever the directory is.
    pub fn fetch_from(&self, from: Source<'_>, again: Option<&Version>) -> Result<Fetched, UpdateError> {
        self.fetch_as(from, again, false)
    }

    /// The same, of itself: nobody asked for it, so that there is nothing to fetch, or that the line is down, is no trouble. How long nothing
    /// could be looked at is known (`looked`). A version that waits with the school's consent is not replaced.
    pub fn fetch_unasked(&self, url: &str) -> Result<Option<Fetched>, UpdateError> {
        match self.fetch_as(Source::Url(url), None, true) {
            Ok(fetched) => Ok(Some(fetched)),
            Err(why) if why.is_answer() || matches!(why, UpdateError::NotFetched { .. }) => {
                log::info!("nothing is fetched: {why}");
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    fn fetch_as(&self, from: Source<'_>, again: Option<&Version>, unasked: bool) -> Result<Fetched, UpdateError> {
        let (mut state, facts, _) = self.look()?;
        self.files.make_dir(&self.dir).map_err(failed("cannot make", &self.dir))?;
        let fetched = self.fetch_to(&mut state, &facts.running, from, again, unasked);
        if let Err(why) = &fetched {
            // What is half here only takes room.
            let new = self.dir.join(NEW);
            self.files.remove_dir(&new).map_err(failed("cannot remove", &new))?;
            if why.is_answer() {
                state.looked = Some(self.clock.wall());
                self.write(&state)?;
            }
        }
        fetched
    }

    fn fetch_to(
        &self,
        state: &mut State,
        running: &Version,
        from: Source<'_>,
        again: Option<&Version>,
        unasked: bool,
    ) -> Result<Fetched, UpdateError> {
        let (new, offered) = (self.dir.join(NEW), self.offered());
        self.files.remove_dir(&new).map_err(failed("cannot remove", &new))?;
        self.files.make_dir(&new).map_err(failed("cannot make", &new))?;
        let found = self.list(from, &new)?;
        state.may_offer(&found, running, again)?;
        let version = found.version.clone();
        // Whether the candidate's files are here.
        let whole = state.candidate.as_ref().map(|c| c.sums) == self.lies_here()?;
        if whole && state.is_known(&found) {
            self.files.remove_dir(&new).map_err(failed("cannot remove", &new))?;
            state.offer(&found, self.clock.wall());
            self.write(state)?;
            return Ok(Fetched { version, new: false });
        }
        let consented = state.candidate.as_ref().filter(|c| c.stage == Stage::Consented && whole);
        if let Some(candidate) = consented.filter(|_| unasked) {
            return Err(UpdateError::Awaits { version: candidate.version.clone() });
        }
        // A stick may be pulled out in the middle: nothing is given up for it.
        let may_go = consented.is_none() && matches!(from, Source::Url(_));
        self.make_room(may_go, whole, state)?;
        for part in &found.parts {
            from.part(&self.machine, part, &new)?;
        }
        self.files.remove_dir(&offered).map_err(failed("cannot remove", &offered))?;
        self.files.rename(&new, &offered).map_err(failed("cannot name", &offered))?;
        let new = state.offer(&found, self.clock.wall());
        self.write(state)?;
        Ok(Fetched { version, new })
    }

    /// Fetches the list of a directory with its signature to a folder, and checks it.
    fn list(&self, from: Source<'_>, to: &Path) -> Result<Found, UpdateError> {
        for name in [SUMS, SIGNATURE] {
            from.unjudged(&self.machine, name, &to.join(name), LIST)?;
        }
        // The signature is judged here, before anything of the list is believed, and of the files that have come: so a line that broke is not
        // taken for a forgery.
        let checked = to.join("checked");
        self.machine.check(to, SUMS, &checked, LIST)?;
        let bytes = self.files.read(&checked).map_err(failed("cannot read", &checked))?.unwrap_or_default();
        self.files.remove(&checked).map_err(failed("cannot remove", &checked))?;
        newest(&bytes).ok_or_else(|| UpdateError::NoVersion { place: from.name() })
    }

    /// Sees to it that there is room for a version, if need be in the place of what was offered before and may go.
    fn make_room(&self, may_go: bool, whole: bool, state: &mut State) -> Result<(), UpdateError> {
        let free = || (self.free)(&self.dir).map_err(failed("cannot measure", &self.dir));
        let wanted = PARTS.iter().map(|(_, most)| most).sum::<u64>() + RESERVE;
        if free()? < wanted && may_go {
            // Nobody consents to what is not here any more.
            if whole && state.candidate.take().is_some() {
                self.write(state)?;
            }
            let offered = self.offered();
            self.files.remove_dir(&offered).map_err(failed("cannot remove", &offered))?;
        }
        let free = free()?;
        if free < wanted {
            return Err(UpdateError::Room { dir: self.dir.clone(), free, wanted });
        }
        Ok(())
    }

    /// SHA-256 of the list of what lies here.
    fn lies_here(&self) -> Result<Option<crate::types::merkle::Hash>, UpdateError> {
        let list = self.offered().join(SUMS);
        Ok(self.files.read(&list).map_err(failed("cannot read", &list))?.map(|bytes| sha256(&bytes)))
    }

    /// The school consents. The ledger has it afterwards.
    pub fn consent(&self, version: &Version, word: Word) -> Result<bool, UpdateError> {
        let (mut state, ..) = self.look()?;
        let new = state.consent(version, word, self.stamp()?)?;
        self.settle(&mut state)?;
        Ok(new)
    }

    /// Writes the version that was consented to; it comes with the next start.
    pub fn apply(&self) -> Result<Version, UpdateError> {
        let (mut state, facts, _) = self.look()?;
        // One that was started by hand, past custodian, is no candidate.
        if self.machine.trial() == Trial::Counted {
            return Err(UpdateError::OnTrial { version: facts.running });
        }
        let version = state.begin(self.lies_here()?)?;
        // One that was tried before is in its slot still, and would not be written again. That goes before it is said that it is being written:
        // from then on an entry without tries is one that has failed anew.
        if self.machine.facts(Some(&version))?.tries == Tries::Left(0) {
            self.machine.drop_entry(&version)?;
        }
        self.write(&state)?;
        if let Err(e) = self.machine.write(&version, &self.offered()) {
            state.not_written();
            self.write(&state)?;
            return Err(e);
        }
        let starts = self.machine.facts(Some(&version))?.tries;
        if !matches!(starts, Tries::Left(1..)) {
            let what = "it was written, and the loader has no entry that counts for it";
            return Err(UpdateError::Program { what, said: format!("{starts:?}") });
        }
        state.applied(&facts.boot, self.stamp()?)?;
        self.settle(&mut state)?;
        log::info!(
            MESSAGE_ID = event::UPDATE_WRITTEN, VERSION = version.as_str();
            "version {version} is written, and comes with the next start"
        );
        Ok(version)
    }

    /// Restarts the machine so that what is written starts. That it was is on the disk before.
    pub fn restart(&self) -> Result<(), UpdateError> {
        let (mut state, facts, _) = self.look()?;
        state.restarted_in = Some(facts.boot);
        self.write(&state)?;
        self.machine.reboot()
    }

    /// A person refuses a version, or takes note that one fell back.
    pub fn refuse(&self, version: &Version, word: Word) -> Result<(), UpdateError> {
        let (mut state, facts, _) = self.look()?;
        let written =
            |s: &State| s.candidate.as_ref().is_some_and(|c| matches!(c.stage, Stage::Writing | Stage::Applied));
        let (was_written, was) = (written(&state), state.candidate.as_ref().map(|c| c.version.clone()));
        state.refuse(version, word, &facts.running, self.stamp()?)?;
        // It is not started any more before it is said that it will not be.
        if was_written && was.as_ref() == Some(version) {
            self.machine.drop_entry(version)?;
        }
        self.settle(&mut state)?;
        if was.as_ref() == Some(version) { self.clear() } else { Ok(()) }
    }

    /// The version that runs is as it should be: from now on it may be called a good one. Says whether an earlier start has proven that already,
    /// so that the loader was not told, or could not be.
    pub fn good(&self) -> Result<bool, UpdateError> {
        let (mut state, facts, _) = self.look()?;
        let again = state.was_proven(&facts);
        if again {
            log::error!(
                MESSAGE_ID = event::UPDATE_STILL_COUNTED, VERSION = facts.running.as_str();
                "version {} was good before, and its starts are counted still: the loader was not told", facts.running
            );
        }
        let candidate = state.candidate.as_ref().map(|c| c.version.clone());
        if state.good(&facts, self.stamp()?) == Seen::Good {
            self.settle(&mut state)?;
            say(Seen::Good, candidate.as_ref(), &facts);
            self.clear()?;
        }
        Ok(again)
    }
}

/// Logs what has become known.
fn say(seen: Seen, candidate: Option<&Version>, facts: &Facts) {
    let Some(version) = candidate.map(Version::as_str) else { return };
    match seen {
        Seen::Good => log::info!(MESSAGE_ID = event::UPDATE_GOOD, VERSION = version; "version {version} is good"),
        Seen::FellBack => log::error!(
            MESSAGE_ID = event::UPDATE_FELL_BACK, VERSION = version;
            "version {version} did not come up as it should: version {} runs again", facts.running
        ),
        Seen::Trying => log::info!("version {version} runs on probation"),
        Seen::Gone => log::warn!("version {version} was written, and is not there any more"),
        Seen::Overtaken | Seen::Nothing => {}
    }
}
