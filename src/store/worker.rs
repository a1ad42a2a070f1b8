//! Two threads for each volume: one writes, one commits. Nothing else in the recorder ever waits for the disk.
//!
//! The rule for a disk in trouble:
//! - A write or a commit that fails, or takes longer than [`Timing::limit`], marks the volume failed. Its open segments are closed at
//!   what was committed last; the rest becomes a gap with cause disk; nothing is written again over pages whose sync failed.
//! - A disk that is merely slower than its cameras fills its share of memory. Then single fragments are refused, which ends
//!   those runs, and their cameras go to another volume.
//! - A failed volume is tried again every [`Timing::retry`]: marker, room, and a small file written and synced in time.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::{
    Refused,
    probe::{full, probe},
    segment::{OpenSegment, Written},
    volume::Volume,
};
use crate::{
    sys::{Clock, Disk, Monotonic, Space},
    types::{ByteSize, Fragment, RunId, SegmentId, VolumeName, wire},
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
    /// These are on the disk for good now.
    fn committed(&self, volume: &VolumeName, written: &[Written]);
    /// The volume takes nothing any more.
    fn failed(&self, volume: &VolumeName, problem: &str);
    /// It does again.
    fn back(&self, volume: &VolumeName);
}

enum Job {
    Fragment(Box<Fragment>),
    EndRun(RunId),
    /// Look whether the volume has failed.
    Wake,
    Stop,
}

#[derive(Debug)]
struct State {
    problem: Option<String>,
    /// The writer has let go of everything that was open when the volume failed.
    abandoned: bool,
    space: Space,
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
    /// When the write and the commit under way began (ns since boot), or 0.
    writing: AtomicI64,
    committing: AtomicI64,
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
    pub(super) fn start(
        volume: Volume,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        report: Arc<dyn Report>,
        timing: Timing,
        share: ByteSize,
    ) -> io::Result<Self> {
        let space = volume.space(&*disk)?;
        let problem = full(space);
        let shared = Arc::new(Shared {
            failed: AtomicBool::new(problem.is_some()),
            state: Mutex::new(State { abandoned: true, problem, space, stop: false }),
            volume,
            disk,
            clock,
            report,
            timing,
            share: share.0,
            queued: AtomicU64::new(0),
            writing: AtomicI64::new(0),
            committing: AtomicI64::new(0),
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
                    self.fail(&format!("a {what} has taken more than {limit} s"));
                }
            }
        }
        !self.shared.failed.load(Ordering::Acquire)
    }

    fn fail(&self, problem: &str) {
        self.shared.fail(problem);
        // The writer may be stuck; it finds the word when it is not.
        let _ = self.jobs.send(Job::Wake);
    }

    pub(super) fn write(&self, fragment: Fragment) -> Result<(), Refused> {
        if !self.healthy() {
            let problem = self.shared.state().problem.clone().unwrap_or_default();
            return Err(Refused::Failed { volume: self.shared.volume.name.clone(), problem });
        }
        let bytes = fragment.sample_bytes() as u64;
        let before = self.shared.queued.fetch_add(bytes, Ordering::AcqRel);
        // One fragment always fits, so that a share smaller than a fragment still records.
        if before > 0 && before + bytes > self.shared.share {
            self.shared.queued.fetch_sub(bytes, Ordering::AcqRel);
            return Err(Refused::Slow(self.shared.volume.name.clone()));
        }
        self.jobs.send(Job::Fragment(Box::new(fragment))).map_err(|_| Refused::Failed {
            volume: self.shared.volume.name.clone(),
            problem: "its writer has stopped".into(),
        })
    }

    pub(super) fn end_run(&self, run: RunId) {
        let _ = self.jobs.send(Job::EndRun(run));
    }

    pub(super) fn volume(&self) -> &Volume {
        &self.shared.volume
    }

    pub(super) fn status(&self) -> wire::VolumeStatus {
        let healthy = self.healthy();
        let state = self.shared.state();
        wire::VolumeStatus {
            name: self.shared.volume.name.clone(),
            healthy,
            problem: state.problem.clone(),
            free: ByteSize(state.space.free),
            size: ByteSize(state.space.size),
            queued: ByteSize(self.shared.queued.load(Ordering::Acquire)),
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
                    log::error!("volume {}: its disk hangs; stopping without it", self.shared.volume.name);
                    return;
                }
                std::thread::park_timeout(Duration::from_millis(5));
            }
            if thread.join().is_err() {
                log::error!("volume {}: a thread panicked", self.shared.volume.name);
            }
        }
    }

    fn stuck(&self) -> bool {
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

    fn fail(&self, problem: &str) {
        let mut state = self.state();
        if self.failed.swap(true, Ordering::AcqRel) {
            return;
        }
        state.problem = Some(problem.to_owned());
        state.abandoned = false;
        drop(state);
        self.report.failed(&self.volume.name, problem);
    }

    /// Runs one disk operation under the watch of [`Worker::healthy`].
    fn timed<T>(&self, since: &AtomicI64, operation: impl FnOnce() -> T) -> T {
        since.store(self.clock.monotonic().0.max(1), Ordering::Release);
        let outcome = operation();
        since.store(0, Ordering::Release);
        outcome
    }
}

