//! Evidence that footage is on disks: what was committed, in a file for each volume ([`Committed`]). It is written by a thread of its own, so
//! that no commit waits for it, and stays when the recorder ends: whoever reads it sees that it gets old.

use std::{
    collections::BTreeMap,
    fs, io,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::Shared;
use crate::{
    sys::{Monotonic, unfinished},
    types::{VolumeName, wire::health::Committed},
};

/// How often it is looked whether something was committed.
const LOOK: Duration = Duration::from_millis(500);
/// A volume's file is written no more often than this.
const PACE: Duration = Duration::from_secs(2);
/// How long a stop waits for the last of it.
const LEAVE: Duration = Duration::from_secs(2);

/// The thread that writes it.
pub(super) struct Evidence {
    /// Dropped to end it.
    working: Sender<()>,
    thread: JoinHandle<()>,
}

impl Evidence {
    /// Begins; what lies there of volumes other than these is removed.
    pub(super) fn start(shared: &Arc<Shared>, volumes: &[VolumeName]) -> io::Result<Self> {
        let (working, over) = channel::<()>();
        let (store, clock, volumes) = (shared.store.clone(), shared.clock.clone(), volumes.to_vec());
        let mut folder = Folder { dir: shared.paths.commits(), seen: BTreeMap::new(), problem: None };
        let thread = std::thread::Builder::new().name("evidence".into()).spawn(move || {
            folder.forget_all_but(&volumes);
            loop {
                let is_over = over.recv_timeout(LOOK) == Err(RecvTimeoutError::Disconnected);
                folder.take(store.commits(), clock.monotonic(), if is_over { Duration::ZERO } else { PACE });
                if is_over {
                    return;
                }
            }
        })?;
        Ok(Self { working, thread })
    }

    /// Writes what was committed last, and ends.
    pub(super) fn stop(self) {
        drop(self.working);
        let pause = Duration::from_millis(5);
        let mut waited = Duration::ZERO;
        while !self.thread.is_finished() && waited < LEAVE {
            std::thread::park_timeout(pause);
            waited += pause;
        }
    }
}

/// The folder with the files.
struct Folder {
    dir: PathBuf,
    /// What was written of each volume, and when that was tried.
    seen: BTreeMap<VolumeName, (Option<Committed>, Monotonic)>,
    /// Why it could not be written last.
    problem: Option<String>,
}

impl Folder {
    /// Writes what is new, each volume's after `pace` at the earliest.
    fn take(&mut self, commits: Vec<Committed>, now: Monotonic, pace: Duration) {
        for committed in commits {
            let seen = self.seen.get(&committed.volume);
            if seen.is_some_and(|(was, tried)| was.as_ref() == Some(&committed) || now.since(*tried) < pace) {
                continue;
            }
            let outcome = self.write(&committed);
            let written = outcome.is_ok().then(|| committed.clone());
            self.seen.insert(committed.volume, (written, now));
            self.note(outcome);
        }
    }

    fn write(&self, committed: &Committed) -> io::Result<()> {
        let path = self.dir.join(file_name(&committed.volume));
        let text = serde_json::to_vec(committed)?;
        match fs::write(unfinished(&path), &text) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                fs::create_dir(&self.dir)?;
                fs::write(unfinished(&path), &text)?;
            }
            other => other?,
        }
        fs::rename(unfinished(&path), &path)
    }

    /// Removes the files of other volumes.
    fn forget_all_but(&mut self, volumes: &[VolumeName]) {
        let outcome = match fs::read_dir(&self.dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return,
            Err(e) => Err(e),
            Ok(mut entries) => entries.try_for_each(|entry| {
                let path = entry?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let is_known = volumes.iter().any(|v| name == file_name(v));
                if is_known || !name.contains(SUFFIX) { Ok(()) } else { fs::remove_file(&path) }
            }),
        };
        self.note(outcome);
    }

    /// Says what is wrong, once, and when it is over.
    fn note(&mut self, outcome: io::Result<()>) {
        let problem = outcome.err().map(|e| e.to_string());
        if problem == self.problem {
            return;
        }
        match &problem {
            Some(e) => {
                log::error!("what is committed cannot be noted in {}: {e}; recording goes on", self.dir.display());
            }
            None => log::info!("what is committed is noted in {} again", self.dir.display()),
        }
        self.problem = problem;
    }
}

