//! Two threads for each volume: one writes, one commits. Nothing else in the recorder ever waits for the disk.
//!
//! The rule for a disk in trouble:
//! - A write or a commit that fails, or takes longer than [`Timing::limit`], marks the volume failed. Its open segments are closed at
//!   what was committed last; the rest becomes a gap with cause disk; nothing is written again over pages whose sync failed.
//! - A disk that is merely slower than its cameras fills its share of memory. Then single fragments are refused, which ends
//!   those runs, and their cameras go to another volume.
//! - A volume whose mount went away, or was exchanged, has failed too: what is synced then is another file system.
//! - A failed volume is tried again every [`Timing::retry`]: marker, room, and a small file written and synced in time.

mod commit;
mod latency;
mod progress;
mod writer;

use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
        mpsc::{Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

pub(super) use self::progress::WorkerSeen;
use self::{commit::commit_loop, latency::Latency, writer::Writer};
use super::{Refused, VolumeSetup, probe::full, segment::Written, volume::Volume};
use crate::{
    sys::{Clock, Disk, Monotonic, Space},
    types::{ByteSize, Fragment, RunId, SegmentId, VolumeName, WallNs, wire},
};

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Between commits.
    pub commit: Duration,
    /// A write or commit that takes longer fails the volume.
    pub limit: Duration,
    /// Between attempts to take a failed volume back.
    pub retry: Duration,
}

/// What a worker tells the store.
pub(super) trait Report: Send + Sync + 'static {
    /// These are on the disk for good, since then.
    fn committed(&self, volume: &VolumeName, written: &[Written], at: WallNs);
    /// The volume takes nothing any more.
    fn failed(&self, volume: &VolumeName, problem: &str);
    /// It does again.
    fn back(&self, volume: &VolumeName);
    /// The file that names all streams, if it has changed since version `had`.
    fn streams_file(&self, had: u64, now: WallNs) -> Option<(u64, Vec<u8>)>;
}

enum Job {
    /// And when it was queued.
    Fragment(Box<Fragment>, Monotonic),
    EndRun(RunId),
    /// Look whether the volume has failed.
    Wake,
    Stop,
}

/// Why a volume takes nothing.
#[derive(Debug, Clone)]
struct Problem {
    text: String,
    /// It is full, and would do otherwise.
    full: bool,
}

impl From<String> for Problem {
    fn from(text: String) -> Self {
        Self { text, full: false }
    }
}

#[derive(Debug)]
struct State {
    problem: Option<Problem>,
    /// The writer has let go of everything that was open when the volume failed.
    abandoned: bool,
    /// Its room, what is reserved ahead counted as free.
    space: Space,
    /// Which file system the volume was on when it was last found to be well.
    file_system: u64,
    stop: bool,
}

struct Shared {
    volume: Volume,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    report: Arc<dyn Report>,
    timing: Timing,
    /// Bytes that may wait in memory.
    share: u64,
    queued: AtomicU64,
    /// Bytes that are reserved for open segments beyond what is written.
    ahead: AtomicU64,
    /// When the write and the commit under way began (ns since boot), or 0.
    writing: AtomicI64,
    committing: AtomicI64,
    /// Jobs that the writer has done, and turns of the committer.
    written: AtomicU64,
    turns: AtomicU64,
    writes: Latency,
    commits: Latency,
    state: Mutex<State>,
    /// Asks the committer to act before its time.
    wake: Condvar,
    dirty: Mutex<HashMap<SegmentId, Written>>,
    failed: AtomicBool,
}

