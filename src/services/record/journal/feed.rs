//! Closed segments go from the index into the ledger: each once, and none is missed, whenever the recorder dies.
//!
//! A row that is closed and has no number in the ledger is appended, with the gap before it where it is the first of its run, and gets
//! its number. The index notes up to which entry all numbers have been given; what the log has beyond is looked at before anything is
//! appended, so that rows whose numbers were lost, with the process or with the index, get them from there.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use super::{
    draft::{Draft, Numbering, Place},
    root::{self, Answer},
};
use crate::{
    ledger::{self, Ticket, View, What},
    services::record::{Shared, volumes},
    store::index::{Batch, Reader, SegmentRow},
    sys::{Monotonic, RealFiles},
    types::{RunId, VolumeName, merkle::Hash},
};

/// Between two looks at the index: what is closed meanwhile is appended together.
const LOOK: Duration = Duration::from_secs(5);
/// Segments that are appended together.
const BATCH: usize = 512;
/// How long the ledger, the index or a disk may take.
const LIMIT: Duration = Duration::from_secs(5);
/// A disk that does not answer is asked again after so long.
const ASIDE: Duration = Duration::from_mins(5);
/// The note in the index: of which log it has the numbers, and that every segment among so many entries has its own.
const NOTED: &str = "ledger";

/// A file: run, number, volume.
pub(super) type Key = (RunId, u32, VolumeName);

fn key(row: &SegmentRow) -> Key {
    (row.id.run, row.id.seq, row.volume.clone())
}

pub(super) struct Feed {
    shared: Arc<Shared>,
    /// Segments of the log whose rows have no number, as far as is known. None before the log was looked at.
    known: Option<HashMap<Key, u64>>,
    /// Volumes whose disks did not answer, and when they are asked again.
    aside: BTreeMap<VolumeName, Monotonic>,
    /// Segments that an earlier version closed and whose files say no root.
    rootless: BTreeSet<Key>,
    /// Entries that are on their way into the log: nothing is appended before it is known what became of them.
    pending: Option<(Ticket, Numbering)>,
    noted: Option<String>,
    /// What was logged last, so that it is not said over and over.
    trouble: String,
}