const SUFFIX: &str = ".json";

fn file_name(volume: &VolumeName) -> String {
    format!("{volume}{SUFFIX}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::WallNs;

    const S: i64 = 1_000_000_000;

    fn committed(volume: &str, at: i64) -> Committed {
        Committed { volume: volume.parse().unwrap(), at: WallNs(at), streams: Vec::new() }
    }

    fn folder(dir: &tempfile::TempDir) -> Folder {
        Folder { dir: dir.path().join("commit"), seen: BTreeMap::new(), problem: None }
    }

    fn at(folder: &Folder, volume: &str) -> Option<i64> {
        let text = fs::read(folder.dir.join(format!("{volume}.json"))).ok()?;
        Some(serde_json::from_slice::<Committed>(&text).unwrap().at.0)
    }

    #[test]
    fn each_volume_is_written_after_a_commit_and_no_more_often_than_every_two_seconds() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = folder(&dir);
        folder.take(vec![committed("a1", 1)], Monotonic(S), PACE);
        assert_eq!((at(&folder, "a1"), at(&folder, "a2")), (Some(1), None));
        // Another volume has its own pace.
        folder.take(vec![committed("a1", 2), committed("a2", 2)], Monotonic(2 * S), PACE);
        assert_eq!((at(&folder, "a1"), at(&folder, "a2")), (Some(1), Some(2)));
        folder.take(vec![committed("a1", 2)], Monotonic(3 * S), PACE);
        assert_eq!(at(&folder, "a1"), Some(2));
        // Nothing new: nothing is written. At the end the last word is, at once.
        fs::remove_file(folder.dir.join("a1.json")).unwrap();
        folder.take(vec![committed("a1", 2)], Monotonic(9 * S), PACE);
        assert_eq!(at(&folder, "a1"), None);
        folder.take(vec![committed("a1", 3)], Monotonic(9 * S), PACE);
        folder.take(vec![committed("a1", 4)], Monotonic(9 * S), Duration::ZERO);
        assert_eq!(at(&folder, "a1"), Some(4));
        let names = fs::read_dir(&folder.dir).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
        assert_eq!(names.len(), 2, "nothing unfinished is left: {names:?}");
    }

    #[test]
    fn what_cannot_be_written_is_tried_again_and_said_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = folder(&dir);
        fs::write(&folder.dir, "in the way").unwrap();
        folder.take(vec![committed("a1", 1)], Monotonic(S), PACE);
        let problem = folder.problem.clone();
        assert!(problem.is_some());
        folder.take(vec![committed("a1", 1)], Monotonic(2 * S), PACE);
        fs::remove_file(&folder.dir).unwrap();
        folder.take(vec![committed("a1", 1)], Monotonic(2 * S + S / 2), PACE);
        assert_eq!((at(&folder, "a1"), &folder.problem), (None, &problem), "not before its time");
        folder.take(vec![committed("a1", 1)], Monotonic(3 * S), PACE);
        assert_eq!((at(&folder, "a1"), &folder.problem), (Some(1), &None));
    }

    #[test]
    fn what_volumes_left_that_are_no_more_goes_at_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = folder(&dir);
        folder.forget_all_but(&[]);
        assert_eq!(folder.problem, None, "there may be no folder yet");
        folder.take(vec![committed("a1", 1), committed("a2", 1)], Monotonic(S), PACE);
        fs::write(folder.dir.join("a2.json.tmp~"), "half").unwrap();
        fs::write(folder.dir.join("notes"), "somebody's").unwrap();
        folder.forget_all_but(&["a1".parse().unwrap()]);
        assert_eq!((at(&folder, "a1"), at(&folder, "a2")), (Some(1), None));
        let mut left: Vec<_> = fs::read_dir(&folder.dir).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["a1.json", "notes"]);
    }
}
