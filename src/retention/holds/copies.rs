//! One copy of the holds: reading it, writing it, and not waiting for ever for its disk.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, channel},
    },
    time::Duration,
};

use super::file::{self, BadFile, Content};
use crate::{
    store::volume::{self, Volume},
    sys::{Files, RealDisk},
    types::WallNs,
};

/// Pictures of children lie beside it with the same mode.
const MODE: u32 = 0o640;
/// In the name of a file that was damaged and is kept aside.
const DAMAGED: &str = "damaged";

/// Where a copy is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// In the recorder's folder, beside its index.
    State(PathBuf),
    /// On a volume.
    Volume(Volume),
}

impl Place {
    fn dir(&self) -> &Path {
        match self {
            Self::State(dir) => dir,
            Self::Volume(volume) => &volume.root,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::State(_) => file::IN_STATE,
            Self::Volume(_) => file::ON_VOLUME,
        }
    }

    /// Whether the volume is what it was: without its disk its folder belongs to the system's.
    fn check(&self) -> Result<(), String> {
        let Self::Volume(v) = self else { return Ok(()) };
        volume::open(&RealDisk, &v.name, &v.root, Some(&v.marker.id.to_string())).map(drop).map_err(|e| e.to_string())
    }

    /// Names of copies that were damaged and lie aside.
    fn aside(&self, files: &dyn Files) -> Result<Vec<String>, String> {
        let (stem, _) = self.name().split_once('.').unwrap_or((self.name(), ""));
        let prefix = format!("{stem}.{DAMAGED}-");
        let names = files.list(self.dir()).map_err(|e| format!("{} cannot be listed: {e}", self.dir().display()))?;
        Ok(names.into_iter().filter(|n| n.starts_with(&prefix)).collect())
    }

    /// Moves a damaged copy aside, so that nothing is written over it.
    fn put_aside(&self, files: &dyn Files, now: WallNs) -> Result<String, String> {
        let (stem, end) = self.name().split_once('.').unwrap_or((self.name(), ""));
        let name = format!("{stem}.{DAMAGED}-{}.{end}", now.timestamp().strftime("%Y%m%dT%H%M%SZ"));
        files.rename(&self.dir().join(self.name()), &self.dir().join(&name)).map_err(|e| e.to_string())?;
        Ok(name)
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// What it says; none if there is none, or it cannot be read.
    pub(super) content: Option<Content>,
    /// Its bytes.
    pub(super) bytes: Option<Vec<u8>>,
    /// Whether it was read, or there is none: nothing more is known here.
    pub(super) seen: bool,
    /// Why it must not be written over.
    pub(super) locked: Option<String>,
    /// Damaged ones that lie aside until a person has looked at them.
    pub(super) aside: Vec<String>,
}

/// Reads a copy. A damaged one is moved aside.
pub(super) fn look(files: &dyn Files, place: &Place, now: WallNs) -> Look {
    let locked = |why: String| Look { locked: Some(why), ..Look::default() };
    let found = place.check().and_then(|()| place.aside(files));
    let aside = match found {
        Ok(aside) => aside,
        Err(why) => return locked(why),
    };
    let path = place.dir().join(place.name());
    let bytes = match files.read(&path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Look { seen: aside.is_empty(), aside, ..Look::default() },
        Err(e) => return Look { aside, ..locked(format!("{} cannot be read: {e}", path.display())) },
    };
    match file::parse(&bytes) {
        Ok((content, format)) => {
            let later = format!("{} was written by a later version of custodian: update this one", path.display());
            let locked = (format > file::FORMAT).then_some(later);
            Look { content: Some(content), bytes: Some(bytes), seen: aside.is_empty(), locked, aside }
        }
        Err(e @ BadFile::TooNew(_)) => Look { aside, ..locked(format!("{}: {e}", path.display())) },
        Err(e @ BadFile::Damaged(_)) => match place.put_aside(files, now) {
            Ok(name) => {
                log::error!(FILE:% = path.display(), CAUSE:% = e; "{}: {e}; it is kept as {name}", path.display());
                Look { aside: aside.into_iter().chain([name]).collect(), ..Look::default() }
            }
            Err(why) => Look { aside, ..locked(format!("{}: {e}; it cannot be moved aside: {why}", path.display())) },
        },
    }
}

fn write(files: &dyn Files, place: &Place, bytes: &[u8]) -> Result<(), String> {
    place.check()?;
    let path = place.dir().join(place.name());
    files.write(&path, bytes, MODE, None).map_err(|e| format!("{} cannot be written: {e}", path.display()))
}

/// A copy, and what is known of it.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) place: Place,
    /// Somebody is at work on it, perhaps for ever. Nobody else is then: what is written late must not replace what is newer.
    busy: Arc<AtomicBool>,
    /// What it says for good.
    has: Option<Arc<[u8]>>,
    /// Whether it was ever read.
    pub(super) seen: bool,
    locked: Option<String>,
    aside: Vec<String>,
    /// Why it did not take what was written last.
    problem: Option<String>,
}

