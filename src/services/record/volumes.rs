//! The site's volumes: opened and looked at, each by a thread of its own, because its disk may not answer. Nobody waits long for one.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel},
    },
    time::Duration,
};

use super::journal::Deposits;
use crate::{
    services::paths,
    site::{Site, VolumePlace},
    store::{Timing, VolumeSetup, index::Reader, recovery, volume},
    sys::{Clock, Disk as _, Monotonic, RealDisk},
    types::{ByteSize, RecorderId, VolumeName, event, wire},
};

/// How long the start of recording waits for volumes, all of them together. Those that come later are taken into use then.
const PATIENCE: Duration = Duration::from_secs(10);

/// What it takes to open a volume.
#[derive(Clone)]
pub(super) struct Context {
    pub index: PathBuf,
    pub recorder: RecorderId,
    /// What volumes keep of the ledger.
    pub deposits: Arc<Deposits>,
}

type Opened = Result<Box<VolumeSetup>, String>;

/// A volume of the site that can't be written to yet.
#[derive(Debug)]
pub(super) struct Absent {
    pub name: VolumeName,
    pub root: PathBuf,
    pub problem: String,
    /// A look at it that is under way, and since when.
    opening: Option<(Receiver<Opened>, Monotonic)>,
}

impl Absent {
    pub(super) fn new(name: VolumeName, root: PathBuf) -> Self {
        Self { name, root, problem: "not looked for yet".into(), opening: None }
    }

    pub(super) fn status(&self) -> wire::VolumeStatus {
        wire::VolumeStatus {
            name: self.name.clone(),
            healthy: false,
            problem: Some(self.problem.clone()),
            full: false,
            free: ByteSize(0),
            size: ByteSize(0),
            queued: ByteSize(0),
            writer_latency: None,
            commit_latency: None,
            committed: None,
        }
    }

    /// Begins a look at it.
    fn ask(&mut self, context: &Context, now: Monotonic) {
        let (answer, opening) = channel();
        let (name, root, context) = (self.name.clone(), self.root.clone(), context.clone());
        let look = move || {
            // Nobody may be waiting any more.
            let _ = answer.send(open(&name, &root, &context));
        };
        match std::thread::Builder::new().name(format!("open {}", self.name)).spawn(look) {
            Ok(_) => self.opening = Some((opening, now)),
            Err(e) => self.say(e.to_string()),
        }
    }

    /// Looks for it, without waiting: what comes back is what an earlier look has found.
    pub(super) fn look(&mut self, context: &Context, clock: &dyn Clock) -> Option<VolumeSetup> {
        let Some((opening, since)) = &self.opening else {
            self.ask(context, clock.monotonic());
            return None;
        };
        match opening.try_recv() {
            Ok(answer) => self.answered(answer),
            Err(TryRecvError::Empty) => {
                let waited = clock.monotonic().since(*since);
                if waited > PATIENCE {
                    self.say(silent());
                }
                None
            }
            Err(TryRecvError::Disconnected) => self.answered(Err("looking at it has failed".into())),
        }
    }

    fn answered(&mut self, answer: Opened) -> Option<VolumeSetup> {
        self.opening = None;
        match answer {
            Ok(setup) => Some(*setup),
            Err(problem) => {
                self.say(problem);
                None
            }
        }
    }

    /// Says what is wrong with it, once.
    pub(super) fn say(&mut self, problem: String) {
        if self.problem != problem {
            log::error!(
                MESSAGE_ID = event::VOLUME_ABSENT, VOLUME = self.name.as_str(), CAUSE = problem.as_str();
                "volume {}: {problem}", self.name
            );
            self.problem = problem;
        }
    }
}

fn silent() -> String {
    format!("its disk has not answered for {} s", PATIENCE.as_secs())
}

/// Opens all that answer in time.
pub(super) fn open_all(
    places: Vec<(VolumeName, PathBuf)>,
    context: &Context,
    clock: &dyn Clock,
) -> (Vec<VolumeSetup>, Vec<Absent>) {
    let began = clock.monotonic();
    let mut all: Vec<Absent> = places.into_iter().map(|(name, root)| Absent::new(name, root)).collect();
    all.iter_mut().for_each(|v| v.ask(context, began));
    let (mut opened, mut absent) = (Vec::new(), Vec::new());
    for mut volume in all {
        let left = PATIENCE.saturating_sub(clock.monotonic().since(began));
        let setup = match volume.opening.as_ref().map(|(opening, _)| opening.recv_timeout(left)) {
            Some(Ok(answer)) => volume.answered(answer),
            Some(Err(RecvTimeoutError::Timeout)) => {
                volume.say(silent());
                None
            }
            Some(Err(RecvTimeoutError::Disconnected)) => volume.answered(Err("looking at it has failed".into())),
            None => None,
        };
        match setup {
            Some(setup) => opened.push(setup),
            None => absent.push(volume),
        }
    }
    (opened, absent)
}

