//! Files in memory, with a power supply that can be cut at, before and after every change.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::files::{Files, Found, UNFINISHED};

/// Where a change is cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nothing of it has happened.
    Before,
    /// It can be seen, and is not durable.
    Seen,
    /// It has happened; its caller does not hear of it.
    After,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Folder,
    File(Arc<[u8]>),
    Link(PathBuf),
}

type Tree = BTreeMap<PathBuf, Node>;

#[derive(Debug, Default)]
struct State {
    /// What a reader sees, and what a power cut leaves.
    seen: Tree,
    durable: Tree,
    changes: u64,
    cut: Option<(u64, Cut)>,
    /// The power is off.
    off: bool,
    /// Whether every change fails, as on a disk that has turned read-only.
    broken: bool,
    full: bool,
    watched: Option<PathBuf>,
    versions: Vec<Arc<[u8]>>,
    /// Files that are somebody else's.
    owners: BTreeMap<PathBuf, u32>,
    /// What the disk cannot read.
    spoilt: Option<PathBuf>,
}

/// Files in memory. Clones are the same files.
#[derive(Debug, Clone, Default)]
pub struct FakeFiles(Arc<Mutex<State>>);

fn below(path: &Path, folder: &Path) -> bool {
    path != folder && path.starts_with(folder)
}

impl State {
    /// Makes the entries of the folder that holds `path` durable, as fsync of a folder does.
    fn sync_parent(&mut self, path: &Path) {
        let Some(parent) = path.parent() else { return };
        let inside = |p: &PathBuf| p.parent() == Some(parent);
        let gone: Vec<PathBuf> =
            self.durable.keys().filter(|p| inside(p) && !self.seen.contains_key(*p)).cloned().collect();
        for path in gone {
            self.durable.retain(|p, _| !p.starts_with(&path));
        }
        let entries: Vec<(PathBuf, Node)> =
            self.seen.iter().filter(|(p, _)| inside(p)).map(|(p, n)| (p.clone(), n.clone())).collect();
        for (path, node) in entries {
            if !self.durable.contains_key(&path) {
                let within: Vec<_> = self.seen.iter().filter(|(p, _)| below(p, &path)).collect();
                self.durable.extend(within.into_iter().map(|(p, n)| (p.clone(), n.clone())));
            }
            self.durable.insert(path, node);
        }
    }

    fn look_at_watched(&mut self) {
        let Some(watched) = &self.watched else { return };
        if let Some(Node::File(bytes)) = self.seen.get(watched)
            && self.versions.last() != Some(bytes)
        {
            self.versions.push(bytes.clone());
        }
    }

    fn has_parent(&self, path: &Path) -> io::Result<()> {
        let parent = path.parent().unwrap_or(Path::new("/"));
        let there = parent.parent().is_none() || self.seen.get(parent) == Some(&Node::Folder);
        if there { Ok(()) } else { Err(io::Error::new(io::ErrorKind::NotFound, format!("no {}", parent.display()))) }
    }
}

impl FakeFiles {
    /// None yet; there is a root folder.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts the power at the `n`th change from now, counted from 0.
    pub fn cut_at(&self, n: u64, how: Cut) {
        let mut state = self.state();
        state.cut = Some((state.changes + n, how));
    }

    /// Whether the power has been cut.
    pub fn is_off(&self) -> bool {
        self.state().off
    }

    /// Switches the power on again. What was not durable is as it was before, or it has reached the disk all the same.
    pub fn power_on(&self, lost: bool) {
        let mut state = self.state();
        (state.cut, state.off) = (None, false);
        if lost {
            state.seen = state.durable.clone();
        } else {
            state.durable = state.seen.clone();
        }
        state.look_at_watched();
    }

    /// From now on every change fails, or none does.
    pub fn break_down(&self, broken: bool) {
        self.state().broken = broken;
    }

    /// From now on nothing can be written, because there is no room, or it can; what is there can be removed.
    pub fn fill(&self, full: bool) {
        self.state().full = full;
    }

    /// Makes a file somebody else's; it stays so by any name.
    pub fn give(&self, path: &Path, owner: u32) {
        self.state().owners.insert(path.to_owned(), owner);
    }

