//! What there is to verify: the index, the streams that it knows, and the volumes that are here.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use super::{ask::Ask, report::Absent};
use crate::{
    services::{
        paths::{self, Paths},
        record,
    },
    site,
    store::{
        index::{IndexError, Reader},
        volume::{self, Volume, VolumeError},
    },
    sys::RealDisk,
    types::{CameraId, StreamId, StreamKey, StreamKind, VolumeName, WallNs},
};

/// The index, open.
pub(super) struct Index {
    path: PathBuf,
    reader: Reader,
}

impl Index {
    fn open(path: PathBuf) -> Result<Self, IndexError> {
        Ok(Self { reader: Reader::open(&path)?, path })
    }

    /// For asking. An index that was opened while nobody wrote it is opened again once somebody does.
    pub(super) fn reader(&mut self) -> Result<&Reader, IndexError> {
        if self.reader.is_outdated() {
            self.reader = Reader::open(&self.path)?;
        }
        Ok(&self.reader)
    }
}

/// What there is.
pub(super) struct Archive {
    pub(super) index: Index,
    streams: BTreeMap<StreamId, StreamKey>,
    pub(super) here: BTreeMap<VolumeName, Volume>,
    pub(super) absent: BTreeMap<VolumeName, String>,
}

impl Archive {
    /// Looks for all that is asked for.
    pub(super) fn open(ask: &Ask) -> anyhow::Result<Self> {
        let mut index = Index::open(Paths::new(&ask.state).index())?;
        let reader = index.reader()?;
        let streams: BTreeMap<StreamId, StreamKey> = reader.streams()?.into_iter().map(|s| (s.key.id, s.key)).collect();
        if let Some(unknown) = ask.scope.cameras.iter().find(|c| streams.values().all(|s| s.camera != **c)) {
            bail!("the index knows no camera {unknown}");
        }
        let roots = roots(ask, reader)?;
        if let Some(unknown) = ask.scope.volumes.iter().find(|v| !roots.contains_key(*v)) {
            let known: Vec<&str> = roots.keys().map(VolumeName::as_str).collect();
            bail!("there is no volume {unknown}: there are {}", known.join(", "));
        }
        let mut archive = Self { streams: BTreeMap::new(), here: BTreeMap::new(), absent: BTreeMap::new(), index };
        for (name, root) in roots.into_iter().filter(|(name, _)| ask.scope.has(name)) {
            match open(archive.index.reader()?, &name, &root) {
                Ok(volume) => drop(archive.here.insert(name, volume)),
                Err(e) => drop(archive.absent.insert(name, e.to_string())),
            }
        }
        let wanted = |s: &StreamKey| ask.scope.cameras.is_empty() || ask.scope.cameras.contains(&s.camera);
        archive.streams = streams.into_iter().filter(|(_, s)| wanted(s)).collect();
        Ok(archive)
    }

    /// The streams asked for.
    pub(super) fn streams(&self) -> impl Iterator<Item = StreamId> {
        self.streams.keys().copied()
    }

    /// When the newest segment of those streams began.
    pub(super) fn newest(&mut self) -> anyhow::Result<WallNs> {
        let mut newest = WallNs::MIN;
        for stream in self.streams.keys() {
            newest = newest.max(self.index.reader()?.newest(*stream)?.map_or(WallNs::MIN, |row| row.span.start));
        }
        Ok(newest)
    }

    /// Whether a stream is asked for; one that the index does not know is, where no camera is named.
    pub(super) fn has(&self, stream: StreamId, by_name: bool) -> bool {
        self.streams.contains_key(&stream) || !by_name
    }

    /// The names that a stream has.
    pub(super) fn names(&self, stream: StreamId) -> Option<(CameraId, StreamKind)> {
        self.streams.get(&stream).map(|s| (s.camera.clone(), s.kind))
    }

    /// After a file was not found: whether its volume is there still.
    pub(super) fn is_here(&mut self, name: &VolumeName) -> anyhow::Result<bool> {
        let Some(root) = self.here.get(name).map(|volume| volume.root.clone()) else { return Ok(false) };
        match open(self.index.reader()?, name, &root) {
            Ok(_) => Ok(true),
            Err(e) => {
                self.here.remove(name);
                self.absent.insert(name.clone(), e.to_string());
                Ok(false)
            }
        }
    }

    /// The volumes that are not here, with how much they are to have of what is asked for.
    pub(super) fn absent(&mut self, ask: &Ask) -> anyhow::Result<Vec<Absent>> {
        let mut all = Vec::new();
        for (volume, why) in &self.absent {
            let mut segments = 0;
            for stream in self.streams.keys() {
                segments += self.index.reader()?.amount(*stream, volume, ask.scope.time())?.0;
            }
            // A volume that never had any, or has left with its footage, is nobody's loss.
            if segments > 0 || ask.scope.volumes.contains(volume) {
                all.push(Absent { volume: volume.clone(), segments, why: why.clone() });
            }
        }
        Ok(all)
    }
}

/// A volume, if it is the one that the index knows.
fn open(index: &Reader, name: &VolumeName, root: &Path) -> Result<Volume, VolumeError> {
    let id = index.volume_id(name).ok().flatten();
    volume::open(&RealDisk, name, root, id.as_deref())
}

/// Where volumes are: as the site says, else as the recorder noted it last, else where disks are mounted.
fn roots(ask: &Ask, index: &Reader) -> anyhow::Result<BTreeMap<VolumeName, PathBuf>> {
    let mut roots = BTreeMap::new();
    for name in index.volumes()? {
        let noted = index.meta(&paths::root_note(&name))?.map(PathBuf::from);
        roots.insert(name.clone(), noted.unwrap_or_else(|| paths::mount_point(&name)));
    }
    if let Some(path) = &ask.site {
        let site = site::load(path)?;
        let recorder = record::recorder(&site, ask.recorder.as_ref()).context("whose volumes are verified")?;
        roots.extend(record::places(&site, &recorder));
    }
    Ok(roots)
}
