//! The thread that commits.

use std::{
    io,
    sync::{PoisonError, atomic::Ordering, mpsc::Sender},
};

use super::{Job, Shared, explain};
use crate::store::{
    identity,
    probe::{full, probe},
    segment::Written,
};

/// Commits every so often, and tries a failed volume again, until the writer has stopped.
pub(super) fn commit_loop(shared: &Shared, writer: &Sender<Job>) {
    let mut streams = 0;
    loop {
        let failed = shared.failed.load(Ordering::Acquire);
        let pause = if failed { shared.timing.retry } else { shared.timing.commit };
        let (state, _) =
            shared.wake.wait_timeout_while(shared.state(), pause, |s| !s.stop).unwrap_or_else(PoisonError::into_inner);
        let stop = state.stop;
        drop(state);
        shared.turns.fetch_add(1, Ordering::AcqRel);
        if shared.failed.load(Ordering::Acquire) {
            streams = 0;
            take_back(shared);
        } else if let Err(e) = shared.timed(&shared.committing, || commit(shared, &mut streams)) {
            shared.fail(explain("commit to", &e));
            let _ = writer.send(Job::Wake);
        }
        if stop {
            return;
        }
    }
}

/// Makes everything written so far durable, then says so. `streams` is the version of the file that names them.
fn commit(shared: &Shared, streams: &mut u64) -> io::Result<()> {
    let file_system = shared.disk.file_system(&shared.volume.root)?;
    if file_system != shared.state().file_system {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "another file system is in its place: is it still mounted?",
        ));
    }
    let space = shared.room()?;
    shared.state().space = space;
    if let Some((version, text)) = shared.report.streams_file(*streams, shared.clock.wall()) {
        identity::put(&*shared.disk, &shared.volume.root, &text)?;
        *streams = version;
    }
    let dirty = std::mem::take(&mut *shared.dirty());
    if !dirty.is_empty() {
        let began = shared.clock.monotonic();
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
        shared.commits.note(began, shared.clock.monotonic());
        let dirty: Vec<Written> = dirty.into_values().collect();
        // Under the lock that failing takes: either the writer closes at this length, or nobody hears of it.
        let state = shared.state();
        if shared.failed.load(Ordering::Acquire) {
            // It took too long: its cameras have gone elsewhere, and the writer is closing at the former length.
            return Ok(());
        }
        for written in &dirty {
            written.committed.store(written.row.bytes, Ordering::Release);
        }
        drop(state);
        shared.report.committed(&shared.volume.name, &dirty, shared.clock.wall());
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
        let full = shared.state().problem.as_ref().is_some_and(|p| p.full);
        if full {
            // Whoever makes room on it wants to know how much there is.
            let space = shared.room()?;
            shared.state().space = space;
        }
        let (space, file_system) = probe(&*shared.disk, &shared.volume)?;
        // The segments closed at the failure.
        let closed: Vec<Written> = std::mem::take(&mut *shared.dirty()).into_values().collect();
        for written in &closed {
            written.file.sync()?;
        }
        Ok::<_, io::Error>((space, file_system, closed, shared.clock.monotonic().since(began)))
    });
    match outcome {
        Ok((space, file_system, closed, took)) => {
            if !closed.is_empty() {
                shared.report.committed(&shared.volume.name, &closed, shared.clock.wall());
            }
            if took <= shared.timing.limit {
                let mut state = shared.state();
                state.space = space;
                state.file_system = file_system;
                state.problem = None;
                shared.failed.store(false, Ordering::Release);
                drop(state);
                shared.report.back(&shared.volume.name);
            }
        }
        Err(e) => {
            log::debug!(VOLUME = shared.volume.name.as_str(); "volume {} is not usable yet: {e}", shared.volume.name);
        }
    }
}