    /// From now on this file cannot be read, or every file can.
    pub fn spoil(&self, path: Option<&Path>) {
        self.state().spoilt = path.map(Path::to_owned);
    }

    /// Remembers every version of a file that a reader could have seen.
    pub fn watch(&self, path: &Path) {
        self.state().watched = Some(path.to_owned());
    }

    /// What the watched file said, one version after the other.
    pub fn versions(&self) -> Vec<Vec<u8>> {
        self.state().versions.iter().map(|v| v.to_vec()).collect()
    }

    /// Changes so far.
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// All of it: a copy that goes its own way.
    #[must_use]
    pub fn copy(&self) -> Self {
        let state = self.state();
        let (seen, durable) = (state.seen.clone(), state.durable.clone());
        Self(Arc::new(Mutex::new(State { seen, durable, ..State::default() })))
    }

    /// All files below a folder, with their contents.
    pub fn all(&self, folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let state = self.state();
        let file = |(path, node): (&PathBuf, &Node)| match node {
            Node::File(bytes) if below(path, folder) => Some((path.clone(), bytes.to_vec())),
            _ => None,
        };
        state.seen.iter().filter_map(file).collect()
    }

    fn read_node(&self, path: &Path) -> io::Result<Option<Node>> {
        let state = self.state();
        if state.off {
            return Err(io::Error::other("no power"));
        }
        Ok(state.seen.get(path).cloned())
    }

    /// A change, which is durable at its end if `sync` names a path whose folder is synchronised.
    fn change(&self, sync: Option<&Path>, change: impl FnOnce(&mut State) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state();
        if state.off {
            return Err(io::Error::other("no power"));
        }
        if state.broken {
            return Err(nix::errno::Errno::EIO.into());
        }
        let n = state.changes;
        state.changes += 1;
        let cut = state.cut.filter(|(at, _)| *at == n).map(|(_, how)| how);
        state.off = cut.is_some();
        let cut_short = || io::Error::other("the power was cut");
        if cut == Some(Cut::Before) {
            return Err(cut_short());
        }
        change(&mut state)?;
        state.look_at_watched();
        if cut == Some(Cut::Seen) {
            return Err(cut_short());
        }
        if let Some(path) = sync {
            state.sync_parent(path);
        }
        if cut.is_some() { Err(cut_short()) } else { Ok(()) }
    }
}

