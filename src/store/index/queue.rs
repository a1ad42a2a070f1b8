//! What is to be written to the index next: a batch that coalesces, so that a slow system disk costs freshness, never memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use super::{IndexError, KeptRow, RunRow, SegmentRow, Writer, writer::told_note};
use crate::types::{GapBefore, RunId, SegmentId, Span, StreamId, StreamKey, VolumeName, WallNs, event, story};

/// Changes to the index, the last word on each thing. Applied in the order of the fields.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Streams and their present names.
    pub streams: BTreeSet<StreamKey>,
    /// New runs.
    pub runs: BTreeMap<RunId, RunRow>,
    /// New or grown segments, by identity and volume.
    pub segments: BTreeMap<(SegmentId, VolumeName), SegmentRow>,
    /// First of all: no segment is in the ledger any more, for that is another one now.
    pub forget_logged: bool,
    /// Segments whose entry in the ledger stands for them no more.
    pub unlogged: BTreeSet<(SegmentId, VolumeName)>,
    /// Which entry of the ledger stands for a segment.
    pub logged: BTreeMap<(SegmentId, VolumeName), u64>,
    /// Segments that are about to be removed.
    pub retiring: BTreeSet<(SegmentId, VolumeName)>,
    /// Segments whose file is no more.
    pub gone: BTreeSet<(SegmentId, VolumeName)>,
    /// Up to where retention has removed footage.
    pub retired: BTreeMap<StreamId, WallNs>,
    /// Footage that is lost.
    pub lost: BTreeSet<(StreamId, Span)>,
    /// What was measured on a day.
    pub kept: BTreeMap<(StreamId, String), KeptRow>,
    /// Gaps that last, or have ended.
    pub open_gaps: BTreeMap<StreamId, Option<GapBefore>>,
    /// Notes such as the site's time zone.
    pub meta: BTreeMap<String, String>,
    /// Which volume a name stands for: its marker's id.
    pub volumes: BTreeMap<VolumeName, String>,
}

impl Batch {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
            && self.runs.is_empty()
            && self.segments.is_empty()
            && !self.forget_logged
            && self.unlogged.is_empty()
            && self.logged.is_empty()
            && self.retiring.is_empty()
            && self.gone.is_empty()
            && self.retired.is_empty()
            && self.lost.is_empty()
            && self.kept.is_empty()
            && self.open_gaps.is_empty()
            && self.meta.is_empty()
            && self.volumes.is_empty()
    }

    /// Takes the numbers in the ledger from all segments.
    pub fn forget_logged(&mut self) {
        self.logged.clear();
        self.forget_logged = true;
    }

    /// Notes which entry of the ledger stands for a segment that has no row.
    pub fn told(&mut self, run: RunId, seq: u32, volume: &VolumeName, entry: u64) {
        self.meta.insert(told_note(run, seq, volume), entry.to_string());
    }

    /// Takes its number in the ledger from a segment.
    pub fn unlog(&mut self, id: SegmentId, volume: VolumeName) {
        let key = (id, volume);
        self.logged.remove(&key);
        self.unlogged.insert(key);
    }

    /// Adds a segment.
    pub fn segment(&mut self, row: SegmentRow) {
        self.segments.insert((row.id, row.volume.clone()), row);
    }

    /// Puts `older` below this one: what stands here already is the later word.
    fn put_below(&mut self, older: Self) {
        self.streams.extend(older.streams);
        for (k, v) in older.runs {
            self.runs.entry(k).or_insert(v);
        }
        for (k, v) in older.segments {
            self.segments.entry(k).or_insert(v);
        }
        if !self.forget_logged {
            for (k, v) in older.logged.into_iter().filter(|(k, _)| !self.unlogged.contains(k)) {
                self.logged.entry(k).or_insert(v);
            }
            self.unlogged.extend(older.unlogged);
            self.forget_logged = older.forget_logged;
        }
        self.retiring.extend(older.retiring);
        self.gone.extend(older.gone);
        for (k, v) in older.retired {
            self.retired.entry(k).or_insert(v);
        }
        self.lost.extend(older.lost);
        for (k, v) in older.kept {
            self.kept.entry(k).or_insert(v);
        }
        for (k, v) in older.open_gaps {
            self.open_gaps.entry(k).or_insert(v);
        }
        for (k, v) in older.meta {
            self.meta.entry(k).or_insert(v);
        }
        for (k, v) in older.volumes {
            self.volumes.entry(k).or_insert(v);
        }
    }
}

/// What takes the batches: the index, behind a trait so that tests can cut the power between two of them.
pub trait Sink: Send + 'static {
    /// Writes a batch, all or nothing.
    ///
    /// # Errors
    /// If it cannot be written. Nothing of it is, then.
    fn apply(&mut self, batch: &Batch) -> Result<(), IndexError>;
    /// Makes the database file whole, at the end.
    ///
    /// # Errors
    /// If that cannot be.
    fn checkpoint(&self) -> Result<(), IndexError>;
}