impl Feed {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let (aside, rootless, trouble) = (BTreeMap::new(), BTreeSet::new(), String::new());
        Self { shared, known: None, aside, rootless, pending: None, noted: None, trouble }
    }

    /// Runs until the recorder stops.
    pub(super) fn run(mut self) -> Self {
        while !self.shared.stopping.load(Ordering::SeqCst) {
            std::thread::park_timeout(LOOK);
            self.turn(false);
        }
        self
    }

    /// Once more, when the last segments are closed. The index is closed as well: their numbers are given at the next start.
    pub(super) fn last(&mut self) {
        self.turn(true);
    }

    fn turn(&mut self, last: bool) {
        match self.try_turn(last) {
            Ok(()) => self.trouble.clear(),
            Err(e) => {
                let text = format!("{e:#}");
                if text != self.trouble {
                    log::warn!(CAUSE = text.as_str(); "closed segments wait for the ledger: {text}");
                    self.trouble = text;
                }
            }
        }
    }

    fn try_turn(&mut self, last: bool) -> anyhow::Result<()> {
        // Until it is open its status says why not.
        let Some(log) = self.shared.journal.view().filter(|log| log.size() > 0) else { return Ok(()) };
        let vkey = ledger::verifier(&RealFiles, &ledger::public(&self.shared.paths.ledger()))?.to_string();
        // Once all that lies on the volumes is in the index no row comes any more whose number only the log knows.
        let settled = !last
            && !self.shared.stopping.load(Ordering::SeqCst)
            && self.is_compared()
            && self.shared.index.flush(LIMIT);
        let index = Reader::open(&self.shared.paths.index())?;
        if self.known.is_none() {
            self.known = Some(self.catch_up(&index, &log, &vkey)?);
        }
        self.appended(last)?;
        let now = self.shared.clock.monotonic();
        self.aside.retain(|_, until| *until > now);
        loop {
            // The recorder may stop meanwhile, and the index with it.
            let last = last || self.shared.stopping.load(Ordering::SeqCst);
            let rows = self.rows(&index, last)?;
            if rows.is_empty() {
                break;
            }
            let draft = self.draft(&index, rows)?;
            self.append(draft, last)?;
        }
        // Rows of disks that do not answer were not looked at.
        if settled && self.aside.is_empty() {
            self.note_told(&index)?;
            self.note(format!("{} {vkey}", log.size()));
        }
        Ok(())
    }

    /// Of what is in the log and has no row: the file may come again, and is not told twice then.
    fn note_told(&mut self, index: &Reader) -> anyhow::Result<()> {
        for ((run, seq, volume), n) in std::mem::take(self.known.get_or_insert_default()) {
            if index.logged(run, seq, &volume)?.is_none() {
                self.shared.index.put(|batch| batch.told(run, seq, &volume, n));
            }
        }
        Ok(())
    }

    /// Whether all of the site's volumes were compared with the index.
    fn is_compared(&self) -> bool {
        let places = volumes::places(&self.shared.site(), &self.shared.recorder);
        let compared = self.shared.compared.lock().unwrap_or_else(PoisonError::into_inner);
        places.iter().all(|(name, _)| compared.contains(name))
    }

    /// The segments in the part of the log whose numbers the index may not have.
    fn catch_up(&self, index: &Reader, log: &View, vkey: &str) -> anyhow::Result<HashMap<Key, u64>> {
        let noted = index.meta(NOTED)?;
        let noted = noted.as_deref().and_then(|note| note.split_once(' '));
        let from = match noted {
            Some((size, of)) if of == vkey => size.parse().unwrap_or(0),
            Some(_) => {
                log::warn!("this is another ledger than before: all footage that is there goes into it");
                self.shared.index.put(Batch::forget_logged);
                anyhow::ensure!(self.shared.index.flush(LIMIT), "the index is behind");
                0
            }
            None => 0,
        };
        let mut known = HashMap::new();
        for record in log.records(from..log.size()) {
            let record = record?;
            match record.entry().map(|entry| entry.what) {
                Ok(What::Segment(s)) => _ = known.insert((s.run, s.seq, s.volume), record.n),
                Ok(What::Retired { volume, segments, .. }) => {
                    for (run, seq) in segments {
                        known.remove(&(run, seq, volume.clone()));
                    }
                }
                _ => {}
            }
        }
        Ok(known)
    }

    /// Segments that are to be looked at next.
    fn rows(&self, index: &Reader, last: bool) -> anyhow::Result<Vec<SegmentRow>> {
        let aside: Vec<VolumeName> = self.aside.keys().cloned().collect();
        let known = |row: &SegmentRow| self.known.as_ref().is_some_and(|known| known.contains_key(&key(row)));
        let passed = self.rootless.len() + if last { self.known.as_ref().map_or(0, HashMap::len) } else { 0 };
        let mut rows = index.unlogged_elsewhere(&aside, u32::try_from(BATCH + passed).unwrap_or(u32::MAX))?;
        rows.retain(|row| !(self.rootless.contains(&key(row)) || last && known(row)));
        Ok(rows)
    }

    /// What is to be appended for these, and which numbers are known.
    fn draft(&mut self, index: &Reader, rows: Vec<SegmentRow>) -> anyhow::Result<Draft> {
        let mut draft = Draft::default();
        for row in rows {
            if let Some(n) = self.known.as_ref().and_then(|known| known.get(&key(&row)).copied()) {
                draft.has(row, n);
            } else if let Some(root) = self.root(&row) {
                if self.known.as_ref().is_some_and(|known| known.keys().any(|(run, ..)| *run == row.id.run)) {
                    draft.has_run(row.id.run);
                }
                draft.add(index, row, root)?;
            }
        }
        Ok(draft)
    }

    fn append(&mut self, draft: Draft, last: bool) -> anyhow::Result<()> {
        let (whats, numbering) = draft.finish();
        if whats.is_empty() {
            return self.number(numbering.numbers(0), last);
        }
        self.pending = Some((self.shared.journal.submit(whats)?, numbering));
        self.appended(last)
    }

    /// Waits for what is on its way.
    fn appended(&mut self, last: bool) -> anyhow::Result<()> {
        let Some((ticket, numbering)) = self.pending.take() else { return Ok(()) };
        match ticket.wait(LIMIT) {
            Ok(accounted) => self.number(numbering.numbers(accounted.entries().start), last),
            Err(e) => {
                self.pending = Some((ticket, numbering));
                Err(e.into())
            }
        }
    }

    /// Gives rows their numbers.
    fn number(&mut self, numbers: Vec<(Place, u64)>, last: bool) -> anyhow::Result<()> {
        // Whatever becomes of the index now, they are not appended again.
        let known = self.known.get_or_insert_default();
        known.extend(numbers.iter().map(|((id, volume), n)| ((id.run, id.seq, volume.clone()), *n)));
        if last {
            return Ok(());
        }
        self.shared.index.put(|batch| batch.logged.extend(numbers.iter().cloned()));
        let written = self.shared.index.flush(LIMIT);
        if let Some(problem) = self.shared.index.problem() {
            anyhow::bail!("the index does not take their numbers: {problem}");
        }
        anyhow::ensure!(written, "the index is behind");
        for ((id, volume), _) in numbers {
            known.remove(&(id.run, id.seq, volume));
        }
        Ok(())
    }

    fn note(&mut self, note: String) {
        if self.noted.as_ref() != Some(&note) {
            self.shared.index.put(|batch| _ = batch.meta.insert(NOTED.into(), note.clone()));
            self.noted = Some(note);
        }
    }

    /// The root of a segment; where its row has none, that of its file. None: it is passed over, for now or for good.
    fn root(&mut self, row: &SegmentRow) -> Option<Hash> {
        if row.root.is_some() || self.aside.contains_key(&row.volume) {
            return row.root;
        }
        let path: Option<PathBuf> = self.shared.store.answering().get(&row.volume).map(|root| root.join(&row.path));
        match path.map_or(Answer::Silence, |path| root::read(path, LIMIT)) {
            Answer::Root(root) => return Some(root),
            Answer::None(why) => {
                log::error!(
                    VOLUME = row.volume.as_str(), FILE = row.path.as_str();
                    "{} on volume {} cannot go into the ledger: {why}", row.path, row.volume
                );
                self.rootless.insert(key(row));
            }
            Answer::Silence => {
                let now = self.shared.clock.monotonic();
                let until = now.0.saturating_add(i64::try_from(ASIDE.as_nanos()).unwrap_or(i64::MAX));
                self.aside.insert(row.volume.clone(), Monotonic(until));
            }
        }
        None
    }
}