/// Work on a disk that has begun.
pub(super) struct Begun<T>(Receiver<T>);

const SILENT: &str = "its disk does not answer";

impl<T> Begun<T> {
    /// Its result; none if it takes longer than `limit`.
    pub(super) fn wait(self, limit: Duration) -> Option<T> {
        self.0.recv_timeout(limit).ok()
    }
}

impl Replica {
    pub(super) fn new(place: Place) -> Self {
        Self {
            place,
            busy: Arc::default(),
            has: None,
            seen: false,
            locked: None,
            aside: Vec::new(),
            problem: Some("it has not been read yet".into()),
        }
    }

    /// Why it cannot be relied on; none: it says what it should.
    pub(super) fn doubt(&self) -> Option<String> {
        let aside = || {
            let names = self.aside.join(", ");
            let dir = self.place.dir().display();
            format!("a damaged copy of the holds is kept in {dir} as {names}: look what it held, then remove it")
        };
        self.locked.clone().or_else(|| (!self.aside.is_empty()).then(aside)).or_else(|| self.problem.clone())
    }

    /// Whether that is what it says.
    pub(super) fn says(&self, bytes: &[u8]) -> bool {
        self.has.as_deref() == Some(bytes)
    }

    fn begin<T: Send + 'static>(&self, work: impl FnOnce(&Place) -> T + Send + 'static) -> Result<Begun<T>, String> {
        if self.busy.swap(true, Ordering::SeqCst) {
            return Err(SILENT.into());
        }
        let (result, begun) = channel();
        let (place, busy) = (self.place.clone(), self.busy.clone());
        let thread = std::thread::Builder::new().name("holds".into()).spawn(move || {
            let done = work(&place);
            busy.store(false, Ordering::SeqCst);
            let _ = result.send(done);
        });
        match thread {
            Ok(_) => Ok(Begun(begun)),
            Err(e) => {
                self.busy.store(false, Ordering::SeqCst);
                Err(e.to_string())
            }
        }
    }

    /// Reads it, waiting at most `limit`.
    pub(super) fn look(&mut self, files: &Arc<dyn Files>, now: WallNs, limit: Duration) -> Option<Content> {
        let files = files.clone();
        let found = self.begin(move |place| look(&*files, place, now)).and_then(|b| b.wait(limit).ok_or(SILENT.into()));
        match found {
            Ok(found) => {
                self.has = found.bytes.map(Into::into);
                self.seen = found.seen;
                self.locked = found.locked;
                self.aside = found.aside;
                found.content
            }
            Err(why) => {
                self.problem = Some(why);
                None
            }
        }
    }

    /// Begins to write it.
    pub(super) fn begin_write(
        &mut self,
        files: &Arc<dyn Files>,
        bytes: &Arc<[u8]>,
    ) -> Result<Begun<Result<(), String>>, String> {
        if let Some(why) = &self.locked {
            return Err(why.clone());
        }
        self.has = None;
        let (files, bytes) = (files.clone(), bytes.clone());
        self.begin(move |place| write(&*files, place, &bytes))
    }

    /// Takes in how that went.
    pub(super) fn wrote(&mut self, bytes: &Arc<[u8]>, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => {
                self.has = Some(bytes.clone());
                self.problem = None;
            }
            Err(why) => self.problem = Some(why),
        }
    }

    /// It says already what was to be written.
    pub(super) fn is_up_to_date(&mut self) {
        self.problem = None;
    }
}

/// What stands for a write that did not come to its end in time.
pub(super) fn silent() -> Result<(), String> {
    Err(SILENT.into())
}