/// A volume that is written to.
pub(super) struct Worker {
    shared: Arc<Shared>,
    jobs: Sender<Job>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Worker {
    /// Starts the threads. Touches no disk itself.
    pub(super) fn start(
        setup: VolumeSetup,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        report: Arc<dyn Report>,
        share: ByteSize,
    ) -> io::Result<Self> {
        let VolumeSetup { volume, space, timing, traces: _ } = setup;
        let problem = full(space).map(|text| Problem { text, full: true });
        let file_system = volume.file_system;
        let shared = Arc::new(Shared {
            failed: AtomicBool::new(problem.is_some()),
            state: Mutex::new(State { abandoned: true, problem, space, file_system, stop: false }),
            volume,
            disk,
            clock,
            report,
            timing,
            share: share.0,
            queued: AtomicU64::new(0),
            ahead: AtomicU64::new(0),
            writing: AtomicI64::new(0),
            committing: AtomicI64::new(0),
            written: AtomicU64::new(0),
            turns: AtomicU64::new(0),
            writes: Latency::default(),
            commits: Latency::default(),
            wake: Condvar::new(),
            dirty: Mutex::default(),
        });
        let (jobs, inbox) = channel();
        let name = shared.volume.name.clone();
        let (writer, committer, wake_writer) = (shared.clone(), shared.clone(), jobs.clone());
        let threads = vec![
            std::thread::Builder::new().name(format!("write {name}")).spawn(move || Writer::new(writer).run(&inbox))?,
            std::thread::Builder::new()
                .name(format!("commit {name}"))
                .spawn(move || commit_loop(&committer, &wake_writer))?,
        ];
        Ok(Self { shared, jobs, threads: Mutex::new(threads) })
    }

    /// Whether footage is taken. Also notices a disk that has been busy with one call for too long.
    pub(super) fn healthy(&self) -> bool {
        if !self.shared.failed.load(Ordering::Acquire) {
            let now = self.shared.clock.monotonic();
            for (what, since) in [("write", &self.shared.writing), ("commit", &self.shared.committing)] {
                let since = since.load(Ordering::Acquire);
                if since != 0 && now.since(Monotonic(since)) > self.shared.timing.limit {
                    let limit = self.shared.timing.limit.as_secs_f64();
                    self.fail(format!("a {what} has taken more than {limit} s"));
                }
            }
        }
        !self.shared.failed.load(Ordering::Acquire)
    }

    /// Its size when last looked at.
    pub(super) fn size(&self) -> u64 {
        self.shared.state().space.size
    }

    fn fail(&self, problem: String) {
        self.shared.fail(problem.into());
        // The writer may be stuck; it finds the word when it is not.
        let _ = self.jobs.send(Job::Wake);
    }

    pub(super) fn write(&self, fragment: Fragment) -> Result<(), Refused> {
        if !self.healthy() {
            let problem = self.shared.state().problem.as_ref().map(|p| p.text.clone());
            return Err(Refused::Failed {
                volume: self.shared.volume.name.clone(),
                problem: problem.unwrap_or_default(),
            });
        }
        let bytes = fragment.sample_bytes() as u64;
        let before = self.shared.queued.fetch_add(bytes, Ordering::AcqRel);
        // One fragment always fits, so that a share smaller than a fragment still records.
        if before > 0 && before + bytes > self.shared.share {
            self.shared.queued.fetch_sub(bytes, Ordering::AcqRel);
            return Err(Refused::Slow(self.shared.volume.name.clone()));
        }
        let now = self.shared.clock.monotonic();
        self.jobs.send(Job::Fragment(Box::new(fragment), now)).map_err(|_| Refused::Failed {
            volume: self.shared.volume.name.clone(),
            problem: "its writer has stopped".into(),
        })
    }

    pub(super) fn end_run(&self, run: RunId) {
        let _ = self.jobs.send(Job::EndRun(run));
    }

    /// The volume, as it was when it was last found to be well.
    pub(super) fn volume(&self) -> Volume {
        Volume { file_system: self.shared.state().file_system, ..self.shared.volume.clone() }
    }

    /// The volume's own identity.
    pub(super) fn id(&self) -> String {
        self.shared.volume.marker.id.to_string()
    }

    /// Where it is.
    pub(super) fn root(&self) -> &Path {
        &self.shared.volume.root
    }

    pub(super) fn status(&self) -> wire::VolumeStatus {
        let healthy = self.healthy();
        let now = self.shared.clock.monotonic();
        let state = self.shared.state();
        wire::VolumeStatus {
            name: self.shared.volume.name.clone(),
            healthy,
            problem: state.problem.as_ref().map(|p| p.text.clone()),
            full: state.problem.as_ref().is_some_and(|p| p.full),
            free: ByteSize(state.space.free),
            size: ByteSize(state.space.size),
            queued: ByteSize(self.shared.queued.load(Ordering::Acquire)),
            writer_latency: self.shared.writes.told(now),
            commit_latency: self.shared.commits.told(now),
            committed: None,
        }
    }

    /// Writes what is queued, closes and commits everything, ends the threads. Waits until then, unless the
    /// disk hangs: then the threads are left behind.
    pub(super) fn stop(&self) {
        let _ = self.jobs.send(Job::Stop);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A hanging disk is noticed by `healthy`; nobody waits for it longer than that.
            while !thread.is_finished() {
                if !self.healthy() && self.stuck() {
                    log::error!(VOLUME = self.shared.volume.name.as_str(); "volume {}: its disk hangs; stopping without it", self.shared.volume.name);
                    return;
                }
                std::thread::park_timeout(Duration::from_millis(5));
            }
            if thread.join().is_err() {
                log::error!(VOLUME = self.shared.volume.name.as_str(); "volume {}: a thread panicked", self.shared.volume.name);
            }
        }
    }

    /// Whether its disk has not answered for longer than it may.
    pub(super) fn stuck(&self) -> bool {
        let now = self.shared.clock.monotonic();
        [&self.shared.writing, &self.shared.committing].into_iter().any(|since| {
            let since = since.load(Ordering::Acquire);
            since != 0 && now.since(Monotonic(since)) > self.shared.timing.limit
        })
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dirty(&self) -> MutexGuard<'_, HashMap<SegmentId, Written>> {
        self.dirty.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, problem: Problem) {
        let mut state = self.state();
        if self.failed.swap(true, Ordering::AcqRel) {
            return;
        }
        let text = problem.text.clone();
        state.problem = Some(problem);
        state.abandoned = false;
        drop(state);
        self.report.failed(&self.volume.name, &text);
    }

    /// How much room there is for footage now.
    fn room(&self) -> io::Result<Space> {
        let space = self.volume.space(&*self.disk)?;
        Ok(Space { free: space.free.saturating_add(self.ahead.load(Ordering::Acquire)), ..space })
    }

    /// Runs one disk operation under the watch of [`Worker::healthy`].
    fn timed<T>(&self, since: &AtomicI64, operation: impl FnOnce() -> T) -> T {
        since.store(self.clock.monotonic().0.max(1), Ordering::Release);
        let outcome = operation();
        since.store(0, Ordering::Release);
        outcome
    }
}

fn explain(what: &str, e: &io::Error) -> Problem {
    match e.kind() {
        io::ErrorKind::StorageFull => Problem { text: "it is full".to_owned(), full: true },
        io::ErrorKind::ReadOnlyFilesystem => "its file system is mounted read-only".to_owned().into(),
        _ => format!("cannot {what} it: {e}").into(),
    }
}