/// Names and places of a recorder's volumes.
pub(in crate::services) fn places(site: &Site, recorder: &RecorderId) -> Vec<(VolumeName, PathBuf)> {
    let place = |v: &crate::site::Volume| match &v.place {
        VolumePlace::Disk(_) => paths::mount_point(&v.name),
        VolumePlace::Path(path) => path.clone(),
    };
    site.volumes_of(recorder).iter().map(|v| (v.name.clone(), place(v))).collect()
}

/// Opens a volume, if its marker is the expected one, and looks at what is on it.
fn open(name: &VolumeName, root: &Path, context: &Context) -> Opened {
    let index = Reader::open(&context.index).ok();
    let id = index.as_ref().and_then(|index| index.volume_id(name).ok().flatten());
    // Which disk a volume is says site.toml, and its mount unit mounts no other. A folder has only its marker to be known by.
    let disk = root == paths::mount_point(name);
    let opened = volume::open(&RealDisk, name, root, id.as_deref().filter(|_| !disk));
    let volume = opened.map_err(|e| crate::types::story(&e))?;
    if id.is_some_and(|id| id != volume.marker.id.to_string()) {
        log::warn!(
            MESSAGE_ID = event::VOLUME_EXCHANGED, VOLUME = name.as_str();
            "volume {name} is another disk than before"
        );
    }
    context.deposits.look(name, root);
    let space = RealDisk.space(root).map_err(|e| format!("cannot ask it for its room: {e}"))?;
    let known = index.and_then(|index| recovery::known(&index).ok()).unwrap_or_default();
    let traces = recovery::look(&volume, &context.recorder, &known);
    // A folder shares its disk with everything else on this machine; that it is slow does not mean that it is broken.
    let limit = if volume.mount_point { Duration::from_secs(3) } else { Duration::from_secs(30) };
    let timing = Timing { commit: Duration::from_secs(2), limit, retry: Duration::from_secs(10) };
    Ok(Box::new(VolumeSetup { volume, space, traces, timing }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sys::{FakeClock, RealClock},
        types::WallNs,
    };

    #[test]
    fn a_disk_that_does_not_answer_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let name: VolumeName = "a1".parse().unwrap();
        let deposits = Arc::new(Deposits::default());
        let context = Context { index: dir.path().join("index.db"), recorder: "a".parse().unwrap(), deposits };
        let root = dir.path().join("a1");
        std::fs::create_dir(&root).unwrap();
        // To open the marker waits until somebody writes into it.
        let marker = root.join(volume::MARKER);
        nix::unistd::mkfifo(&marker, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let clock = FakeClock::at(WallNs(0));
        let mut absent = Absent::new(name.clone(), root.clone());
        assert!(absent.look(&context, &clock).is_none());
        assert!(absent.look(&context, &clock).is_none());
        assert_eq!(absent.problem, "not looked for yet");
        clock.advance(Duration::from_secs(11));
        assert!(absent.look(&context, &clock).is_none());
        assert!(absent.problem.contains("not answered"), "{}", absent.problem);
        // It answers, and is no volume; then it is one.
        std::fs::write(&marker, "nonsense").unwrap();
        until(|| absent.look(&context, &clock).is_none() && absent.problem.contains("is not a marker"));
        std::fs::remove_dir_all(&root).unwrap();
        let made = volume::init(&RealDisk, &name, &root, "Trường", WallNs(0)).unwrap();
        let mut found = None;
        until(|| {
            found = absent.look(&context, &clock);
            found.is_some()
        });
        assert_eq!(found.unwrap().volume.marker, made.marker);
        // All together wait for the one that is there.
        let gone = ("a2".parse().unwrap(), dir.path().join("a2"));
        let (opened, absent) = open_all(vec![gone, (name, root)], &context, &RealClock);
        assert_eq!((opened.len(), absent.len()), (1, 1));
        assert!(absent[0].problem.contains("no folder"), "{}", absent[0].problem);
    }

    fn until(mut done: impl FnMut() -> bool) {
        for _ in 0..4000 {
            if done() {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        panic!("waited 20 s");
    }
}