impl Files for FakeFiles {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        match self.read_node(path)? {
            Some(Node::File(bytes)) => Ok(Some(bytes.to_vec())),
            Some(_) => Err(io::ErrorKind::IsADirectory.into()),
            None => Ok(None),
        }
    }

    fn find(&self, path: &Path, most: usize) -> io::Result<Option<Found>> {
        let Some(node) = self.read_node(path)? else { return Ok(None) };
        let state = self.state();
        let bytes = match node {
            _ if state.spoilt.as_deref() == Some(path) => Err(nix::errno::Errno::EIO.into()),
            Node::File(bytes) if bytes.len() <= most => Ok(bytes.to_vec()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        };
        let own = || nix::unistd::geteuid().as_raw();
        Ok(Some(Found { owner: state.owners.get(path).copied().unwrap_or_else(own), bytes }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.read_node(dir)?;
        let names = self.state();
        let names = names.seen.keys().filter(|p| p.parent() == Some(dir)).filter_map(|p| p.file_name()?.to_str());
        Ok(names.filter(|n| !n.ends_with(UNFINISHED)).map(str::to_owned).collect())
    }

    fn target(&self, link: &Path) -> io::Result<Option<PathBuf>> {
        match self.read_node(link)? {
            Some(Node::Link(to)) => Ok(Some(to)),
            Some(_) => Err(io::ErrorKind::InvalidInput.into()),
            None => Ok(None),
        }
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.change(Some(path), |state| {
            state.has_parent(path)?;
            match state.seen.entry(path.to_owned()) {
                Entry::Occupied(node) if *node.get() != Node::Folder => Err(io::ErrorKind::AlreadyExists.into()),
                Entry::Occupied(_) => Ok(()),
                Entry::Vacant(place) => {
                    place.insert(Node::Folder);
                    Ok(())
                }
            }
        })
    }

    fn write(&self, path: &Path, bytes: &[u8], _mode: u32, _group: Option<u32>) -> io::Result<()> {
        self.change(Some(path), |state| {
            state.has_parent(path)?;
            if state.full {
                return Err(nix::errno::Errno::ENOSPC.into());
            }
            state.seen.insert(path.to_owned(), Node::File(bytes.into()));
            Ok(())
        })
    }

    fn point(&self, link: &Path, to: &Path) -> io::Result<()> {
        self.change(Some(link), |state| {
            state.has_parent(link)?;
            state.seen.insert(link.to_owned(), Node::Link(to.to_owned()));
            Ok(())
        })
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(None, |state| {
            state.has_parent(to)?;
            let node = state.seen.remove(from).ok_or(io::ErrorKind::NotFound)?;
            state.seen.insert(to.to_owned(), node);
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(Some(to), |state| {
            state.has_parent(to)?;
            if state.seen.contains_key(to) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let moved: Vec<PathBuf> = state.seen.keys().filter(|p| p.starts_with(from)).cloned().collect();
            if moved.is_empty() {
                return Err(io::ErrorKind::NotFound.into());
            }
            for path in moved {
                let rest = path.strip_prefix(from).map_err(io::Error::other)?;
                let new = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
                if let Some(owner) = state.owners.remove(&path) {
                    state.owners.insert(new.clone(), owner);
                }
                if let Some(node) = state.seen.remove(&path) {
                    state.seen.insert(new, node);
                }
            }
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(Some(path), |state| {
            state.seen.remove(path);
            Ok(())
        })
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.change(Some(path), |state| {
            state.seen.retain(|p, _| !p.starts_with(path));
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_durable_is_lost_or_not() {
        let (a, b) = (Path::new("/d/a"), Path::new("/d/b"));
        for lost in [false, true] {
            let files = FakeFiles::new();
            files.make_dir(Path::new("/d")).unwrap();
            files.write(a, b"one", 0o600, None).unwrap();
            files.write(b, b"two", 0o600, None).unwrap();
            files.replace(a, b).unwrap();
            assert_eq!(files.read(b).unwrap().unwrap(), b"one");
            files.power_on(lost);
            assert_eq!(files.read(a).unwrap().is_some(), lost);
            assert_eq!(files.read(b).unwrap().unwrap(), if lost { b"two" } else { b"one" });
            files.replace(b, a).unwrap();
            files.write(b, b"more", 0o600, None).unwrap();
            files.power_on(true);
            assert!(files.read(a).unwrap().is_some(), "the folder was synchronised since");
        }
    }

    #[test]
    fn the_power_is_cut_where_it_was_asked_for() {
        for (how, seen, kept) in [(Cut::Before, false, false), (Cut::Seen, true, false), (Cut::After, true, true)] {
            let files = FakeFiles::new();
            let (dir, file) = (Path::new("/d"), Path::new("/d/f"));
            files.watch(file);
            files.make_dir(dir).unwrap();
            files.cut_at(1, how);
            files.make_dir(Path::new("/e")).unwrap();
            files.write(file, b"x", 0o600, None).unwrap_err();
            files.read(file).unwrap_err();
            assert_eq!(files.versions().len(), usize::from(seen), "{how:?}");
            files.power_on(true);
            assert_eq!(files.read(file).unwrap().is_some(), kept, "{how:?}");
        }
    }

    #[test]
    fn folders_are_named_and_removed_whole() {
        let files = FakeFiles::new();
        let path = |p: &str| PathBuf::from(p);
        assert!(files.write(&path("/d/f"), b"x", 0, None).is_err(), "no folder");
        files.make_dir(&path("/d")).unwrap();
        files.make_dir(&path("/d/e")).unwrap();
        files.write(&path("/d/e/f"), b"x", 0, None).unwrap();
        files.rename(&path("/d"), &path("/n")).unwrap();
        files.power_on(true);
        assert_eq!(files.all(&path("/n")), [(path("/n/e/f"), b"x".to_vec())]);
        assert!(files.list(&path("/d")).unwrap().is_empty());
        assert!(files.rename(&path("/n/e"), &path("/n")).is_err());
        files.remove_dir(&path("/n")).unwrap();
        files.power_on(true);
        assert!(files.all(&path("/")).is_empty());
    }
}