struct Writer {
    shared: Arc<Shared>,
    open: HashMap<RunId, OpenSegment>,
    /// Segments whose later fragments are void: the volume failed while they were open. A copy may go on with a later one.
    ended: HashMap<RunId, u32>,
}

impl Writer {
    fn new(shared: Arc<Shared>) -> Self {
        Self { shared, open: HashMap::new(), ended: HashMap::new() }
    }

    fn run(mut self, inbox: &Receiver<Job>) {
        while let Ok(job) = inbox.recv() {
            let shared = self.shared.clone();
            match job {
                Job::Fragment(fragment) => {
                    let bytes = fragment.sample_bytes() as u64;
                    if !shared.failed.load(Ordering::Acquire)
                        && let Err(e) = shared.timed(&shared.writing, || self.write(&fragment))
                    {
                        self.refuse(&fragment, &e);
                    }
                    drop(fragment);
                    shared.queued.fetch_sub(bytes, Ordering::AcqRel);
                }
                Job::EndRun(run) => {
                    if let Err(e) = shared.timed(&shared.writing, || self.close(run)) {
                        shared.fail(&explain("close a segment on", &e));
                    }
                }
                Job::Wake => {}
                Job::Stop => break,
            }
            if shared.failed.load(Ordering::Acquire) {
                self.abandon();
            }
        }
        for run in self.open.keys().copied().collect::<Vec<_>>() {
            if let Err(e) = self.close(run) {
                log::error!("volume {}: a segment could not be closed: {e}", self.shared.volume.name);
            }
        }
        self.shared.state().stop = true;
        self.shared.wake.notify_all();
    }

    fn write(&mut self, fragment: &Fragment) -> io::Result<()> {
        let run = fragment.run.id;
        if self.ended.get(&run).is_some_and(|seq| fragment.seq <= *seq) {
            return Ok(());
        }
        if self.open.get(&run).is_some_and(|s| s.id.seq != fragment.seq) {
            self.close(run)?;
        }
        if let Some(segment) = self.open.get_mut(&run) {
            segment.append(fragment)?;
        } else {
            let segment = OpenSegment::create(&*self.shared.disk, &self.shared.volume, fragment)?;
            self.open.insert(run, segment);
        }
        if let Some(segment) = self.open.get_mut(&run) {
            let written = segment.written();
            self.mark_dirty(written);
        }
        Ok(())
    }

    /// A fragment could not be written: the disk's fault, or the fragment's own.
    fn refuse(&mut self, fragment: &Fragment, e: &io::Error) {
        if e.kind() != io::ErrorKind::InvalidInput {
            return self.shared.fail(&explain("write to", e));
        }
        log::error!(
            CAMERA = fragment.run.stream.camera.as_str();
            "camera {}: {e}: a mistake in this program; that fragment is lost", fragment.run.stream.camera
        );
    }

    fn close(&mut self, run: RunId) -> io::Result<()> {
        let Some(segment) = self.open.remove(&run) else { return Ok(()) };
        let written = segment.close()?;
        self.mark_dirty(written);
        Ok(())
    }

