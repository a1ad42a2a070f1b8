//! The log as its only writer sees it.
//!
//! # What is written in which order
//!
//! A new log is made in a folder of another name, whole with its key and the checkpoint of no entries, and then gets its name: so a
//! folder that has the name and lacks something has lost it. To append:
//!
//! 1. bundles and tiles that are new or wider, durably, each under a name that no checkpoint has promised yet;
//! 2. the signed checkpoint, durably, as `next`, where nobody looks;
//! 3. `next` becomes `checkpoint`, which everybody may see;
//! 4. partial tiles that a full one has replaced are removed, one full tile later.
//!
//! A cut before 2 is done leaves the old checkpoint and tiles that are written over; a cut after it leaves a `next` that is taken up at
//! the start. So whatever anybody may have seen is continued.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    checkpoint::Checkpoint,
    edge::Edge,
    error::{LedgerError, failed},
    folder::Folder,
    note::Signer,
    place::{self, Place},
    tile::{Level, Tile},
    view::View,
};
use crate::sys::{Files, unfinished};

/// The longest entry.
pub const LONGEST: usize = u16::MAX as usize;

/// Partial tiles so far back are looked for when a log is opened: a cut may have kept them from being removed.
const LEFT_BEHIND: u64 = 16;

/// A log that can be appended to. Whoever has one must be the only one; the recorder's lock sees to that.
pub struct Log {
    folder: Folder,
    next: PathBuf,
    signer: Signer,
    edge: Edge,
    head: Checkpoint,
    /// What was signed last. It may have been seen even if writing it failed.
    signed: Option<Checkpoint>,
}

impl Log {
    /// Opens the log, or makes it if there is none.
    ///
    /// # Errors
    /// If something is missing or does not fit together. Then nothing was changed.
    pub fn open(files: Arc<dyn Files>, place: &Place) -> Result<Self, LedgerError> {
        let dir = &place.dir;
        if files.list(dir).map_err(failed("cannot list", dir))?.is_empty() {
            make(&*files, place)?;
        }
        let public = place.public();
        let verifier = place::verifier(&*files, &public)?;
        let (seed, path) = place.seed(&*files)?;
        let signer = Signer::new(verifier.name(), &seed).map_err(LedgerError::Name)?;
        if *signer.verifier() != verifier {
            return Err(LedgerError::OtherKey { path });
        }
        let read = |path: PathBuf| -> Result<Option<Checkpoint>, LedgerError> {
            let Some(note) = place::read_text(&*files, &path)? else { return Ok(None) };
            let checkpoint = Checkpoint::verify(&note, &verifier);
            checkpoint.map(Some).map_err(|source| LedgerError::Checkpoint { path, source })
        };
        let shown = place::checkpoint(&public);
        let mut head = read(shown.clone())?.ok_or_else(|| LedgerError::Lost { path: shown.clone() })?;
        let next = place.next();
        let waiting = read(next.clone())?.filter(|next| next.size() > head.size());
        let folder = Folder { files, dir: public };
        if let Some(next) = &waiting {
            // What may have been seen is in what follows it, or there are two logs.
            let view = View::at(folder.clone(), next.clone());
            if view.root_at(head.size())? != head.root() {
                let what = format!("the tiles do not fit it: they are not those of its {} entries", head.size());
                return Err(LedgerError::Damaged { path: shown, what });
            }
            head = next.clone();
        }
        let edge = load(&folder, &head)?;
        if waiting.is_some() {
            folder.files.replace(&next, &shown).map_err(failed("cannot write", &shown))?;
        } else {
            folder.files.remove(&next).map_err(failed("cannot remove", &next))?;
        }
        let log = Self { folder, next, signer, edge, head, signed: None };
        log.tidy(LEFT_BEHIND);
        Ok(log)
    }

    /// Number of entries.
    pub fn size(&self) -> u64 {
        self.head.size()
    }

    /// The newest checkpoint.
    pub fn head(&self) -> &Checkpoint {
        &self.head
    }

    /// The same log, for reading.
    pub fn view(&self) -> View {
        View::at(self.folder.clone(), self.head.clone())
    }

