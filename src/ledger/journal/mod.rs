//! The log in the hands of a service: handing an entry in never waits for a disk, unless one wants to.

mod keeper;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use self::keeper::Keeper;
use super::{
    Accounted, LONGEST,
    checkpoint::Checkpoint,
    entry::{Entry, What},
    place::Place,
    view::View,
};
use crate::{
    sys::{Clock, Files},
    types::{RecorderId, WallNs},
};

/// Memory for entries that wait.
const ROOM: usize = 4 << 20;

/// Whether a log may be appended to.
pub enum Gate {
    /// That is not known yet.
    Wait,
    /// It may, these entries first. The first entry of a new log is [`What::LogBegins`].
    Open(Vec<What>),
    /// It may not, and why.
    Closed(String),
}

/// How patient a journal is.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Entries are gathered for so long before they are written.
    pub gather: Duration,
    /// After a failure the next attempt comes after so long.
    pub retry: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { gather: Duration::from_secs(1), retry: Duration::from_secs(5) }
    }
}

/// All that a journal needs.
pub struct Setup {
    /// Where the log is.
    pub place: Place,
    /// Where other commands leave entries.
    pub spool: PathBuf,
    /// Whose log it is.
    pub recorder: RecorderId,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where files go.
    pub files: Arc<dyn Files>,
    /// How patient it is.
    pub pace: Pace,
    /// Asked on the journal's thread, with the log as it is, before anything is appended. Must not block.
    pub gate: Box<dyn FnMut(&View) -> Gate + Send>,
}

/// Why an entry is not in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Too many wait.
    #[error("too many entries wait for the ledger: {0}")]
    Full(String),
    /// It is too long.
    #[error("an entry has {0} bytes; the ledger takes 65,535 at most")]
    TooLong(usize),
    /// It took too long. It may come in later, if the disk was at work on it.
    #[error("the ledger did not take an entry in time: {0}")]
    Late(String),
    /// It took too long, and was taken back: it does not come in.
    #[error("the ledger did not take an entry in time, and it was taken back: {0}")]
    Withdrawn(String),
    /// It is closed.
    #[error("the ledger is closed")]
    Stopped,
}

/// How a journal is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// Entries of the log; none before it is open.
    pub size: Option<u64>,
    /// Its newest checkpoint, a signed note.
    pub checkpoint: Option<String>,
    /// When that was signed.
    pub at: Option<WallNs>,
    /// Entries that wait.
    pub waiting: usize,
    /// Entries that were dropped since the start, for there was no room for more.
    pub dropped: u64,
    /// Why nothing is appended, or something cannot be.
    pub problem: Option<String>,
}

/// Entries that belong together.
struct Group {
    entries: Vec<Vec<u8>>,
    /// Gets the number of the first one.
    ticket: Option<Arc<OnceLock<u64>>>,
}

impl Group {
    fn bytes(&self) -> usize {
        self.entries.iter().map(Vec::len).sum()
    }
}

/// Entries that were dropped and are not spoken of in the log yet.
#[derive(Debug, Clone, Copy)]
struct Omitted {
    entries: u64,
    since: WallNs,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Group>,
    /// Their length together.
    bytes: usize,
    omitted: Option<Omitted>,
    dropped: u64,
    urgent: bool,
    stop: bool,
    /// The thread has ended.
    ended: bool,
    view: Option<View>,
    at: Option<WallNs>,
    problem: Option<String>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    recorder: RecorderId,
    clock: Arc<dyn Clock>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An entry of this moment.
    fn entry(&self, what: What) -> Result<Vec<u8>, JournalError> {
        let bytes = Entry::new(self.clock.wall(), self.recorder.clone(), what).to_bytes();
        if bytes.len() > LONGEST { Err(JournalError::TooLong(bytes.len())) } else { Ok(bytes) }
    }

    fn problem(state: &State) -> String {
        state.problem.clone().unwrap_or_else(|| "its disk is slow".into())
    }
}

/// For entries that were handed in.
pub struct Ticket {
    shared: Arc<Shared>,
    first: Arc<OnceLock<u64>>,
    count: u64,
}

impl Ticket {
    /// Waits until they are durable and in a checkpoint; at most `limit`. Returns the proof.
    ///
    /// # Errors
    /// If they are not, so far.
    pub fn wait(&self, limit: Duration) -> Result<Accounted, JournalError> {
        let waits = |state: &mut State| self.first.get().is_none() && !state.ended;
        let waited = self.shared.changed.wait_timeout_while(self.shared.state(), limit, waits);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match self.first.get() {
            Some(first) => Ok(Accounted::new(*first..first + self.count)),
            None if state.ended => Err(JournalError::Stopped),
            None => Err(JournalError::Late(Shared::problem(&state))),
        }
    }

