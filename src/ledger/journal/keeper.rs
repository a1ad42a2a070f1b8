//! The thread that owns the log.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, OnceLock, PoisonError},
};

use uuid::Uuid;

use super::{Gate, Group, Setup, Shared};
use crate::{
    ledger::{
        entry::{Entry, What},
        error::LedgerError,
        log::Log,
        spool,
    },
    sys::Files,
    types::{event, story},
};

/// Entries that are appended at a time, about: whole groups are.
const BATCH: usize = 1024;

/// What is appended at a time. An attempt that failed may have been seen: the next one is the same.
#[derive(Default)]
struct Batch {
    entries: Vec<Vec<u8>>,
    /// With each, where in the batch its group begins.
    tickets: Vec<(u64, Arc<OnceLock<u64>>)>,
    /// Entries that came by the spool.
    left: Vec<(Uuid, PathBuf)>,
}

impl Batch {
    fn add(&mut self, group: Group) {
        self.tickets.extend(group.ticket.map(|ticket| (self.entries.len() as u64, ticket)));
        self.entries.extend(group.entries);
    }
}

/// Why a turn did not do what was to be done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The log may not be appended to.
    #[error("{0}")]
    Closed(String),
    /// All else is appended.
    #[error("what other commands have left cannot be taken up")]
    Spool(#[source] LedgerError),
}

pub(super) struct Keeper {
    shared: Arc<Shared>,
    setup: Setup,
    log: Option<Log>,
    batch: Option<Batch>,
    /// What is in the log and still lies in the spool.
    appended: BTreeSet<Uuid>,
}