    /// Appends entries durably and shows a checkpoint that holds them. Returns their numbers.
    ///
    /// # Errors
    /// If an entry is too long, or the disk fails. The log is then as before, or has these entries: a later attempt must bring the
    /// same ones, in the same order, before any others.
    pub fn append(&mut self, entries: &[Vec<u8>]) -> Result<Range<u64>, LedgerError> {
        if let Some(entry) = entries.iter().find(|e| e.len() > LONGEST) {
            return Err(LedgerError::TooLong(entry.len()));
        }
        let (from, mut edge) = (self.size(), self.edge.clone());
        if entries.is_empty() {
            return Ok(from..from);
        }
        if let Some(signed) = self.signed.as_ref().filter(|s| s.size() > from) {
            // The attempt before may have come through: this one begins with the same.
            let again = usize::try_from(signed.size() - from).unwrap_or(usize::MAX);
            let mut same = edge.clone();
            same.extend(entries.iter().take(again).map(Vec::as_slice));
            if (same.size(), same.root()) != (signed.size(), signed.root()) {
                return Err(LedgerError::Fork);
            }
        }
        let files = &*self.folder.files;
        for (tile, bytes) in edge.extend(entries.iter().map(Vec::as_slice)) {
            let path = self.folder.path(tile);
            make_parents(files, &self.folder.dir, &path)?;
            files.write(&path, &bytes, 0o644, None).map_err(failed("cannot write", &path))?;
        }
        let head = Checkpoint::sign(edge.size(), edge.root(), &self.signer);
        self.signed = Some(head.clone());
        let shown = place::checkpoint(&self.folder.dir);
        let (next, note) = (&self.next, head.note().as_bytes());
        files.write(next, note, 0o644, None).map_err(failed("cannot write", next))?;
        files.replace(next, &shown).map_err(failed("cannot write", &shown))?;
        let bundles = |size| Level::Entries.count(size) / 256;
        let completed = bundles(edge.size()) - bundles(from);
        (self.edge, self.head) = (edge, head);
        if completed > 0 {
            self.tidy(completed);
        }
        Ok(from..self.size())
    }

    /// Removes partial tiles that full ones have replaced, the last full one's excepted: a reader may be about to ask for them.
    fn tidy(&self, back: u64) {
        let size = self.size();
        let levels = (0..).map(Level::Hashes).take_while(|level| level.count(size) > 0);
        for level in std::iter::once(Level::Entries).chain(levels) {
            let Some(last) = level.count(size).checked_sub(1).and_then(|n| Tile::holding(level, n, size)) else {
                continue;
            };
            let first = if last.is_full() { 1 } else { 2 };
            for partials in (first..first + back).map_while(|n| last.before(n)).map(Tile::partials) {
                let path = self.folder.dir.join(partials);
                if let Err(e) = self.folder.files.remove_dir(&path) {
                    log::warn!(FILE:% = path.display(), CAUSE:% = e; "{} is of no use any more and cannot be removed: {e}", path.display());
                }
            }
        }
    }
}

/// The edge that belongs to a checkpoint, if the tiles fit it.
fn load(folder: &Folder, head: &Checkpoint) -> Result<Edge, LedgerError> {
    let edge = Edge::load(head.size(), |tile| folder.bytes(tile), |tile| folder.damaged(tile))?;
    if edge.root() == head.root() {
        return Ok(edge);
    }
    let what = format!("these are not the tiles of the checkpoint of {} entries beside them", head.size());
    Err(LedgerError::Damaged { path: folder.dir.join("tile"), what })
}

/// Makes a log of no entries.
fn make(files: &dyn Files, place: &Place) -> Result<(), LedgerError> {
    let draft = Place { dir: unfinished(&place.dir), ..place.clone() };
    let public = draft.public();
    // What an earlier attempt left; nothing of it was ever in use.
    files.remove_dir(&draft.dir).map_err(failed("cannot remove", &draft.dir))?;
    for dir in [&draft.dir, &public] {
        files.make_dir(dir).map_err(failed("cannot make", dir))?;
    }
    let seed = draft.new_seed(files, &draft.dir)?;
    let signer = Signer::new(&place.origin, &seed).map_err(LedgerError::Name)?;
    let empty = Edge::default();
    let head = Checkpoint::sign(empty.size(), empty.root(), &signer);
    let write = |path: PathBuf, text: &str| {
        files.write(&path, text.as_bytes(), 0o644, None).map_err(failed("cannot write", &path))
    };
    write(place::vkey(&public), &format!("{}\n", signer.verifier()))?;
    write(place::checkpoint(&public), head.note())?;
    files.rename(&draft.dir, &place.dir).map_err(failed("cannot name", &place.dir))
}

/// Makes the folders between `root` and the file at `path`.
fn make_parents(files: &dyn Files, root: &Path, path: &Path) -> Result<(), LedgerError> {
    let inside = |dir: &&Path| *dir != root;
    let mut parents: Vec<&Path> = path.ancestors().skip(1).take_while(inside).collect();
    parents.reverse();
    for dir in parents {
        files.make_dir(dir).map_err(failed("cannot make", dir))?;
    }
    Ok(())
}