impl Sink for Writer {
    fn apply(&mut self, batch: &Batch) -> Result<(), IndexError> {
        self.apply(batch)
    }
    fn checkpoint(&self) -> Result<(), IndexError> {
        self.checkpoint()
    }
}

#[derive(Debug, Default)]
struct State {
    next: Batch,
    /// How many changes have been put in, and how many of these are written.
    put: u64,
    written: u64,
    stop: bool,
    /// Why the last attempt to write failed.
    problem: Option<String>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// The index thread's inbox. Putting something in never waits for a disk.
#[derive(Debug)]
pub struct IndexQueue {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// After a failed write, the next attempt comes after this long.
const RETRY: Duration = Duration::from_secs(5);

impl IndexQueue {
    /// Starts the thread that owns `writer`.
    pub fn start(writer: impl Sink, path: PathBuf) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let inside = shared.clone();
        let thread = std::thread::Builder::new()
            .name("index".into())
            .spawn(move || run(&inside, writer, &path.display().to_string()))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Adds changes to the next batch.
    pub fn put(&self, change: impl FnOnce(&mut Batch)) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state.next);
        state.put += u64::from(!state.next.is_empty());
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Why it cannot be written now, if so.
    pub fn problem(&self) -> Option<String> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).problem.clone()
    }

    /// Waits until everything put in so far has been written, at most `limit`, whatever is put in meanwhile. False if it took longer.
    pub fn flush(&self, limit: Duration) -> bool {
        let state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let put = state.put;
        let (_state, waited) = self
            .shared
            .changed
            .wait_timeout_while(state, limit, |s| s.written < put)
            .unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }

    /// Writes what is left and ends the thread.
    pub fn stop(&self) {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        self.shared.changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            log::error!("the index thread panicked; the index will be completed from the volumes at the next start");
        }
    }
}

fn run(shared: &Shared, mut writer: impl Sink, path: &str) {
    let mut failed = false;
    loop {
        let (batch, put) = {
            let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            if failed && !state.stop {
                state = shared
                    .changed
                    .wait_timeout_while(state, RETRY, |s| !s.stop)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
            let mut state = shared
                .changed
                .wait_while(state, |s| s.next.is_empty() && !s.stop)
                .unwrap_or_else(PoisonError::into_inner);
            if state.next.is_empty() || (failed && state.stop) {
                break;
            }
            (std::mem::take(&mut state.next), state.put)
        };
        let outcome = writer.apply(&batch);
        let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(()) => {
                state.written = put;
                state.problem = None;
                if std::mem::take(&mut failed) {
                    log::info!(MESSAGE_ID = event::INDEX_WRITTEN_AGAIN; "the index at {path} is written again");
                }
            }
            Err(e) => {
                if !failed {
                    log::error!(
                        MESSAGE_ID = event::INDEX_NOT_WRITTEN, CAUSE = story(&e);
                        "the index at {path} cannot be written: {}; recording goes on", story(&e)
                    );
                }
                failed = true;
                state.problem = Some(story(&e));
                state.next.put_below(batch);
            }
        }
        drop(state);
        shared.changed.notify_all();
    }
    if let Err(e) = writer.checkpoint() {
        log::warn!("the index at {path} could not be checkpointed: {}", story(&e));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    };

    use super::*;

    /// Says that it has a batch, and waits until it may write it.
    struct Slow(Sender<()>, Receiver<()>);

    impl Sink for Slow {
        fn apply(&mut self, _: &Batch) -> Result<(), IndexError> {
            let _ = self.0.send(());
            let _ = self.1.recv();
            Ok(())
        }
        fn checkpoint(&self) -> Result<(), IndexError> {
            Ok(())
        }
    }

    #[test]
    fn what_comes_after_it_holds_up_no_flush() {
        let ((has, begun), (may, turn)) = (channel(), channel());
        let queue = IndexQueue::start(Slow(has, turn), PathBuf::from("index.db")).unwrap();
        let put = |key: &str| queue.put(|batch| _ = batch.meta.insert(key.into(), String::new()));
        queue.put(|_| ());
        assert!(queue.flush(Duration::ZERO), "nothing was put in");
        put("a");
        begun.recv().unwrap();
        assert!(!queue.flush(Duration::from_millis(20)), "that is not written yet");
        let done = AtomicBool::new(false);
        let (is_done, put, go_on) = (&done, &put, &may);
        std::thread::scope(|threads| {
            threads.spawn(move || {
                // There is always one more before the last is written.
                while !is_done.load(Ordering::SeqCst) {
                    put("more");
                    go_on.send(()).unwrap();
                    begun.recv().unwrap();
                }
            });
            let flushed = queue.flush(Duration::from_secs(20));
            done.store(true, Ordering::SeqCst);
            assert!(flushed);
        });
        drop(may);
        queue.stop();
    }
}
