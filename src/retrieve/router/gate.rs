//! Who may wait for index and disks, how many at once, and until when.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use tokio::{sync::Semaphore, time::interval};

use super::Refusal;
use crate::retrieve::{RetrieveError, library::Library};

/// Questions at once, to the index and to the disks each. What waits here waits off the disks' and the allocator's back.
const AT_ONCE: usize = 16;
/// Work for so long is given up when a disk turns out not to answer: it may be waiting for that one.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_secs(1);

/// Index and disks are asked through gates of their own: whoever waits for a disk that hangs keeps nobody from the timeline.
#[derive(Debug)]
pub(super) struct Gate {
    index: Semaphore,
    disks: Semaphore,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self { index: Semaphore::new(AT_ONCE), disks: Semaphore::new(AT_ONCE) }
    }

    /// Runs what asks the index alone.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, RetrieveError> + Send + 'static,
    ) -> Result<Result<T, RetrieveError>, Refusal> {
        let _permit = self.index.acquire().await.map_err(|_| stopping())?;
        tokio::task::spawn_blocking(work).await.map_err(|_| stopping())
    }

    /// Runs what reads from disks. Its thread may have to be left with a disk that hangs.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        library: &Arc<Library>,
        work: impl FnOnce() -> Result<T, RetrieveError> + Send + 'static,
    ) -> Result<Result<T, RetrieveError>, Refusal> {
        let _permit = self.disks.acquire().await.map_err(|_| stopping())?;
        let before = library.silenced();
        let mut work = tokio::task::spawn_blocking(work);
        let mut looks = interval(LOOK);
        let mut waited = Duration::ZERO;
        loop {
            tokio::select! {
                done = &mut work => return done.map_err(|_| stopping()),
                _ = looks.tick() => waited += LOOK,
            }
            if waited > PATIENCE && library.silenced() != before {
                return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, "a disk does not answer".to_owned()));
            }
        }
    }
}

fn stopping() -> Refusal {
    Refusal(StatusCode::SERVICE_UNAVAILABLE, "the recorder is stopping".to_owned())
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, sync::mpsc};

    use super::*;

    /// Lets time pass. It does not by itself while threads hang.
    async fn pass(time: Duration) {
        for _ in 0..time.as_secs() {
            tokio::time::advance(LOOK).await;
            // Each of them looks.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_does_not_answer_frees_the_place_of_its_readers() {
        let volumes = |n: usize| (0..n).map(|i| (format!("v{i}").parse().unwrap(), PathBuf::from("/none"))).collect();
        let library = Arc::new(Library::new("/none".into(), volumes(2)));
        let gate = Arc::new(Gate::new());
        let mut hanging = Vec::new();
        let mut releases = Vec::new();
        for _ in 0..AT_ONCE + 3 {
            let (release, hung) = mpsc::channel::<()>();
            releases.push(release);
            let (gate, library) = (gate.clone(), library.clone());
            hanging.push(tokio::spawn(async move {
                let work = move || {
                    let _ = hung.recv();
                    Ok(())
                };
                gate.read(&library, work).await.map(drop)
            }));
        }
        pass(2 * PATIENCE).await;
        assert!(hanging.iter().all(|h| !h.is_finished()), "slow is not silent");
        assert!(matches!(gate.ask(|| Ok(7)).await, Ok(Ok(7))), "the index answers beside them");
        library.set_volumes(volumes(1));
        pass(2 * LOOK).await;
        for first in hanging.drain(..AT_ONCE) {
            assert!(matches!(first.await.unwrap(), Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, _))));
        }
        // Those that began later wait for disks that are well.
        pass(10 * PATIENCE).await;
        assert!(hanging.iter().all(|h| !h.is_finished()));
        drop(releases);
        for last in hanging {
            assert!(last.await.unwrap().is_ok());
        }
    }
}