/// Says that the thread has ended, however it does.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.state().ended = true;
        self.0.changed.notify_all();
    }
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>, setup: Setup) -> Self {
        Self { shared, setup, log: None, batch: None, appended: BTreeSet::new() }
    }

    /// One whose turns a test counts.
    #[cfg(test)]
    pub(super) fn for_test(setup: Setup) -> Self {
        let (recorder, clock) = (setup.recorder.clone(), setup.clock.clone());
        let shared = Shared { state: std::sync::Mutex::default(), changed: std::sync::Condvar::new(), recorder, clock };
        Self::new(Arc::new(shared), setup)
    }

    /// Turns until it is stopped.
    pub(super) fn run(mut self) {
        let _ending = Ending(self.shared.clone());
        let mut failed = false;
        loop {
            let outcome = self.turn();
            self.report(&outcome, failed);
            failed = outcome.is_err();
            let pause = if failed { self.setup.pace.retry } else { self.setup.pace.gather };
            let state = self.shared.state();
            if state.stop {
                break;
            }
            let idle = self.shared.changed.wait_timeout_while(state, pause, |s| !s.urgent && !s.stop);
            idle.unwrap_or_else(PoisonError::into_inner).0.urgent = false;
        }
        let lost = self.leave_rest() + self.batch.map_or(0, |batch| batch.entries.len());
        if lost > 0 {
            log::error!(COUNT = lost; "{lost} entries were not taken into the ledger before the end");
        }
    }

    /// Leaves in the spool, for the next start, what could not be appended and nobody waits for. How much of it could not be left either.
    fn leave_rest(&self) -> usize {
        let groups = std::mem::take(&mut self.shared.state().queue);
        let entries = groups.into_iter().filter(|group| group.ticket.is_none()).flat_map(|group| group.entries);
        let leave = |bytes: &Vec<u8>| {
            let entry: Entry = serde_json::from_slice(bytes).ok()?;
            spool::leave(&*self.setup.files, &self.setup.spool, entry.at, entry.what).ok()
        };
        entries.filter(|bytes| leave(bytes).is_none()).count()
    }

    fn report(&self, outcome: &Result<(), Trouble>, failed: bool) {
        let mut state = self.shared.state();
        match outcome {
            Ok(()) => {
                if failed {
                    log::info!(MESSAGE_ID = event::LEDGER_WRITTEN_AGAIN; "the ledger is written again");
                }
                state.problem = None;
            }
            Err(e) => {
                let text = story(e);
                if state.problem.as_ref() != Some(&text) {
                    log::error!(
                        MESSAGE_ID = event::LEDGER_NOT_WRITTEN, CAUSE = text.as_str();
                        "the ledger is in trouble: {text}; recording goes on"
                    );
                }
                state.problem = Some(text);
            }
        }
    }

    /// Appends what is there.
    pub(super) fn turn(&mut self) -> Result<(), Trouble> {
        let files = self.setup.files.clone();
        if self.log.is_none() {
            let log = Log::open(files.clone(), &self.setup.place)?;
            self.show(&log);
            self.log = Some(log);
        }
        let Some(mut log) = self.log.take() else { return Ok(()) };
        let outcome =
            self.may_append(&log).and_then(|may| if may { self.append_all(&*files, &mut log) } else { Ok(()) });
        self.log = Some(log);
        outcome
    }

    /// What readers of the handle see from now on.
    fn show(&self, log: &Log) {
        let view = log.view();
        // Of a log that was just opened: when its last entry was made.
        let last = || view.record(view.size().checked_sub(1)?).ok()?.entry().ok().map(|entry| entry.at);
        let mut state = self.shared.state();
        state.at = if state.view.is_none() { last() } else { Some(self.shared.clock.wall()) };
        state.view = Some(view);
    }

    /// Whether the log may be appended to.
    fn may_append(&mut self, log: &Log) -> Result<bool, Trouble> {
        let first = match (self.setup.gate)(&log.view()) {
            Gate::Wait => return Ok(false),
            Gate::Closed(why) => return Err(Trouble::Closed(why)),
            Gate::Open(first) => first,
        };
        let entries: Result<Vec<_>, _> = first.into_iter().map(|what| self.shared.entry(what)).collect();
        let group = Group { entries: entries.map_err(|e| Trouble::Closed(e.to_string()))?, ticket: None };
        if !group.entries.is_empty() {
            let mut state = self.shared.state();
            state.bytes += group.bytes();
            state.queue.push_front(group);
        }
        Ok(true)
    }

    fn append_all(&mut self, files: &dyn Files, log: &mut Log) -> Result<(), Trouble> {
        let mut spool = Ok(());
        loop {
            if self.batch.is_none() {
                let mut batch = self.waiting();
                // What others left can wait for the queue; it must not be held up by it.
                if spool.is_ok() {
                    spool = self.take_up(files, log, &mut batch).map_err(Trouble::Spool);
                }
                if batch.entries.is_empty() {
                    return spool;
                }
                self.batch = Some(batch);
            }
            let Some(batch) = self.batch.take() else { return spool };
            let range = match log.append(&batch.entries) {
                Ok(range) => range,
                Err(e) => {
                    self.batch = Some(batch);
                    return Err(e.into());
                }
            };
            self.show(log);
            for (offset, ticket) in batch.tickets {
                let _ = ticket.set(range.start + offset);
            }
            self.shared.changed.notify_all();
            for (id, path) in batch.left {
                self.appended.insert(id);
                spool = spool.and(self.remove(files, id, &path).map_err(Trouble::Spool));
            }
        }
    }

    /// The next groups of the queue; after them, what was dropped while there was no room.
    fn waiting(&self) -> Batch {
        let (mut batch, mut state) = (Batch::default(), self.shared.state());
        while batch.entries.len() < BATCH
            && let Some(group) = state.queue.pop_front()
        {
            state.bytes -= group.bytes();
            batch.add(group);
        }
        if state.queue.is_empty()
            && let Some(omitted) = state.omitted.take()
        {
            let what = What::Omitted { entries: omitted.entries, since: omitted.since };
            batch.entries.extend(self.shared.entry(what));
        }
        batch
    }

    /// Adds what lies in the spool and is not in the log.
    fn take_up(&mut self, files: &dyn Files, log: &Log, batch: &mut Batch) -> Result<(), LedgerError> {
        for mut taken in spool::look(files, &self.setup.spool)? {
            if batch.entries.len() >= BATCH {
                break;
            }
            let id = taken.left.id;
            if self.appended.contains(&id) || in_log(log, &taken)? {
                self.appended.insert(id);
                self.remove(files, id, &taken.path)?;
                continue;
            }
            spool::claim(files, &mut taken, log.size())?;
            let entry =
                Entry { spool: Some(id), ..Entry::new(taken.left.at, self.shared.recorder.clone(), taken.left.what) };
            batch.left.push((id, taken.path));
            batch.entries.push(entry.to_bytes());
        }
        Ok(())
    }

    fn remove(&mut self, files: &dyn Files, id: Uuid, path: &std::path::Path) -> Result<(), LedgerError> {
        spool::done(files, path)?;
        self.appended.remove(&id);
        Ok(())
    }
}

/// Whether something that was claimed before a crash came into the log.
fn in_log(log: &Log, taken: &spool::Taken) -> Result<bool, LedgerError> {
    let Some(from) = taken.from else { return Ok(false) };
    for record in log.view().records(from..log.size()) {
        if record?.entry().is_ok_and(|entry| entry.spool == Some(taken.left.id)) {
            return Ok(true);
        }
    }
    Ok(false)
}
