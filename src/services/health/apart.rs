//! A thread that waits behind nobody: looks are made on it. Those of the runtime may all wait for a disk, or for a name.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
    time::Duration,
};

use tokio::sync::oneshot::{self, error::RecvError};

type Work<T> = Box<dyn FnOnce(&mut T) + Send>;

/// The thread, and what it works with.
pub(super) struct Apart<T> {
    work: mpsc::Sender<Work<T>>,
    ended: mpsc::Receiver<()>,
}

impl<T: Send + 'static> Apart<T> {
    /// Begins it. `last` is done with `of` at the end.
    pub(super) fn begin(name: &str, mut of: T, last: impl FnOnce(&mut T) + Send + 'static) -> io::Result<Self> {
        let (work, all) = mpsc::channel::<Work<T>>();
        let (end, ended) = mpsc::channel();
        let go = move || {
            for work in all {
                // One that panics comes to nothing, which is said where it is waited for.
                let _ = catch_unwind(AssertUnwindSafe(|| work(&mut of)));
            }
            last(&mut of);
            // Nobody may wait any more.
            let _ = end.send(());
        };
        thread::Builder::new().name(name.to_owned()).spawn(go)?;
        Ok(Self { work, ended })
    }

    /// Works there.
    ///
    /// # Errors
    /// If it panics.
    pub(super) async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut T) -> R + Send + 'static,
    ) -> Result<R, RecvError> {
        let (tell, told) = oneshot::channel();
        let work = move |of: &mut T| {
            // Nobody may wait any more.
            let _ = tell.send(work(of));
        };
        // A thread that is gone tells nothing either.
        let _ = self.work.send(Box::new(work));
        told.await
    }

    /// Lets it come to its end, and waits no longer than this.
    pub(super) fn end(self, patience: Duration) {
        drop(self.work);
        let _ = self.ended.recv_timeout(patience);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_panics_comes_to_nothing_and_the_end_is_waited_for() {
        let (tell, told) = mpsc::channel();
        let apart = Apart::begin("test", 1, move |n| tell.send(*n).unwrap()).unwrap();
        assert_eq!(apart.run(|n| std::mem::replace(n, 2)).await, Ok(1));
        let panics = |n: &mut i32| -> i32 {
            *n = 3;
            panic!("as a test")
        };
        assert!(apart.run(panics).await.is_err());
        assert_eq!(apart.run(|n| *n).await, Ok(3));
        apart.end(Duration::from_mins(1));
        assert_eq!(told.try_recv(), Ok(3));
    }

    #[tokio::test]
    async fn one_that_hangs_is_left() {
        let (end, hangs) = mpsc::channel::<()>();
        let apart = Apart::begin("test", (), |()| {}).unwrap();
        let _ = apart.work.send(Box::new(move |()| hangs.recv().unwrap()));
        apart.end(Duration::from_millis(10));
        assert!(end.send(()).is_ok(), "it hangs still");
    }
}
