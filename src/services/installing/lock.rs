//! Only one console at a time installs, and until it has left.

use std::{
    cell::OnceCell,
    fs::{File, OpenOptions},
    path::PathBuf,
};

use anyhow::Context as _;
use nix::fcntl::{Flock, FlockArg};

use super::Refusal;

/// The lock of a console.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    kept: OnceCell<Flock<File>>,
}

impl Lock {
    /// Not taken yet.
    pub fn at(path: PathBuf) -> Self {
        Self { path, kept: OnceCell::new() }
    }

    /// Waits until no console installs any more; at once if none does.
    ///
    /// # Errors
    /// If that cannot be seen.
    pub fn wait(&self) -> anyhow::Result<()> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&self.path);
        let file = file.with_context(|| self.path.display().to_string())?;
        Flock::lock(file, FlockArg::LockExclusive).map(drop).map_err(|(_, e)| e.into())
    }

    /// Takes it, until that is dropped.
    pub(super) fn alone(&self) -> anyhow::Result<Flock<File>> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&self.path);
        let file = file.with_context(|| self.path.display().to_string())?;
        Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| Refusal::Busy.into())
    }

    /// Does something alone, and if it comes to its end stays alone: somebody is reading what was done, and the disk is not to be changed
    /// meanwhile.
    pub(super) fn keep<T>(&self, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let alone = self.alone()?;
        let done = work()?;
        // Nobody comes here twice: this console itself was refused above.
        let _ = self.kept.set(alone);
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use super::*;

    #[test]
    fn who_waits_goes_on_when_the_other_one_has_left() {
        let dir = tempfile::tempdir().unwrap();
        let lock = || Lock::at(dir.path().join("lock"));
        lock().wait().unwrap();
        let installs = lock();
        installs.keep(|| Ok(())).unwrap();
        let (tell, told) = mpsc::channel();
        let waits = lock();
        let waiting = thread::spawn(move || {
            waits.wait().unwrap();
            tell.send(()).unwrap();
        });
        assert!(told.recv_timeout(Duration::from_millis(200)).is_err(), "it has not left");
        drop(installs);
        told.recv_timeout(Duration::from_secs(20)).unwrap();
        waiting.join().unwrap();
    }
}