    fn mark_dirty(&self, written: Written) {
        use std::collections::hash_map::Entry;
        match self.shared.dirty().entry(written.row.id) {
            Entry::Occupied(mut old) => {
                // The first word on a segment brings its run and its new folders: keep them until they are committed.
                let old = old.get_mut();
                let (run, folders) = (old.run.take(), std::mem::take(&mut old.folders));
                *old = Written { run: written.run.or(run), folders: [folders, written.folders].concat(), ..written };
            }
            Entry::Vacant(place) => {
                place.insert(written);
            }
        }
    }

    /// Closes what was open at the last committed length, and forgets what was not committed.
    fn abandon(&mut self) {
        if self.shared.state().abandoned {
            return;
        }
        self.shared.dirty().clear();
        self.ended.clear();
        for (run, segment) in std::mem::take(&mut self.open) {
            self.ended.insert(run, segment.id.seq);
            let id = segment.id;
            match segment.abandon(&*self.shared.disk) {
                Ok(Some(written)) => self.mark_dirty(written),
                Ok(None) => {}
                Err(e) => log::warn!(
                    "volume {}: segment {}-{} is left as it is until recovery: {e}",
                    self.shared.volume.name,
                    id.run,
                    id.seq
                ),
            }
        }
        self.shared.state().abandoned = true;
    }
}

fn explain(what: &str, e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::StorageFull => "it is full".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "its file system is mounted read-only".to_owned(),
        _ => format!("cannot {what} it: {e}"),
    }
}

fn commit_loop(shared: &Shared, writer: &Sender<Job>) {
    loop {
        let failed = shared.failed.load(Ordering::Acquire);
        let pause = if failed { shared.timing.retry } else { shared.timing.commit };
        let (state, _) =
            shared.wake.wait_timeout_while(shared.state(), pause, |s| !s.stop).unwrap_or_else(PoisonError::into_inner);
        let stop = state.stop;
        drop(state);
        if shared.failed.load(Ordering::Acquire) {
            take_back(shared);
        } else if let Err(e) = shared.timed(&shared.committing, || commit(shared)) {
            shared.fail(&explain("commit to", &e));
            let _ = writer.send(Job::Wake);
        }
        if stop {
            return;
        }
    }
}

/// Makes everything written so far durable, then says so.
fn commit(shared: &Shared) -> io::Result<()> {
    let space = shared.volume.space(&*shared.disk)?;
    shared.state().space = space;
    let dirty = std::mem::take(&mut *shared.dirty());
    if !dirty.is_empty() {
        if shared.volume.mount_point {
            shared.disk.sync_file_system(&shared.volume.root)?;
        } else {
            // Beside other people's data: sync ours alone.
            for written in dirty.values() {
                written.file.sync()?;
                for folder in &written.folders {
                    shared.disk.sync_dir(folder)?;
                }
            }
        }
        if shared.failed.load(Ordering::Acquire) {
            // It took too long: its cameras have gone elsewhere, and the writer is closing at the former length.
            return Ok(());
        }
        let dirty: Vec<Written> = dirty.into_values().collect();
        for written in &dirty {
            written.committed.store(written.row.bytes, Ordering::Release);
        }
        shared.report.committed(&shared.volume.name, &dirty);
    }
    match full(space) {
        Some(problem) => Err(io::Error::new(io::ErrorKind::StorageFull, problem)),
        None => Ok(()),
    }
}

/// Takes a failed volume back if its disk works again.
fn take_back(shared: &Shared) {
    if !shared.state().abandoned {
        return;
    }
    let outcome = shared.timed(&shared.committing, || {
        let began = shared.clock.monotonic();
        let space = probe(&*shared.disk, &shared.volume)?;
        // The segments closed at the failure.
        let closed: Vec<Written> = std::mem::take(&mut *shared.dirty()).into_values().collect();
        for written in &closed {
            written.file.sync()?;
        }
        Ok::<_, io::Error>((space, closed, shared.clock.monotonic().since(began)))
    });
    match outcome {
        Ok((space, closed, took)) => {
            if !closed.is_empty() {
                shared.report.committed(&shared.volume.name, &closed);
            }
            if took <= shared.timing.limit {
                let mut state = shared.state();
                state.space = space;
                state.problem = None;
                shared.failed.store(false, Ordering::Release);
                drop(state);
                shared.report.back(&shared.volume.name);
            }
        }
        Err(e) => log::debug!("volume {} is not usable yet: {e}", shared.volume.name),
    }
}