    /// Takes them back, unless the disk is at work on them. Whether it did.
    fn withdraw(&self) -> bool {
        let ours = |group: &Group| group.ticket.as_ref().is_some_and(|t| Arc::ptr_eq(t, &self.first));
        let mut state = self.shared.state();
        state.bytes -= state.queue.iter().filter(|g| ours(g)).map(Group::bytes).sum::<usize>();
        let before = state.queue.len();
        state.queue.retain(|group| !ours(group));
        state.queue.len() < before
    }
}

/// A handle on the thread that owns the log.
pub struct Journal {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Starts the thread, which opens the log. A log that cannot be opened is no error here: [`Journal::status`] says so.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start(setup: Setup) -> std::io::Result<Self> {
        let (recorder, clock) = (setup.recorder.clone(), setup.clock.clone());
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), recorder, clock });
        let inside = shared.clone();
        let thread =
            std::thread::Builder::new().name("ledger".into()).spawn(move || Keeper::new(inside, setup).run())?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Hands in an entry. Never waits; where there is no room for more it is dropped, which the log says later.
    pub fn put(&self, what: What) {
        let entry = self.shared.entry(what);
        let mut state = self.shared.state();
        match entry {
            Ok(entry) if state.bytes + entry.len() <= ROOM && !state.ended => {
                state.bytes += entry.len();
                state.queue.push_back(Group { entries: vec![entry], ticket: None });
            }
            outcome => {
                let now = self.shared.clock.wall();
                let omitted = state.omitted.get_or_insert(Omitted { entries: 0, since: now });
                omitted.entries += 1;
                state.dropped += 1;
                let why = outcome.err().unwrap_or_else(|| JournalError::Full(Shared::problem(&state)));
                if state.dropped.is_power_of_two() {
                    log::error!(
                        COUNT = state.dropped, CAUSE:% = why;
                        "{} entries were not taken into the ledger; {why}", state.dropped
                    );
                }
            }
        }
    }

    /// Hands in entries, one after the other, at once. They come in when they can; the ticket tells when they are.
    ///
    /// # Errors
    /// If they are not taken.
    pub fn submit(&self, whats: Vec<What>) -> Result<Ticket, JournalError> {
        let entries = whats.into_iter().map(|what| self.shared.entry(what)).collect::<Result<Vec<_>, _>>()?;
        let (count, first) = (entries.len() as u64, Arc::new(OnceLock::new()));
        let group = Group { entries, ticket: Some(first.clone()) };
        let mut state = self.shared.state();
        if state.ended {
            return Err(JournalError::Stopped);
        }
        if state.bytes + group.bytes() > ROOM {
            return Err(JournalError::Full(Shared::problem(&state)));
        }
        state.bytes += group.bytes();
        state.urgent = true;
        state.queue.push_back(group);
        drop(state);
        self.shared.changed.notify_all();
        Ok(Ticket { shared: self.shared.clone(), first, count })
    }

    /// Hands in entries, one after the other, and waits until they are durable and in a checkpoint; at most `limit`. Returns
    /// the proof.
    ///
    /// # Errors
    /// If that could not be. A step that was to be on record first is then not to be taken.
    pub fn commit(&self, whats: Vec<What>, limit: Duration) -> Result<Accounted, JournalError> {
        let ticket = self.submit(whats)?;
        ticket.wait(limit).map_err(|e| match (ticket.withdraw(), e) {
            (true, JournalError::Late(why)) => JournalError::Withdrawn(why),
            (_, e) => e,
        })
    }

    /// How it is.
    pub fn status(&self) -> Status {
        let state = self.shared.state();
        let head = state.view.as_ref().map(View::head);
        Status {
            size: head.map(Checkpoint::size),
            checkpoint: head.map(|head| head.note().to_owned()),
            at: state.at,
            waiting: state.queue.iter().map(|group| group.entries.len()).sum(),
            dropped: state.dropped,
            problem: state.problem.clone(),
        }
    }

    /// The log as it is now, for reading; none before it is open.
    pub fn view(&self) -> Option<View> {
        self.shared.state().view.clone()
    }

    /// Writes what waits, if the disk lets it, and closes the log.
    pub fn stop(&self) {
        self.shared.state().stop = true;
        self.shared.changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            log::error!("the ledger's thread panicked; the log itself is whole, and is opened at the next start");
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.stop();
    }
}
