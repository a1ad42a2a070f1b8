//! The thread that writes.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, atomic::Ordering, mpsc::Receiver},
};

use super::{Job, Shared, explain};
use crate::{
    store::segment::{OpenSegment, Written},
    types::{Fragment, RunId},
};

/// Writes what comes in.
pub(super) struct Writer {
    shared: Arc<Shared>,
    open: HashMap<RunId, OpenSegment>,
    /// Segments whose later fragments are void: the volume failed while they were open. A copy may go on with a later one.
    ended: HashMap<RunId, u32>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, open: HashMap::new(), ended: HashMap::new() }
    }

    /// Works until it is told to stop, then closes what is open.
    pub(super) fn run(mut self, inbox: &Receiver<Job>) {
        while let Ok(job) = inbox.recv() {
            let shared = self.shared.clone();
            match job {
                Job::Fragment(fragment, queued) => {
                    let bytes = fragment.sample_bytes() as u64;
                    if !shared.failed.load(Ordering::Acquire) {
                        match shared.timed(&shared.writing, || self.write(&fragment)) {
                            Ok(()) => shared.writes.note(queued, shared.clock.monotonic()),
                            Err(e) => self.refuse(&fragment, &e),
                        }
                    }
                    drop(fragment);
                    shared.queued.fetch_sub(bytes, Ordering::AcqRel);
                }
                Job::EndRun(run) => {
                    if let Err(e) = shared.timed(&shared.writing, || self.close(run)) {
                        shared.fail(explain("close a segment on", &e));
                    }
                }
                Job::Wake => {}
                Job::Stop => break,
            }
            if shared.failed.load(Ordering::Acquire) {
                shared.timed(&shared.writing, || self.abandon());
            }
            shared.ahead.store(self.open.values().map(OpenSegment::ahead).sum(), Ordering::Release);
            shared.written.fetch_add(1, Ordering::AcqRel);
        }
        let shared = self.shared.clone();
        for run in self.open.keys().copied().collect::<Vec<_>>() {
            if let Err(e) = shared.timed(&shared.writing, || self.close(run)) {
                log::error!(VOLUME = self.shared.volume.name.as_str(), CAUSE:% = e; "volume {}: a segment could not be closed: {e}", self.shared.volume.name);
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
            let size = self.shared.state().space.size;
            let segment = OpenSegment::create(&*self.shared.disk, &self.shared.volume, size, fragment)?;
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
            return self.shared.fail(explain("write to", e));
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
                    VOLUME = self.shared.volume.name.as_str(), RUN:% = id.run, CAUSE:% = e;
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
